"""What the figures are made of, read in one go from the state and from the hub's database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from connectors.base import Budget, ConnectorError
from flows import gauges
from state import Run, Store
from state.approvals import Approvals
from state.codec import moment
from state.database import Database
from state.hub import open_hub
from state.inbox import Feed, Inbox
from state.subscriptions import Subscribed, Subscriptions

Pile = tuple[int, datetime | None]  # how many, and since when the eldest of them


@dataclass(frozen=True, slots=True)
class StateFacts:
    """`read` is when each kind of a source was last read to its end; `piles` are what is not done yet, and what is given up, by name."""

    read: Mapping[tuple[str, str], datetime]
    piles: Mapping[str, Pile]
    run: Run | None
    errors: Mapping[str, int]
    budgets: Mapping[str, tuple[Budget, datetime]]


@dataclass(frozen=True, slots=True)
class HubFacts:
    feeds: Mapping[str, Feed]
    refused: Mapping[tuple[str, str], int]
    hints: Mapping[str, tuple[int, datetime]]
    subscriptions: Sequence[Subscribed]
    approvals: Pile


@dataclass(frozen=True, slots=True)
class Facts:
    """What could be read; None for what could not."""

    at: datetime
    state: StateFacts | None = None
    hub: HubFacts | None = field(default=None)


def gather(where: Path | str, now: datetime) -> Facts:
    """Raises nothing a database may raise: that one of them is away is a fact too."""
    return Facts(now, _state(where, now), _hub(where, now))


def last_read(store: Store) -> dict[tuple[str, str], datetime]:
    """When each source and kind was last read to its end. A run that only reads what a push told of does not count."""
    rows = store.db.execute("SELECT system, kind, at FROM cursor ORDER BY system, kind").fetchall()
    return {(system, kind): moment(at) for system, kind, at in rows}


def _state(where: Path | str, now: datetime) -> StateFacts | None:
    try:
        with Store(where, now=now, read_only=True) as store, store.db.snapshot():
            piles = {name: _pile(store.db, statement) for name, statement in _PILES.items()}
            run = next(iter(store.runs(1)), None)
            return StateFacts(last_read(store), piles, run, gauges.errors(store), gauges.budgets(store))
    except ConnectorError:
        return None


def _hub(where: Path | str, now: datetime) -> HubFacts | None:
    try:
        with closing(open_hub(where, now=now, read_only=True)) as db:
            inbox, waiting = Inbox(db), Approvals(db).waiting(now)
            pile = (len(waiting), min((one.asked_at for one in waiting), default=None))
            return HubFacts(inbox.feeds(), inbox.refusals(), inbox.waiting(), Subscriptions(db).all(), pile)
    except ConnectorError:
        return None


_PILES = {
    "open": "SELECT count(*), min(created_at) FROM intent WHERE state = 'open'",
    "in doubt": "SELECT count(*), min(sent_at) FROM intent WHERE state = 'open' AND op = 'create' AND sent_at IS NOT NULL",
    "parked": "SELECT count(*), min(done_at) FROM intent WHERE state = 'parked'",
    "write-backs due": "SELECT count(*), min(at) FROM write_back WHERE want <> done AND parked = 0",
    "write-backs refused": "SELECT count(*), min(at) FROM write_back WHERE parked = 1",
    "to look at again": "SELECT count(*), min(since) FROM recheck",
    "notices due": "SELECT count(*), min(at) FROM notice WHERE state = 'due'",
    "notices given up": "SELECT count(*), min(at) FROM notice WHERE state = 'given up'",
}


def _pile(db: Database, statement: str) -> Pile:
    count, since = db.execute(statement).fetchone()
    return int(count), moment(since) if since else None
