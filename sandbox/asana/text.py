"""Rich text: the small XML Asana accepts, and the plain text it is worth."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Literal
from xml.parsers import expat

from sandbox.asana.state import Refused

Place = Literal["task", "project", "story"]
EVERYWHERE = frozenset({"body", "strong", "em", "u", "s", "code", "ol", "ul", "li", "a", "pre", "blockquote"})
ALLOWED: dict[Place, frozenset[str]] = {"task": EVERYWHERE | {"h1", "h2", "hr"}, "project": EVERYWHERE, "story": EVERYWHERE}
LINK = frozenset({"href", "data-asana-gid", "data-asana-dynamic", "data-asana-type", "data-asana-accessible", "data-asana-project"})
BLOCKS = frozenset({"li", "h1", "h2", "hr", "pre", "blockquote", "ol", "ul"})


def as_html(text: str) -> str:
    return f"<body>{escape(text, quote=False)}</body>"


@lru_cache(maxsize=4096)
def plain(html: str, place: Place, field: str) -> str:
    """The text of a rich text. Raises Refused (400) when it is not well formed or uses what this place does not allow."""
    reader = _Reader(ALLOWED[place])
    try:
        reader.parser.Parse(html, True)
    except (expat.ExpatError, _Bad) as error:
        raise Refused(400, f"{field}: XML is invalid: {error}") from error
    return "".join(reader.out).strip("\n")


class _Bad(ValueError):
    pass


class _Reader:
    def __init__(self, allowed: frozenset[str]) -> None:
        self.allowed = allowed
        self.open: list[str] = []
        self.out: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.out.append
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _doctype(self, *_: object) -> None:
        raise _Bad("a document type is not supported")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if (tag == "body") is bool(self.open):
            raise _Bad("the root must be one <body>")
        if tag not in self.allowed:
            raise _Bad(f"unsupported tag <{tag}>")
        if set(attributes) - (LINK if tag == "a" else frozenset()):
            raise _Bad(f"unsupported attribute in <{tag}>: {sorted(attributes)}")
        if tag == "li" and self.open[-1] not in ("ol", "ul"):
            raise _Bad("<li> belongs in a list")
        self.open.append(tag)
        self._break(tag)

    def _end(self, tag: str) -> None:
        self.open.pop()
        self._break(tag)

    def _break(self, tag: str) -> None:
        if tag in BLOCKS and self.out and not self.out[-1].endswith("\n"):
            self.out.append("\n")
