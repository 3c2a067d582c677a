"""A message as people are to read it: Markdown, turned into what each kind of channel can show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough")
_forbidden = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Message:
    """`text` is Markdown. `items` are the notices in it, for programs: key, source, rule and text of each."""

    text: str
    items: Sequence[Mapping[str, str]] = ()

    @property
    def subject(self) -> str:
        """Its first line, as plain text."""
        lines = plain(self.text).splitlines()
        return " ".join(lines[0].split())[:150] if lines else "Handoff"


@dataclass(frozen=True, slots=True)
class Style:
    """How a channel writes things. `link` is given the text as it is written and the address."""

    text: Callable[[str], str]
    strong: str
    emphasis: str
    code: str
    link: Callable[[str, str], str]


def _plain_link(text: str, url: str) -> str:
    return url if text == url else f"{text} ({url})"


def _slack_link(text: str, url: str) -> str:
    return f"<{url.replace('|', '%7C').replace('>', '%3E')}|{text.replace('|', '¦')}>"


PLAIN = Style(str, "", "", "", _plain_link)
# https://docs.slack.dev/messaging/formatting-message-text: three characters are escaped, *strong*, _emphasis_, <address|text>
SLACK = Style(lambda text: escape(text, quote=False), "*", "_", "`", _slack_link)


def clean(text: str) -> str:
    """Without control characters, lone surrogates and foreign line ends."""
    return _forbidden.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def plain(markdown: str) -> str:
    return written(markdown, PLAIN)


def html(markdown: str) -> str:
    """Markup in which nothing of the text is markup of its own."""
    return str(_markdown.render(clean(markdown)))


def written(markdown: str, style: Style) -> str:
    """The text in a channel's own style; blocks apart from each other, lists with dashes or numbers."""
    tree = SyntaxTreeNode(_markdown.parse(clean(markdown)))
    return "\n\n".join(filter(None, (_block(node, style) for node in tree.children)))


def cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8; what is cut ends with "…"."""
    raw = text.encode()
    return text if len(raw) <= most else raw[: most - 3].decode(errors="ignore").rstrip() + "…"


def _block(node: SyntaxTreeNode, style: Style) -> str:
    match node.type:
        case "bullet_list" | "ordered_list":
            return "\n".join(_item(item, number, style) for number, item in enumerate(node.children, 1))
        case "fence" | "code_block":
            return style.text(node.content.rstrip())
        case "hr":
            return "———"
        case "blockquote":
            return "\n".join(_block(child, style) for child in node.children)
        case "heading":
            return f"{style.strong}{_inline(node, style)}{style.strong}"
    return _inline(node, style)


def _item(item: SyntaxTreeNode, number: int, style: Style) -> str:
    mark = f"{number}. " if item.parent is not None and item.parent.type == "ordered_list" else "- "
    return mark + "\n".join(_block(child, style) for child in item.children).replace("\n", "\n  ")


def _inline(node: SyntaxTreeNode, style: Style) -> str:
    return "".join(_span(child, style) for child in node.children) if node.children else style.text(node.content or "")


def _span(node: SyntaxTreeNode, style: Style) -> str:
    match node.type:
        case "softbreak" | "hardbreak":
            return "\n"
        case "strong":
            return f"{style.strong}{_inline(node, style)}{style.strong}"
        case "em":
            return f"{style.emphasis}{_inline(node, style)}{style.emphasis}"
        case "code_inline":
            return f"{style.code}{style.text(node.content)}{style.code}"
        case "link":
            return style.link(_inline(node, style), str(node.attrs["href"]))
    return _inline(node, style)
