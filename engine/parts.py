"""A project whose parts live in several tools: how the parts' keys hang together, and how their projects name each other. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.language import escape_markdown

_HEAD = "**Other parts:** "
_LINKS = re.compile(rf"(?:^|\n\n){re.escape(_HEAD)}[^\n]*\Z")


def part_key(project: str, part: str) -> str:
    """`…/onboarding` and `engineering` → `…/onboarding@engineering`; the project itself for no part."""
    return f"{project}@{part}" if part else project


def part_of(key: str) -> str:
    """The part a project's key stands for; empty for the main project."""
    return key.rpartition("/")[2].partition("@")[2]


def main_of(key: str) -> str:
    """The key of the main project."""
    part = part_of(key)
    return key.removesuffix(f"@{part}") if part else key


def with_links(notes: str, others: Iterable[tuple[str, str, str]]) -> str:
    """A project's notes with a last line that leads to its other parts: key, tool and address of each whose address is known.

    The line is put in the place of an earlier one, so that saying it twice is saying it once.
    """
    named = [(f"{part_of(key) or 'main'} ({target})", url) for key, target, url in sorted(others) if url]
    links = [f"[{escape_markdown(name)}]({url.replace(')', '%29')})" for name, url in named]
    bare = _LINKS.sub("", notes)
    if not links:
        return bare
    line = _HEAD + ", ".join(links)
    return f"{bare}\n\n{line}" if bare else line


def waits_elsewhere(notes: str, names: Iterable[tuple[str, str]]) -> str:
    """A task's notes with a line that names the tasks it waits for in other tools: no link can say so."""
    told = [f"Waits for **{escape_markdown(name)}** in {target}." for name, target in names]
    return "\n\n".join([*([notes] if notes else []), "\n".join(told)]) if told else notes
