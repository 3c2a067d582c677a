"""What people did in the tool is told and kept; nothing is written to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.reconcile import Found
from flows.reconciled import Tool
from state import Store
from tests.flows.world import Crash, Death, World


async def made(path: Path, count: int = 1, *, files: dict[str, str] | None = None, state: str = "") -> World:
    """A world with finished work: projects that people see, the CRM told."""
    world = World(path, files=files)
    world.state = state or world.state
    deals = [world.deal(f"Deal {number}") for number in range(count)]
    await world.quiet()
    for deal in deals:
        world.win(deal)
    await world.quiet()
    return world


async def told(world: World, **options: Any) -> Tool:
    """What a reconciliation tells of the tool, and that it wrote nothing there."""
    before = world.asana.counts["writes"]
    found = await world.reconcile(**options)
    assert world.asana.counts["writes"] == before
    return found.report.tools["asana"]


def fields(tool: Tool) -> list[tuple[str, str, str, str]]:
    return [(one.place.name, one.field, one.ours, one.theirs) for one in tool.changed]


async def test_a_task_a_person_renamed_is_told_and_stays(tmp_path: Path) -> None:
    world = await made(tmp_path)
    world.board.edit_task(world.task("Scope")["gid"], {"name": "Scope, with Bob"}, world.person)
    tool = await told(world)
    assert fields(tool) == [("Scope", "name", "Scope", "Scope, with Bob")]
    assert tool.changed[0].place.project == "Deal 0 onboarding"
    assert tool.changed[0].place.url.startswith("https://app.asana.com/")
    assert fields(await told(world)) == fields(tool)
    await world.quiet()
    assert world.tasks()["Scope, with Bob"] == 1


async def test_what_nobody_touched_is_no_difference(tmp_path: Path) -> None:
    world = await made(tmp_path, 2)
    tool = await told(world)
    assert (tool.projects, tool.checked, tool.left, tool.busy) == (2, 2, 0, 0)
    assert (tool.changed, tool.gone, tool.moved, tool.twice) == ([], [], [], [])


async def test_every_kind_of_field_is_compared(tmp_path: Path) -> None:
    world = await made(tmp_path)
    project = world.projects()[0]
    world.board.edit_project(project, {"notes": "Mine"}, world.person)
    kickoff = world.task("Kick off Deal 0")["gid"]
    world.board.edit_task(kickoff, {"assignee": world.person, "due_on": "2026-05-05"}, world.person)
    world.board.edit_task(world.task("Agenda")["gid"], {"name": "The agenda"}, world.person)
    world.board.edit_task(world.task("Scope")["gid"], {"due_on": None, "start_on": None}, world.person)
    tool = await told(world)
    assert {(name, field) for name, field, _, _ in fields(tool)} >= {
        ("Kick off Deal 0", "assignee"),
        ("Kick off Deal 0", "due_on"),
        ("Agenda", "name"),
    }
    assert [field for name, field, _, _ in fields(tool) if name == "Scope"] == ["due_on"], "without a due day Asana tells no start"
    assert ("Kick off Deal 0", "due_on", "2026-03-04", "2026-05-05") in fields(tool)


async def test_somebody_the_tool_does_not_have_was_not_taken_off_by_a_person(tmp_path: Path) -> None:
    asana = (await made(tmp_path / "known")).folder / "mappings/asana.yaml"
    text = asana.read_text().replace("mia.manager@example.com", "nobody@example.com")
    world = await made(tmp_path / "unknown", files={"mappings/asana.yaml": text})
    tool = await told(world)
    assert (tool.checked, fields(tool)) == (1, [])


async def test_a_task_a_person_deleted_is_told_and_not_made_again(tmp_path: Path) -> None:
    world = await made(tmp_path)
    world.board.delete_task(world.task("Scope")["gid"], world.person)
    tool = await told(world)
    assert [(one.kind, one.name) for one in tool.gone] == [("task", "Scope")]
    await world.quiet()
    assert world.tasks()["Scope"] == 0


async def test_a_project_that_is_gone_is_told_once(tmp_path: Path) -> None:
    world = await made(tmp_path, 2)
    world.board.delete_project(world.projects()[0], world.person)
    first, second = await told(world), await told(world)
    assert [(one.kind, one.name) for one in first.gone] == [("project", "Deal 0 onboarding")]
    assert (second.gone, second.lost, second.checked) == ([], 1, 2)
    assert [row["verdict"] for row in world.audit(limit=1000) if row["verdict"] == "gone"] == ["gone"]
    assert len(world.projects()) == 2


async def test_an_object_with_our_id_and_another_key_is_not_ours_and_one_that_is_back_is_told(tmp_path: Path) -> None:
    world = await made(tmp_path, 2)
    gid, other = world.projects()
    notes = world.board.projects[gid]["html_notes"]
    world.board.edit_project(gid, {"html_notes": world.board.projects[other]["html_notes"]}, world.person)
    assert [one.name for one in (await told(world)).gone] == ["Deal 0 onboarding"]
    world.board.edit_project(gid, {"html_notes": notes}, world.person)
    first, second = await told(world), await told(world)
    assert [[one.name for one in tool.back] for tool in (first, second)] == [["Deal 0 onboarding"], []]
    assert [row["verdict"] for row in world.audit(limit=1000) if row["verdict"] in ("gone", "back")] == ["back", "gone"]


async def test_a_task_moved_to_another_project_is_told_and_compared_there(tmp_path: Path) -> None:
    world = await made(tmp_path, 2)
    home, other = world.projects()
    gid = world.task("Scope")["gid"]
    sections = {project: next(s for s in world.board.sections_of[project] if world.board.tasks_in[s]) for project in (home, other)}
    world.board.tasks_in[sections[home]].remove(gid)
    world.board.tasks_in[sections[other]].append(gid)
    world.board.edit_task(gid, {"name": "Theirs"}, world.person)
    tool = await told(world)
    assert ([one.name for one in tool.moved], tool.gone, tool.twice) == (["Scope"], [], [])
    assert fields(tool) == [("Scope", "name", "Scope", "Theirs")]


async def test_projects_that_are_finished_or_archived_are_counted_and_left_in_peace_for_a_month(tmp_path: Path) -> None:
    world = await made(tmp_path, 3)
    done, away, _ = world.projects()
    tasks = [task["gid"] for task in world.board.tasks_of(done)]
    for gid in tasks:
        world.board.complete_task(gid, world.person)
    world.board.edit_project(away, {"archived": True}, world.person)
    world.board.edit_task(world.task("Scope", done)["gid"], {"name": "Other"}, world.person)
    first, second = await told(world), await told(world)
    assert (first.finished, first.archived, first.checked, first.changed) == (1, 1, 3, [])
    assert (second.resting, second.checked, second.projects) == (2, 1, 3)
    world.board.edit_task(tasks[0], {"completed": False}, world.person)
    world.clock.move(days=31)
    assert fields(await told(world)) == [("Scope", "name", "Scope", "Other")]


async def test_a_copy_that_carries_our_key_is_told(tmp_path: Path) -> None:
    world = await made(tmp_path)
    scope, project = world.task("Scope"), world.projects()[0]
    copy = world.board.add_task(project, "Scope", world.person)
    world.board.edit_task(copy, {"html_notes": scope["html_notes"]}, world.person)
    twin = world.board.add_project("Deal 0 onboarding", world.person)
    world.board.edit_project(twin, {"html_notes": world.board.projects[project]["html_notes"]}, world.person)
    tool = await told(world)
    assert sorted((one.kind, one.name, len(one.others)) for one in tool.twice) == [
        ("project", "Deal 0 onboarding", 2),
        ("task", "Scope", 1),
    ]


async def test_a_project_we_are_changing_ourselves_is_left_alone(tmp_path: Path) -> None:
    world = await made(tmp_path)
    deal = next(row["Id"] for row in world.org.rows("Opportunity"))
    world.board.edit_task(world.task("Scope")["gid"], {"name": "Theirs"}, world.person)
    world.change(deal, Name="Renamed")
    world.board.break_in_batch(1, 503)
    found = await world.reconcile(patience=timedelta())
    assert world.outbox()["open"]
    tool = found.report.tools["asana"]
    assert (tool.busy, tool.checked, tool.changed) == (1, 0, [])
    await world.quiet()
    assert fields(await told(world)) == [("Scope", "name", "Scope", "Theirs")]


async def test_a_project_that_changes_while_it_is_read_is_left_alone(fresh_state: Callable[[], str], tmp_path: Path) -> None:
    """Another process may have written what was read just now: ours would pass for a person's."""
    world = await made(tmp_path, state=fresh_state())
    scope = world.task("Scope")["gid"]

    def meanwhile(request: Any) -> None:
        if request.url.path.endswith("/sections"):
            world.board.edit_task(scope, {"name": "Ours"}, world.person)
            with Store(world.state, now=world.clock()) as store:
                store.db.execute("UPDATE link SET base = replace(base, 'Scope', 'Ours') WHERE remote_id = ?", (scope,))

    world.hook = meanwhile
    tool = await told(world)
    assert (tool.busy, tool.checked, tool.changed) == (1, 0, [])


