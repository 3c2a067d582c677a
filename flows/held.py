"""Records that wait for a person's word are planned in each run, as on the day they were first held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.events import Change
from flows.pull import Pulled
from state.held import FirstSight


def as_first_seen(change: Change, sight: FirstSight | None) -> Change:
    """The same events happened when they were first seen, whenever the record was touched since; other events are another change."""
    if sight is None or sight.at is None or sight.events != change.events:
        return change
    at = sight.at if change.at == change.record.modified_at else change.at  # its own history knows better
    return replace(change, at=at, record=replace(change.record, version=sight.version))


def sight_of(pulled: Pulled, source: str, known: Mapping[str, FirstSight]) -> FirstSight:
    """What to remember of a record that is held from this pull on."""
    before, change = known.get(source), pulled.changes.get(source)
    past = [among for one, among in pulled.history if one.source == source]
    if change is not None:
        change = as_first_seen(change, before)
    return FirstSight(
        events=change.events if change else (),
        at=change.at if change else None,
        version=change.record.version if change else "",
        past=tuple(tuple(sorted(among)) if among is not None else None for among in past),
    )
