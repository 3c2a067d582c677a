"""Who works on what, when several processes share a store.

A lease is held until it is released or its time is up; then anybody may claim it, and its fence grows. A holder that was paused may believe it holds
what others have claimed since. So a transaction that relies on a lease confirms it first, inside itself: fences decide, not clocks.

The row of a lease is also the lock of what it stands for: whoever changes a project's links or intents locks it first, in the order of names, and
whoever is not its holder counts the `revision` up (`touch`), so that the holder knows that what it has read is no longer all there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connectors.base import ConnectorError
from state.codec import moment, stamp
from state.store import Store

READER = "reader"  # who pulls, plans and decides; every other name is the key of a project
TERM = timedelta(seconds=60)  # the longest there is


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    fence: int
    revision: int
    expires_at: datetime


class Leases:
    """What one holder holds. `holder` is a name nobody else goes by."""

    def __init__(self, store: Store, holder: str, *, term: timedelta = TERM) -> None:
        self._store = store
        self._db = store.db
        self._holder = holder
        self.term = term
        self._lock = " FOR UPDATE" if store.db.shared else ""

    def claim(self, names: Sequence[str], now: datetime) -> list[Lease]:
        """Those of the names that were free, or whose time was up, in their order; they are ours from now on. Waits for nobody.

        A lease that ends later than any could was given by a clock that was wrong: its time counts as up.
        """
        wanted = sorted(names)
        skip = f"{self._lock} SKIP LOCKED" if self._lock else ""
        with self._store.transaction():
            self._prepare(wanted)
            statement = (
                "SELECT name, fence, revision FROM lease WHERE (expires_at <= ? OR expires_at > ?)"  # noqa: S608 - words from above
                f" AND name IN ({{marks}}) ORDER BY name{skip}"
            )
            free = [*self._store.look_up(statement, (stamp(now), stamp(now + 2 * TERM)), wanted)]
            won = [Lease(name, fence + 1, revision, now + self.term) for name, fence, revision in free]
            rows = [(self._holder, lease.fence, stamp(lease.expires_at), lease.name) for lease in won]
            self._db.executemany("UPDATE lease SET holder = ?, fence = ?, expires_at = ? WHERE name = ?", rows)
        order = {name: place for place, name in enumerate(names)}
        return sorted(won, key=lambda lease: order[lease.name])

    def _prepare(self, names: Sequence[str]) -> None:
        """A row for each. Only for those that have none: an insert that meets a row waits for whoever is changing it."""
        known = {row[0] for row in self._store.look_up("SELECT name FROM lease WHERE name IN ({marks})", (), names)}
        rows = [(name,) for name in names if name not in known]
        self._db.executemany("INSERT INTO lease (name) VALUES (?) ON CONFLICT (name) DO NOTHING", rows)

    def confirm(self, leases: Collection[Lease], now: datetime) -> Mapping[str, Lease]:
        """Those that are still ours, as they stand now, by name. Inside a transaction they stay ours until its end.

        One that is past half of its time is renewed; one whose time is up is, too, when nobody has claimed it meanwhile.
        """
        ours = {(lease.name, lease.fence) for lease in leases}
        statement = (
            "SELECT name, fence, revision, expires_at FROM lease WHERE holder = ?"  # noqa: S608
            f" AND name IN ({{marks}}) ORDER BY name{self._lock}"
        )
        rows = self._store.look_up(statement, (self._holder,), sorted({name for name, _ in ours}))
        held = [Lease(name, fence, revision, moment(until)) for name, fence, revision, until in rows if (name, fence) in ours]
        return {lease.name: lease for lease in self._renewed(held, now)}

    def _renewed(self, held: Iterable[Lease], now: datetime) -> list[Lease]:
        until = now + self.term
        fresh = [replace(lease, expires_at=until) if abs(until - lease.expires_at) > self.term / 2 else lease for lease in held]
        rows = [(stamp(until), lease.name) for lease in fresh if lease.expires_at == until]
        if rows:
            self._db.executemany("UPDATE lease SET expires_at = ? WHERE name = ?", rows)
        return fresh

    async def keep(self, held: Callable[[], Collection[Lease]], clock: Callable[[], datetime]) -> None:
        """Renew what is held, for ever: by the time that passes for this process, whatever the clock says, a lease lasts as long as its holder.

        An error that a person can do something about is left to whoever does the work: it meets the same one.
        """
        while True:
            await asyncio.sleep(self.term.total_seconds() / 4)
            with suppress(ConnectorError), self._store.transaction():
                self.confirm(held(), clock())

    def release(self, leases: Iterable[Lease]) -> None:
        """Give up those that are still ours, for anybody to claim at once."""
        rows = sorted((lease.name, self._holder, lease.fence) for lease in leases)
        with self._store.transaction():
            self._db.executemany("UPDATE lease SET holder = '', expires_at = '' WHERE name = ? AND holder = ? AND fence = ?", rows)


def touch(store: Store, projects: Iterable[str]) -> None:
    """First thing in a transaction that changes what a project consists of: wait for its holder's own, and let it know."""
    rows = [(project,) for project in sorted(set(projects))]
    store.db.executemany(
        "INSERT INTO lease (name, revision) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET revision = lease.revision + 1", rows
    )


def held_elsewhere(store: Store, names: Collection[str], now: datetime) -> set[str]:
    """Those of the names that somebody holds."""
    return {row[0] for row in store.look_up("SELECT name FROM lease WHERE expires_at > ? AND name IN ({marks})", (stamp(now),), names)}
