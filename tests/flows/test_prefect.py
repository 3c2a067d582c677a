"""The Prefect flows on a real Prefect server of its own: what runs, what people see of it, what is tried again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from datetime import date
from functools import partial
from typing import Any

import pytest
from prefect import Flow, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact, FlowRun, State
from prefect.flows import load_flow_from_entrypoint

from connectors.base import AuthError, Runtime, utc_now
from flows import sync as flows
from state import Leases, Store
from state.leases import READER
from tests.flows.desk import Desk, local
from tests.flows.files import RULES
from tests.flows.test_cli_channels import RULES_THAT_TELL, telling
from tests.flows.told import ALERTS
from tests.prefect_server import MARKS, prefect_server

pytestmark = MARKS


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_server():
        yield


@pytest.fixture(autouse=True)
def environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets come from the environment of whoever runs the flow; between two tries nobody waits."""

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(flows, "Runtime", partial(Runtime, sleep=at_once))
    for name, value in desk.env.items():
        monkeypatch.setenv(name, value)
    for stage in ("pull_and_plan", "apply_plan", "write_progress"):
        monkeypatch.setattr(flows, stage, getattr(flows, stage).with_options(retry_delay_seconds=0))


async def run(flow: Flow[..., Coroutine[Any, Any, Any]], desk: Desk, **parameters: Any) -> State[Any]:
    state: State[Any] = await flow(folder=str(desk.folder), state=str(desk.state), return_state=True, **parameters)
    return state


async def seen(state: State[Any]) -> tuple[FlowRun, dict[str, Artifact]]:
    """The run as the UI shows it, with its artifacts by key."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    async with get_client() as client:
        flow_run = await client.read_flow_run(run_id)
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id])))
    return flow_run, {str(artifact.key): artifact for artifact in found if artifact.key}


async def tasks_of(state: State[Any]) -> list[tuple[str, str, int]]:
    """The stages of a run, once the server has heard of all of it: it is told of them behind the run's back."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    before, wanted = None, FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    async with get_client() as client:
        for _ in range(100):
            runs = await client.read_task_runs(flow_run_filter=wanted)
            told = sorted((str(run.start_time), run.name.rsplit("-", 1)[0], str(run.state_name), run.run_count) for run in runs)
            if told and told == before and all(run.state is not None and run.state.is_final() for run in runs):
                break
            before = told
            await asyncio.sleep(0.2)
    return [(name, ended, count) for _, name, ended, count in told]


def rows(artifact: Artifact) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(str(artifact.data))
    return found


async def won(desk: Desk, count: int = 1, **fields: Any) -> list[str]:
    deals = [desk.world.deal(f"Deal {number}", **fields) for number in range(1, count + 1)]
    assert (await run(flows.sync, desk)).is_completed()
    for deal in deals:
        desk.world.win(deal)
    return deals


async def test_a_run_tells_its_story_in_artifacts_and_has_stages_for_tasks_never_records(desk: Desk) -> None:
    desk.world.deal("Small", Amount=10)
    await won(desk, 3)
    desk.world.win(next(row["Id"] for row in desk.world.org.rows("Opportunity") if row["Name"] == "Small"))
    state = await run(flows.sync, desk)
    assert (state.name, state.message) == ("Completed", "done: 27 created, 3 published, 3 written back")
    flow_run, artifacts = await seen(state)
    assert flow_run.name == f"sync {desk.folder.name}"
    assert artifacts.keys() == {"plan", "by-rule", "passed-over", "projects", "outcome", "apply-progress"}
    assert [row["project"] for row in rows(artifacts["plan"])] == [f"Deal {number} onboarding" for number in (1, 2, 3)]
    assert all("rules.yaml:7" in row["why"] for row in rows(artifacts["plan"]))
    assert "3 × create project" in str(artifacts["plan"].description)
    (passed,) = rows(artifacts["passed-over"])
    assert (passed["rule"], passed["verdict"]) == ("onboard", "passed")
    assert "deal.amount >= 1000 is false (deal.amount = 10" in passed["why"]
    assert len(rows(artifacts["projects"])) == 3
    assert "https://app.asana.com" in str(rows(artifacts["projects"])[0])
    assert float(str(artifacts["apply-progress"].data)) == 100
    assert "3 published" in str(artifacts["outcome"].data)
    assert await tasks_of(state) == [(name, "Completed", 1) for name in ("pull and plan", "accept", "apply", "write back", "tell people")]


async def test_a_plan_shows_what_a_sync_would_do_and_changes_nothing(desk: Desk) -> None:
    await won(desk, 11)
    state = await run(flows.plan, desk)
    assert state.is_completed()
    assert "11 × create project" in str(state.message)
    assert "above its limits" in str(state.message)
    _, artifacts = await seen(state)
    assert len(rows(artifacts["plan"])) == 11
    assert desk.world.shown() == []
    assert desk.told("status")["counts"]["projects"] == 0


async def test_a_run_above_its_limits_is_called_refused_and_the_forced_one_says_so_in_its_name(desk: Desk) -> None:
    await won(desk, 11)
    refused = await run(flows.sync, desk)
    assert (refused.name, refused.is_failed()) == ("Refused", True)
    assert "11 new projects, limits.projects_per_run allows 10" in str(refused.message)
    _, artifacts = await seen(refused)
    assert rows(artifacts["by-rule"]) == [{"rule": "onboard", "projects": 11, "updates": 0, "comments": 0}]
    digest = str(artifacts["plan"].description).split()[1].rstrip(":")
    assert f"approve={digest} for exactly this plan" in str(refused.message)
    assert desk.world.shown() == []
    forced = await run(flows.sync, desk, force=True, backfill=date(2030, 1, 1))
    assert forced.is_completed()
    assert (await seen(forced))[0].name == f"sync {desk.folder.name}, since 2030-01-01, forced"
    assert len(desk.world.shown()) == 11


