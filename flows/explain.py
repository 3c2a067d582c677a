"""Why: what is known about a record, what each rule says about it and on which values, what was done, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from connectors.base import ConfigError, utc_now
from engine.check import Configuration
from engine.config import Event
from engine.events import Change, compare
from engine.filters import ExpressionError
from engine.mapping import MODELS
from engine.model import CrmKind, Problem, Record
from engine.rules import CompiledRule, Rulebook, context
from flows import approving, reconciled
from flows.view import plain
from flows.waiting import Doubt, Waiting, doubts, waiting
from state import Link, Notices, Outbox, Run, Snapshot, Store
from state.approvals import Approval
from state.codec import moment
from state.notices import Traffic


@dataclass(frozen=True, slots=True)
class RuleSays:
    """What a rule says about a record as it is now, and what became of it so far. `outcome` is holds, fails, error or off."""

    name: str
    place: str
    on: tuple[str, ...]
    outcome: str
    reason: str
    values: str
    so_far: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    source: str
    title: str
    facts: tuple[str, ...]
    item: tuple[str, ...] = ()
    rules: tuple[RuleSays, ...] = ()
    trail: Sequence[Mapping[str, Any]] = ()
    projects: Sequence[Mapping[str, Any]] = field(default_factory=list)
    approvals: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where things stand: what is known by kind, what was made, what waits."""

    known: Mapping[str, int]
    counts: Mapping[str, int]
    last_run: str
    last_error: str
    waiting: Sequence[Waiting]
    doubts: Sequence[Doubt]
    approvals: Sequence[Approval] = ()
    reconciled: str = ""
    traffic: Sequence[Traffic] = ()

    def data(self) -> dict[str, Any]:
        kinds = {"action": "parked", "write-back": "refused", "undecided": "undecided"}
        listed = {name: [one.data() for one in self.waiting if one.kind == kind] for kind, name in kinds.items()}
        facts = {"known": dict(self.known), "counts": dict(self.counts), "last_run": self.last_run, "last_error": self.last_error}
        asked = [approving.data(one, one.asked_at) for one in self.approvals]
        told = {"channels": [asdict(one) for one in self.traffic]} if self.traffic else {}
        doubts = [asdict(doubt) for doubt in self.doubts]
        return {**facts, "reconciled": self.reconciled, **listed, "in_doubt": doubts, "approvals": asked, **told}


def standing(store: Store, now: datetime | None = None) -> Standing:
    outbox, known = Outbox(store), store.count_snapshots()
    last = next(iter(store.runs(1)), None)
    ended = f"{last.ended_at:%Y-%m-%d %H:%M:%S} UTC" if last and last.ended_at else "not ended"
    return Standing(
        known={f"{system} {kind}": count for (system, kind), count in known.items()},
        counts=outbox.counts(),
        last_run=f"{last.id}, {last.outcome or 'interrupted'}, {ended}" if last else "",
        last_error=_error(last) if last else "",
        waiting=waiting(store),
        doubts=doubts(store),
        approvals=approving.waiting(store.where, now or utc_now()),
        reconciled=reconciled.line(found) if (found := reconciled.last(store)) else "",
        traffic=Notices(store).traffic(),
    )


def _error(run: Run) -> str:
    """Why a run ended as it did, and for a refused one what to do."""
    verb, look = ("reconcile", "reconcile --dry-run") if run.kind == "reconcile" else ("sync", "plan")
    ways = ""
    if run.outcome == "refused":
        ways = f"; `handoff {look}` shows what, `handoff {verb} --approve {run.digest}` does exactly that"
    elif run.outcome == "waiting for approval":
        ways = "; `handoff approvals` lists what waits"
    return f"{run.error}{ways}" if run.error else ""


def explain_record(store: Store, configuration: Configuration, what: str, now: datetime | None = None) -> Explanation | None:
    """Everything known about a record id, a source, a key, or a project's URL or id; None when nothing is.

    Raises ConfigError for what may be several things.
    """
    outbox = Outbox(store)
    links, sources = _links(outbox, what), _sources(store, what)
    about = dict.fromkeys([*(link.source for link in links), *sources])
    if len(about) > 1:
        names = [*(link.item.key for link in links), *sources]
        raise ConfigError([Problem(f"{what} is known in several places", hint=f"name one: {', '.join(names[:8])}")])
    if not about:
        return None
    link, source = next(iter(links), None), next(iter(about))
    (system, kind, id_), at = source.split(":", 2), now or utc_now()
    snapshot = store.snapshots(system, cast("CrmKind", kind), [id_]).get(id_)
    value = _value(store, system, cast("CrmKind", kind), snapshot)
    projects, trail = outbox.projects_of([source]), store.audit(source=source)
    rules = _rules(configuration, source, snapshot, value) if value is not None else ()
    return Explanation(
        source,
        str(getattr(value, "name", "") or "(never seen in the CRM)"),
        _facts(value, snapshot),
        _item(link) if link and link.item.kind != "project" else (),
        tuple(replace(rule, so_far=_so_far(rule, trail)) for rule in rules),
        trail,
        [_project(project, outbox) for project in projects],
        [approving.data(one, at) for one in approving.about(store.where, source, at)],
    )


