"""Syncs that should have taken place by themselves, and did not. A run cannot tell of that: whoever lives beside the runs looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.config import Rules
from engine.schedule import Schedule, due_after
from state import Store
from state.codec import moment, stamp

PATIENCE = timedelta(minutes=15)  # a run waits that long for its turn
_SYNCED = "synced:"


@dataclass(frozen=True, slots=True)
class Overdue:
    """`last` is when a sync of the source last came to an end, None for never; by `due` another one should have begun. `expected` is in words."""

    name: str
    last: datetime | None
    due: datetime
    expected: str


def note(store: Store, sources: Iterable[str], now: datetime) -> None:
    """A sync of these came to its end, whatever it came to."""
    with store.transaction():
        for name in sources:
            store.save_meta(f"{_SYNCED}{name}", stamp(now))


def schedules(rules: Rules, *, minutes: int) -> list[Schedule]:
    """Those of rules.yaml; where it has none, one every so many `minutes`, or none for 0."""
    return rules.schedules or ([Schedule(every=f"{minutes} minutes")] if minutes else [])


def overdue(store: Store, rules: Rules, beats: Sequence[Schedule], since: datetime, now: datetime) -> list[Overdue]:
    """The sources of which no sync took place when one was due, counted from the last one; at the earliest from `since`, when somebody began to look.

    A source without a schedule is never overdue, one with several as soon as the first of them is.
    """
    known = {name: moment(at) for name, at in store.metas(_SYNCED).items()}
    return [late for name in rules.sources if (late := _next(name, known.get(name), since, beats, rules.timezone)) and late.due < now]


def _next(name: str, last: datetime | None, since: datetime, beats: Sequence[Schedule], zone: str) -> Overdue | None:
    """When a source is overdue, if nothing comes meanwhile."""
    base = max(last or since, since)
    due = [(_latest(one, base, zone), one) for one in beats if not one.sources or name in one.sources]
    if not due:
        return None
    at, one = min(due, key=lambda each: each[0])
    return Overdue(name, last, at, f"every {one.every}" if one.every else f"as cron says (`{one.cron}`, {zone})")


def _latest(one: Schedule, base: datetime, zone: str) -> datetime:
    return due_after(one, base, zone) + timedelta(seconds=one.jitter_seconds) + PATIENCE
