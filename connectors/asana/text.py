"""Markdown to the rich text Asana accepts, the marker that carries a key, and a normal form in which texts are compared.

Tasks may hold h1, h2 and hr; projects and comments may not (`plain`), there a heading is bold and a rule is a line of dashes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from html import escape
from html.parser import HTMLParser
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

LONGEST_NAME = 1024
LONGEST = 60_000  # characters of markup; Asana documents no limit, a larger text is cut and says so

_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_forbidden = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x84\x86-\x9f]")
_marker = re.compile(r"handoff:([A-Za-z0-9/:@+,;=._~%-]+)(?=\s*(?:</code>|\n|$))")
_blocks = ("<ul>", "<ol>", "<h1>", "<h2>", "<hr/>")


def clean(text: str) -> str:
    """Without control characters, lone surrogates and foreign line ends, composed (NFC)."""
    return unicodedata.normalize("NFC", _forbidden.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def line(text: str) -> str:
    """A name: one line, at most as long as Asana takes."""
    return " ".join(clean(text).split())[:LONGEST_NAME].rstrip()


def document(markdown: str, *, key: str = "", plain: bool) -> str:
    """The `<body>` for notes and comments, the key in its last line."""
    marker = f"<code>{mark(key)}</code>" if key else ""
    body = rich(markdown, plain=plain)
    return f"<body>{body}{chr(10) if body and marker else ''}{marker}</body>"


def mark(key: str) -> str:
    """The key as one word: `handoff:salesforce:deal:006/onboarding`."""
    return "handoff:" + quote(key, safe="/:@+,;=-._~")


def key_in(text: str) -> str:
    """The key in a text, plain or marked up; empty when there is none. The last marker counts: what precedes it is other people's text."""
    marks = _marker.findall(text)
    return unquote(marks[-1]) if marks else ""


def rich(markdown: str, *, plain: bool) -> str:
    """Well-formed markup within what Asana allows, no longer than LONGEST."""
    source = clean(markdown)
    markup = _render(source, plain)
    taken = len(source)
    while len(markup) > LONGEST:
        taken = min(taken - 1, taken * (LONGEST - 200) // len(markup))
        note = f"\n\n(cut here: the whole text has {len(source)} characters)"
        markup = _render(source[:taken], plain) + note
    return markup


def _render(source: str, plain: bool) -> str:
    return _join(_block(node, plain) for node in SyntaxTreeNode(_markdown.parse(source)).children)


def _join(blocks: Iterable[str]) -> str:
    whole, before = "", ""
    for block in filter(None, blocks):
        apart = before and not before.endswith((*(tag.replace("<", "</") for tag in _blocks), "<hr/>")) and not block.startswith(_blocks)
        whole += ("\n\n" if apart else "") + block
        before = block
    return whole


def _block(node: SyntaxTreeNode, plain: bool) -> str:
    match node.type:
        case "heading":
            tag = "strong" if plain else "h1" if node.tag == "h1" else "h2"
            return f"<{tag}>{_inline(node)}</{tag}>"
        case "bullet_list" | "ordered_list":
            items = "".join(f"<li>{_item(item, plain)}</li>" for item in node.children)
            return f"<{node.tag}>{items}</{node.tag}>"
        case "fence" | "code_block":
            return f"<code>{escape(node.content.rstrip(), quote=False)}</code>"
        case "hr":
            return "———" if plain else "<hr/>"
        case "table":
            return _table(node)
        case "blockquote":
            return _join(_block(child, plain) for child in node.children)
    return _inline(node)


def _item(item: SyntaxTreeNode, plain: bool) -> str:
    # Lists hold no headings or rules in Asana, whatever the object.
    return _join(_block(child, True) for child in item.children)


def _table(node: SyntaxTreeNode) -> str:
    rows = [[_inline(cell) for cell in row.children] for part in node.children for row in part.children]
    titles, body = rows[0], rows[1:]
    pairs = ([f"{title}: {cell}" if title else cell for title, cell in zip(titles, row, strict=False) if cell] for row in body)
    return "<ul>" + "".join(f"<li>{', '.join(cells)}</li>" for cells in pairs) + "</ul>" if body else ", ".join(titles)


def _inline(node: SyntaxTreeNode) -> str:
    return "".join(_span(child) for child in node.children) if node.children else escape(node.content or "", quote=False)


def _span(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text":
            return escape(node.content, quote=False)
        case "softbreak" | "hardbreak":
            return "\n"
        case "code_inline":
            return f"<code>{escape(node.content, quote=False)}</code>"
        case "strong" | "em" | "s":
            return f"<{node.tag}>{_inline(node)}</{node.tag}>"
        case "link":
            return _link(str(node.attrs.get("href", "")), "".join(_span(child) for child in node.children))
        case "image":
            return _link(str(node.attrs.get("src", "")), escape(node.content, quote=False))
    return _inline(node)


def _link(target: str, inner: str) -> str:
    if not target.lower().startswith(("http://", "https://", "mailto:")):
        return inner
    address = escape(target, quote=True)
    return f'<a href="{address}">{inner or address}</a>'


_alias = {"b": "strong", "i": "em", "del": "s", "strike": "s", "ins": "u"}
_kept = frozenset({"strong", "em", "u", "s", "code", "ol", "ul", "li", "a", "h1", "h2", "hr"})


class _Normal(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        tag = _alias.get(tag, tag)
        href = dict(attrs).get("href") if tag == "a" else None
        self.parts.append(f'<a href="{escape(href)}">' if href else f"<{tag}>" if tag in _kept else " ")

    def handle_endtag(self, tag: str) -> None:
        tag = _alias.get(tag, tag)
        if tag != "hr":
            self.parts.append(f"</{tag}>" if tag in _kept else " ")

    def handle_data(self, data: str) -> None:
        self.parts.append(escape(data, quote=False))


_tidy = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"<code>handoff:[^<\s]+</code>"), ""),
    (re.compile(r'<a href="([^"]*)">\1</a>'), r"\1"),
    (re.compile(r"</(strong|em|u|s|code)>( ?)<\1>"), r"\2"),
    (re.compile(r"<(strong|em|u|s|code)>( ?)</\1>"), r"\2"),
    (re.compile(r" ?(</?(?:ul|ol|li|h1|h2|hr)>) ?"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def normal(markup: str) -> str:
    """The normal form: the same for texts that read the same, whatever was done to white space, line ends, tag aliases or the key's marker."""
    parser = _Normal()
    parser.feed(clean(markup))
    parser.close()
    text = "".join(parser.parts)
    for pattern, replacement in _tidy:
        text = pattern.sub(replacement, text)
    return text.strip()


def external(key: str) -> str:
    """The key as an external gid, which must hold no slash."""
    return mark(key).removeprefix("handoff:").replace("/", "!")


def key_from(external_gid: str) -> str:
    """The key an external gid stands for."""
    return key_in("handoff:" + external_gid.replace("!", "/"))
