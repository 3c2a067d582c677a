"""Markdown to the HTML that Odoo keeps, and a normal form in which texts are compared: its server and its editor rewrite what they are given."""

from __future__ import annotations

import re
import unicodedata
from html import escape
from html.parser import HTMLParser

from markdown_it import MarkdownIt

_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
_ends = re.compile("\r\n?|\x85")  # the latter is read as an ellipsis by what parses HTML
_forbidden = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")


def clean(text: str) -> str:
    """Without control characters, lone surrogates and foreign line ends, composed (NFC)."""
    return unicodedata.normalize("NFC", _forbidden.sub("", _ends.sub("\n", text)))


def line(text: object) -> str:
    """A name: one line."""
    return " ".join(clean(str(text or "")).split())


def title(text: object) -> str:
    """A name as Odoo takes it: one line, and never empty."""
    return line(text) or "?"


def markup(markdown: object) -> str:
    """The HTML of a text; empty for none."""
    return str(_markdown.render(clean(str(markdown or "")))).strip()


_alias = {"b": "strong", "i": "em", "del": "s", "strike": "s"}
_blocks = "ul|ol|li|h[1-6]|hr|pre|blockquote|table|tr|th|td"
_kept = re.compile(f"strong|em|u|s|code|a|{_blocks}").fullmatch


class _Normal(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        tag = _alias.get(tag, tag)
        href = dict(attrs).get("href") if tag == "a" else None
        self.parts.append(f'<a href="{escape(href)}">' if href else f"<{tag}>" if _kept(tag) else _gap(tag))

    def handle_endtag(self, tag: str) -> None:
        tag = _alias.get(tag, tag)
        if tag != "hr":
            self.parts.append(f"</{tag}>" if _kept(tag) else _gap(tag))

    def handle_data(self, data: str) -> None:
        self.parts.append(escape(data, quote=False))


def _gap(tag: str) -> str:
    return "" if tag in ("span", "font") else " "


_tidy = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"<a>(.*?)</a>"), r"\1"),
    (re.compile(r"</(strong|em|u|s|code)>( ?)<\1>"), r"\2"),
    (re.compile(r"<(strong|em|u|s|code)>( ?)</\1>"), r"\2"),
    (re.compile(rf" ?(</?(?:{_blocks})>) ?"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def normal(html: str) -> str:
    """The normal form: the same for texts that read the same, whatever was done to white space, wrappers, attributes or aliases of tags."""
    parser = _Normal()
    parser.feed(clean(html))
    parser.close()
    text = "".join(parser.parts)
    for pattern, replacement in _tidy:
        text = pattern.sub(replacement, text)
    return text.strip()