async def test_a_run_with_something_refused_for_good_is_completed_with_errors_and_lists_what_waits(desk: Desk) -> None:
    await won(desk)
    desk.world.tool.fault("POST /api/1.0/batch$", "error_before", status=400, times=-1)
    state = await run(flows.sync, desk)
    assert state.is_completed()
    assert state.name in {"CompletedWithErrors", "Waiting"}
    _, artifacts = await seen(state)
    assert 'create task "Kick off Deal 1" in project "Deal 1 onboarding" for deal "Deal 1"' in {
        row["what"] for row in rows(artifacts["waiting"])
    }
    assert "Asana answered 400" in rows(artifacts["waiting"])[0]["why"]


async def test_a_stage_is_tried_again_for_what_may_pass_and_the_run_completes(desk: Desk) -> None:
    await won(desk)
    desk.world.crm.fault("GET /services/data/.*/query", "error_before", status=503, times=6)
    state = await run(flows.sync, desk)
    assert state.name == "Completed", state.message
    assert ("pull and plan", "Completed", 2) in await tasks_of(state)
    assert desk.world.shown() == ["Deal 1 onboarding"]


async def test_refused_credentials_are_not_tried_again_and_a_later_run_does_what_is_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await won(desk)
    monkeypatch.setenv("SECRET", "stale")
    state = await run(flows.sync, desk)
    assert state.is_failed()
    with pytest.raises(AuthError):
        await state.aresult()
    assert await tasks_of(state) == [("pull and plan", "Failed", 1), ("tell people", "Completed", 1)]
    assert desk.told("history")[0]["result"] == "failed"
    monkeypatch.setenv("SECRET", desk.env["SECRET"])
    assert (await run(flows.sync, desk)).name == "Completed"
    assert (await run(flows.sync, desk)).message == "nothing to do"
    assert desk.world.shown() == ["Deal 1 onboarding"]


async def test_a_crm_that_is_away_is_named_and_the_others_go_on(desk: Desk) -> None:
    far = {"mappings/south.yaml": local({})["mappings/salesforce.yaml"].replace("${CRM}", "http://127.0.0.1:1")}
    await won(desk)
    desk.world.configure({**local(far), "rules.yaml": RULES.replace("[salesforce]", "[salesforce, south]")})
    state = await run(flows.sync, desk)
    assert (state.name, state.is_failed()) == ("Failed", True)
    assert "1 published, 1 written back; south: cannot reach 127.0.0.1:1" in str(state.message)
    assert ("pull and plan", "Completed", 1) in await tasks_of(state)
    assert desk.world.shown() == ["Deal 1 onboarding"]
    assert desk.told("history")[0]["error"].startswith("south: ")


async def test_a_tool_that_does_not_tell_its_progress_is_asked_again(desk: Desk) -> None:
    await won(desk)
    assert (await run(flows.sync, desk)).name == "Completed"
    desk.world.board.complete_task(desk.world.task("Scope")["gid"], desk.world.person)
    desk.world.tool.fault("GET .*/events", "error_before", status=503, times=6)
    state = await run(flows.sync, desk)
    assert state.name == "Completed", state.message
    assert ("write back", "Completed", 2) in await tasks_of(state)


async def test_a_run_helps_while_another_process_reads(desk: Desk, fresh_state: Callable[[], str]) -> None:
    desk.state = fresh_state()  # type: ignore[assignment]
    await won(desk)
    assert (await run(flows.sync, desk)).name == "Completed"
    with Store(str(desk.state), now=utc_now()) as store:
        Leases(store, "another").claim([READER], utc_now())
        state = await run(flows.sync, desk)
    assert (state.name, state.message) == ("Completed", "helped")


def test_the_form_in_the_ui_has_a_field_with_a_word_on_each_parameter() -> None:
    schema = load_flow_from_entrypoint("flows/sync.py:sync").parameters
    assert list(schema.properties) == ["folder", "state", "force", "approve", "backfill", "only", "pushed", "sources", "jitter_seconds"]
    assert not schema.required
    assert all(field.get("description") for field in schema.properties.values())
    assert schema.properties["force"]["type"] == "boolean"
    assert {"type": "string", "format": "date"} in schema.properties["backfill"]["anyOf"]


def test_a_deployment_finds_its_flows_by_their_names_in_the_module() -> None:
    assert load_flow_from_entrypoint("flows.sync:sync").name == "sync"
    assert load_flow_from_entrypoint("flows.sync:plan").name == "plan"


def test_nothing_but_the_flows_themselves_imports_prefect() -> None:
    modules = "engine.plan, state, connectors.registry, connectors.asana, connectors.salesforce, flows.pipeline, flows.cli, flows.demo"
    code = f"import sys, {modules}; print([name for name in sys.modules if name.split('.')[0] == 'prefect'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    assert done.stdout.strip() == "[]"


async def test_people_are_told_by_a_flow_as_well_also_when_it_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with telling(desk, RULES_THAT_TELL + ALERTS) as (services, _):
        for name in ("SERVICES", "ROBOT", "DINGTALK"):
            monkeypatch.setenv(name, desk.env[name])
        deal = desk.world.deal("Big deal")
        await run(flows.sync, desk)
        desk.world.win(deal)
        await run(flows.sync, desk)
        assert [text.split("\n")[0] for text in services.texts("slack")] == ["*Big deal* is won: 5,000.00 EUR"]
        monkeypatch.setenv("SECRET", "wrong")
        assert (await run(flows.sync, desk)).is_failed()
        (alert,) = services.texts("dingtalk")
    assert alert.startswith("salesforce failed: ")
