"""Records that wait for a person's word: how each was when it was first held, so that what is planned for it stays the same from run to run.

A CRM's stamps move whenever anybody touches a record, our own write-back included. They are no part of what a person is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from state.codec import dump, load, stamp
from state.store import Store


@dataclass(frozen=True, slots=True)
class FirstSight:
    """The change for which a record is held: its events, when they happened, and the record's version then.

    `past` is set when it is held for its history (a backfill): the rules that may act on that, each as often as it was asked for, None for all.
    """

    events: tuple[str, ...] = ()
    at: datetime | None = None
    version: str = ""
    past: tuple[tuple[str, ...] | None, ...] = ()


def sights(store: Store) -> Mapping[str, FirstSight]:
    """Every record that is held, by source."""
    rows = store.db.execute("SELECT system, kind, id, held FROM recheck WHERE held <> '' ORDER BY system, kind, id").fetchall()
    return {f"{system}:{kind}:{id_}": FirstSight(**load(held)) for system, kind, id_, held in rows}


def let_go(store: Store, source: str) -> None:
    """It waits no more; a record that waits for anything else goes on waiting."""
    store.db.execute("DELETE FROM recheck WHERE system = ? AND kind = ? AND id = ? AND held <> ''", tuple(source.split(":", 2)))


def hold(store: Store, source: str, why: str, sight: FirstSight, now: datetime) -> None:
    """Look at a record again on each run."""
    system, kind, id_ = source.split(":", 2)
    told = {name: getattr(sight, name) for name in FirstSight.__slots__}
    store.db.execute(
        "INSERT INTO recheck (system, kind, id, why, since, held) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (system, kind, id) DO UPDATE SET"
        " why = excluded.why, since = excluded.since, held = excluded.held",
        (system, kind, id_, why, stamp(now), dump(told)),
    )
