"""A blueprint whose parts go to two tools: a project in each, once, that name each other and wait for each other in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import ConfigError
from flows.configuration import load
from flows.explain import explain_record
from tests.flows.files import ONBOARDING, RULES, write_files
from tests.flows.pair import FILES, Pair, failed
from tests.flows.world import Crash, Death

PARTED = ONBOARDING.replace("  - slot: deliver\n    name: Deliver\n", "  - slot: deliver\n    name: Deliver\n    part: engineering\n")
SPLIT = RULES.replace(
    "        target: asana\n  - name: amount", "        target: asana\n        parts: {engineering: workshop}\n  - name: amount"
)
SPLIT += """
  - name: finished
    on: [deal.amount_changed]
    do:
      - {comment: "Deliver for {{ deal.amount }}", on: onboarding/done}
"""
SPLIT_FILES = {**FILES, "rules.yaml": SPLIT, "mappings/blueprints/onboarding.yaml": PARTED}
WORKSHOP = SPLIT_FILES["mappings/workshop.yaml"]
NEAR, FAR = "Big deal onboarding", "Big deal onboarding (engineering)"


async def won(path: Path, **files: str) -> tuple[Pair, str]:
    pair = Pair(path, files={**SPLIT_FILES, **{name.replace("__", "/").replace("_yaml", ".yaml"): text for name, text in files.items()}})
    deal = pair.near.deal()
    pair.near.line(deal, "anvil")
    await pair.sync()
    pair.near.win(deal)
    return pair, deal


def notes(world: Any, name: str = "") -> str:
    row = world.task(name) if name else world.board.projects[world.projects()[0]]
    return str(row["html_notes"])


def owner(world: Any) -> str:
    return str(world.board.users[world.board.projects[world.projects()[0]]["owner"]]["email"])


def url(world: Any) -> str:
    return str(world.board.projects[world.projects()[0]]["permalink_url"])


def whole(pair: Pair) -> None:
    """Each tool has its part, once, and nothing of the other's; each project leads to the other."""
    assert (pair.near.shown(), pair.far.shown()) == ([NEAR], [FAR])
    assert pair.near.tasks() == {"Kick off Big deal": 1, "Agenda": 1, "Scope": 1}
    assert pair.far.tasks() == {"Deliver anvil": 1, "Done": 1}
    assert len(pair.near.board.projects) == len(pair.far.board.projects) == 1
    assert (notes(pair.near).count(url(pair.far)), notes(pair.far).count(url(pair.near))) == (1, 1)


async def test_each_tool_gets_its_part_once_and_the_projects_lead_to_each_other(tmp_path: Path) -> None:
    pair, _ = await won(tmp_path)
    assert (await pair.sync()).result == "done"
    whole(pair)
    assert (await pair.quiet())[-1].result == "nothing to do"
    whole(pair)


async def test_parts_are_made_once_with_the_state_on_postgresql(tmp_path: Path, fresh_state: Callable[[], str]) -> None:
    pair = Pair(tmp_path, files=SPLIT_FILES)
    pair.near.state = fresh_state()
    deal = pair.near.deal()
    pair.near.line(deal, "anvil")
    await pair.sync()
    pair.near.win(deal)
    await pair.quiet()
    whole(pair)


async def test_dates_are_shared_and_what_cannot_be_linked_stands_in_the_notes(tmp_path: Path) -> None:
    pair, deal = await won(tmp_path)
    summary = await pair.sync()
    assert "Waits for <strong>Scope</strong> in asana." in notes(pair.far, "Done").replace("b>", "strong>")
    assert (pair.near.task("Scope")["due_on"], pair.far.task("Done")["due_on"]) == ("2026-03-10", "2026-03-11")  # due: after scope
    assert pair.near.board.projects[pair.near.projects()[0]]["due_on"] == pair.far.board.projects[pair.far.projects()[0]]["due_on"]
    told = [note for each in summary.plan.notes.values() for note in each]
    assert (
        f"salesforce:deal:{deal}/onboarding@engineering/done waits for a task in another tool: a line in its notes says so, no link can"
        in told
    )


