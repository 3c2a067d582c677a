"""The inbox: which records may have changed, as told by push. A hint is a name and no message: however often it comes, it is one row.

    take      what is to be read again, eldest first
    settle    forget what was read, unless it was told again meanwhile

Nothing else forgets a hint, so a process that dies between the two leaves it for the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.model import Hint
from state.codec import moment, stamp
from state.database import Database


@dataclass(frozen=True, slots=True)
class Told:
    """A hint as it lies in the inbox: told `count` times since `first_at`. `revision` grows each time; one that was settled begins anew."""

    system: str
    hint: Hint
    revision: int
    count: int
    first_at: datetime
    last_at: datetime

    @property
    def source(self) -> str:
        return f"{self.system}:{self.hint.kind}:{self.hint.id}"


@dataclass(frozen=True, slots=True)
class Feed:
    """What push did for one system. `missed` counts changes that polling found and no push had told."""

    system: str
    since: datetime
    deliveries: int
    events: int
    hints: int
    last_at: datetime | None
    missed: int
    missed_at: datetime | None
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Arrivals:
    """What arrived since the last commit, collapsed: hints by place, and counts."""

    hints: Counter[tuple[str, Hint]] = field(default_factory=Counter)
    deliveries: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, system: str, hints: Iterable[Hint], *, events: int) -> None:
        self.deliveries[system] += 1
        self.events[system] += events
        self.hints.update((system, hint) for hint in hints)

    def refuse(self, system: str, reason: str) -> None:
        self.refused[system, reason] += 1

    def __bool__(self) -> bool:
        return bool(self.deliveries or self.refused)


class Inbox:
    """Raises StateError or Transient, and nothing is stored then."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def store(self, arrived: Arrivals, now: datetime) -> None:
        """All of it, in one transaction: what returns from here survives a crash."""
        at = stamp(now)
        with self._db.atomic():
            # in the order of their keys, so that two processes cannot wait for each other
            rows = sorted((system, hint.kind, hint.id, count) for (system, hint), count in arrived.hints.items())
            self._put([(system, kind, id_, count, at, at) for system, kind, id_, count in rows])
            hints = Counter(system for system, _ in arrived.hints)
            fed = [(s, at, n, arrived.events[s], hints[s], at) for s, n in sorted(arrived.deliveries.items())]
            self._db.executemany(_FEED, fed)
            self._db.executemany(_REFUSAL, [(system, why, count, at) for (system, why), count in sorted(arrived.refused.items())])

    def _put(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Many a statement: each one by itself would have to wait its turn with whatever else this process does."""
        start = 0
        while start < len(rows):
            size = next(size for size in _SIZES if size <= len(rows) - start)
            some = rows[start : start + size]
            self._db.execute(_HINT.format(marks=", ".join([_MARKS] * size)), [value for row in some for value in row])
            start += size

    def remind(self, system: str, hint: Hint, now: datetime) -> None:
        """Have a record read again, though no push told of it."""
        self._db.execute(_HINT.format(marks=_MARKS), (system, hint.kind, hint.id, 1, stamp(now), stamp(now)))

    def take(self, systems: Sequence[str], most: int = 500) -> list[Told]:
        """Hints of some systems, those first told first. They stay until they are settled."""
        marks = ",".join("?" * len(systems))
        statement = f"SELECT {_COLUMNS} FROM hint WHERE system IN ({marks}) ORDER BY first_at, id LIMIT ?"  # noqa: S608 - marks
        return [_told(row) for row in self._db.execute(statement, (*systems, most)).fetchall()] if systems else []

    def known(self, system: str, kind: str, ids: Iterable[str]) -> set[str]:
        """Those of the ids that a hint is there for."""
        rows = self._db.execute("SELECT id FROM hint WHERE system = ? AND kind = ?", (system, kind)).fetchall()
        return {row[0] for row in rows} & set(ids)

    def settle(self, told: Iterable[Told]) -> None:
        """Forget hints, as far as they were not told again since they were taken."""
        rows = sorted((one.system, one.hint.kind, one.hint.id, one.revision, stamp(one.first_at)) for one in told)
        self._db.executemany("DELETE FROM hint WHERE system = ? AND kind = ? AND id = ? AND revision = ? AND first_at = ?", rows)

    def forget(self, systems: Sequence[str]) -> None:
        """Hints of systems that nobody reads."""
        self._db.executemany("DELETE FROM hint WHERE system = ?", [(system,) for system in sorted(systems)])

    def forget_before(self, cut: datetime) -> int:
        """Hints that nobody asked for since `cut`, and counts of what has not been refused since; gives how many rows went."""
        with self._db.atomic():
            statements = ("DELETE FROM hint WHERE last_at < ?", "DELETE FROM refusal WHERE last_at < ?")
            return sum(int(self._db.execute(statement, (stamp(cut),)).rowcount) for statement in statements)

    def waiting(self) -> dict[str, tuple[int, datetime]]:
        """How many hints wait, by system, and since when the eldest does."""
        rows = self._db.execute("SELECT system, count(*), min(first_at) FROM hint GROUP BY system ORDER BY system").fetchall()
        return {system: (count, moment(at)) for system, count, at in rows}

    def last_told(self) -> dict[str, datetime]:
        """For each system with hints that wait: when the last of them came."""
        rows = self._db.execute("SELECT system, max(last_at) FROM hint GROUP BY system").fetchall()
        return {system: moment(at) for system, at in rows}

    def expect(self, system: str, now: datetime) -> None:
        """Pushes are asked for: from now on, what polling finds and no push had told counts as missed."""
        self._db.execute("INSERT INTO feed (system, since) VALUES (?, ?) ON CONFLICT (system) DO NOTHING", (system, stamp(now)))

    def note_missed(self, system: str, count: int, now: datetime) -> None:
        """Polling found changes that no push had told."""
        self._db.execute("UPDATE feed SET missed = missed + ?, missed_at = ? WHERE system = ?", (count, stamp(now), system))

    def feeds(self) -> dict[str, Feed]:
        """By system; the one without a name is what came to unknown paths."""
        refused: dict[str, dict[str, int]] = {}
        for system, reason, count in self._db.execute("SELECT system, reason, count FROM refusal ORDER BY system, reason").fetchall():
            refused.setdefault(system, {})[reason] = count
        rows = self._db.execute("SELECT system, since, deliveries, events, hints, last_at, missed, missed_at FROM feed").fetchall()
        return {row[0]: _feed(row, refused.get(row[0], {})) for row in rows}

    def refusals(self) -> dict[tuple[str, str], int]:
        """How many deliveries were refused, by system and reason."""
        rows = self._db.execute("SELECT system, reason, count FROM refusal ORDER BY system, reason").fetchall()
        return {(system, reason): count for system, reason, count in rows}


_COLUMNS = "system, kind, id, revision, count, first_at, last_at"
_MARKS = "(?, ?, ?, ?, ?, ?)"
_SIZES = (128, 16, 4, 1)  # rows a statement: few statements, few of their texts
_HINT = (
    "INSERT INTO hint (system, kind, id, count, first_at, last_at) VALUES {marks} ON CONFLICT (system, kind, id)"
    " DO UPDATE SET revision = hint.revision + 1, count = hint.count + excluded.count, last_at = excluded.last_at"
)
_FEED = (
    "INSERT INTO feed (system, since, deliveries, events, hints, last_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (system) DO UPDATE SET"
    " deliveries = feed.deliveries + excluded.deliveries, events = feed.events + excluded.events, hints = feed.hints + excluded.hints,"
    " last_at = excluded.last_at"
)
_REFUSAL = (
    "INSERT INTO refusal (system, reason, count, last_at) VALUES (?, ?, ?, ?) ON CONFLICT (system, reason)"
    " DO UPDATE SET count = refusal.count + excluded.count, last_at = excluded.last_at"
)


def _at(text: str) -> datetime | None:
    return moment(text) if text else None


def _feed(row: Sequence[Any], refused: Mapping[str, int]) -> Feed:
    system, since, deliveries, events, hints, last, missed, missed_at = row
    return Feed(system, moment(since), deliveries, events, hints, _at(last), missed, _at(missed_at), refused)


def _told(row: Sequence[Any]) -> Told:
    system, kind, id_, revision, count, first, last = row
    return Told(system, Hint(kind, id_), revision, count, moment(first), moment(last))
