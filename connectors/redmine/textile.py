"""Markdown to Textile, for servers that format texts so. https://www.redmine.org/projects/redmine/wiki/RedmineTextFormattingTextile"""

from __future__ import annotations

from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_AROUND = {"strong": "*", "em": "_", "s": "-"}


def textile(markdown: str) -> str:
    """The same text in Textile: headings, lists, tables, code, links and emphasis. What has no mark-up stays as it is."""
    return _join(_block(node) for node in SyntaxTreeNode(_markdown.parse(markdown)).children)


def _join(blocks: Iterable[str]) -> str:
    return "\n\n".join(filter(None, blocks))


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "heading":
            return f"{node.tag}. {_inline(node)}"
        case "bullet_list" | "ordered_list":
            return "\n".join(_items(node, ""))
        case "fence" | "code_block":
            return f"<pre>\n{node.content.rstrip()}\n</pre>"
        case "hr":
            return "---"
        case "table":
            return "\n".join(_rows(node))
        case "blockquote":
            return _join(f"bq. {_block(child)}" for child in node.children)
    return _inline(node)


def _items(node: SyntaxTreeNode, above: str) -> Iterable[str]:
    """One line an item; a list in an item has one mark more."""
    marks = above + ("*" if node.type == "bullet_list" else "#")
    for item in node.children:
        lists = [child for child in item.children if child.type in ("bullet_list", "ordered_list")]
        words = " ".join(_block(child).replace("\n", " ") for child in item.children if child not in lists)
        yield f"{marks} {words}"
        for inner in lists:
            yield from _items(inner, marks)


def _rows(node: SyntaxTreeNode) -> Iterable[str]:
    for part in node.children:
        for row in part.children:
            sign = "_. " if part.type == "thead" else ""
            yield "|" + "|".join(f"{sign}{_inline(cell)}" for cell in row.children) + "|"


def _inline(node: SyntaxTreeNode) -> str:
    return "".join(_span(child) for child in node.children) if node.children else node.content or ""


def _span(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text":
            return node.content
        case "softbreak" | "hardbreak":
            return "\n"
        case "code_inline":
            return f"@{node.content}@"
        case "strong" | "em" | "s":
            return f"{_AROUND[node.type]}{_inline(node)}{_AROUND[node.type]}"
        case "link":
            return f'"{_inline(node)}":{node.attrs.get("href", "")}'
        case "image":
            return f"!{node.attrs.get('src', '')}!"
    return _inline(node)
