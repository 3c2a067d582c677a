"""Three-way merge of one object's fields: what we last wrote, what we want now, what the tool holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Same = Callable[[str, Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Merged:
    """`write` are the fields to send, `kept` those a person changed and keeps: field → (what we wanted, what stands there)."""

    write: Mapping[str, Any]
    kept: Mapping[str, tuple[Any, Any]]


def merge(*, base: Mapping[str, Any], want: Mapping[str, Any], held: Mapping[str, Any], keep: Mapping[str, str], same: Same) -> Merged:
    """Decide field by field. `same(field, ours, held)` compares as the tool would.

    What already stands is not written. What we wrote last, or never wrote and nobody filled, is ours to change. Anything else a person
    wrote: it stays, unless `keep[field]` is "crm". `custom` is merged one level deeper, each custom field by itself.
    """
    write: dict[str, Any] = {}
    kept: dict[str, tuple[Any, Any]] = {}
    for field, ours in want.items():
        if field == "custom":
            rule = dict.fromkeys(ours, keep.get("custom", "in_step"))
            inner = merge(base=base.get("custom", {}), want=ours, held=held.get("custom", {}), keep=rule, same=_of_custom(same))
            if inner.write:
                write["custom"] = inner.write
            kept.update({f"custom.{name}": values for name, values in inner.kept.items()})
            continue
        theirs = held.get(field)
        if same(field, ours, theirs):
            continue
        if keep.get(field) == "crm" or _untouched(field, base, theirs, same):
            write[field] = ours
        else:
            kept[field] = (ours, theirs)
    return Merged(write, kept)


def _untouched(field: str, base: Mapping[str, Any], theirs: Any, same: Same) -> bool:
    return same(field, base[field], theirs) if field in base else theirs in (None, "", ())


def _of_custom(same: Same) -> Same:
    return lambda name, ours, theirs: same(f"custom.{name}", ours, theirs)
