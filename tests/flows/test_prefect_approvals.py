"""Asking in Prefect, on a real server: a run that shows the plan and is suspended, resumed with an answer, answered elsewhere, or too late."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow_async

from connectors.base import utc_now
from flows import approving, sync_approval
from flows import sync as flows
from flows.settings import Settings
from flows.sync_approval import approval, follow
from state.approvals import Approval, Question
from tests.flows.desk import Desk
from tests.flows.test_approvals import ask_at
from tests.prefect_server import MARKS, prefect_server

pytestmark = MARKS


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_server():
        yield


@pytest.fixture(autouse=True)
def environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in desk.env.items():
        monkeypatch.setenv(name, value)


async def asked(desk: Desk) -> FlowRun:
    """A deal was won and a sync asked about it; gives the run that is to ask a person."""
    parameters = {"folder": str(desk.folder), "state": str(desk.state)}
    await (await approval.ato_deployment(name="handoff", parameters=parameters)).aapply()
    await asyncio.to_thread(ask_at, desk)
    state: Any = await flows.sync(**parameters, return_state=True)
    assert state.name == "Waiting"
    assert "waiting for approval: 1 (Big deal)" in state.message
    return await read(UUID(of(desk).flow_run))


def of(desk: Desk, number: int = 1) -> Approval:
    found = approving.get(desk.state, number, utc_now())
    assert found is not None
    return found


async def read(run: UUID) -> FlowRun:
    async with get_client() as client:
        return await client.read_flow_run(run)


async def execute(run: FlowRun) -> FlowRun:
    """As a runner does it."""
    with suppress(Pause):  # how a suspended run leaves its process
        await run_flow_async(approval, flow_run=await read(run.id), parameters=dict(run.parameters), return_type="state")
    return await read(run.id)


async def resume(run: FlowRun, **answer: Any) -> dict[str, Any]:
    """As the form of the UI does it."""
    async with get_client() as client:
        done = await client._client.post(f"/flow_runs/{run.id}/resume", json={"run_input": answer})
    found: dict[str, Any] = done.json()
    return found


async def artifacts(run: FlowRun) -> dict[str, str]:
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])))
    return {f"{one.key}": str(one.data) for one in found if one.key}


async def test_a_run_shows_the_plan_waits_without_a_process_and_goes_on_with_the_answer(desk: Desk) -> None:
    run = await asked(desk)
    assert run.parameters == {"number": 1, "folder": str(desk.folder), "state": str(desk.state)}
    suspended = await execute(run)
    assert (suspended.state_name, suspended.name) == ("Suspended", "approval 1")
    shown = await artifacts(run)
    assert "Approval 1: Big deal" in shown["approval"]
    assert {"create project", "create task"} <= {row["what"] for row in json.loads(shown["approval-plan"])}
    for wrong in ({}, {"answer": "perhaps", "name": "Mia"}, {"answer": "approve", "name": ""}):
        assert (await resume(run, **wrong))["status"] == "REJECT"
    assert (await read(run.id)).state_name == "Suspended"
    assert (await resume(run, answer="approve", because="paid", name="Mia"))["status"] == "ACCEPT"
    ended = await execute(run)
    assert ended.state is not None
    assert (ended.state_name, ended.state.message) == ("Approved", "approval 1: approved by Mia: paid")
    assert len(await artifacts(run)) == len(shown)
    assert (of(desk).state, of(desk).decided_by, of(desk).words) == ("approved", "Mia", "paid")
    assert (await asyncio.to_thread(desk.do, "sync")).exit_code == 0
    assert desk.world.shown() == ["Big deal onboarding"]


async def test_an_answer_from_elsewhere_ends_the_run_and_says_whose_it_was(desk: Desk) -> None:
    run = await execute(await asked(desk))
    await asyncio.to_thread(desk.do, "approvals", "reject", "1", "--because", "not yet", "--by", "Sam")
    with approving.opened(desk.state, utc_now()) as approvals, approvals.together():
        for number in range(60):  # however many were asked since
            approvals.ask(Question(f"later {number}", "digest", "Later", [], {}), utc_now(), utc_now())
            approvals.withdraw(f"later {number}")
    where = Settings(desk.folder, desk.state, {})
    await follow(where)
    ended = await read(run.id)
    assert ended.state is not None
    assert (ended.state_name, ended.state.message) == ("Rejected", "approval 1: rejected by Sam: not yet")
    await follow(where)
    assert (await read(run.id)).state_name == "Rejected"


async def test_whoever_answers_second_is_told_who_was_first(desk: Desk) -> None:
    run = await execute(await asked(desk))
    await asyncio.to_thread(desk.do, "approvals", "reject", "1", "--because", "not yet", "--by", "Sam")
    await resume(run, answer="approve", name="Mia")
    ended = await execute(run)
    assert ended.state is not None
    assert (ended.state_name, ended.state.message) == ("Rejected", "approval 1: rejected by Sam: not yet")
    assert of(desk).state == "rejected"


async def test_what_nobody_answers_ends_as_expired_and_cannot_be_answered_any_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await execute(await asked(desk))
    assert run.state is not None
    until = run.state.state_details.pause_timeout
    assert until is not None
    assert of(desk).expires_at < until <= of(desk).expires_at + timedelta(minutes=16)
    monkeypatch.setattr(sync_approval, "utc_now", lambda: utc_now() + timedelta(hours=72, seconds=1))
    await follow(Settings(desk.folder, desk.state, {}))
    ended = await read(run.id)
    assert ended.state is not None
    assert (ended.state_name, ended.state.message) == ("Expired", approving.told(of(desk), of(desk).expires_at))
    assert (await resume(run, answer="approve", name="Mia"))["status"] == "ABORT"


async def test_prefect_itself_refuses_an_answer_after_the_timeout(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_approval, "_seconds", lambda *_: -1)
    run = await execute(await asked(desk))
    assert run.state_name == "Suspended"
    await resume(run, answer="approve", name="Mia")
    assert (await read(run.id)).state_name == "Failed"
    assert of(desk).state == "waiting"


async def test_each_question_gets_one_run_and_none_where_nobody_serves_it(desk: Desk) -> None:
    run = await asked(desk)
    where = Settings(desk.folder, desk.state, {})
    with approving.opened(desk.state, utc_now()) as approvals:
        approvals.note_flow_run(1, "")  # as after a death right behind the start
    await follow(where)
    assert of(desk).flow_run == str(run.id)
    async with get_client() as client:
        await client.delete_deployment((await client.read_deployment_by_name("approval/handoff")).id)
    with approving.opened(desk.state, utc_now()) as approvals:
        approvals.note_flow_run(1, "")
    await follow(where)
    assert of(desk).flow_run == ""
