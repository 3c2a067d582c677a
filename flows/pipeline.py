"""The pipeline, without Prefect: pull → plan → (T1) → apply → write back. Each stage may be repeated; all state is in the store."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from connectors.base import ConnectorError, LeaseLost, Source, StateError, Target, Transient, UnsafePlan, kind_of
from engine.plan import Plan
from flows import approving, gauges, hints, logs, recovery
from flows.apply import Applied, Drain, first
from flows.maintenance import forget
from flows.notify import announce
from flows.planning import commit, excess, plan
from flows.pull import Around, Pulled, alone, pull
from flows.session import Session, worst
from flows.tidy import sweep
from flows.write_back import follow_progress, listen, write_back
from state import Doubt, Note
from state.approvals import run_of
from state.leases import READER

_log = logs.get("pipeline")
_LAST_ERRORS = 100
_LEFT_ALONE = timedelta(minutes=5)
_FEW = 5
_SHARE = timedelta(seconds=10)  # of a run's time for what earlier runs left; and for what it decided itself, where another run waits
Result = Literal["done", "nothing to do", "with errors", "waiting", "helped", "refused", "waiting for approval", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a run was asked for. `approve` is the digest of a plan a person read: exactly that one is carried out, limits or not.

    `sources` are the systems to read, all if none is named; `only` are the records to look at;
    `pushed` are the systems whose records to look at are those that pushes told of.
    `kind` is what the run is called in the store, `around` what is done around reading each source.
    """

    force: bool = False
    approve: str = ""
    since: date | None = None
    sources: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    pushed: tuple[str, ...] = ()
    patience: timedelta = timedelta(minutes=3)
    kind: str = "sync"
    around: Around = alone


@dataclass(slots=True)
class Summary:
    """What a run came to. `failures` are the systems that gave out; the others went on. `error` ended the run, or is the worst of those.

    `helps`: another process was reading, and this one carried out what was decided.
    """

    run: str
    result: Result = "nothing to do"
    plan: Plan = field(default_factory=Plan)
    baselined: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    calls: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    error: ConnectorError | None = None
    failures: dict[str, ConnectorError] = field(default_factory=dict)
    helps: bool = False

    @property
    def told(self) -> str:
        """What went wrong, in words; each system that gave out by its name."""
        own = [] if self.error is None or self.error in self.failures.values() else [str(self.error)]
        return "; ".join([*own, *(f"{name}: {error}" for name, error in self.failures.items())])

    @property
    def asked(self) -> str:
        """Which records wait for a person's yes, in words; empty for none."""
        held = [f"{one.number} ({one.title or one.source})" for one in self.plan.held if one.number]
        more = f" and {len(held) - _FEW} more" if len(held) > _FEW else ""
        return f"waiting for approval: {', '.join(held[:_FEW])}{more}; `handoff approvals` lists them" if held else ""


Then = Callable[[Session, Summary], Awaitable[None]]


def new_run_id(now: datetime) -> str:
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


async def gather(session: Session, options: Options) -> tuple[Pulled, Plan]:
    """Pull and plan. Commits nothing but a baseline's pages, and not even those while another process reads."""
    session.reader.begin()
    chosen = {"only": options.only, "pushed": options.pushed, "sources": options.sources}
    pulled = await pull(session, **chosen, since=options.since, around=options.around)
    _log.info("pulled", extra={"changes": len(pulled.changes), "baseline": dict(pulled.baselined), "read": pulled.counts["read"]})
    planned = approving.gate(session, pulled, plan(session, pulled), options.approve)
    _log.info("planned", extra={"digest": planned.digest, "actions": len(planned.actions), "passed": planned.count("passed")})
    return pulled, planned


