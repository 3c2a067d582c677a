"""The Prefect flows: `sync` and `plan`. Deployments refer to `flows.sync:sync`.

Prefect schedules, shows and retries; what was seen, decided and done is in our own store. Tasks are stages, never records, and nothing is
cached or persisted by Prefect: a stage that is retried finds in the store what is left to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact, acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.tasks import Task

from connectors.base import ConnectorError, LeaseLost, RateLimited, Runtime, StateError, Transient, UnsafePlan
from engine.limits import by_rule
from engine.plan import Plan
from flows import hints, turn
from flows.apply import Stop
from flows.pipeline import (
    Options,
    Summary,
    absorb,
    accept,
    apply,
    begin,
    catch_up,
    finish,
    gather,
    may_report,
    new_run_id,
    notify,
    refused,
    settle,
    tell,
)
from flows.planning import excess
from flows.pull import Pulled
from flows.service_runs import stand_in
from flows.session import Failures, Progress, Session, silent
from flows.settings import Settings, settings
from flows.signals import heeded
from flows.sync_approval import follow
from flows.waiting import waiting
from flows.warm import Opened, Warm
from flows.write_back import listen

MOST_ROWS = 1000
_GRACE = 3.0  # seconds; whoever serves the flow ends as well, and has ten
PATIENT = (RateLimited, Transient)


async def _is_passing(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Only what may go away by itself is tried again; a wrong password does not get better."""
    try:
        await state.aresult()
    except PATIENT:
        return True
    except Exception:  # noqa: BLE001 - any other error is final for this run
        return False
    return False


_STAGE: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 3,
    "retry_delay_seconds": [10, 60, 300],
    "retry_condition_fn": _is_passing,
}


_stop: ContextVar[Stop | None] = ContextVar("stop", default=None)
_warm: ContextVar[Warm | None] = ContextVar("warm", default=None)
_listener: ContextVar[tuple[Progress, list[Summary]] | None] = ContextVar("listener", default=None)


@contextmanager
def following(progress: Progress) -> Iterator[list[Summary]]:
    """Hear of the progress of flows run in this process, and get their summaries."""
    seen: list[Summary] = []
    token = _listener.set((progress, seen))
    try:
        yield seen
    finally:
        _listener.reset(token)


@contextmanager
def kept(warm: Warm, stop: Stop) -> Iterator[None]:
    """For runs in this process: connectors that stay open from one to the next, and who ends them."""
    tokens = _warm.set(warm), _stop.set(stop)
    try:
        yield
    finally:
        _warm.reset(tokens[0])
        _stop.reset(tokens[1])


class Work:
    """What the stages of one run hand on. Not a dataclass: Prefect walks through those, and a plan may be large."""

    def __init__(self, session: Session, options: Options) -> None:
        self.session = session
        self.options = options
        self.summary = Summary(session.run)
        self.pulled = Pulled()
        self.failures: Failures | None = None


@task(name="catch up", **_STAGE)
async def finish_earlier(work: Work) -> None:
    """Go on for a while with what earlier runs decided, before anything new is read."""
    absorb(work.summary, await catch_up(work.session))


@task(name="pull and plan", **_STAGE)
async def pull_and_plan(work: Work) -> None:
    """Read what changed and decide what follows. Commits nothing but a baseline's pages."""
    await listen(work.session)
    work.pulled, work.summary.plan = await gather(work.session, work.options)
    work.summary.baselined = work.pulled.baselined
    work.summary.counts.update(work.pulled.counts)


@task(name="accept", **{**_STAGE, "retries": 0})
async def accept_plan(work: Work) -> None:
    """Check the limits, then commit intents, snapshots, audit and cursors in one transaction."""
    work.summary.counts.update(await accept(work.session, work.pulled, work.summary.plan, work.options))


@task(name="apply", **_STAGE)
async def apply_plan(work: Work) -> None:
    """Carry out what the outbox holds, this run's and what earlier runs left."""
    absorb(work.summary, await apply(work.session, work.options))


@task(name="tell people", **{**_STAGE, "retries": 0})
async def tell_people(work: Work) -> None:
    """Send what people are to be told, alerts included. What a channel does not take now is tried again by later runs."""
    await notify(work.session, work.options, work.summary)


