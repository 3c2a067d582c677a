"""What is wrong with Handoff's own work just now, as people were last told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from state.codec import moment, stamp
from state.store import Store


@dataclass(frozen=True, slots=True)
class Standing:
    """`mark` says whether it is still the same thing, `told_at` when people were last told."""

    kind: str
    subject: str
    mark: str
    text: str
    since: datetime
    told_at: datetime


class Alerts:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db

    def standing(self, kinds: Collection[str]) -> list[Standing]:
        rows = self._store.look_up("SELECT kind, subject, mark, text, since, told_at FROM alert WHERE kind IN ({marks})", (), sorted(kinds))
        return [Standing(kind, subject, mark, text, moment(since), moment(told)) for kind, subject, mark, text, since, told in rows]

    def save(self, one: Standing) -> None:
        self._db.execute(
            "INSERT INTO alert (kind, subject, mark, text, since, told_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, subject)"
            " DO UPDATE SET mark = excluded.mark, text = excluded.text, told_at = excluded.told_at",
            (one.kind, one.subject, one.mark, one.text, stamp(one.since), stamp(one.told_at)),
        )

    def drop(self, one: Standing) -> None:
        self._db.execute("DELETE FROM alert WHERE kind = ? AND subject = ?", (one.kind, one.subject))
