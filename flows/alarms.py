"""Signs that a CRM is at fault: masses of records that seem deleted, or a field that is suddenly empty. Acting on them would be hard to undo."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from engine.config import Limits
from engine.limits import FEW, above_share
from engine.plan import Alarm
from flows.pull import Place, Pulled
from flows.session import Session
from state import Snapshot

_MEND = "if the CRM or a permission is at fault, mend that, and the next run goes on by itself"


def alarms(session: Session, pulled: Pulled) -> list[Alarm]:
    """What looks wrong in a pull that is not committed yet, against what is known."""
    limits = session.configuration.rules.limits
    found: list[Alarm] = []
    for place, fresh in pulled.snapshots.items():
        if len(fresh) > FEW:
            known = session.store.snapshots(*place, fresh)
            found += _deleted(session, place, fresh, known, limits)
            found += _emptied(session, place, fresh, known, limits)
    return found


def _deleted(
    session: Session, place: Place, fresh: Mapping[str, Snapshot], known: Mapping[str, Snapshot], limits: Limits
) -> Iterator[Alarm]:
    gone = [id_ for id_, snapshot in fresh.items() if snapshot.deleted and not known[id_].deleted]
    total = session.store.count_snapshots().get(place, 0)
    if above_share(len(gone), total, limits.deleted_share):
        merged = " or merged" if any(fresh[id_].merged_into for id_ in gone) else ""
        yield _alarm(place, gone, f"{len(gone):,} of {total:,} {_kind(place)} would be taken for deleted{merged}", "deleted", limits)


def _emptied(
    session: Session, place: Place, fresh: Mapping[str, Snapshot], known: Mapping[str, Snapshot], limits: Limits
) -> Iterator[Alarm]:
    lost: dict[str, list[str]] = defaultdict(list)
    for id_, snapshot in fresh.items():
        if id_ in known and not snapshot.deleted and snapshot.hash != known[id_].hash:
            for name in _filled(known[id_]) - _filled(snapshot):
                lost[name].append(id_)
    read = _read(session, place)
    many = {name: ids for name, ids in sorted(lost.items()) if name in read and len(ids) > FEW}
    held = Counter(name for snapshot in session.store.all_snapshots(*place) for name in _filled(snapshot)) if many else {}
    for name, ids in many.items():
        if above_share(len(ids), held[name], limits.emptied_share):
            yield _alarm(place, ids, f"{len(ids):,} of {held[name]:,} {_kind(place)} that have {name} would lose it", "emptied", limits)


def _read(session: Session, place: Place) -> set[str]:
    """The fields the mapping reads by now; one that was taken out of it is lost by intent."""
    spec = session.configuration.mappings[place[0]].read[place[1]]
    return {name.split(".")[0] for name in spec.fields} | {f"custom.{name}" for name in spec.custom} | set(spec.children)


def _filled(snapshot: Snapshot) -> set[str]:
    """The fields that hold something; a snapshot leaves out what is as it is by default."""
    fields = json.loads(snapshot.data)
    fields |= {f"custom.{name}": value for name, value in fields.pop("custom", {}).items()}
    return {name for name, value in fields.items() if value not in (None, "", [], {})}


def _alarm(place: Place, ids: list[str], what: str, limit: str, limits: Limits) -> Alarm:
    share = getattr(limits, f"{limit}_share")
    sources = tuple(sorted(f"{place[0]}:{place[1]}:{id_}" for id_ in ids))
    return Alarm(f"{what}, limits.{limit}_share allows {share:.0%}; {_MEND}", sources)


def _kind(place: Place) -> str:
    return f"{place[0]} {place[1]}s" if place[1] != "feedback" else f"{place[0]} feedback"