@task(name="write back", **_STAGE)
async def write_progress(work: Work) -> None:
    """Note progress, tell the CRMs; again, for a while, when one of them could not be reached."""
    session = work.session
    work.failures = dict(session.failures) if work.failures is None else work.failures
    session.failures = dict(work.failures)  # those of earlier stages stay, those of an earlier try of this one get another chance
    await tell(session, work.options, work.summary)
    for place, error in session.failures.items():
        if place not in work.failures and isinstance(error, PATIENT):
            raise error


def _name() -> str:
    """What people see in the list of runs: `sync meridian, since 2026-11-01, forced`."""
    parameters = flow_run.parameters
    folder = Path(parameters.get("folder") or ".").absolute().name
    told = [f"{flow_run.flow_name} {folder}"]
    if parameters.get("backfill"):
        told.append(f"since {parameters['backfill']}")
    if parameters.get("sources"):
        told.append(f"from {', '.join(parameters['sources'])}")
    if parameters.get("only"):
        told.append(f"only {', '.join(parameters['only'])}")
    if parameters.get("pushed"):
        told.append(f"told by {', '.join(parameters['pushed'])}")
    if parameters.get("force"):
        told.append("forced")
    return ", ".join(told)


@flow(name="sync", flow_run_name=_name, persist_result=False, log_prints=False)
async def sync(  # noqa: PLR0917 - the form in the UI has them all
    folder: str = ".",
    state: str | None = None,
    force: bool = False,
    approve: str = "",
    backfill: date | None = None,
    only: list[str] | None = None,
    pushed: list[str] | None = None,
    sources: list[str] | None = None,
    jitter_seconds: int = 0,
) -> State[Any]:
    """Pull changes, plan, apply, write progress back. Safe to retry and to run again at any time.

    Args:
        folder: The folder with rules.yaml and mappings/.
        state: The state, if it is not state/data/handoff.db in the folder: a file. An address with a password belongs into $HANDOFF_STATE.
        force: Carry the plan out although it is above its limits.
        approve: Digest of the plan to carry out, limits or not.
        backfill: Also act on what happened on or after this day.
        only: Only these records, e.g. salesforce:deal:006….
        pushed: Only the records that pushes of these systems told of, and nobody has looked at yet.
        sources: Only these sources are read; without it, all of them.
        jitter_seconds: Start up to so many seconds later, at random.
    """
    where = settings(Path(folder), state)
    records, told, systems = tuple(only or ()), tuple(pushed or ()), tuple(sources or ())
    options = Options(force=force, approve=approve, since=backfill, only=records, pushed=told, sources=systems)
    if told:
        options = replace(
            options, patience=timedelta()
        )  # lost answers are settled by whichever run comes when they are due; pushes wait for none
    if not pushed:
        await stand_in()
    await _wait(jitter_seconds)
    async with opened(where) as session:
        work = Work(session, options)
        await carry_out(work)
    await follow(where)
    return final(work.summary)


async def carry_out(work: Work, then: Callable[[Work], Awaitable[None]] | None = None) -> None:
    """The stages of one run, and `then` what is to follow in it, also when its plan was refused."""
    session, summary = work.session, work.summary
    begin(session, summary, work.options.kind)
    try:
        try:
            await _stages(work)
        except UnsafePlan as error:
            summary.result, summary.error = refused(error), error
        if then is not None and not session.stop.asked:
            await then(work)
    except asyncio.CancelledError:
        summary.result = "stopped"
        raise
    except Exception as error:
        summary.result = "failed"
        summary.error = error if isinstance(error, ConnectorError) else None
        get_run_logger().error("%s: %s", type(error).__name__, error)
        raise
    finally:
        if summary.result != "stopped":
            await tell_people(work)
        finish(session, summary)
        if listener := _listener.get():
            listener[1].append(summary)
    await _show_outcome(session, summary)


async def _wait(most: int) -> None:
    if most:
        runtime = Runtime()
        await runtime.sleep(runtime.random.uniform(0, most))


async def _stages(work: Work) -> None:
    if work.summary.helps:
        await _with_progress(work)
        settle(work.session, work.summary)
        return
    if work.session.outbox.counts()["open"] and not work.options.pushed:
        await finish_earlier(work)
    if not work.session.stop.asked:
        try:
            await _decide(work)
        except ConnectorError as error:
            if not isinstance(error, LeaseLost | StateError) and work.session.outbox.counts()["open"]:
                work.options = replace(work.options, patience=timedelta())
                await _with_progress(work)
            if isinstance(error, UnsafePlan) and may_report(work.summary.plan):
                await write_progress(work)
            raise
        await _with_progress(work)
    if not work.session.stop.asked:
        await write_progress(work)
    settle(work.session, work.summary)