async def test_so_many_calls_a_night_and_the_rest_the_next_those_looked_at_longest_ago_first(tmp_path: Path) -> None:
    world = await made(tmp_path, 5)
    for gid in world.projects():
        world.board.edit_task(world.task("Scope", gid)["gid"], {"name": "Theirs"}, world.person)
    nights = [await told(world, most_calls=8) for _ in range(4)]
    looked = [[one.place.project for one in night.changed] for night in nights]
    assert all(len(one) < 5 for one in looked)
    assert all(night.checked + night.left == 5 for night in nights)
    seen = [name for one in looked for name in one]
    assert sorted(seen[:5]) == [f"Deal {number} onboarding" for number in range(5)]
    assert seen[5:10] == seen[:5][: len(seen[5:10])]


async def test_what_is_not_looked_into_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await made(tmp_path, 5)
    whole = (await told(world)).calls
    monkeypatch.setattr("flows.drift._CHUNK", 1)
    tool = await told(world, most_calls=1)
    assert (tool.checked, tool.left) == (1, 4)
    assert tool.calls < whole / 2


async def test_wherever_it_dies_the_next_tells_all(tmp_path: Path) -> None:
    world = await made(tmp_path, 3)
    world.board.delete_project(world.projects()[0], world.person)
    world.board.edit_task(world.task("Scope", world.projects()[1])["gid"], {"name": "Theirs"}, world.person)
    at = 1
    while True:
        world.death = Death(at)
        with suppress(Crash):
            await world.reconcile()
        died, world.death = world.death.dead, Death()
        if not died:
            break
        at += 7
    assert at > 20
    tool = await told(world)
    assert (fields(tool), tool.lost) == ([("Scope", "name", "Scope", "Theirs")], 1)
    assert [row["verdict"] for row in world.audit(limit=1000) if row["verdict"] == "gone"] == ["gone"]


@pytest.mark.parametrize("path", ["GET .*", "GET .*/sections"], ids=["from the first", "when it is looked into"])
async def test_a_tool_that_is_down_is_named_and_the_crm_is_read_all_the_same(path: str, tmp_path: Path) -> None:
    world = await made(tmp_path)
    world.tool.fault(path, "error_before", status=503, times=-1)
    found: Found = await world.reconcile()
    assert (found.summary.result, found.report.result) == ("failed", "failed")
    assert "asana" in found.summary.failures
    assert found.report.crms["salesforce"].kinds["deal"].whole
