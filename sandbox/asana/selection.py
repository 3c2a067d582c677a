"""What `opt_fields` asks for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import product

Tree = dict[str, "Tree | None"]


@lru_cache(maxsize=512)
def parse(fields: str) -> Tree:
    """The tree of an `opt_fields` list: `name`, `assignee.name`, `(assignee|followers).name`."""
    tree: Tree = {}
    for path in _split(fields, ","):
        for names in _paths(path.strip()):
            _plant(tree, [name for name in names if name and name != "this"])
    return tree


def _plant(tree: Tree, names: Iterable[str]) -> None:
    for name in names:
        below = tree.get(name)
        if below is None:
            below = tree[name] = {}
        tree = below


def _paths(path: str) -> Iterable[list[str]]:
    """Every plain path a path with groups stands for."""
    choices = []
    for segment in _split(path, "."):
        if segment.startswith("(") and segment.endswith(")"):
            choices.append([names for each in _split(segment[1:-1], "|") for names in _paths(each)])
        else:
            choices.append([[segment]])
    return [[name for part in parts for name in part] for parts in product(*choices)]


def _split(text: str, mark: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part]