async def accept(session: Session, pulled: Pulled, result: Plan, options: Options) -> Mapping[str, int]:
    """T1, if the plan is within its limits, forced, or exactly the one that was approved; gives counts. Raises UnsafePlan, or LeaseLost.

    What waits for a person's yes was kept out of it, and whoever is to give it is asked now. From here on another process may read on while this one
    carries out what was decided.
    """
    try:
        notes = _consent(session, result, options)
    except UnsafePlan:
        hints.settle(session, pulled.told)  # polling meets the same again
        raise
    approving.ask(session, result)
    over = approving.over(session, pulled, result)
    commit(session, pulled, result, await recovery.look(session, pulled, result), over=over, notes=notes)
    approving.take_up(session, over, _subject(session, options))
    hints.settle(session, pulled.told)
    missed = hints.note_missed(session, pulled.polled, pulled.told)
    session.reader.end()
    return {"missed by push": missed} if missed else {}


def _consent(session: Session, result: Plan, options: Options) -> list[Note]:
    """What a person's word there is for this plan, as notes; about a whole run's one is asked for. Raises UnsafePlan where one is needed."""
    exact = options.approve == result.digest
    if options.approve and not exact and not any(one.told == approving.COMMANDED for one in result.gated):
        raise UnsafePlan([f"the plan is now {result.digest}, approved was {options.approve}; read it again"])
    reasons = [] if options.force or exact else excess(session, result)
    return approving.permit(session, result, reasons, _subject(session, options)) if reasons else []


def _subject(session: Session, options: Options) -> str:
    """Under what a person is asked about the whole plan: one that the next run of the schedule comes to as well. Empty for any other, of which
    somebody asked for it by hand or a push told, and for one that lacks what a system that gave out would have told."""
    by_hand = options.only or options.pushed or options.since or options.kind != "sync"
    if by_hand or any(side == "source" for side, _ in session.failures):
        return ""
    return run_of(options.sources)


async def apply(session: Session, options: Options) -> Applied:
    """Drain the outbox of every target, all at once; one that gives out does not hold up the others. A run that waits for this one goes on with
    what is left after a while."""
    return await _apply(session, options.patience, _enough(session, session.awaited))


def _enough(session: Session, asked: Callable[[], bool]) -> Callable[[], bool]:
    until = session.runtime.clock() + _SHARE
    return lambda: session.runtime.clock() >= until and asked()


async def _apply(session: Session, patience: timedelta, enough: Callable[[], bool]) -> Applied:
    total = Applied()
    for applied in await _together(
        [_drained(session, name, target, patience, enough) for name, target in session.standing_targets.items()]
    ):
        total.counts.update(applied.counts)
        total.errors += applied.errors
    return total


async def _drained(session: Session, name: str, target: Target, patience: timedelta, enough: Callable[[], bool]) -> Applied:
    drain = Drain(
        session.store,
        target,
        run=session.run,
        runtime=session.runtime,
        stop=session.stop,
        patience=patience,
        enough=enough,
        progress=lambda _project, count: session.progress("applying", count, None),
        term=session.term,
    )
    with session.apart("target", name):
        await drain()
    if drain.applied.stopped_by is not None:
        session.fail("target", name, drain.applied.stopped_by)
    _log.info("applied", extra={"target": name, "counts": dict(drain.applied.counts)})
    return drain.applied


async def _together(work: Sequence[Coroutine[Any, Any, Applied]]) -> list[Applied]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as several:
        raise first(several) from several
    return [task.result() for task in tasks]


async def catch_up(session: Session) -> Applied:
    """Go on with what earlier runs decided, before anything new is read; for a while, so that much that is left does not hold up the new."""
    return await _apply(session, timedelta(), _enough(session, lambda: True)) if session.outbox.counts()["open"] else Applied()


async def go_on(session: Session) -> Applied:
    """Likewise, with all that is left: no refused plan and no CRM that is down may hold it up."""
    return await apply(session, Options(patience=timedelta())) if session.outbox.counts()["open"] else Applied()


