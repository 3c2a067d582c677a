"""What people are to be told, on its way to the channels.

    decide   with what led to it, in one transaction
    leave    committed before a message leaves
    sent, refused, give_up   what became of it

Nobody is told twice: a message that left and has no answer counts as sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.model import Notice
from state.codec import moment, stamp
from state.store import Store


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that is to be sent. `source` is a record, or an alert's name."""

    key: str
    source: str
    rule: str
    text: str
    attempts: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Traffic:
    """What became of a channel's notices; `error` is why the latest are late or were given up, `since` when the eldest of those was decided."""

    channel: str
    sent: int
    late: int
    given_up: int
    error: str = ""
    since: datetime | None = None


class Notices:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db

    def decide(self, notices: Iterable[Notice], now: datetime, *, due_at: datetime | None = None) -> None:
        """Record decisions; what was decided before is left as it is."""
        rows = [(one.key, one.channel, one.source, one.rule, one.text, stamp(now), stamp(due_at or now)) for one in notices]
        self._db.executemany(
            "INSERT INTO notice (key, channel, source, rule, text, at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            rows,
        )

    def of(self, sources: Iterable[str]) -> Mapping[str, set[str]]:
        """The keys of everything ever decided about each source."""
        found: dict[str, set[str]] = defaultdict(set)
        for source, key in self._store.look_up("SELECT source, key FROM notice WHERE source IN ({marks})", (), sources):
            found[source].add(key)
        return found

    def withdraw(self, source: str) -> set[str]:
        """Take back what has not left yet; gives the channels that will now not hear of it."""
        unsent = "source = ? AND state = 'due' AND sent_at = ''"
        channels = {row[0] for row in self._db.execute(f"SELECT channel FROM notice WHERE {unsent}", (source,))}  # noqa: S608 - words from above
        self._db.execute(f"DELETE FROM notice WHERE {unsent}", (source,))  # noqa: S608
        return channels

    # sending

    def channels(self, now: datetime) -> list[str]:
        """Those with something due, but for those that refused what is to be tried again later."""
        rows = self._db.execute(
            "SELECT channel FROM notice WHERE state = 'due' AND sent_at = '' GROUP BY channel"
            " HAVING min(due_at) <= ? AND max(CASE WHEN error = '' THEN '' ELSE due_at END) <= ? ORDER BY channel",
            (stamp(now), stamp(now)),
        )
        return [row[0] for row in rows]

    def due(self, channel: str, now: datetime) -> list[Due]:
        """Eldest first."""
        rows = self._db.execute(
            "SELECT key, source, rule, text, attempts, at FROM notice WHERE state = 'due' AND sent_at = '' AND channel = ? AND due_at <= ?"
            " ORDER BY at, key",
            (channel, stamp(now)),
        )
        return [Due(key, source, rule, text, attempts, moment(at)) for key, source, rule, text, attempts, at in rows]

    def messages_since(self, channel: str, cut: datetime) -> int:
        """How many messages left for a channel; a digest is one."""
        row = self._db.execute(
            "SELECT count(DISTINCT sent_at) FROM notice WHERE channel = ? AND sent_at > ?", (channel, stamp(cut))
        ).fetchone()
        return int(row[0])

    def leave(self, notices: Sequence[Due], now: datetime) -> list[Due]:
        """Commit this before a message leaves: those that are ours to send. The others are being sent by another process."""
        claim = "UPDATE notice SET sent_at = ? WHERE key = ? AND state = 'due' AND sent_at = ''"
        with self._store.transaction():
            return [one for one in notices if self._db.execute(claim, (stamp(now), one.key)).rowcount == 1]

    def sent(self, notices: Iterable[Due], *, note: str = "") -> None:
        with self._store.transaction():
            self._db.executemany("UPDATE notice SET state = 'sent', error = ? WHERE key = ?", [(note, one.key) for one in notices])

    def refused(self, notices: Iterable[Due], error: str, due_at: datetime, *, counts: bool) -> None:
        """Certainly not taken: try again from `due_at` on. `counts`: it was an attempt."""
        with self._store.transaction():
            self._db.executemany(
                "UPDATE notice SET sent_at = '', error = ?, due_at = ?, attempts = attempts + ? WHERE key = ?",
                [(error[:500], stamp(due_at), int(counts), one.key) for one in notices],
            )

    def give_up(self, notices: Iterable[Due], error: str, now: datetime) -> None:
        with self._store.transaction():
            self._db.executemany(
                "UPDATE notice SET state = 'given up', sent_at = '', error = ?, due_at = ? WHERE key = ?",
                [(error[:500], stamp(now), one.key) for one in notices],
            )

    def settle_lost(self, before: datetime) -> int:
        """What left before that moment, by a process that ended before it knew: it may have arrived, and is not sent again."""
        lost = self._db.execute("SELECT key FROM notice WHERE state = 'due' AND sent_at <> '' AND sent_at < ?", (stamp(before),)).fetchall()
        if lost:
            with self._store.transaction():
                note = "the process ended before an answer came; it may have arrived and is not sent again"
                self._db.executemany("UPDATE notice SET state = 'sent', error = ? WHERE key = ?", [(note, row[0]) for row in lost])
        return len(lost)

    # how it goes

    def traffic(self, *, since: datetime | None = None) -> list[Traffic]:
        """Each channel that was ever to be told anything; of what was given up, only what was since a moment."""
        rows = self._db.execute(
            "SELECT channel, sum(CASE WHEN state = 'sent' THEN 1 ELSE 0 END), sum(CASE WHEN state = 'due' AND error <> '' THEN 1 ELSE 0 END),"
            " sum(CASE WHEN state = 'given up' AND due_at > ? THEN 1 ELSE 0 END) FROM notice GROUP BY channel ORDER BY channel",
            (stamp(since) if since else "",),
        ).fetchall()
        return [Traffic(channel, sent, late, gone, *self._trouble(channel)) for channel, sent, late, gone in rows]

    def _trouble(self, channel: str) -> tuple[str, datetime | None]:
        row = self._db.execute(
            "SELECT error, at FROM notice WHERE channel = ? AND state <> 'sent' AND error <> '' ORDER BY due_at DESC, at LIMIT 1",
            (channel,),
        ).fetchone()
        return (row[0], moment(row[1])) if row else ("", None)

    def retry(self, now: datetime) -> int:
        """Try everything again that was given up or is late; gives how much."""
        again = "state = 'given up' OR (state = 'due' AND sent_at = '' AND error <> '')"
        statement = f"UPDATE notice SET state = 'due', attempts = 0, error = '', at = ?, due_at = ? WHERE {again}"  # noqa: S608 - words from above
        return int(self._db.execute(statement, (stamp(now), stamp(now))).rowcount)
