"""Plan what was pulled, and make it ours: intents, snapshots, audit and cursors in one transaction (T1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from engine.events import Change
from engine.limits import over_limits
from engine.plan import Existing, Plan
from flows import approving
from flows.alarms import alarms
from flows.held import as_first_seen, sight_of
from flows.pull import Pulled
from flows.session import Session
from state import Note, Notices
from state.held import hold, let_go, sights


def plan(session: Session, pulled: Pulled) -> Plan:
    """What the pulled changes call for, whether or not a person has to say yes first. Touches nothing."""
    result, seen = Plan(alarms=alarms(session, pulled)), sights(session.store)
    changes = [as_first_seen(change, seen.get(change.source)) for change in pulled.changes.values()]
    work: list[tuple[Change, frozenset[str] | None, bool]] = [(change, None, False) for change in changes]
    work += [(change, among, True) for change, among in pulled.history]
    existing = _existing(session, pulled, (change for change, *_ in work))
    told = Notices(session.store).of(pulled.changes) if session.planner.tells else {}
    for done, (change, among, is_history) in enumerate(work, 1):
        known = told.get(change.source, ())
        session.planner.plan(change, existing[change.source], result, among=among, told=known, is_history=is_history)
        if done % 200 == 0 or done == len(work):
            session.progress("planning", done, len(work))
    return result


def excess(session: Session, result: Plan) -> list[str]:
    """Why a plan needs a person's word: what is alarming, and the limits of rules.yaml that it exceeds. Empty for a plan that may run."""
    rules = session.configuration.rules
    projects = session.outbox.counts()["projects"]
    return over_limits(result, rules.limits, {rule.name: rule.limits for rule in rules.rules}, projects=projects)


def commit(
    session: Session,
    pulled: Pulled,
    result: Plan,
    doubtful: Mapping[str, datetime] = MappingProxyType({}),
    *,
    over: Collection[str] = (),
    notes: Iterable[Note] = (),
) -> None:
    """T1. A record whose rules could not be evaluated, or that waits for a person's yes, keeps its old snapshot and is looked at again on the next
    run.

    `doubtful` are projects of the plan that may be there already, with when they may have been sent. `over` are records that wait no more.
    """
    store, now = session.store, session.runtime.clock()
    failed = {decision.source: decision.reason for decision in result.decisions if decision.verdict == "failed"}
    held, seen = {one.source for one in result.held}, sights(store)
    with session.reader.transaction():
        session.outbox.decide(result.actions, session.run, now)
        Notices(store).decide(result.notices, now)
        for project, since in doubtful.items():
            session.outbox.doubt(since, projects=[project])
        if pulled.is_whole:
            session.continuity.settle(now)
        for (system, kind), settled in pulled.settled.items():
            store.clear_recheck(system, kind, settled)
        for (system, kind), snapshots in pulled.snapshots.items():
            prefix = f"{system}:{kind}:"
            whys = {id_: failed[prefix + id_] for id_ in snapshots if prefix + id_ in failed}
            kept = whys.keys() | {id_ for id_ in snapshots if prefix + id_ in held}
            store.save_snapshots(system, kind, [snapshot for id_, snapshot in snapshots.items() if id_ not in kept], now)
            store.clear_recheck(system, kind, (id_ for id_ in snapshots if id_ not in kept))
            store.save_recheck(system, kind, whys, now)
        for source in over:
            let_go(store, source)
        for one in result.held:
            why = f"waits for approval {one.number}: {_rules(one.rules)} a person's yes"
            hold(store, one.source, why, sight_of(pulled, one.source, seen), now)
        for (system, kind), cursor in pulled.cursors.items():
            store.save_cursor(system, kind, cursor, now)
        for (rule, source), day in pulled.backfilled.items():
            store.save_meta(f"backfilled:{rule}:{source}", day.isoformat())
        for name, value in pulled.remembered.items():
            store.save_meta(name, value)
        store.note(session.run, [*_notes(pulled, result), *approving.notes(result), *notes], now)


def _rules(names: Sequence[str]) -> str:
    return f"rule {names[0]} wants" if len(names) == 1 else f"rules {', '.join(names)} want"


def _notes(pulled: Pulled, result: Plan) -> Iterable[Note]:
    """Every change is accounted for: each decision about it, or that no rule asked for it. What waits is told once, when it begins to."""
    held, known = {one.source for one in result.held}, {one.source for one in result.gated if one.standing == "waits"}
    decided = {decision.source for decision in result.decisions} | held
    kept = {action.source for action in result.actions if action.op == "update"}
    for decision in result.decisions:
        yield Note(decision.source, decision.event, decision.rule, decision.verdict, decision.reason, detail=decision.seen)
    for change in (*pulled.changes.values(), *(change for change, _ in pulled.history)):
        if change.source not in decided and _customer(change) not in held:
            reason = "its project is kept in step" if change.source in kept else "no rule asks for this"
            yield Note(change.source, ", ".join(change.events), "", "passed", reason)
        if change.issues and change.source not in known:
            yield Note(change.source, "", "", "issue", "; ".join(change.issues)[:500])
    yield from pulled.notes
    for key, notes in result.notes.items():
        yield Note(key.split("/")[0], "", "", "note", "; ".join(notes)[:2000], key)


def _customer(change: Change) -> str:
    """The customer that a change without an event follows; it is followed again in each run while that one waits."""
    return f"{change.record.system}:customer:{getattr(change.after, 'customer_id', '')}" if not change.events else ""


def _existing(session: Session, pulled: Pulled, changes: Iterable[Change]) -> Mapping[str, dict[str, Existing]]:
    """The projects of each changed record, those of customers merged into it included."""
    owners: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        owners[change.source].append(change.source)
        if change.record.kind == "customer":
            for id_ in _merged_into(session, pulled, change.record.system, change.record.id):
                owners[f"{change.record.system}:customer:{id_}"].append(change.source)
    found: dict[str, dict[str, Existing]] = defaultdict(dict)
    for link in session.outbox.projects_of(list(owners)):
        items = {key: other.item for key, other in session.outbox.project_links(link.item.key).items()}
        existing = Existing(
            *(link.item.key, link.target, link.blueprint, link.source, link.rule, link.event, link.event_at, link.url, items),
            visible=bool(link.published_at),
        )
        for source in owners[link.source]:
            found[source][link.item.key] = existing
    return found


def _merged_into(session: Session, pulled: Pulled, system: str, winner: str) -> set[str]:
    """Ids of the customers merged into one, in this pull or before, those merged into them included."""
    fresh = pulled.snapshots.get((system, "customer"), {}).values()
    found: set[str] = set()
    heads = {winner}
    while heads:
        stored = (id_ for head in heads for id_ in session.store.merged_into(system, "customer", head))
        heads = {*stored, *(snapshot.id for snapshot in fresh if snapshot.merged_into in heads)} - found - {winner}
        found |= heads
    return found
