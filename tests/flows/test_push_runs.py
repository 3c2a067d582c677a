"""Runs that follow pushes, on a real Prefect server: each a run of the deployment, with open connections, stopped and tried again like any other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from connectors.base import AuthError, ConnectorError, Runtime, StateError, Transient, utc_now
from engine.model import Hint
from flows import approving, pipeline, service_push
from flows import sync as flows
from flows.apply import Stop
from flows.pipeline import Summary
from flows.service_push import PushRuns, dispatching, find
from flows.settings import Settings
from flows.warm import Warm
from sandbox.loopback import free_port
from state import Store
from state.hub import open_hub
from state.inbox import Arrivals, Inbox
from tests.flows.desk import Desk, local, wait_for
from tests.flows.files import RULES
from tests.prefect_server import MARKS, prefect_server

pytestmark = MARKS


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_server():
        yield


@pytest.fixture(autouse=True)
def pushed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CRM pushes; secrets come from the environment of whoever runs the flow."""
    mapping = local({})["mappings/salesforce.yaml"] + "\npush: {organization: 00D000000000001AAA}\n"
    desk.world.configure(local({"mappings/salesforce.yaml": mapping}))
    for name, value in desk.env.items():
        monkeypatch.setenv(name, value)


class Follower:
    """What follows pushes, and the runs it made."""

    def __init__(self, desk: Desk, deployment: UUID) -> None:
        self.where, self.stop, self.deployment = Settings(desk.folder, desk.state, {}), Stop(), deployment
        self.warm = Warm(self.where, Runtime())
        self.follow = PushRuns(self.where, deployment, self.warm, self.stop)

    async def runs(self) -> list[FlowRun]:
        async with get_client() as client:
            found = await client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[self.deployment])))
        return sorted(found, key=lambda run: str(run.expected_start_time))


@pytest.fixture
async def follower(desk: Desk) -> AsyncIterator[Follower]:
    parameters = {"folder": str(desk.folder), "state": str(desk.state)}
    deployment = await (await flows.sync.ato_deployment(name=desk.path.name, parameters=parameters)).aapply()
    made = Follower(desk, deployment)
    yield made
    await made.warm.close()


async def run_begun(follower: Follower) -> list[FlowRun]:
    while True:
        if found := [run for run in await follower.runs() if run.state_name == "Running"]:
            return found


def tell(desk: Desk, *deals: str) -> None:
    arrived = Arrivals()
    arrived.add("salesforce", [Hint("deal", deal) for deal in deals], events=len(deals))
    with closing(open_hub(desk.state, now=utc_now())) as db:
        Inbox(db).store(arrived, utc_now())


async def synced(desk: Desk) -> None:
    assert (await asyncio.to_thread(desk.do, "sync")).exit_code == 0


async def won(desk: Desk, *names: str) -> list[str]:
    deals = [desk.world.deal(name) for name in names]
    await synced(desk)
    for deal in deals:
        desk.world.win(deal)
    return deals


async def test_a_push_becomes_a_run_of_the_deployment_and_the_next_one_signs_in_nowhere(desk: Desk, follower: Follower) -> None:
    first, second = await won(desk, "First", "Second")
    signed_in = desk.world.crm.seen["POST /services/oauth2/token"]
    for deal in (first, second):
        tell(desk, deal)
        assert not await follower.follow(["salesforce"])
    assert desk.world.shown() == ["First onboarding", "Second onboarding"]
    assert desk.world.crm.seen["POST /services/oauth2/token"] == signed_in + 1
    runs = await follower.runs()
    assert [(run.name, run.state_name, run.parameters["pushed"]) for run in runs] == [
        (f"sync {desk.folder.name}, told by salesforce", "Completed", ["salesforce"])
    ] * 2
    calls = desk.told("history")[0]["counts"]
    assert (calls["calls salesforce"], calls["calls asana"]) < (10, 20)


async def test_an_edit_of_the_configuration_holds_from_the_next_run_on(desk: Desk, follower: Follower) -> None:
    first, second = await won(desk, "First", "Second")
    tell(desk, first)
    await follower.follow(["salesforce"])
    rules = (desk.folder / "rules.yaml").read_text()
    (desk.folder / "rules.yaml").write_text(rules.replace("deal.amount >= 1000", "deal.amount >= 1000000"))
    tell(desk, second)
    await follower.follow(["salesforce"])
    assert desk.world.shown() == ["First onboarding"]


