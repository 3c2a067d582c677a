"""Runs for what pushes told, in this process: no new process for each, connections that stay open. Every one is a run of a deployment all the same,
seen and cancelled in the UI, and tried again from there like any other."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from http.client import NOT_FOUND
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.worker import EventsWorker
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.flow_engine import run_flow_async
from prefect.logging.handlers import APILogWorker
from prefect.states import Cancelled, Pending

from connectors.base import ConnectorError, Runtime, Transient
from flows import logs
from flows.apply import Stop
from flows.dispatch import Dispatcher
from flows.pipeline import Summary
from flows.service import PUSH
from flows.service_runs import DEPLOYMENT
from flows.session import silent
from flows.settings import Settings
from flows.subscribing import keep_up
from flows.sync import following, kept, sync
from flows.warm import Warm
from state.approvals import Approval, Approvals, sources_of
from state.database import Database
from state.hub import open_hub
from state.inbox import Inbox

_LOOK, _SELDOM = 0.2, 10  # seconds between two looks for a stop; how many of them there are to one for a run that was cancelled
_ENDS, _AGAIN = 5.0, 2.0
_ANSWERS = 1.0  # seconds between two looks for plans that were approved
PUSHED = f"sync/{PUSH}"
"""The deployment whose runs follow pushes."""
SYNC = f"sync/{DEPLOYMENT}"
"""The deployment whose runs ask about whole plans, and carry them out."""
_log = logs.get("push")


class PushRuns:
    """Starts a run of the deployment for what some systems told, and sees it through."""

    def __init__(self, where: Settings, deployment: UUID, warm: Warm, stop: Stop) -> None:
        self._where, self._deployment, self._warm, self._stop = where, deployment, warm, stop

    async def __call__(self, systems: Sequence[str]) -> Collection[str]:
        """Gives the systems that gave out. Raises Transient when Prefect's server is away."""
        halt = Stop()
        async with _client() as client:
            run = await self._begin(client, systems)
            watch = asyncio.create_task(_heed(client, run.id, self._stop, halt))
            try:
                with kept(self._warm, halt), following(silent) as seen:
                    await run_flow_async(sync, flow_run=run, parameters=dict(run.parameters), return_type="state")
            finally:
                watch.cancel()
            await _settle_cancelled(client, run.id)
        gave_out = _gave_out(seen, systems)
        if gave_out:
            await self._warm.close()
        return gave_out

    async def _begin(self, client: PrefectClient, systems: Sequence[str]) -> FlowRun:
        begin = partial(client.create_flow_run_from_deployment, parameters={"pushed": list(systems)}, state=Pending())
        try:
            return await begin(self._deployment)
        except PrefectHTTPStatusError as error:
            if error.response.status_code != NOT_FOUND:
                raise
            self._deployment = await find(PUSHED)  # somebody made it anew
            return await begin(self._deployment)


def _gave_out(seen: Sequence[Summary], systems: Sequence[str]) -> Collection[str]:
    """All, when the run came to nothing, or another process was reading; else those that failed in it. What ended it may be none of these."""
    last = seen[-1] if seen else None
    if last is None or last.helps or (last.result == "failed" and last.error not in last.failures.values()):
        return systems
    return last.failures.keys()


async def find(name: str) -> UUID:
    """A deployment by its name. Raises ConnectorError where it is not there, Transient where nobody answers."""
    async with _client() as client:
        try:
            return (await client.read_deployment_by_name(name)).id
        except ObjectNotFound as error:
            raise ConnectorError(f"the Prefect server has no deployment {name}; `handoff deploy` puts it there") from error


@asynccontextmanager
async def _client() -> AsyncIterator[PrefectClient]:
    import httpx  # noqa: PLC0415 - the errors of Prefect's own client

    try:
        async with get_client() as client:
            yield client
    except (httpx.HTTPError, RuntimeError) as error:
        raise Transient(f"the Prefect server does not answer ({type(error).__name__})") from error


