"""What a tool cannot hold is known before anything is sent: left out of the plan, and said there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.blueprint import Rendered
from engine.model import Item, ItemKind


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a tool can do: the kinds it has, the fields each can hold, how many dependencies one task may take part in (0: no limit), and what
    stands `instead` of a kind (`section`) or a field (`task.followers`) it holds in another form.
    """

    kinds: frozenset[ItemKind]
    fields: Mapping[ItemKind, frozenset[str]]
    most_dependencies: int = 0
    instead: Mapping[str, str] = field(default_factory=dict)


def fit(rendered: Rendered, abilities: Abilities, target: str) -> Rendered:
    """The items a tool can hold, and a note for each kind, field or dependency that had to go or that something else stands in for."""
    notes: dict[str, None] = dict.fromkeys(rendered.notes)
    items: list[Item] = []
    gone: set[str] = set()
    parents = {item.parent for item in rendered.items if item.kind == "task"}
    for item in rendered.items:
        if item.kind not in abilities.kinds:
            notes[f"{target} has no {item.kind}: left out"] = None
            gone.add(item.key)
            continue
        notes.update(dict.fromkeys(_replaced(item, abilities.instead, target, parent=item.kind == "task" and item.key in parents)))
        unfit = item.fields.keys() - abilities.fields.get(item.kind, frozenset(item.fields))
        for name in sorted(unfit):
            notes[f"{target} has no {name} on a {item.kind}: left out"] = None
        items.append(replace(item, fields={name: value for name, value in item.fields.items() if name not in unfit}) if unfit else item)
    if abilities.most_dependencies:
        items = _thin(items, abilities.most_dependencies, target, notes)
    return Rendered(tuple(replace(item, section="") if item.section in gone else item for item in items), tuple(notes))


def _replaced(item: Item, instead: Mapping[str, str], target: str, *, parent: bool) -> Iterator[str]:
    if words := instead.get(item.kind):
        yield f"{target} has no {item.kind}: {words} instead"
    for name, value in item.fields.items():
        if value and (words := instead.get(f"{item.kind}.{name}")):
            yield f"{target} has no {name} on a {item.kind}: {words} instead"
        if parent and value and (words := instead.get(f"parent.{name}")):
            yield f"{target} has no {name} of its own on a task with sub-tasks: {words} instead"


def _thin(items: list[Item], most: int, target: str, notes: dict[str, None]) -> list[Item]:
    ends: Counter[str] = Counter()
    kept: list[Item] = []
    for item in items:
        if item.kind != "dependency":
            kept.append(item)
            continue
        waits = []
        for key in item.depends_on:
            if ends[key] < most and ends[item.parent] < most:
                waits.append(key)
                ends.update((key, item.parent))
        if len(waits) < len(item.depends_on):
            notes[
                f"{target} links a task to {most} others at most: {len(item.depends_on) - len(waits)} links of {item.parent} left out"
            ] = None
        if waits:
            kept.append(replace(item, depends_on=tuple(waits)))
    return kept
