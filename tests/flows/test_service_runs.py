"""On a real Prefect server: runs whose process is gone, runs that piled up, and the watch over both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.events.schemas.automations import EventTrigger
from prefect.runtime import deployment, flow_run
from prefect.states import Pending, Running, Scheduled

from connectors.base import utc_now
from flows.service_runs import ZOMBIES, close_orphans, prepare, skip_overdue, stand_in, watch_for_zombies
from tests.prefect_server import MARKS, prefect_server

pytestmark = MARKS


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_server():
        yield


@flow(name="work")
async def work(sources: list[str] | None = None) -> None:
    del sources


class Service:
    """A deployment that is run by nobody, and runs of it."""

    def __init__(self, client: PrefectClient, id_: UUID) -> None:
        self.client, self.id = client, id_

    async def run(self, state: State, *, by_schedule: bool = True, **parameters: object) -> UUID:
        """A run; those of a schedule are as the scheduler makes them."""
        made = await self.client.create_flow_run_from_deployment(self.id, parameters=parameters, state=state)
        if by_schedule:
            await mark_as_scheduled(made.id)
        return made.id

    async def overdue(self, minutes: int, *, by_schedule: bool = True, **parameters: object) -> UUID:
        return await self.run(Scheduled(scheduled_time=utc_now() - timedelta(minutes=minutes)), by_schedule=by_schedule, **parameters)

    async def state(self, run: UUID) -> str:
        return str((await self.read(run)).state_name)

    async def read(self, run: UUID) -> FlowRun:
        return await self.client.read_flow_run(run)


async def mark_as_scheduled(run: UUID) -> None:
    """Only the scheduler can say so over the API; the tests' server is in this process's reach by its database."""
    import sqlalchemy as sa
    from prefect.server.database import provide_database_interface

    db = provide_database_interface()
    async with db.session_context(begin_transaction=True) as session:
        await session.execute(sa.update(db.FlowRun).where(db.FlowRun.id == run).values(auto_scheduled=True))


@pytest.fixture
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with get_client() as client:
        flow_id = await client.create_flow(work)
        yield Service(client, await client.create_deployment(flow_id=flow_id, name=request.node.name[:60]))


async def test_of_an_hours_overdue_runs_the_last_is_kept(service: Service) -> None:
    runs = [await service.overdue(minutes) for minutes in (60, 5, 35)]
    ahead = await service.run(Scheduled(scheduled_time=utc_now() + timedelta(minutes=5)))
    assert await skip_overdue(service.client, [service.id]) == 2
    assert [await service.state(run) for run in runs] == ["Skipped", "Scheduled", "Skipped"]
    assert await service.state(ahead) == "Scheduled"
    assert await skip_overdue(service.client, [service.id]) == 0


async def test_overdue_runs_of_different_schedules_do_not_stand_in_for_each_other(service: Service) -> None:
    runs = [await service.overdue(60, sources=["north"]), await service.overdue(30, sources=["south"]), await service.overdue(10)]
    assert await skip_overdue(service.client, [service.id]) == 0
    assert {await service.state(run) for run in runs} == {"Scheduled"}


async def test_what_a_person_asked_for_is_never_skipped(service: Service) -> None:
    asked = await service.overdue(60, by_schedule=False)
    await service.overdue(5)
    assert await skip_overdue(service.client, [service.id]) == 0
    assert await service.state(asked) == "Scheduled"


async def test_a_run_stands_in_for_those_of_its_schedule_that_are_overdue(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    own = await service.run(Running())
    others = [await service.overdue(minutes) for minutes in (20, 10)]
    south = await service.overdue(15, sources=["south"])
    monkeypatch.setattr(deployment, "id", str(service.id), raising=False)
    monkeypatch.setattr(flow_run, "id", str(own), raising=False)
    await stand_in()
    assert [await service.state(run) for run in (*others, south)] == ["Skipped", "Skipped", "Scheduled"]
    assert await service.state(own) == "Running"


async def test_a_run_by_hand_stands_in_for_nothing() -> None:
    await stand_in()


async def test_runs_that_a_killed_service_left_open_are_closed(service: Service) -> None:
    left = [await service.run(Running()), await service.run(Pending())]
    due = await service.overdue(1)
    assert await close_orphans(service.client, [service.id]) == 2
    assert [await service.state(run) for run in left] == ["Crashed", "Crashed"]
    assert "The next run does what is left" in str((await service.read(left[0])).state)
    assert await service.state(due) == "Scheduled"
    assert await close_orphans(service.client, []) == 0


async def test_a_service_prepares_for_its_own_deployments_and_leaves_open_what_another_may_run(service: Service) -> None:
    async with get_client() as client:
        own = Service(client, await client.create_deployment(flow_id=await client.create_flow(work), name="handoff"))
        left, foreign = await own.run(Running()), await service.run(Running())
        overdue = [await own.overdue(minutes) for minutes in (20, 10)]
        await prepare(client, alone=False)
        assert await own.state(left) == "Running"
        assert [await own.state(run) for run in overdue] == ["Skipped", "Scheduled"]
        await prepare(client, alone=True)
        assert (await own.state(left), await service.state(foreign)) == ("Crashed", "Running")


async def test_the_watch_is_set_up_once_and_knows_our_states_from_a_silence(service: Service) -> None:
    for _ in range(2):
        await watch_for_zombies(service.client)
    (watch,) = await service.client.read_automations_by_name(ZOMBIES)
    assert watch.enabled
    assert isinstance(watch.trigger, EventTrigger)
    states = ("Completed", "CompletedWithErrors", "Waiting", "Stopped", "Refused", "Rejected", "Failed", "Crashed", "Suspended", "Paused")
    ends = [word.removeprefix("prefect.flow-run.") for word in watch.trigger.expect if word.endswith("*")]
    expected = {
        state for state in (*states, "AwaitingRetry", "Running", "Retrying", "Pending") if any(state.startswith(end[:-1]) for end in ends)
    }
    assert expected == {*states, "AwaitingRetry"}
