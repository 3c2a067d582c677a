"""Markdown as the server wants it, the marker that carries a key, and a normal form in which texts are compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote, unquote

from connectors.redmine.textile import textile

LONGEST_LINE = 255
_HASHED = "sha256-"
LONGEST = 60_000  # bytes: a column of MySQL holds 65,535

_forbidden = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x84\x86-\x9f]")
_marker = re.compile(r"[`@]?handoff:([A-Za-z0-9/:+,;=._~%-]+)[`@]?(?=\s|$)")


def clean(text: str) -> str:
    """Without control characters, lone surrogates and foreign line ends."""
    return _forbidden.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def line(text: str, longest: int = LONGEST_LINE) -> str:
    """A name: one line, at most as long as Redmine takes."""
    return " ".join(clean(text).split())[:longest].rstrip()


def mark(key: str) -> str:
    """The key as one word: `handoff:salesforce:deal:006/onboarding`."""
    return "handoff:" + quote(key, safe="/:+,;=-._~")


def short_mark(key: str) -> str:
    """The key as one word of at most 255 characters: a hash of it when it is longer."""
    whole = mark(key)
    return whole if len(whole) <= LONGEST_LINE else f"handoff:{_HASHED}{hashlib.sha256(key.encode()).hexdigest()}"


def key_in(text: str) -> str:
    """The key in a text; empty when there is none, or its hash only. The last marker counts: what precedes it is other people's text."""
    marks = _marker.findall(text)
    return unquote(marks[-1]) if marks and not marks[-1].startswith(_HASHED) else ""


def identifier(key: str) -> str:
    """A project's identifier: readable, and always the same for one key. Redmine allows 100 lower-case letters, digits, dashes."""
    readable = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    return f"{readable[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}".lstrip("-")


class Texts:
    """Texts for a server that formats them as `formatting`."""

    def __init__(self, formatting: Literal["markdown", "textile"]) -> None:
        self._render: Callable[[str], str] = textile if formatting == "textile" else lambda text: text
        self._code = "@" if formatting == "textile" else "`"

    def document(self, markdown: str, *, key: str = "") -> str:
        """A description or a note, the key in its last line."""
        body = _cut(self._render(clean(markdown)).strip())
        marker = f"{self._code}{mark(key)}{self._code}" if key else ""
        return f"{body}\n\n{marker}" if body and marker else body or marker

    def normal(self, markdown: str) -> str:
        """What `normal` makes of the text once it is there."""
        return normal(self.document(markdown))


def normal(held: str) -> str:
    """The same for texts that read the same, whatever was done to line ends, white space at the ends of lines, or the key's marker."""
    lines = (row.rstrip() for row in _marker.sub("", clean(held)).split("\n"))
    return "\n".join(lines).strip()


def _cut(text: str) -> str:
    raw = text.encode()
    if len(raw) <= LONGEST:
        return text
    return f"{raw[:LONGEST].decode(errors='ignore').rstrip()}\n\n(cut here: the whole text has {len(text)} characters)"
