"""What the benchmarks run in: the configuration beside this file, compiled as a run compiles it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import data
from connectors.base import Runtime, Source
from connectors.registry import target_opener
from engine.events import Change, compare
from engine.mapping import Mapper
from engine.rules import Rulebook
from flows.configuration import load
from flows.session import Session
from state import Store

FOLDER = Path(__file__).parent / "configuration"
NOWHERE = {
    **{"SALESFORCE_URL": "http://127.0.0.1:9", "SALESFORCE_SECRET": "none", "ASANA_URL": "http://127.0.0.1:9", "ASANA_TOKEN": "none"},
    **{"ASANA_WORKSPACE": "1", "ASANA_TEAM": "2", "ASANA_PER_MINUTE": "1500", "ASANA_READS_AT_ONCE": "50", "ASANA_WRITES_AT_ONCE": "15"},
}


def offline(store: Store, source: Source) -> Session:
    """A run that reads from `source` and plans for a tool it never calls."""
    loaded = load(FOLDER, NOWHERE)
    opener = target_opener("asana")
    assert opener is not None
    target = opener(loaded.connections["asana"], fields={}, runtime=Runtime())
    return Session(loaded, store, {"salesforce": source}, {"asana": target}, "bench", Runtime())


def rulebook_of(session: Session) -> Rulebook:
    configuration = session.configuration
    rules = configuration.rules.rules
    scopes = {kind: configuration.scope(kind) for kind in ("deal", "customer", "feedback")}
    return Rulebook(rules, [configuration.place(index) for index in range(len(rules))], scopes)


def won(count: int, mapper: Mapper) -> Iterator[Change]:
    """As many deals, each just won, with their customers."""
    customers = {record.id: mapper.map(record).value for record in data.customer_records(100)}
    for old, new in data.records(count, 100, won=1.0):
        before, after = (mapper.map(record).value for record in (old, new))
        yield compare(new, before, after.model_copy(update={"customer": customers[after.customer_id]}))
