"""Limits, batches and faults of the stand-in of Asana."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox.web import Dropped, Sandbox
from tests.sandbox.asana_rig import Rig


def creates(project: str, count: int) -> dict[str, Any]:
    return {
        "actions": [{"method": "post", "relative_path": "/tasks", "data": {"name": f"t{n}", "projects": [project]}} for n in range(count)]
    }


async def test_more_than_a_minutes_worth_is_refused_until_the_minute_is_over() -> None:
    rig = Rig(per_minute=3)
    for _ in range(3):
        assert (await rig.ask("GET", "/users/me")).status == 200
        rig.clock.move(seconds=10)
    refused = await rig.ask("GET", "/users/me")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "40")
    rig.clock.move(seconds=40)
    assert (await rig.ask("GET", "/users/me")).status == 200


async def test_refused_requests_count_against_the_minute() -> None:
    rig = Rig(per_minute=2)
    waits = [int((await rig.ask("GET", "/users/me")).headers.get("Retry-After", 0)) for _ in range(6)]
    assert waits == [0, 0, 60, 60, 60, 60]
    rig.clock.move(seconds=30)
    assert (await rig.ask("GET", "/users/me")).headers["Retry-After"] == "30"
    rig.clock.move(seconds=31)
    assert (await rig.ask("GET", "/users/me")).status == 200
    assert rig.app.counts["rejected"] == 5


async def test_every_token_has_a_minute_of_its_own() -> None:
    rig = Rig(per_minute=1)
    other = rig.world.add_token()
    assert [(await rig.ask("GET", "/users/me", token=token)).status for token in (rig.world.token, other)] == [200, 200]


async def test_a_batch_weighs_what_it_holds_and_is_refused_whole() -> None:
    rig = Rig(per_minute=12)
    project = rig.world.add_project("Onboarding")
    assert (await rig.ask("POST", "/batch", creates(project, 10))).status == 200
    assert (await rig.ask("POST", "/batch", creates(project, 3))).status == 429
    assert len(rig.world.tasks) == 10


async def test_requests_in_flight_are_limited_reads_and_writes_apart() -> None:
    rig = Rig(reads=2, writes=1)
    project = rig.world.add_project("Onboarding")
    gate = asyncio.Event()
    rig.box = Sandbox(rig.app, latency=1, sleep=lambda _: _wait(gate))
    first = [asyncio.ensure_future(rig.ask("GET", "/users/me")) for _ in range(3)]
    first += [asyncio.ensure_future(rig.ask("POST", "/tasks", {"name": "x", "projects": [project]})) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    assert [seen.status for seen in await asyncio.gather(*first)] == [200, 200, 429, 201, 429]
    assert (await rig.ask("GET", "/users/me")).status == 200


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()


async def test_two_batches_of_ten_writes_do_not_fit_side_by_side() -> None:
    rig = Rig()
    project = rig.world.add_project("Onboarding")
    gate = asyncio.Event()
    rig.box = Sandbox(rig.app, latency=1, sleep=lambda _: _wait(gate))
    both = [asyncio.ensure_future(rig.ask("POST", "/batch", creates(project, 10))) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    assert [seen.status for seen in await asyncio.gather(*both)] == [200, 429]
    assert len(rig.world.tasks) == 10


async def test_limits_can_be_left_out() -> None:
    rig = Rig(per_minute=1, enforce_limits=False)
    assert [(await rig.ask("GET", "/users/me")).status for _ in range(3)] == [200] * 3


async def test_a_batch_answers_in_the_order_asked_and_acts_in_another() -> None:
    rig = Rig(new_tasks="bottom")
    project = await rig.project()
    body = creates(project, 10)
    results = (await rig.ask("POST", "/batch", body)).data
    assert [result["body"]["data"]["name"] for result in results] == [f"t{n}" for n in range(10)]
    made = await rig.names(f"/projects/{project}/tasks")
    assert sorted(made) == sorted(f"t{n}" for n in range(10))
    assert made != sorted(made)
    assert results[0]["headers"]["location"].endswith(results[0]["body"]["data"]["gid"])


async def test_one_bad_action_harms_no_other() -> None:
    rig = Rig()
    project = await rig.project()
    link = {"parent": project, "resource_subtype": "external", "name": "x", "url": "https://x.example"}
    actions: list[dict[str, Any]] = [
        {"method": "post", "relative_path": "/tasks", "data": {"name": "fine", "projects": [project]}, "options": {"fields": ["name"]}},
        {"method": "post", "relative_path": "/tasks", "data": {"name": "early", "projects": [project], "start_on": "2026-03-09"}},
        {"method": "get", "relative_path": "/tasks/1"},
        {"method": "get", "relative_path": "/projects?archived=false"},
        {"method": "get", "relative_path": "/tasks", "data": {"project": project}, "options": {"limit": 1, "fields": ["name"]}},
        {"method": "post", "relative_path": "/attachments", "data": link},
    ]
    seen = await rig.ask("POST", "/batch", {"actions": actions})
    assert (seen.status, [result["status_code"] for result in seen.data]) == (200, [201, 400, 404, 400, 200, 400])
    assert set(seen.data[0]["body"]["data"]) == {"gid", "name"}
    assert seen.data[4]["body"]["next_page"] is None


@pytest.mark.parametrize("count", [0, 11])
async def test_a_batch_holds_one_to_ten_actions(count: int) -> None:
    rig = Rig()
    assert (await rig.ask("POST", "/batch", creates(await rig.project(), count))).status == 400
    assert rig.world.tasks == {}


async def test_a_batch_cannot_hold_a_batch() -> None:
    rig = Rig()
    inner = {"actions": [{"method": "get", "relative_path": "/users/me"}]}
    seen = await rig.ask("POST", "/batch", {"actions": [{"method": "post", "relative_path": "/batch", "data": inner}]})
    assert [result["status_code"] for result in seen.data] == [400]


async def test_calls_are_counted_by_pattern_batched_or_not() -> None:
    rig = Rig()
    project = await rig.project()
    await rig.ask("POST", "/batch", creates(project, 2))
    await rig.task(project)
    assert (rig.app.calls["POST /tasks"], rig.app.calls["POST /batch"], rig.app.counts["writes"]) == (3, 1, 4)


async def test_an_answer_can_be_lost_after_the_project_was_made() -> None:
    rig = Rig()
    rig.box.fault("POST /api/1.0/projects$", "reset_after")
    with pytest.raises(Dropped):
        await rig.project()
    assert len(rig.world.projects) == 1


async def test_a_project_can_be_made_long_after_its_client_gave_up() -> None:
    rig = Rig()
    gate = asyncio.Event()
    rig.box = Sandbox(rig.app, sleep=lambda _: _wait(gate))
    rig.box.fault("POST /api/1.0/projects$", "late", seconds=60)
    with pytest.raises(Dropped):
        await rig.project()
    assert (await rig.ask("GET", "/projects")).data == []
    gate.set()
    await asyncio.sleep(0)
    assert await rig.names("/projects") == ["Onboarding"]


async def test_an_error_before_the_commit_leaves_nothing_behind() -> None:
    rig = Rig()
    rig.box.fault("POST /api/1.0/projects$", "error_before", status=503)
    assert (await rig.ask("POST", "/projects", {"name": "x", "workspace": rig.world.workspace})).status == 503
    assert rig.world.projects == {}
