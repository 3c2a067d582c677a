"""What pushes told, as a run sees it: records to read again, and a check on the pushes. A hint is forgotten when what it led to is committed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

from flows.configuration import Loaded
from flows.session import Session
from flows.settings import Settings
from state.database import Database
from state.hub import open_hub
from state.inbox import Told

_ON_ITS_WAY = timedelta(seconds=30)  # a push may yet come for a change as young as that


@contextmanager
def opened(where: Settings, loaded: Loaded, now: datetime) -> Iterator[Database | None]:
    """The hub's database, where a configuration has a use for it: systems push, or people are asked about records."""
    if not loaded.pushes and not any(rule.approval for rule in loaded.configuration.rules.rules):
        yield None
        return
    with closing(open_hub(where.state, now=now)) as db:
        yield db


def take(session: Session, system: str) -> list[Told]:
    """The hints that wait for a system."""
    return session.inbox.take([system]) if session.inbox is not None else []


def settle(session: Session, told: Sequence[Told]) -> None:
    """What they named was read; what was told again meanwhile stays."""
    if session.inbox is not None and told:
        session.inbox.settle(told)


def note_missed(session: Session, polled: Mapping[str, datetime], told: Sequence[Told]) -> int:
    """Count what polling found changed and no push had told, old enough that one should have come; gives how many."""
    if session.inbox is None or not polled:
        return 0
    feeds, now, hinted = session.inbox.feeds(), session.runtime.clock(), {one.source for one in told}
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source, at in polled.items():
        system, kind, id_ = source.split(":", 2)
        feed = feeds.get(system)
        if feed and feed.since < at < now - _ON_ITS_WAY and source not in hinted:
            places[system, kind].add(id_)
    missed: Counter[str] = Counter()
    for (system, kind), ids in places.items():
        missed[system] += len(ids - session.inbox.known(system, kind, ids))
    for system, count in (+missed).items():
        session.inbox.note_missed(system, count, now)
    return missed.total()