async def test_a_crm_that_is_away_is_named_and_what_it_told_is_kept(desk: Desk, follower: Follower) -> None:
    (deal,) = await won(desk, "Deal")
    tell(desk, deal)
    fault = desk.world.crm.fault("/services/data", "error_before", status=400, times=-1)
    assert list(await follower.follow(["salesforce"])) == ["salesforce"]
    fault.times = fault.struck
    assert not await follower.follow(["salesforce"])
    assert desk.world.shown() == ["Deal onboarding"]


def test_a_run_that_came_to_nothing_is_everybodys_failure_whoever_else_gave_out() -> None:
    tool, full = AuthError("no"), StateError("the disk is full")
    ended = Summary("r", result="failed", error=full, failures={"asana": tool})
    assert list(service_push._gave_out([ended], ["salesforce"])) == ["salesforce"]
    assert list(service_push._gave_out([replace(ended, error=tool)], ["salesforce"])) == ["asana"]


async def test_a_run_that_is_cancelled_in_the_ui_stops_in_order_and_the_rest_is_done_later(
    desk: Desk, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_push, "_SELDOM", 1)
    deals = await won(desk, "One", "Two", "Three")
    tell(desk, *deals)
    hangs = desk.world.tool.fault("POST /api/1.0/batch$", "slow", times=-1, seconds=1.5)
    going = asyncio.create_task(follower.follow(["salesforce"]))
    await asyncio.to_thread(wait_for, lambda: hangs.struck > 0)
    (run,) = await follower.runs()
    async with get_client() as client:
        await client.set_flow_run_state(run.id, Cancelling(), force=True)
    await going
    assert [run.state_name for run in await follower.runs()] == ["Cancelled"]
    assert desk.told("history")[0]["result"] == "stopped"
    desk.world.tool.faults.clear()
    await synced(desk)
    assert sorted(desk.world.shown()) == ["One onboarding", "Three onboarding", "Two onboarding"]


async def test_the_service_stops_a_run_although_prefects_server_did_not_answer_for_a_moment(
    desk: Desk, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_push, "_SELDOM", 1)
    tell(desk, *await won(desk, "One", "Two", "Three"))
    read = PrefectClient.read_flow_run
    away: list[UUID] = []

    async def read_flow_run(client: PrefectClient, run: UUID) -> FlowRun:
        watch = asyncio.current_task()
        if away or watch is None or getattr(watch.get_coro(), "__name__", "") != "_heed":
            return await read(client, run)  # Prefect asks as well, and has patience of its own
        away.append(run)
        raise httpx.ConnectError("away")

    monkeypatch.setattr(PrefectClient, "read_flow_run", read_flow_run)
    desk.world.tool.fault("POST /api/1.0/batch$", "slow", times=-1, seconds=1.5)
    going = asyncio.create_task(follower.follow(["salesforce"]))
    await asyncio.to_thread(wait_for, lambda: bool(away))
    follower.stop.asked = True
    await going
    assert [run.state_name for run in await follower.runs()] == ["Stopped"]
    assert desk.told("history")[0]["result"] == "stopped"


async def test_a_run_waits_for_its_turn_instead_of_failing(desk: Desk, follower: Follower) -> None:
    (deal,) = await won(desk, "Deal")
    tell(desk, deal)
    held = Store(desk.state, now=utc_now())
    going = asyncio.create_task(follower.follow(["salesforce"]))
    (run,) = await run_begun(follower)
    assert (run.state_name, going.done()) == ("Running", False)
    held.close()
    assert not await going
    assert desk.world.shown() == ["Deal onboarding"]


async def test_a_run_that_waits_for_its_turn_can_be_stopped(desk: Desk, follower: Follower) -> None:
    tell(desk, *await won(desk, "Deal"))
    with closing(Store(desk.state, now=utc_now())):
        going = asyncio.create_task(follower.follow(["salesforce"]))
        await run_begun(follower)
        follower.stop.asked = True
        async with asyncio.timeout(20):
            assert list(await going) == ["salesforce"]
    follower.stop.asked = False
    assert not await follower.follow(["salesforce"])
    assert desk.world.shown() == ["Deal onboarding"]