async def report_back(session: Session) -> Counter[str]:
    """Progress from the tools, then what the CRMs should know; last, tidy up. All of it is left to another process while that reads."""
    counts: Counter[str] = Counter()
    if not session.reader.begin():
        return counts
    told = [one for name in session.standing_targets for one in hints.take(session, name)]
    try:
        counts.update(await follow_progress(session))
        hints.settle(session, [one for one in told if not session.has_failed("target", one.system)])
        counts.update(await write_back(session))
        counts["swept"] += await sweep(session)
        counts["forgotten"] += await forget(session)
    except LeaseLost as lost:
        _log.warning("lease lost", extra={"key": READER, "error": str(lost)})
    finally:
        session.reader.end()
    return counts


async def tell(session: Session, options: Options, summary: Summary) -> None:
    """Report back, and carry out at once what that gave rise to: parts of one project that name each other."""
    counts = await report_back(session)
    summary.counts.update(counts)
    if counts["linked"] and not session.stop.asked:
        absorb(summary, await apply(session, options))


async def run_sync(session: Session, options: Options, then: Then | None = None) -> Summary:
    """One whole run, and `then` what is to follow in it, whatever the stages came to. Errors a user can do something about end in the summary;
    what was committed stays for the next run."""
    summary = Summary(session.run)
    begin(session, summary, options.kind)
    with _finished(session, summary):
        await _attempt(session, options, summary)
        if then is not None and not session.stop.asked:
            await then(session, summary)
        await notify(session, options, summary)
    return summary


async def _attempt(session: Session, options: Options, summary: Summary) -> None:
    try:
        await _stages(session, options, summary)
    except UnsafePlan as error:
        summary.result, summary.error = refused(error), error
    except ConnectorError as error:
        summary.result, summary.error = "failed", error


async def notify(session: Session, options: Options, summary: Summary) -> None:
    """Last of all, once the result is known: tell people what there is to tell. Neither fails a run nor changes what it came to."""
    if session.stop.asked or summary.helps:
        return
    whole = () if options.only or options.pushed else options.sources or tuple(session.configuration.rules.sources)
    told = await announce(session, summary.error, digest=summary.plan.digest, whole=whole, sources=options.sources)
    summary.counts.update(told)
    if told["told"] and summary.result == "nothing to do":
        summary.result = "done"


async def run_work(session: Session, *, every: timedelta) -> Summary:
    """Carry out what others decide, looking for more every so often, until a stop is asked for or no tool is left: one whose credentials or quota
    gave out is left alone for a while."""
    summary = Summary(session.run, helps=True)
    logs.run_id.set(session.run)
    if session.reader.begin():  # whoever comes first sees whether the state may be old
        _tell(summary, recovery.begin(session))
        session.reader.end()
    session.store.start_run(session.run, "work", session.runtime.clock())
    forgiven = session.runtime.clock()
    with _finished(session, summary):
        while not session.stop.asked and session.standing_targets:
            if session.runtime.clock() - forgiven >= _LEFT_ALONE:
                session.forgive("target")
                forgiven = session.runtime.clock()
            await _look_for_work(session, summary)
            if not session.stop.asked and session.standing_targets:
                await session.runtime.sleep(every.total_seconds())
        settle(session, summary)
    return summary


async def _look_for_work(session: Session, summary: Summary) -> None:
    try:
        absorb(summary, await apply(session, Options(patience=timedelta())))
    except Transient as error:  # the database is away; it comes back
        _log.warning("trying again", extra={"error": str(error)})
    del summary.errors[:-_LAST_ERRORS]


def begin(session: Session, summary: Summary, kind: str = "sync") -> None:
    """Open the run in the store and in the logs; be the reader, if nobody is."""
    logs.run_id.set(session.run)
    summary.helps = not session.reader.begin()
    try:
        doubt = recovery.begin(session) if not summary.helps else None
        session.store.start_run(session.run, kind, session.runtime.clock())
    except BaseException:
        session.reader.end()
        raise
    if summary.helps:
        summary.notes.append("another process is reading the CRM; this one helped to carry out what was decided")
    _tell(summary, doubt)
    _log.info("run started", extra={"sources": list(session.sources), "targets": list(session.targets)})


