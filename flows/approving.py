"""A person's word: which records wait for one, what was asked, and what came of it.

A run asks before T1 and takes an answer up in T1, with a note under `approval/NUMBER`: whatever is forgotten in between, the next run finds out.
What is asked is a plan, and what is carried out is exactly that plan: it is made anew in each run, and another one is asked about anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.base import StateError, UnsafePlan
from engine.approval import Gated, apart, settled
from engine.plan import Plan
from flows.plan_data import MOST_ACTIONS, plan_data
from flows.pull import Pulled
from flows.session import Session
from state import Note, Store
from state.approvals import Answer, Approval, Approvals, Question
from state.codec import moment
from state.held import sights
from state.hub import open_hub, place

COMMANDED = "approved on the command line"


@contextmanager
def opened(where: Path | str, now: datetime) -> Iterator[Approvals]:
    """The approvals of a state, to write to. Raises StateError."""
    db = open_hub(where, now=now)
    try:
        yield Approvals(db)
    finally:
        db.close()


def about(where: Path | str, subject: str, now: datetime) -> list[Approval]:
    """What was asked about a record, newest first. Writes nothing."""
    with _looking(where, now) as approvals:
        return approvals.about(subject) if approvals else []


def waiting(where: Path | str, now: datetime) -> list[Approval]:
    """What waits for an answer, eldest first. Writes nothing."""
    with _looking(where, now) as approvals:
        return approvals.waiting(now) if approvals else []


def recent(where: Path | str, now: datetime) -> list[Approval]:
    """What was asked so far, newest first. Writes nothing."""
    with _looking(where, now) as approvals:
        return approvals.recent() if approvals else []


def get(where: Path | str, number: int, now: datetime) -> Approval | None:
    """One approval, whatever came of it. Writes nothing."""
    with _looking(where, now) as approvals:
        return approvals.get(number) if approvals else None


def decide(where: Path | str, number: int, answer: Answer, *, by: str, words: str = "", now: datetime) -> Approval:
    """A person's answer, from wherever it comes; the next sync takes it up. Raises StateError for what does not wait (any more)."""
    with opened(where, now) as approvals:
        return approvals.decide(number, answer, by=by, words=words, now=now)


def told(one: Approval, now: datetime) -> str:
    """What came of an approval: `approval 12: rejected by mia: too early`."""
    words = f": {one.words}" if one.words else ""
    match one.state_at(now):
        case "approved" | "done":
            return f"approval {one.number}: approved by {one.decided_by}{words}"
        case "rejected":
            return f"approval {one.number}: rejected by {one.decided_by}{words}"
        case "expired":
            return f"approval {one.number}: expired, nobody answered by {one.expires_at:%Y-%m-%d %H:%M} UTC"
        case "superseded":
            return f"approval {one.number}: superseded, what would be done has changed"
    return f"approval {one.number}: waits for an answer until {one.expires_at:%Y-%m-%d %H:%M} UTC"


def data(one: Approval, now: datetime) -> dict[str, Any]:
    """For scripts, without the plan."""
    shown = ("number", "subject", "digest", "title", "why", "asked_at", "expires_at", "decided_at", "decided_by", "words", "flow_run")
    return {**{name: getattr(one, name) for name in shown}, "state": one.state_at(now), "told": told(one, now)}


# while planning nobody is asked, and nothing is written


def gate(session: Session, pulled: Pulled, planned: Plan, approve: str = "") -> Plan:
    """Keep back what waits for a person's yes, let go what has got it. `approve` is the digest a person at the command line gave."""
    rules = session.configuration.rules.rules
    found = apart(planned, {rule.name for rule in rules if rule.approval})
    kept = sights(session.store)
    if not found and not kept:
        return planned
    now, known = session.runtime.clock(), _known(session, found)
    gated = [_judged(one, known.get(one.source), approve, now) for one in found]
    return settled(planned, gated, unread=kept.keys() - _read(pulled) - known.keys())


def _known(session: Session, found: Sequence[Gated]) -> Mapping[str, Approval | None]:
    if not found:
        return {}
    with _looking(session.store.where, session.runtime.clock()) as approvals:
        said = {one.source: approvals.of(one.source, one.plan.digest) if approvals else None for one in found}
    used_up = {one.source for one in found if _counts_once(one) and (known := said[one.source]) and _is_used(session.store, known)}
    return {source: None if source in used_up else one for source, one in said.items()}


def _is_used(store: Store, one: Approval) -> bool:
    return one.state == "done" or (one.state == "approved" and was_taken(store, one))


def _judged(one: Gated, known: Approval | None, approve: str, now: datetime) -> Gated:
    if one.standing == "unclear":
        return one
    number = known.number if known else 0
    state = known.state_at(now) if known else "superseded"
    if approve == one.plan.digest:
        return replace(one, standing="goes", number=number, told=COMMANDED)
    if known is None or state == "superseded":
        return one
    match state:
        case "approved" | "done":
            return replace(one, standing="goes", number=number, told=told(known, now))
        case "rejected" | "expired":
            return replace(one, standing="passed", number=number, told=told(known, now))
    return replace(one, standing="waits", number=number, told=told(known, now))


def _read(pulled: Pulled) -> set[str]:
    """The records whose present state this pull saw."""
    places = [*((place, ids.keys()) for place, ids in pulled.snapshots.items()), *pulled.settled.items()]
    return {f"{system}:{kind}:{id_}" for (system, kind), ids in places for id_ in ids} | {change.source for change, _ in pulled.history}