async def _decide(work: Work) -> None:
    await pull_and_plan(work)
    await _show_plan(work.summary.plan)
    await accept_plan(work)


@flow(name="plan", flow_run_name=_name, persist_result=False)
async def plan(folder: str = ".", state: str | None = None, backfill: date | None = None, only: list[str] | None = None) -> State[Any]:
    """Show what a sync would do, and why. Changes nothing but a first baseline.

    Args:
        folder: The folder with rules.yaml and mappings/.
        state: The state, if it is not state/data/handoff.db in the folder: a file. An address with a password belongs into $HANDOFF_STATE.
        backfill: Also plan for what happened on or after this day.
        only: Only these records, e.g. salesforce:deal:006….
    """
    where = settings(Path(folder), state)
    async with opened(where) as session:
        work = Work(session, Options(since=backfill, only=tuple(only or ())))
        try:
            await pull_and_plan(work)
        finally:
            session.reader.end()
        planned = work.summary.plan
        await _show_plan(planned)
        reasons = excess(session, planned)
    told = f"plan {planned.digest}: {_counted(planned.counts()) or 'nothing to do'}"
    told += "".join(f"; nothing of {name}: {error}" for name, error in session.gave_out().items())
    return Completed(message=f"{told}; a sync would refuse it, above its limits: {'; '.join(reasons)}" if reasons else told)


@asynccontextmanager
async def opened(where: Settings) -> AsyncIterator[Session]:
    """A run with everything open, in its turn. A signal lets it finish what is in flight, for a while."""
    runtime, listener = Runtime(), _listener.get()
    progress, halt = listener[0] if listener else silent, _stop.get() or Stop()
    async with _connected(where, runtime) as ready:
        with (
            await turn.take(where.state, runtime, lambda: halt.asked) as store,
            hints.opened(where, ready.loaded, runtime.clock()) as hub,
            heeded(halt, lambda: None, grace=_GRACE, insists=False),
        ):
            run, begun = new_run_id(runtime.clock()), ready.calls if _warm.get() else {}
            session = Session(ready.loaded, store, ready.sources, ready.targets, run, runtime, progress, halt, hub=hub, begun=begun)
            session.awaited = turn.awaited(where.state)
            yield session


@asynccontextmanager
async def _connected(where: Settings, runtime: Runtime) -> AsyncIterator[Opened]:
    """Connectors for one run; those that are kept open, where a service keeps some, closed after an error."""
    kept = _warm.get()
    warm = kept or Warm(where, runtime)
    try:
        yield await warm.use()
    except BaseException:
        await warm.close()
        raise
    if kept is None:
        await warm.close()


# what people see


async def _with_progress(work: Work) -> None:
    """Apply, with a progress artifact that keeps up with the outbox."""
    total = work.session.outbox.counts()["open"]
    if not total:
        await apply_plan(work)
        return
    artifact: Any = await acreate_progress_artifact(0.0, key="apply-progress", description=f"{total} actions")
    watching = asyncio.create_task(_watch(work.session, artifact, total))
    try:
        await apply_plan(work)
    finally:
        watching.cancel()
    await aupdate_progress_artifact(artifact, _percent(work.session, total))


async def _watch(session: Session, artifact: Any, total: int) -> None:
    while True:
        await asyncio.sleep(2)
        await aupdate_progress_artifact(artifact, _percent(session, total))


def _percent(session: Session, total: int) -> float:
    return max(0.0, min(100.0, 100.0 - 100.0 * session.outbox.counts()["open"] / total))