async def _heed(client: PrefectClient, run: UUID, service: Stop, halt: Stop) -> None:
    """Who stops the service, or cancels the run in the UI, stops the run."""
    looks = 0
    while not halt.asked:
        await asyncio.sleep(_LOOK)
        looks += 1
        halt.asked = service.asked or (looks % _SELDOM == 0 and await _is_cancelled(client, run))


async def _is_cancelled(client: PrefectClient, run: UUID) -> bool:
    """Not as far as can be told, where the server does not answer: it is asked again, and the service is heeded all the while."""
    import httpx  # noqa: PLC0415 - the errors of Prefect's own client

    try:
        state = (await client.read_flow_run(run)).state
    except (httpx.HTTPError, RuntimeError, ObjectNotFound):
        return False
    return state is not None and state.type in (StateType.CANCELLING, StateType.CANCELLED)


async def _settle_cancelled(client: PrefectClient, run: UUID) -> None:
    """A run somebody cancels is asked to stop and did; whoever asked sees that it ended."""
    state = (await client.read_flow_run(run)).state
    if state is not None and state.type == StateType.CANCELLING:
        await client.set_flow_run_state(run, Cancelled(message="stopped; what was committed is kept"), force=True)


async def _take_up(hub: Database, runtime: Runtime) -> None:
    """Start a run for each whole plan that a person approved, once: a schedule asked, and its next run may be hours away. What goes wrong here is
    left to that."""
    approvals, started = Approvals(hub), set[int]()
    while True:
        try:
            for number in approvals.approved_runs():
                if number not in started and (one := approvals.get(number)) is not None:
                    started.add(number)
                    await _start(one)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next answer is seen
            _log.warning("an approved plan waits for the next sync", extra={"error": type(error).__name__})
        await runtime.sleep(_ANSWERS)


async def _start(one: Approval) -> None:
    sources, deployment = sources_of(one.subject), await find(SYNC)
    key = f"approved-{one.number}-{one.asked_at.isoformat()}"  # asked for twice, it is the same run
    async with _client() as client:
        await client.create_flow_run_from_deployment(deployment, parameters={"sources": sources} if sources else {}, idempotency_key=key)
    _log.info("a run for an approved plan", extra={"approval": one.number})


async def _dispatch(where: Settings, deployment: UUID, systems: Sequence[str], stop: Stop) -> None:
    runtime = Runtime()
    warm = Warm(where, runtime)
    renewing = asyncio.create_task(keep_up(where, runtime))
    with closing(open_hub(where.state, now=runtime.clock())) as db:
        answers = asyncio.create_task(_take_up(db, runtime))
        try:
            await Dispatcher(Inbox(db), systems, PushRuns(where, deployment, warm, stop), runtime, stop)()
        finally:
            renewing.cancel()
            answers.cancel()
            await warm.close()
            await _tell_the_rest()


async def _tell_the_rest() -> None:
    """Prefect tells its server of runs from threads of its own; at the end of the process they would wait for a server that is gone by then."""
    for worker in (EventsWorker, APILogWorker):
        done = worker.drain_all(timeout=2)
        if inspect.isawaitable(done):
            await done


@contextmanager
def dispatching(where: Settings, deployment: UUID, systems: Sequence[str]) -> Iterator[None]:
    """Follow pushes for as long as the block lasts. In a thread of its own: there no signal ends a run half-way, and whoever serves goes on."""
    stop = Stop()

    def work() -> None:
        while not stop.asked:
            try:
                asyncio.run(_dispatch(where, deployment, systems, stop))
            except Exception as error:  # noqa: BLE001 - whatever it is, pushes are followed again
                _log.error("following pushes failed", extra={"error": type(error).__name__, "told": str(error)[:500]})
                time.sleep(_AGAIN)

    thread = threading.Thread(target=work, name="dispatch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.asked = True
        thread.join(_ENDS)