async def test_people_of_each_part_are_those_of_its_tool(tmp_path: Path) -> None:
    workshop = WORKSHOP.replace("manager: mia.manager@example.com", "manager: pat@example.com")
    pair, _ = await won(tmp_path, mappings__workshop_yaml=workshop)
    await pair.sync()
    owners = [owner(world) for world in (pair.near, pair.far)]
    assert owners == ["mia.manager@example.com", "pat@example.com"]


@pytest.mark.parametrize("down", ["near", "far"])
async def test_a_tool_that_is_down_holds_up_its_own_part_and_the_link_follows(down: str, tmp_path: Path) -> None:
    pair, _ = await won(tmp_path)
    tool = getattr(pair, down).tool
    tool.fault(".*", "error_before", status=503, times=-1)
    summary = await pair.sync(patience=timedelta(seconds=5))
    assert failed(summary).keys() <= {"asana", "workshop"}
    assert pair.shown() == (([], [FAR]) if down == "near" else ([NEAR], []))
    tool.faults.clear()
    await pair.quiet()
    whole(pair)


async def test_notes_that_a_person_edited_stay_and_the_other_project_still_leads_here(tmp_path: Path) -> None:
    pair, _ = await won(tmp_path)
    pair.far.tool.fault(".*", "error_before", status=503, times=-1)
    await pair.sync(patience=timedelta(seconds=5))
    pair.near.board.projects[pair.near.projects()[0]]["html_notes"] = "<body>Mine</body>"
    pair.near.board.projects[pair.near.projects()[0]]["notes"] = "Mine"
    pair.far.tool.faults.clear()
    await pair.quiet()
    assert "Mine" in notes(pair.near)
    assert url(pair.far) not in notes(pair.near)
    assert url(pair.near) in notes(pair.far)


async def test_a_change_keeps_both_parts_in_step_and_the_links_in_place(tmp_path: Path) -> None:
    pair, deal = await won(tmp_path)
    await pair.quiet()
    pair.near.change(deal, Name="Huge deal", Amount=7000)
    await pair.quiet()
    assert pair.near.board.projects[pair.near.projects()[0]]["name"] == "Huge deal onboarding"
    assert pair.far.board.projects[pair.far.projects()[0]]["name"] == "Huge deal onboarding (engineering)"
    assert "Deal Huge deal" in notes(pair.far)
    assert (notes(pair.near).count(url(pair.far)), notes(pair.far).count(url(pair.near))) == (1, 1)
    pair.near.line(deal, "hammer")
    await pair.quiet()
    assert pair.far.tasks()["Deliver hammer"] == 1


async def test_the_crm_hears_of_all_parts_as_one_project(tmp_path: Path) -> None:
    pair, deal = await won(tmp_path)
    await pair.quiet()

    def told() -> tuple[Any, ...]:
        row = pair.near.org.get("Opportunity", deal)
        return row["Handoff_Project_URL__c"], row["Handoff_Status__c"], row["Handoff_Progress__c"], row["Handoff_Key__c"]

    assert told() == (url(pair.near), "in_progress", 0, f"salesforce:deal:{deal}/onboarding")
    for name in ("Deliver anvil", "Done"):
        pair.far.board.complete_task(pair.far.task(name)["gid"], pair.far.person)
    await pair.quiet()
    assert told()[1:3] == ("in_progress", 50)
    for name in ("Kick off Big deal", "Scope"):
        pair.near.board.complete_task(pair.near.task(name)["gid"], pair.near.person)
    await pair.quiet()
    assert told()[1:3] == ("complete", 100)


