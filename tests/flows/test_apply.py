"""Carrying decisions out against a tool that loses answers, refuses, limits, and is edited by people meanwhile."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.files import ASANA
from tests.flows.world import Crash, Death, World

PROJECTS, TASKS, BATCH = r"POST /api/1.0/projects$", r"POST /api/1.0/tasks$", r"POST /api/1.0/batch$"


async def won(path: Path, *, lines: int = 1, files: dict[str, str] | None = None, **asana: Any) -> World:
    """A deal was just won; the next run makes its project."""
    world = World(path, files=files, **asana)
    deal = world.deal(AccountId=world.account())
    for number in range(lines):
        world.line(deal, f"line {number}")
    await world.sync()
    world.clock.move(minutes=1)
    world.win(deal)
    return world


def deal_of(world: World) -> str:
    return str(next(iter(world.org.rows("Opportunity")))["Id"])


def whole(world: World, lines: int = 1) -> None:
    """One project was ever seen, with each of its tasks once."""
    assert world.shown() == ["Big deal onboarding"]
    assert world.tasks() == {"Kick off Big deal": 1, "Agenda": 1, "Scope": 1, "Done": 1, **{f"Deliver line {n}": 1 for n in range(lines)}}
    assert world.outbox() == {"open": 0, "in_doubt": 0, "parked": 0, "projects": 1, "published": 1}


LOST = ["reset_before", "reset_after", "hang_after", "error_before", "error_after", "html", "html_ok", "truncated", "empty", "refuse"]


ROUTES = [PROJECTS, BATCH, r"POST .*/sections$", r"POST .*addDependencies$", r"PUT /api/1.0/projects/", r"POST .*/memberships"]


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("route", ROUTES)
async def test_no_answer_that_is_lost_makes_anything_twice_or_not_at_all(route: str, kind: Any, tmp_path: Path) -> None:
    world = await won(tmp_path)
    fault = world.tool.fault(route, kind, seconds=40)
    await world.quiet()
    whole(world)
    assert fault.struck or route.endswith("addDependencies$")


@pytest.mark.parametrize("kind", LOST)
async def test_one_run_that_may_wait_settles_a_lost_answer_by_itself(kind: Any, tmp_path: Path) -> None:
    world = await won(tmp_path)
    world.tool.fault(PROJECTS, kind, seconds=40)
    assert (await world.sync()).result == "done"
    whole(world)


@pytest.mark.parametrize("kind", ["late", "error_before", "reset_before"])
async def test_sections_come_in_order_whatever_is_lost_of_the_first(kind: Any, tmp_path: Path) -> None:
    world = await won(tmp_path)
    world.tool.fault(r"(POST|PUT) .*/sections", kind, seconds=50)
    await world.quiet()
    sections = [world.board.sections[gid]["name"] for gid in world.board.sections_of[world.projects()[0]]]
    assert sections == ["Begin", "Deliver"]
    assert world.board.sections[world.task("Scope")["memberships"][0]["section"]]["name"] == "Begin"


async def test_a_project_that_appears_late_but_in_time_is_adopted(tmp_path: Path) -> None:
    world = await won(tmp_path)
    world.tool.fault(PROJECTS, "late", seconds=30)
    summary = await world.sync()
    assert summary.counts["adopted"] == 1
    whole(world)
    assert len(world.board.projects) == 1


async def test_a_project_that_appears_after_it_was_given_up_is_never_seen_and_put_away(tmp_path: Path) -> None:
    world = await won(tmp_path)
    world.tool.fault(PROJECTS, "late", seconds=100)
    await world.sync()
    await world.sync(minutes=5)
    whole(world)
    assert [project["archived"] for project in world.board.projects.values() if project["name"].startswith("abandoned")] == [True]
    calls = (await world.sync()).calls
    assert calls["asana"] == 1


async def test_tasks_that_appear_late_but_in_time_are_adopted(tmp_path: Path) -> None:
    world = await won(tmp_path, lines=12)
    world.tool.fault(BATCH, "late", seconds=30, times=2)
    await world.quiet()
    whole(world, lines=12)


async def test_what_a_short_run_leaves_in_doubt_is_not_sent_again_before_a_look_up_is_conclusive(tmp_path: Path) -> None:
    world = await won(tmp_path)
    world.tool.fault(PROJECTS, "late", seconds=50)
    first = await world.sync(patience=timedelta(seconds=1))
    second = await world.sync(minutes=0.1, patience=timedelta(seconds=1))
    assert (first.result, second.result) == ("waiting", "waiting")
    assert world.outbox()["in_doubt"] == 1
    await world.sync(minutes=2)
    whole(world)
    assert len(world.board.projects) == 1


async def test_a_look_up_that_fails_settles_nothing(tmp_path: Path) -> None:
    world = await won(tmp_path)
    world.tool.fault(PROJECTS, "reset_after")
    world.tool.fault(r"GET .*/workspaces/\d+/projects", "error_before", times=7)
    await world.sync(patience=timedelta(seconds=0))
    assert world.outbox()["in_doubt"] == 1
    await world.quiet()
    whole(world)


async def test_too_many_requests_cost_time_and_nothing_else(tmp_path: Path) -> None:
    world = await won(tmp_path, lines=60, per_minute=30)
    await world.quiet()
    whole(world, lines=60)
    assert world.asana.counts["rejected"] > 0


async def test_a_revoked_token_stops_the_run_and_a_new_one_goes_on(tmp_path: Path) -> None:
    world = await won(tmp_path)
    world.hook = _at(BATCH, lambda: world.board.revoke(world.env["TOKEN"]))
    summary = await world.sync()
    assert summary.result == "failed"
    assert "check `token` under `connection:`" in str(summary.error)
    assert world.shown() == []
    world.hook = None
    world.env["TOKEN"] = world.board.add_token()
    await world.quiet()
    whole(world)


async def test_a_token_revoked_before_an_update_stops_the_run(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await world.quiet()
    world.change(deal_of(world), Name="Bigger deal")
    world.hook = _at(r"GET /api/1.0/(tasks|projects)/|POST .*batch", lambda: world.board.revoke(world.env["TOKEN"]))
    assert (await world.sync()).result == "failed"
    world.hook = None
    world.env["TOKEN"] = world.board.add_token()
    await world.quiet()
    assert world.tasks()["Kick off Bigger deal"] == 1


async def test_a_refused_task_is_parked_and_its_project_stays_out_of_sight(tmp_path: Path) -> None:
    world = await won(tmp_path)
    world.tool.fault(BATCH, "error_before", status=400, times=-1)
    world.tool.fault(TASKS, "error_before", status=400, times=-1)
    begun = world.clock.now
    summary = await world.sync()
    assert summary.result == "with errors"
    assert world.outbox()["parked"] > 0
    assert world.shown() == []
    assert world.clock.now - begun < timedelta(minutes=21), "nothing that waits for a person is waited for"


def _at(route: str, strike: Any) -> Any:
    left = [strike]

    def hook(request: httpx.Request) -> None:
        if left and re.search(route, f"{request.method} {request.url.path}"):
            left.pop()()

    return hook


async def die_after(world: World, path: Path, step: str) -> None:
    """The next run dies just after a request that begins so, its answer unseen."""
    probe = await won(path)
    await probe.sync()
    baseline = len(world.death.steps)
    steps = probe.death.steps[baseline:]
    world.death = Death(next(at for at, seen in enumerate(steps, 1) if seen.startswith(f"after {step}")))
    with pytest.raises(Crash):
        await world.sync()
    world.death = Death()


async def test_what_people_change_on_a_project_that_we_do_not_know_to_be_shown_stays_theirs(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await die_after(world, tmp_path / "probe", "PUT /api/1.0/projects/")
    world.board.edit_project(world.projects()[0], {"name": "Renamed by a person"}, world.person)
    await world.quiet()
    assert world.shown() == ["Big deal onboarding", "Renamed by a person"]
    assert world.board.projects[world.projects()[0]]["name"] == "Renamed by a person"
    members = [row["member"] for row in world.board.memberships.values() if row["parent"] == world.projects()[0]]
    assert world.env["TEAM"] in members


async def test_a_change_between_showing_a_project_and_knowing_that_it_is_shown_reaches_it(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await die_after(world, tmp_path / "probe", "PUT /api/1.0/projects/")
    world.tool.fault(r"GET /api/1.0/projects/\d+$", "error_before", status=503, times=7)  # the repetition before the change is read fails
    world.change(deal_of(world), Name="Bigger deal")
    runs = await world.quiet()
    assert sum(run.counts["kept"] for run in runs) == 0
    assert "Bigger deal" in world.board.projects[world.projects()[0]]["notes"]


async def test_our_own_lost_update_is_not_taken_for_a_persons_edit(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await world.quiet()
    world.change(deal_of(world), Name="Second name")
    fault = world.tool.fault(r"PUT /api/1.0/(tasks|projects)/", "reset_after", times=-1)
    batch = world.tool.fault(BATCH, "reset_after", times=-1)
    await world.sync(patience=timedelta())
    assert fault.struck + batch.struck > 0
    world.tool.faults.clear()
    world.change(deal_of(world), Name="Third name")
    runs = await world.quiet()
    assert sum(run.counts["kept"] for run in runs) == 0
    assert world.tasks()["Kick off Third name"] == 1


async def test_a_newer_name_waits_for_the_older_one_that_is_to_be_sent_again(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await world.quiet()
    world.change(deal_of(world), Name="Second name")
    faults = [world.tool.fault(route, "error_before", status=503, times=-1) for route in (r"PUT /api/1.0/(tasks|projects)/", BATCH)]
    await world.sync(patience=timedelta())
    assert sum(fault.struck for fault in faults) > 0
    world.tool.faults.clear()
    world.change(deal_of(world), Name="Third name")
    await world.sync(minutes=0, patience=timedelta())
    await world.quiet()
    assert world.tasks()["Kick off Third name"] == 1


async def test_a_change_while_a_task_is_in_doubt_reaches_the_task_that_turns_up(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await die_after(world, tmp_path / "probe", "POST /api/1.0/batch")
    assert world.outbox()["in_doubt"] > 0
    world.change(deal_of(world), Name="Bigger deal")
    world.tool.fault(r"GET /api/1.0/projects/\d+/tasks", "error_before", status=503, times=5)  # the look-up before the change is read fails
    runs = await world.quiet()
    assert sum(run.counts["kept"] for run in runs) == 0
    assert world.tasks()["Kick off Bigger deal"] == 1
    assert world.shown() == ["Bigger deal onboarding"]


async def test_a_comment_in_doubt_on_a_task_somebody_deleted_waits_for_a_person_and_not_for_ever(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await world.quiet()
    world.change(deal_of(world), Amount=9000)
    world.tool.fault(BATCH, "reset_before")
    world.tool.fault(r"GET .*/stories$", "error_before", times=20)
    await world.sync(patience=timedelta())
    assert world.outbox()["in_doubt"] == 1
    world.tool.faults.clear()
    world.board.delete_task(world.task("Kick off Big deal")["gid"], world.person)
    await world.quiet()
    assert world.outbox()["open"] == 0
    assert any("somebody deleted it in asana" in note["reason"] for note in world.audit() if note["verdict"] == "parked")


async def test_a_task_somebody_deleted_is_not_made_again(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await world.quiet()
    world.board.delete_task(world.task("Kick off Big deal")["gid"], world.person)
    world.change(deal_of(world), Name="Bigger deal")
    assert (await world.sync()).result == "with errors"
    assert "Kick off Bigger deal" not in world.tasks()
    assert next(note["reason"] for note in world.audit() if note["verdict"] == "parked").endswith("somebody deleted it in asana")


async def test_what_carries_another_key_under_a_known_id_is_left_alone(tmp_path: Path) -> None:
    world = await won(tmp_path)
    await world.quiet()
    stranger = world.task("Kick off Big deal")["gid"]
    world.board.edit_task(stranger, {"notes": "handoff:another/key\n"}, world.person)
    world.change(deal_of(world), Name="Bigger deal")
    assert (await world.sync()).result == "with errors"
    assert "Kick off Big deal" in world.tasks()
    assert next(note["reason"] for note in world.audit() if note["verdict"] == "parked").endswith("somebody deleted it in asana")


async def test_a_request_that_waited_long_for_its_turn_counts_from_when_it_left(tmp_path: Path) -> None:
    slow = {"mappings/asana.yaml": ASANA.replace("  token", "  per_minute: 8\n  token")}
    world = await won(tmp_path, lines=3, files=slow)
    fault = world.tool.fault(BATCH, "late", seconds=50)
    await world.quiet()
    assert fault.struck
    whole(world, lines=3)