def _links(outbox: Outbox, what: str) -> list[Link]:
    """The object of a key, or all that go by an address or an id; where some are projects, those."""
    found = [*outbox.links([what]).values()] or outbox.matching(what)
    return [link for link in found if link.item.kind == "project"] or found


def _sources(store: Store, what: str) -> list[str]:
    if what.count(":") >= 2:
        return [what.split("/", maxsplit=1)[0]]
    return [":".join(place) for place in store.find_record(what)]


def _value(store: Store, system: str, kind: CrmKind, snapshot: Snapshot | None) -> Any:
    if snapshot is None:
        return None
    value = MODELS[kind].model_validate_json(snapshot.data)
    customer = store.snapshots(system, "customer", [snapshot.customer]).get(snapshot.customer) if snapshot.customer else None
    return value.model_copy(update={"customer": _value(store, system, "customer", customer)}) if customer else value


def _facts(value: Any, snapshot: Snapshot | None) -> tuple[str, ...]:
    if value is None or snapshot is None:
        return ()
    named = [(name, getattr(value, name, None)) for name in ("stage", "status", "amount", "currency", "close_date", "tier", "country")]
    facts = [f"{name} {plain(str(fact))}" for name, fact in named if fact not in (None, "")]
    customer = getattr(value, "customer", None)
    if customer is not None:
        facts.append(f"customer {plain(customer.name)}")
    gone = [f"merged into {snapshot.merged_into}"] if snapshot.merged_into else ["deleted in the CRM"] if snapshot.deleted else []
    return (*facts, *gone, f"changed in the CRM {moment(snapshot.modified_at):%Y-%m-%d %H:%M} UTC")


def _item(link: Link) -> tuple[str, ...]:
    state = f"made {link.done_at[:19]}Z" if link.done_at else "not made yet"
    return (
        f"  {link.item.kind} {link.item.key}",
        f"  because of {link.event} at {link.event_at:%Y-%m-%d %H:%M} UTC, {link.why}; {state} {link.url}",
    )


def _project(link: Link, outbox: Outbox) -> dict[str, str]:
    parked = outbox.parked_of(link.item.key)
    if parked:
        state = f"waits for a person: {parked[0].key}: {parked[0].error} (`handoff status` tells what to do about {parked[0].seq})"
    elif link.published_at:
        state = f"visible since {link.published_at[:19].replace('T', ' ')} UTC"
    else:
        waiting = outbox.of_project(link.item.key)
        state = f"in the making, {len(waiting)} actions open"
    return {"key": link.item.key, "why": f"{link.event}, {link.why}", "state": state, "url": link.url, "target": link.target}


def _rules(configuration: Configuration, source: str, snapshot: Snapshot | None, value: Any) -> tuple[RuleSays, ...]:
    rules = configuration.rules.rules
    scopes = {name: configuration.scope(name) for name in ("deal", "customer", "feedback")}
    book = Rulebook(rules, [configuration.place(index) for index in range(len(rules))], scopes)
    if snapshot is None:
        return ()
    system, kind, _ = source.split(":", 2)
    record = Record(system, cast("CrmKind", kind), value.id, "", moment(snapshot.modified_at), {}, value.url)
    change = compare(record, value, value)
    return tuple(_says(compiled, change) for compiled in book.rules if kind in compiled.conditions)


_BECAME = {"acts": "acted on", "passed": "passed over", "failed": "could not be worked out for", "waits": "held back"}


def _so_far(rule: RuleSays, trail: Sequence[Mapping[str, Any]]) -> str:
    """The last time the rule was woken for this record and what it made of it; or that it never was."""
    last = next((note for note in trail if note["rule"] == rule.name and note["verdict"] in _BECAME), None)
    if last is None:
        return f"never woken: no {' or '.join(rule.on)} is on record"
    when = last["at"][:16].replace("T", " ")
    why = "" if last["verdict"] == "acts" else f": {last['reason']}"
    return f"{_BECAME[last['verdict']]} {last['event']}, {when} UTC{why}"


def _says(compiled: CompiledRule, change: Change) -> RuleSays:
    rule = compiled.rule
    condition = compiled.conditions[change.record.kind]
    on = tuple(event for event in rule.on if event.startswith(change.record.kind))
    event: Event = on[0]
    if not rule.enabled:
        return RuleSays(rule.name, compiled.place, on, "off", "the rule is disabled", "")
    try:
        verdict = condition.evaluate(context(change, event))
    except ExpressionError as error:
        return RuleSays(rule.name, compiled.place, on, "error", str(error), "")
    values = "\n".join(f"{path} = {plain(str(seen))[:80]}" for path, seen in verdict.seen.items())
    reason = verdict.reason if verdict.seen or not verdict.passed else "it has no condition"
    return RuleSays(rule.name, compiled.place, on, "holds" if verdict.passed else "fails", reason, values)