async def test_a_comment_goes_where_its_slot_lives_and_a_status_to_every_part(tmp_path: Path) -> None:
    pair, deal = await won(tmp_path)
    await pair.quiet()
    pair.near.change(deal, Amount=9000)
    await pair.quiet()
    assert pair.near.comments("Kick off Big deal") == ["Now worth 9000"]
    assert pair.far.comments("Done") == ["Deliver for 9000"]
    pair.near.change(deal, StageName="Prospecting")
    await pair.quiet()
    assert (pair.near.statuses(), pair.far.statuses()) == (["at_risk"], ["at_risk"])


async def test_a_lost_answer_in_either_tool_makes_nothing_twice(tmp_path: Path) -> None:
    pair, _ = await won(tmp_path)
    for world in (pair.near, pair.far):
        world.tool.fault("POST /api/1.0/(projects|batch)$", "reset_after", times=2)
    await pair.quiet()
    whole(pair)


async def test_a_run_that_ends_anywhere_is_made_good_by_the_next(tmp_path: Path) -> None:
    pair, _ = await won(tmp_path / "probe")
    pair.near.death = Death()
    await pair.sync()
    steps = len(pair.near.death.steps)
    assert steps > 40
    for at in range(1, steps + 1, 3):
        again, _ = await won(tmp_path / str(at))
        again.near.death = Death(at)
        with pytest.raises(Crash):
            await again.sync()
        again.near.death = Death()
        await again.quiet()
        whole(again)


async def test_explain_tells_of_both_parts(tmp_path: Path) -> None:
    pair, deal = await won(tmp_path)
    await pair.quiet()
    with pair.near.store() as store:
        found = explain_record(store, pair.near.loaded.configuration, deal)
    assert found is not None
    assert [(project["key"].rpartition("/")[2], project["target"]) for project in found.projects] == [
        ("onboarding", "asana"),
        ("onboarding@engineering", "workshop"),
    ]


async def test_a_part_given_away_later_leaves_standing_projects_whole(tmp_path: Path) -> None:
    pair = Pair(tmp_path, files={**SPLIT_FILES, "rules.yaml": SPLIT.replace("        parts: {engineering: workshop}\n", "")})
    deal = pair.near.deal()
    await pair.sync()
    pair.near.win(deal)
    await pair.quiet()
    assert pair.near.tasks()["Done"] == 1
    pair.near.configure(SPLIT_FILES)
    pair.near.change(deal, Name="Huge deal")
    await pair.quiet()
    assert pair.far.shown() == []
    assert pair.near.shown() == [NEAR, "Huge deal onboarding"]
    assert pair.near.tasks()["Done"] == 1


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("rules.yaml", "engineering: workshop", "enginering: workshop", "unknown part of onboarding enginering (did you mean engineering?"),
        ("rules.yaml", "engineering: workshop", "engineering: workshp", "unknown target workshp (did you mean workshop?"),
        ("rules.yaml", "engineering: workshop", "engineering: asana", "engineering is in asana anyway"),
        ("mappings/workshop.yaml", "manager: mia", "boss: mia", "unknown role of workshop manager"),
        ("mappings/workshop.yaml", "value: {custom", "worth: {custom", "unknown custom field of workshop value"),
    ],
)
def test_what_is_wrong_with_parts_is_told_before_anything_runs(file: str, old: str, new: str, told: str, tmp_path: Path) -> None:
    write_files(tmp_path, {**SPLIT_FILES, file: SPLIT_FILES[file].replace(old, new)})
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, {}, connect=False)
    assert told in str(refused.value)


def test_a_part_that_no_rule_places_is_worth_a_look(tmp_path: Path) -> None:
    write_files(tmp_path, {**SPLIT_FILES, "rules.yaml": SPLIT.replace("        parts: {engineering: workshop}\n", "")})
    (warning, *_) = load(tmp_path, {}, connect=False).configuration.warnings
    assert "no rule gives the part engineering to a tool; it stays in the main project" in str(warning)