def _tell(summary: Summary, doubt: Doubt | None) -> None:
    if doubt is not None:
        summary.notes.append(f"the state may be old: {doubt.why}; what is due is looked for in the tools first")


async def _stages(session: Session, options: Options, summary: Summary) -> None:
    if summary.helps:
        absorb(summary, await apply(session, options))
        settle(session, summary)
        return
    await listen(session)
    if not options.pushed:
        absorb(summary, await catch_up(session))
    if not session.stop.asked:
        try:
            await _decide(session, options, summary)
        except ConnectorError as error:
            if not isinstance(error, LeaseLost | StateError):
                absorb(summary, await go_on(session))
            if isinstance(error, UnsafePlan) and may_report(summary.plan):
                await tell(session, options, summary)
            raise
        absorb(summary, await apply(session, options))
    if not session.stop.asked:
        await tell(session, options, summary)
    settle(session, summary)


async def _decide(session: Session, options: Options, summary: Summary) -> None:
    pulled, summary.plan = await gather(session, options)
    summary.baselined = pulled.baselined
    summary.counts.update(pulled.counts)
    summary.counts.update(await accept(session, pulled, summary.plan, options))


def refused(error: UnsafePlan) -> Result:
    return "waiting for approval" if error.approval else "refused"


def may_report(refused: Plan) -> bool:
    """Whether the CRM hears of progress although its plan was refused: people may take days to approve. Not when the CRM itself seems at fault."""
    return not refused.alarms


def absorb(summary: Summary, applied: Applied) -> None:
    summary.counts.update(applied.counts)
    summary.errors += applied.errors


def settle(session: Session, summary: Summary) -> None:
    """Name the result, from what was done and what is left."""
    left = session.outbox.unattended(session.runtime.clock())
    if session.failures:
        summary.result, summary.error = "failed", worst(session.failures.values())
    elif session.stop.asked:
        summary.result = "stopped"
    elif summary.counts["parked"] or summary.counts["write-back refused"] or summary.plan.count("failed"):
        summary.result = "with errors"
    elif summary.helps:
        summary.result = "helped"
    elif left or summary.counts["write-back later"] or any(one.standing == "asks" for one in summary.plan.gated):
        summary.result = "waiting"
    elif any(summary.counts[name] for name in ("created", "updated", "published", "written back")) or summary.baselined:
        summary.result = "done"


@contextmanager
def _finished(session: Session, summary: Summary) -> Iterator[None]:
    """The run is closed in the store at the end of the block, however that comes."""
    try:
        yield
    except BaseException as end:
        summary.result = "stopped" if isinstance(end, asyncio.CancelledError) else "failed"
        raise
    finally:
        finish(session, summary)


def finish(session: Session, summary: Summary) -> None:
    """Close the run in the store, whatever it came to."""
    session.reader.end()
    summary.failures = session.gave_out()
    calls: Counter[str] = Counter()
    for name, system in _systems(session):
        calls[name] += system.calls
    calls.subtract(session.begun)
    summary.calls = dict(calls)
    counts = {**summary.counts, **{f"baseline {kind}": count for kind, count in summary.baselined.items()}}
    counts |= {f"calls {name}": count for name, count in summary.calls.items()}
    error = kind_of(summary.error)
    _log.log(logging.ERROR if error else logging.INFO, "run ended", extra={"result": summary.result, "error": error, "counts": counts})
    session.store.end_run(session.run, summary.result, counts, session.runtime.clock(), digest=summary.plan.digest, error=summary.told)
    budgets = {name: getattr(system, "budget", None) for name, system in _systems(session)}
    gauges.note(session.store, budgets, summary.failures.values() or [summary.error], session.runtime.clock())


def _systems(session: Session) -> Sequence[tuple[str, Source | Target]]:
    return [*session.sources.items(), *session.targets.items()]
