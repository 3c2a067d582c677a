"""What waits, for a person or for time, and a person's word on what is no action: write-backs and records no rule could be worked out for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.model import CrmKind
from state.codec import load, moment
from state.outbox import Outbox
from state.rows import Intent
from state.store import Store


@dataclass(frozen=True, slots=True)
class Row:
    """A record that waits: a write-back the CRM refused, with the fields it was to get, or one to look at again."""

    system: str
    kind: CrmKind
    id: str
    why: str
    since: datetime
    fields: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        return f"{self.system}:{self.kind}:{self.id}"


def parked(store: Store) -> list[tuple[Intent, datetime]]:
    """Actions refused for good, eldest first, with the moment of the refusal."""
    outbox = Outbox(store)
    rows = store.db.execute("SELECT seq, done_at FROM intent WHERE state = 'parked' ORDER BY seq").fetchall()
    return [(outbox.intent(seq), moment(at)) for seq, at in rows]


def in_doubt(store: Store) -> list[Intent]:
    """Creations that were sent and whose answer was lost; each is looked for again when it falls due."""
    outbox = Outbox(store)
    rows = store.db.execute("SELECT seq FROM intent WHERE state = 'open' AND op = 'create' AND sent_at IS NOT NULL ORDER BY seq").fetchall()
    return [outbox.intent(seq) for (seq,) in rows]


def refused(store: Store) -> list[Row]:
    """Write-backs the CRM refused."""
    rows = store.db.execute("SELECT system, kind, id, error, at, want FROM write_back WHERE parked = 1 ORDER BY at, id").fetchall()
    return [Row(system, kind, id_, why, moment(at), tuple(load(want))) for system, kind, id_, why, at, want in rows]


def undecided(store: Store) -> list[Row]:
    """Records whose rules could not be worked out."""
    rows = store.db.execute("SELECT system, kind, id, why, since FROM recheck WHERE held = '' ORDER BY since, id").fetchall()
    return [Row(system, kind, id_, why, moment(since)) for system, kind, id_, why, since in rows]


def state_of(store: Store, seq: int) -> Intent | None:
    """The action of a number, whatever became of it; None when there never was one, or its history was dropped."""
    known = store.db.execute("SELECT 1 FROM intent WHERE seq = ?", (seq,)).fetchone()
    return Outbox(store).intent(seq) if known else None


def retry_back(store: Store, row: Row) -> None:
    store.db.execute("UPDATE write_back SET parked = 0 WHERE system = ? AND kind = ? AND id = ?", _place(row))


def dismiss_back(store: Store, row: Row) -> None:
    """As if it were written; what the CRM should say next is written again, and what it should say since it was refused is due anyway."""
    statement = "UPDATE write_back SET done = want, parked = 0, error = '' WHERE system = ? AND kind = ? AND id = ? AND parked = 1"
    store.db.execute(statement, _place(row))


def _place(row: Row) -> tuple[Any, ...]:
    return (row.system, row.kind, row.id)
