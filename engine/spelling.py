"""Expressions written out again: the paths they read, their text for messages, and where a word of them stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import nodes

_COMPARE = {"eq": "==", "ne": "!=", "gt": ">", "gteq": ">=", "lt": "<", "lteq": "<=", "in": "in", "notin": "not in"}


def path(node: nodes.Node) -> str:
    """The dotted path a node spells (`deal.custom.region`), or "" when it is something else."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr() if owner := path(node.node):
            return f"{owner}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=str(name))) if owner := path(node.node):
            return f"{owner}.{name}"
    return ""


def paths(tree: nodes.Node) -> tuple[str, ...]:
    """Every field path a tree reads, in the order of writing."""
    found = path(tree)
    if found:
        return (found,)
    return tuple(dict.fromkeys(inner for child in tree.iter_child_nodes() for inner in paths(child)))


def locate(text: str, line: int, word: str, after: str = "") -> tuple[int, int]:
    """Where `word` stands in the text, from `line` on; behind `after` where that is given. Lines and columns count from 1."""
    lines = text.splitlines() or [""]
    whole = re.compile((rf"(?<!\w){re.escape(after)}\W{{1,8}}?\s*" if after else r"(?<![\w.])") + rf"({re.escape(word)})(?!\w)")
    loose = re.compile(rf"({re.escape(word)})")
    for pattern in (whole, loose) if word else ():
        for number in range(min(line, len(lines)), len(lines) + 1):
            if found := pattern.search(lines[number - 1]):
                return number, found.start(1) + 1
    number = min(max(line, 1), len(lines))
    written = lines[number - 1]
    return number, len(written) - len(written.lstrip()) + 1


def source(node: nodes.Node) -> str:
    """An expression written out again, for messages."""
    return "".join(_written(node))


def _written(node: nodes.Node) -> Iterator[str]:  # noqa: PLR0912 - one branch for each kind of node
    match node:
        case _ if spelt := path(node):
            yield spelt
        case nodes.Const():
            yield f"'{node.value}'" if isinstance(node.value, str) else str(node.value).lower()
        case nodes.Compare():
            yield source(node.expr)
            for operand in node.ops:
                yield f" {_COMPARE[operand.op]} {source(operand.expr)}"
        case nodes.Not():
            yield f"not {_inner(node.node)}"
        case nodes.Neg() | nodes.Pos():
            yield f"{node.operator}{_inner(node.node)}"
        case nodes.And() | nodes.Or() | nodes.BinExpr():
            yield f"{_inner(node.left)} {getattr(node, 'operator', '?')} {_inner(node.right)}"
        case nodes.Concat():
            yield " ~ ".join(_inner(part) for part in node.nodes)
        case nodes.List() | nodes.Tuple():
            yield f"[{', '.join(source(item) for item in node.items)}]"
        case nodes.Filter() if node.node:
            yield f"{_inner(node.node)} | {node.name}{_called(node)}"
        case nodes.Test():
            yield f"{_inner(node.node)} is {node.name}{_called(node)}"
        case nodes.CondExpr():
            yield f"{_inner(node.expr1)} if {_inner(node.test)}" + (f" else {_inner(node.expr2)}" if node.expr2 else "")
        case nodes.Getitem():
            yield f"{_inner(node.node)}[{source(node.arg)}]"
        case nodes.Getattr():
            yield f"{_inner(node.node)}.{node.attr}"
        case _:
            yield "…"


def _inner(node: nodes.Node) -> str:
    spelt = source(node)
    return f"({spelt})" if isinstance(node, nodes.BinExpr | nodes.Compare | nodes.CondExpr | nodes.Not | nodes.Test) else spelt


def _called(node: nodes.Filter | nodes.Test) -> str:
    written = [source(argument) for argument in node.args] + [f"{pair.key}={source(pair.value)}" for pair in node.kwargs]
    return f"({', '.join(written)})" if written else ""
