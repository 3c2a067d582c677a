"""Is this the latest state? A restored backup, a copy taken from a running system, a rolled-back machine do not know what was done since.

Before writes leave for a tool, the state counts that they will (`sent`), and the count is noted beside it once it is committed. A state
whose count is behind that note, that has no note although it sent something, or that was left alone for long, cannot be sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from state.codec import moment, stamp
from state.store import Store
from state.watermark import Mark, Watermark

AWAY = timedelta(hours=1)
_SENT, _DOUBT, _SETTLED, _HOME = "sent", "doubt", "doubt settled", "home"


@dataclass(frozen=True, slots=True)
class Doubt:
    """`since`: the last moment something may have been sent that the state does not know of; `why`, in words."""

    since: datetime
    why: str


class Continuity:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._watermark = store.db.watermark

    def sent(self, now: datetime) -> None:
        """Count that writes are about to leave; part of the transaction that says which."""
        if self._watermark is not None:
            known = self._known()
            self._count(self._watermark, Mark(known.count + 1 if known else 1, now))

    def begin(self, now: datetime) -> Doubt | None:
        """Look, before a run is entered. What cannot be sure is recorded as a doubt, until `settle`."""
        found = self._look(now)
        if found is not None:
            self._store.save_meta(_DOUBT, f"{stamp(found.since)} {found.why}")
        self._catch_up()
        return found

    def doubt(self) -> Doubt | None:
        """What is still to be settled."""
        at, _, why = (self._store.meta(_DOUBT) or "").partition(" ")
        return Doubt(moment(at), why) if at else None

    def settle(self, now: datetime) -> None:
        """Everything up to now was read again and decided again, as it is now. What it was in between is not known and may have had its effect."""
        if self.doubt() is not None:
            self._store.save_meta(_DOUBT, "")
            self._store.save_meta(_SETTLED, stamp(now))

    def settled(self) -> datetime | None:
        """When a doubt was last settled. Of what existed then, things may be in the tools that nothing here knows of."""
        at = self._store.meta(_SETTLED)
        return moment(at) if at else None

    def _look(self, now: datetime) -> Doubt | None:
        known, noted, used = self._known(), self._noted(), self._last_used()
        if noted is not None and noted.count > (known.count if known else 0):
            return Doubt(noted.at, f"it is older than its last use on {noted.at:%Y-%m-%d at %H:%M:%S} UTC")
        if used is None:
            return None
        unmarked = self._watermark is not None and known is not None and noted is None
        if unmarked or self._store.meta(_HOME) not in (None, self._store.db.home):
            return Doubt(used, f"it was brought here from elsewhere, last used on {used:%Y-%m-%d at %H:%M:%S} UTC")
        if now - used > AWAY:
            return Doubt(used, f"nothing has run since {used:%Y-%m-%d %H:%M} UTC")
        return None

    def _last_used(self) -> datetime | None:
        runs = self._store.runs(1)
        return max(filter(None, (runs[0].started_at, runs[0].ended_at))) if runs else None

    def _known(self) -> Mark | None:
        return Mark.read(self._store.meta(_SENT) or "")

    def _noted(self) -> Mark | None:
        return self._watermark.read() if self._watermark is not None else None

    def _catch_up(self) -> None:
        """Be at home here, and count on from wherever the count has got."""
        if self._store.meta(_HOME) != self._store.db.home:
            self._store.save_meta(_HOME, self._store.db.home)
        marks = [mark for mark in (self._known(), self._noted()) if mark is not None]
        if self._watermark is not None and marks:
            self._count(self._watermark, max(marks, key=lambda mark: mark.count))

    def _count(self, watermark: Watermark, mark: Mark) -> None:
        self._store.save_meta(_SENT, str(mark))
        self._store.on_commit(lambda: watermark.write(mark))