async def test_a_long_run_makes_way_for_what_was_just_told_and_the_next_goes_on_with_the_rest(
    desk: Desk, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_SHARE", timedelta(seconds=1))
    *many, late = await won(desk, *(f"Deal {number}" for number in range(30)), "Late")
    desk.world.change(late, StageName="Prospecting")
    slow = desk.world.tool.fault("POST /api/1.0/batch$", "slow", times=-1, seconds=0.3)
    long = asyncio.ensure_future(flows.sync(folder=str(desk.folder), state=str(desk.state), force=True, return_state=True))
    await asyncio.to_thread(wait_for, lambda: slow.struck > 0)
    desk.world.win(late)
    tell(desk, late)
    going = asyncio.create_task(follower.follow(["salesforce"]))
    state = await long
    assert state.name == "Waiting"
    assert "Late onboarding" not in desk.world.shown()
    await asyncio.to_thread(wait_for, lambda: "Late onboarding" in desk.world.shown())
    assert len(desk.world.shown()) < len(many)
    slow.times = slow.struck
    assert not await going
    assert sorted(desk.world.shown()) == sorted([*(f"Deal {number} onboarding" for number in range(30)), "Late onboarding"])


async def test_without_prefects_server_it_is_said_and_nothing_is_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (deal,) = await won(desk, "Deal")
    tell(desk, deal)
    lost = Follower(desk, UUID(int=0))
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}), pytest.raises(Transient):
        await lost.follow(["salesforce"])
    with closing(open_hub(desk.state, now=utc_now())) as db:
        assert len(Inbox(db).take(["salesforce"])) == 1


async def test_a_deployment_that_was_made_anew_is_found_by_its_name(desk: Desk) -> None:
    (deal,) = await won(desk, "Deal")
    parameters = {"folder": str(desk.folder), "state": str(desk.state)}
    await (await flows.sync.ato_deployment(name="push", parameters=parameters)).aapply()
    tell(desk, deal)
    before = Follower(desk, UUID(int=0))
    assert not await before.follow(["salesforce"])
    assert desk.world.shown() == ["Deal onboarding"]
    await before.warm.close()


@pytest.mark.parametrize("sources", [[], ["salesforce"]])
async def test_a_whole_plan_that_is_approved_gets_a_run_at_once_and_only_one(desk: Desk, follower: Follower, sources: list[str]) -> None:
    rules = RULES.replace("limits: {projects_per_run: 10,", "limits: {above: ask, projects_per_run: 1,")
    desk.world.configure(local({"rules.yaml": rules}))
    await won(desk, "One", "Two")
    parameters = {"folder": str(desk.folder), "state": str(desk.state)}
    scheduled = await (await flows.sync.ato_deployment(name="handoff", parameters=parameters)).aapply()
    await flows.sync(**parameters, sources=sources or None, return_state=True)
    for _ in range(2):
        with dispatching(follower.where, follower.deployment, ["salesforce"]):
            approving.decide(desk.state, 1, "approved", by="mia", now=utc_now())
            run = await started(scheduled, desk)
    assert (run.parameters.get("sources", []), run.state_name) == (sources, "Scheduled")
    state = await flows.sync(**run.parameters, return_state=True)
    assert state.name == "Completed"
    assert sorted(desk.world.shown()) == ["One onboarding", "Two onboarding"]


async def started(deployment: UUID, desk: Desk) -> FlowRun:
    """The only run there is of it here."""
    for _ in range(150):
        async with get_client() as client:
            runs = await client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])))
        if found := [run for run in runs if run.parameters["folder"] == str(desk.folder)]:
            break
        await asyncio.sleep(0.1)
    (run,) = found
    return run


async def test_pushes_are_followed_in_the_background_until_the_block_ends(desk: Desk, follower: Follower) -> None:
    (deal,) = await won(desk, "Deal")
    with dispatching(follower.where, follower.deployment, ["salesforce"]):
        tell(desk, deal)
        await asyncio.to_thread(wait_for, lambda: desk.world.shown() == ["Deal onboarding"], 60)
    assert not [thread for thread in threading.enumerate() if thread.name == "dispatch"]


async def test_it_is_followed_beside_workers_too_until_somebody_stops_it(desk: Desk, follower: Follower) -> None:
    (deal,) = await won(desk, "Deal")
    parameters = {"folder": str(desk.folder), "state": str(desk.state)}
    await (await flows.sync.ato_deployment(name="push", parameters=parameters)).aapply()
    process = desk.start("follow", PREFECT_API_URL=str(PREFECT_API_URL.value()), PREFECT_HOME=str(desk.path / "prefect"))
    tell(desk, deal)
    await asyncio.to_thread(wait_for, lambda: desk.world.shown() == ["Deal onboarding"], 90)
    process.terminate()
    _, told = await asyncio.to_thread(process.communicate)
    assert (process.returncode, "Traceback" in told) == (130, False)


async def test_where_there_is_no_such_deployment_it_says_what_puts_it_there(follower: Follower) -> None:
    with pytest.raises(ConnectorError, match="`handoff deploy` puts it there"):
        await find("sync/nobody")