async def _show_plan(planned: Plan) -> None:
    rows = [
        {
            "project": action.item.fields.get("name", action.item.key),
            "tool": action.target,
            "event": action.event,
            "why": action.why,
            "key": action.item.key,
        }
        for action in planned.projects()
    ]
    others = [
        {
            "project": action.item.project,
            "tool": action.target,
            "event": action.event,
            "why": f"{action.op} {action.item.kind}: {action.why}",
            "key": action.item.key,
        }
        for action in planned.actions
        if action.op == "update" or action.item.kind in ("comment", "status")
    ]
    passed = [
        {
            "record": decision.title or decision.source,
            "rule": decision.rule,
            "why": decision.reason,
            "verdict": decision.verdict,
            "event": decision.event,
            "source": decision.source,
        }
        for decision in sorted(planned.decisions, key=lambda decision: decision.verdict != "failed")
        if decision.verdict != "acts"
    ]
    if rows or others:
        await acreate_table_artifact(
            [*rows, *others][:MOST_ROWS], key="plan", description=f"Plan {planned.digest}: {_counted(planned.counts())}"
        )
    if planned.notices:
        told = [
            {"channel": one.channel, "text": one.text, "event": one.event, "why": one.why, "source": one.source} for one in planned.notices
        ]
        await acreate_table_artifact(told[:MOST_ROWS], key="messages", description=f"{len(told)} messages to people")
    if asked := by_rule(planned):
        counts = [{"rule": rule, **{what: of[what] for what in ("projects", "updates", "comments")}} for rule, of in sorted(asked.items())]
        await acreate_table_artifact(counts, key="by-rule", description="How much each rule asks for")
    if passed:
        await acreate_table_artifact(passed[:MOST_ROWS], key="passed-over", description=f"{len(passed)} decisions to do nothing, and why")


async def _show_outcome(session: Session, summary: Summary) -> None:
    made = session.outbox.published_by(session.run)
    rows = [
        {"project": link.item.fields.get("name", link.item.key), "where": link.url, "why": link.why, "record": link.source} for link in made
    ]
    if rows:
        await acreate_table_artifact(rows[:MOST_ROWS], key="projects", description=f"{len(rows)} projects made visible")
    held = [one for one in summary.plan.held if one.number]
    waits = [{"number": one.ref, "what": one.what, "why": one.why, "waits for it": one.hangs} for one in waiting(session.store)]
    if waits:
        await acreate_table_artifact(waits[:MOST_ROWS], key="waiting", description="Waiting for a person: `handoff resolve NUMBER`")
    asked = [
        {"number": one.number, "record": one.title or one.source, "rules": ", ".join(one.rules), "plan": one.plan.digest} for one in held
    ]
    if asked:
        await acreate_table_artifact(
            asked[:MOST_ROWS], key="approvals", description="Waiting for a person's yes: `handoff approvals`, or the runs of `approval`"
        )
    await acreate_markdown_artifact(_markdown(summary), key="outcome", description=f"Run {summary.run}")


def _markdown(summary: Summary) -> str:
    lines = [f"## {summary.run}: {summary.result}", ""]
    lines += [f"- baseline: {count} {kind}s recorded, nothing created for them" for kind, count in summary.baselined.items()]
    lines += [f"- {count} {what}" for what, count in sorted(summary.counts.items()) if count]
    lines += [f"- {count} calls to {system}" for system, count in summary.calls.items()]
    lines += [f"- {note}" for note in summary.notes]
    lines += [f"- {error}" for error in summary.errors[:20]]
    lines += [f"- {summary.asked}"] if summary.asked else []
    if summary.told:
        lines.append(f"- **{summary.told}**")
    return "\n".join(lines)


def _counted(counts: Any) -> str:
    return ", ".join(f"{count} × {what}" for what, count in sorted(counts.items()))


def final(summary: Summary) -> State[Any]:
    """The state a run ends in, by what it came to."""
    told = ", ".join(
        f"{summary.counts[name]} {name}" for name in ("created", "updated", "published", "parked", "written back") if summary.counts[name]
    )
    message = "; ".join(part for part in (f"{summary.result}{': ' + told if told else ''}", summary.told, summary.asked) if part)
    if isinstance(summary.error, UnsafePlan):
        yes = f"approve it under number {summary.error.approval}, or " if summary.error.approval else ""
        message += f". If it is meant, {yes}run sync with approve={summary.plan.digest} for exactly this plan, or with force"
    if summary.error is not None:
        return Failed(
            message=message, name={"refused": "Refused", "waiting for approval": "WaitingForApproval"}.get(summary.result, "Failed")
        )
    return Completed(
        message=message,
        name={"with errors": "CompletedWithErrors", "waiting": "Waiting", "stopped": "Stopped"}.get(summary.result, "Completed"),
    )
