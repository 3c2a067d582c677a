"""Lines `Label: value` of a text: what holds a value where Tryton has no field for it, and leaves everything else in the text alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.tryton.text import clean, line
from engine.model import shortest


def with_line(text: str, label: str, value: Any) -> str:
    """The text with its line `label: value`; the line goes where there is no value."""
    lines = text.replace("\r\n", "\n").split("\n") if text else []
    own = f"{line(label)}:"
    new = [f"{own} {shown(value)}"] if value not in (None, "") else []
    at = next((at for at, each in enumerate(lines) if each.startswith(own)), None)
    if at is None:
        return "\n".join([*lines, *new])
    rest = [each for each in lines[at + 1 :] if not each.startswith(own)]
    return "\n".join([*lines[:at], *new, *rest])


def split(text: str, labels: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The text without the lines at its end that are ours, and the values in them. `labels` are ours: name → label."""
    lines, found = text.replace("\r\n", "\n").split("\n"), dict[str, str]()
    names = {f"{line(label)}:": name for name, label in labels.items()}
    while lines:
        begins = next((begins for begins in names if lines[-1].startswith(begins)), None)
        if begins is None or names[begins] in found:
            break
        found[names[begins]] = lines.pop().removeprefix(begins).strip()
    return ("\n".join(lines).rstrip("\n") if found else text), found


def joined(text: str, values: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """The text, and below it a line for each value."""
    ours = [f"{line(label)}: {values[name]}" for name, label in labels.items() if values.get(name)]
    return "\n\n".join(each for each in (text.rstrip("\n") if ours else text, "\n".join(ours)) if each)


def shown(value: Any) -> str:
    """A value as people read it, in one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return str(shortest(value))
    if isinstance(value, list | tuple):
        return ", ".join(line(str(each)) for each in value)
    return value.isoformat() if isinstance(value, date) else line(clean("" if value is None else str(value)))