# before T1


def permit(session: Session, planned: Plan, reasons: Sequence[str], subject: str) -> list[Note]:
    """The note of a person's yes to a plan above its limits, asked for under a subject; without one, nobody is asked. Raises UnsafePlan, with the
    approval's number where one is waited for."""
    if not subject or session.configuration.rules.limits.above == "refuse":
        raise UnsafePlan(reasons)
    now = session.runtime.clock()
    with _opened(session) as approvals:
        counts = ", ".join(f"{count} × {what}" for what, count in sorted(planned.counts().items()))
        title = f"A run above its limits: {counts or 'no action, but what is seen causes alarm'}"
        question = Question(subject, planned.digest, title, reasons, plan_data(planned, most=MOST_ACTIONS), once=True)
        one = approvals.ask(question, now, _expiry(session, now))
    if one.state == "waiting":
        raise UnsafePlan(one.why, approval=one.number)
    if one.state != "approved":
        raise UnsafePlan([*reasons, told(one, now)])
    return [_taken(one.number, planned.digest, told(one, now))]


def ask(session: Session, planned: Plan) -> None:
    """Ask about what nobody was asked about yet; the plan then holds the numbers. Note what was approved on the command line."""
    new = [one for one in planned.gated if one.standing == "asks" or one.told == COMMANDED]
    if not new:
        return
    now = session.runtime.clock()
    with _opened(session) as approvals, approvals.together():
        numbers = {one.source: _asked(approvals, one, now, _expiry(session, now)) for one in new}
    planned.gated[:] = [replace(one, number=numbers.get(one.source, one.number)) for one in planned.gated]


def _asked(approvals: Approvals, one: Gated, now: datetime, expires_at: datetime) -> int:
    why = [f"rule {rule} wants a person's yes" for rule in one.rules]
    shown = plan_data(one.plan, most=MOST_ACTIONS)
    question = Question(one.source, one.plan.digest, one.title or one.source, why, shown, once=_counts_once(one))
    found = approvals.ask(question, now, expires_at)
    if one.told == COMMANDED and found.state == "waiting":
        approvals.decide(found.number, "approved", by="the command line", now=now)
    return found.number


def _counts_once(one: Gated) -> bool:
    """What a plan makes in a tool is made once, whatever is approved; the same message may be called for again another day."""
    return not one.plan.actions


def _expiry(session: Session, now: datetime) -> datetime:
    return now + timedelta(hours=session.configuration.rules.approvals.expire_after_hours)


# in T1 and after


def notes(planned: Plan) -> Iterator[Note]:
    """What the audit trail says of records that a person was asked about: once when they are, once when it is decided."""
    for one in planned.gated:
        if one.standing == "goes":
            yield replace(_taken(one.number, one.plan.digest, one.told), source=one.source, rule=", ".join(one.rules))
        elif one.standing == "asks":
            for decision in one.plan.decisions:
                waits = decision.verdict == "acts"
                reason = f"waits for approval {one.number}: {decision.reason}" if waits else decision.reason
                yield Note(one.source, decision.event, decision.rule, "waits" if waits else decision.verdict, reason, detail=decision.seen)


def _taken(number: int, digest: str, words: str) -> Note:
    return Note("", "", "", "approved", words, f"approval/{number}", {"digest": digest})


def over(session: Session, pulled: Pulled, planned: Plan) -> set[str]:
    """The records that wait no more: answered, or there is nothing to ask about any more. To be called before T1."""
    held = {one.source for one in planned.held}
    answered = {one.source for one in planned.gated if one.standing in ("goes", "passed")}
    return (answered | (sights(session.store).keys() & _read(pulled))) - held


def take_up(session: Session, ended: Iterable[str], subject: str) -> None:
    """After T1: what was approved is done, and nobody need answer what is no question any more, about records or, under `subject`, a whole plan."""
    subjects = [*ended, *([subject] if subject and session.configuration.rules.limits.above == "ask" else [])]
    if subjects:
        with _opened(session) as approvals:
            for each in subjects:
                approvals.withdraw(each)


@contextmanager
def _opened(session: Session) -> Iterator[Approvals]:
    """Brought up to date first: what T1 took up, even if its process died right after, is done."""
    with opened(session.store.where, session.runtime.clock()) as approvals:
        approvals.expire(session.runtime.clock())
        for one in approvals.approved():
            if was_taken(session.store, one):
                approvals.done(one.number)
        yield approvals


def was_taken(store: Store, one: Approval) -> bool:
    """Whether T1 took it up. A number by itself proves nothing: it is another approval's where the hub's database was lost."""
    trail = store.audit(key=f"approval/{one.number}", limit=5)
    return any(note["detail"].get("digest") == one.digest and moment(note["at"]) >= one.asked_at for note in trail)


@contextmanager
def _looking(where: Path | str, now: datetime) -> Iterator[Approvals | None]:
    """To read alone; None where nobody was ever asked."""
    there = place(where)
    if isinstance(there, Path) and not there.exists():
        yield None
        return
    try:
        db = open_hub(where, now=now, read_only=True)
    except StateError:
        if isinstance(there, Path):
            raise
        yield None  # its tables are made by whoever asks first
        return
    try:
        yield Approvals(db)
    finally:
        db.close()
