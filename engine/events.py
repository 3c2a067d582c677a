"""What happened: events computed from a record's last snapshot and what the CRM holds now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from engine.config import Event
from engine.model import Customer, Deal, Feedback, Person, Record


@dataclass(frozen=True, slots=True)
class Change:
    """One record that changed: what we knew, what is true now, and the events between the two.

    `before` is None for a record never seen. `after` is None only for a record deleted before it was ever seen. `at` is when it happened,
    as far as the CRM tells (the stage history's moment for a deal that changed stage, the record's modification otherwise). `since` is of which
    moment `before` is; with the content of `after` it tells this change from any other, however often it is looked at.
    """

    record: Record
    before: Any
    after: Any
    events: tuple[Event, ...]
    at: datetime
    issues: tuple[str, ...] = ()
    since: str = ""

    @property
    def source(self) -> str:
        return f"{self.record.system}:{self.record.kind}:{self.record.id}"


def compare(record: Record, before: Any, after: Any, *, was_deleted: bool = False, issues: tuple[str, ...] = (), since: str = "") -> Change:
    """The change a record stands for. Equal content, deleted state included, gives no events."""
    if record.deleted:
        gone = "customer.merged" if record.merged_into and record.kind == "customer" else f"{record.kind}.deleted"
        events: list[str] = [gone] if before is not None and not was_deleted else []
    elif before is None:
        events = [f"{record.kind}.created", *_OPENING[record.kind](after)]
    else:
        restored = [f"{record.kind}.restored"] if was_deleted else []
        differences = _DIFFERENCES[record.kind](before, after)
        changed = [f"{record.kind}.updated"] if before != after else []
        events = [*restored, *differences, *changed]
    return Change(record, before, after, tuple(cast("list[Event]", events)), _moment(record, after), issues, since)


def _moment(record: Record, after: Any) -> datetime:
    if isinstance(after, Deal) and after.stage_history:
        entered = [entry.at for entry in after.stage_history if entry.stage == after.stage]
        if entered:
            return max(entered)
    return record.modified_at


def _deal_opening(deal: Deal) -> list[str]:
    return [] if deal.status == "open" else [f"deal.{deal.status}"]


def _deal_differences(before: Deal, after: Deal) -> list[str]:
    found = []
    if after.status != before.status:
        found.append("deal.reopened" if after.status == "open" else f"deal.{after.status}")
    if after.stage != before.stage:
        found.append("deal.stage_changed")
    if (after.amount, after.currency) != (before.amount, before.currency):
        found.append("deal.amount_changed")
    if _who(after.owner) != _who(before.owner):
        found.append("deal.owner_changed")
    return found


def _customer_differences(before: Customer, after: Customer) -> list[str]:
    found = []
    if after.tier != before.tier:
        found.append("customer.tier_changed")
    if _who(after.owner) != _who(before.owner):
        found.append("customer.owner_changed")
    return found


def _who(person: Person | None) -> str:
    return (person.id or person.email) if person else ""


def _nothing(*_: Feedback) -> list[str]:
    return []


_OPENING: dict[str, Callable[[Any], list[str]]] = {"deal": _deal_opening, "customer": _nothing, "feedback": _nothing, "contact": _nothing}
_DIFFERENCES: dict[str, Callable[[Any, Any], list[str]]] = {
    "deal": _deal_differences,
    "customer": _customer_differences,
    "feedback": _nothing,
    "contact": _nothing,
}
