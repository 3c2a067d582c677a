"""A CRM that suddenly deletes or empties masses of records is not believed, and nothing is lost by that: the next run sees the same again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import UnsafePlan
from engine.limits import FEW
from tests.flows.desk import Desk
from tests.flows.files import RULES
from tests.flows.world import World

LOOSE = RULES.replace("limits: {projects_per_run: 10, updates_per_run: 50}", "limits: {projects_per_run: 100, LIMITS}")


def limits(text: str = "") -> dict[str, str]:
    return {"rules.yaml": LOOSE.replace("LIMITS", text)}


async def many(path: Path, count: int = 15, *, text: str = "", **fields: Any) -> tuple[World, list[str]]:
    """A CRM whose deals are known."""
    world = World(path, files=limits(text))
    deals = [world.deal(f"Deal {number}", **fields) for number in range(count)]
    await world.sync()
    return world, deals


def delete(world: World, deals: list[str]) -> None:
    for deal in deals:
        world.org.delete("Opportunity", deal)


def deleted(world: World) -> int:
    with world.store() as store:
        return len(
            [
                one
                for one in store.snapshots("salesforce", "deal", [row["Id"] for row in world.org.rows("Opportunity")]).values()
                if one.deleted
            ]
        )


async def test_a_mass_of_deletions_is_refused_in_words_and_changes_nothing(tmp_path: Path) -> None:
    world, deals = await many(tmp_path)
    before = world.cursor()
    delete(world, deals[:12])
    first, second = await world.sync(), await world.sync()
    assert isinstance(first.error, UnsafePlan)
    assert str(first.error).startswith("12 of 15 salesforce deals would be taken for deleted, limits.deleted_share allows 20%; if the CRM")
    assert (first.result, second.result) == ("refused", "refused")
    assert (world.cursor(), deleted(world)) == (before, 0)


async def test_when_the_crm_is_back_the_next_run_goes_on_by_itself_and_has_missed_nothing(tmp_path: Path) -> None:
    world, deals = await many(tmp_path)
    delete(world, deals[:12])
    world.win(deals[14])
    assert (await world.sync()).result == "refused"
    assert world.shown() == []
    for deal in deals[:12]:
        world.org.undelete("Opportunity", deal)
    await world.quiet()
    assert world.shown() == ["Deal 14 onboarding"]
    assert not [note for note in world.audit() if "deal.deleted" in note["event"]]


async def test_deletions_that_are_meant_are_approved_and_the_approval_is_of_those_records(tmp_path: Path) -> None:
    world, deals = await many(tmp_path)
    delete(world, deals[:12])
    digest = (await world.sync()).plan.digest
    delete(world, deals[12:13])
    assert (await world.sync(approve=digest)).result == "refused"
    digest = (await world.sync()).plan.digest
    assert (await world.sync(approve=digest)).result == "nothing to do"
    assert deleted(world) == 13
    assert (await world.sync()).result == "nothing to do"


async def test_records_the_crm_no_longer_lists_are_not_taken_for_deleted(tmp_path: Path) -> None:
    world, deals = await many(tmp_path)
    world.win(deals[0])
    for deal in deals:
        world.org.hold("Opportunity", deal, world.clock.now + timedelta(minutes=25))
    empty = await world.sync()
    assert (empty.result, empty.counts["read"], known(world)) == ("nothing to do", 0, 15)
    await world.quiet()
    assert world.shown() == ["Deal 0 onboarding"]


def known(world: World) -> int:
    with world.store() as store:
        return store.count_snapshots()["salesforce", "deal"]


@pytest.mark.parametrize(("count", "text", "refused"), [(FEW, "", False), (11, "", True), (11, "deleted_share: 0.8", False)])
async def test_a_few_deletions_or_an_allowed_share_are_everyday(count: int, text: str, refused: bool, tmp_path: Path) -> None:
    world, deals = await many(tmp_path, text=text)
    delete(world, deals[:count])
    assert (await world.sync()).result == ("refused" if refused else "nothing to do")


async def test_a_mass_of_merges_is_no_everyday_either(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, *others = (world.account(f"Acme {number}") for number in range(14))
    await world.sync()
    world.org.merge("Account", first, others)
    assert "13 of 14 salesforce customers would be taken for deleted or merged" in str((await world.sync()).error)


async def test_a_field_that_is_empty_all_of_a_sudden_is_refused_and_named(tmp_path: Path) -> None:
    world, deals = await many(tmp_path, 16, NextStep="Call")
    world.change(deals[15], NextStep=None)
    await world.quiet()
    for deal in deals[:12]:
        world.change(deal, Amount=None)
    for deal in deals[:3]:
        world.change(deal, NextStep=None)
    summary = await world.sync()
    assert str(summary.error).startswith("12 of 16 salesforce deals that have amount would lose it, limits.emptied_share allows 50%")
    assert "next_step" not in str(summary.error)
    for deal in deals[:12]:
        world.change(deal, Amount=5000)
    assert (await world.sync()).result == "nothing to do"


async def test_the_share_is_of_those_that_have_the_field(tmp_path: Path) -> None:
    world, deals = await many(tmp_path, 40)
    for deal in deals[:12]:
        world.change(deal, NextStep="Call")
    await world.quiet()
    for deal in deals[:12]:
        world.change(deal, NextStep=None)
    assert "12 of 12 salesforce deals that have next_step would lose it" in str((await world.sync()).error)


async def test_an_edit_of_a_blueprint_floods_nothing_and_a_change_of_most_projects_is_refused(tmp_path: Path) -> None:
    world, deals = await many(tmp_path, 12, AccountId="")
    for deal in deals:
        world.win(deal)
    await world.quiet()
    blueprint = (world.folder / "mappings/blueprints/onboarding.yaml").read_text(encoding="utf-8")
    world.configure(
        {**limits(), "mappings/blueprints/onboarding.yaml": blueprint.replace("Deal {{ deal.name }},", "The deal {{ deal.name }},")}
    )
    assert (await world.sync()).result == "nothing to do"
    world.change(deals[0], NextStep="Call")
    assert (await world.sync()).counts["updated"] == 1
    for deal in deals:
        world.change(deal, NextStep="Write")
    refused = await world.sync()
    assert "12 of 12 projects would be changed, limits.touched_share allows 50%" in str(refused.error)
    assert (await world.sync(approve=refused.plan.digest)).result == "done"


async def test_comments_have_a_limit_of_their_own(tmp_path: Path) -> None:
    world, deals = await many(tmp_path, 3, text="comments_per_run: 2")
    for deal in deals:
        world.win(deal)
    await world.quiet()
    for deal in deals:
        world.change(deal, Amount=7000)
    assert "3 comments and statuses, limits.comments_per_run allows 2" in str((await world.sync()).error)


async def test_a_rule_has_limits_of_its_own_for_updates_too(tmp_path: Path) -> None:
    own = RULES.replace(
        "        target: asana\n  - name: amount", "        target: asana\n    limits: {updates_per_run: 1}\n  - name: amount"
    )
    world = World(tmp_path, files={"rules.yaml": own})
    deal = world.deal()
    await world.sync()
    world.win(deal)
    await world.quiet()
    world.change(deal, NextStep="Call", Name="Other")
    assert "updates by rule onboard, its limits.updates_per_run allows 1" in str((await world.sync()).error)


async def test_the_crm_hears_of_progress_while_a_plan_waits_for_approval_unless_it_seems_at_fault(tmp_path: Path) -> None:
    world, deals = await many(tmp_path, text="comments_per_run: 0")
    world.win(deals[0])
    await world.quiet()
    world.change(deals[0], Amount=7000)
    world.board.complete_task(world.task("Scope")["gid"], world.person)
    assert (await world.sync()).result == "refused"
    assert world.org.get("Opportunity", deals[0])["Handoff_Progress__c"] == 33
    delete(world, deals[1:14])
    world.board.complete_task(world.task("Done")["gid"], world.person)
    assert (await world.sync()).result == "refused"
    assert world.org.get("Opportunity", deals[0])["Handoff_Progress__c"] == 33


# as people meet it


def test_a_refusal_shows_what_each_rule_asks_for_which_limit_says_no_and_the_ways_on(desk: Desk) -> None:
    deals = [desk.world.deal(f"Deal {number}") for number in range(11)]
    desk.do("sync")
    for deal in deals:
        desk.world.win(deal)
    for words in (["sync"], ["plan"]):
        told = desk.do(*words, COLUMNS="80").stdout
        lines = [line.split() for line in told.splitlines()]
        assert ["│", "onboard", "│", "11", "│", "0", "│", "0", "│"] in lines
        assert "11 new projects, limits.projects_per_run allows 10" in told
        digest = desk.told("plan")["digest"]
        assert f"`handoff sync --approve {digest}`" in " ".join(told.split())
        assert "--force" in told
        found = desk.told(*words)
        assert found["over_limits"] == ["11 new projects, limits.projects_per_run allows 10"]
        assert (found.get("plan") or found)["by_rule"] == {"onboard": {"projects": 11}}


def test_a_refusal_without_an_action_can_be_approved_as_well(desk: Desk) -> None:
    deals = [desk.world.deal(f"Deal {number}") for number in range(15)]
    desk.do("sync")
    delete(desk.world, deals[:12])
    done = desk.do("sync")
    assert done.exit_code == 3
    assert "12 of 15 salesforce deals would be taken for deleted" in done.stdout
    told = desk.told("status")["last_error"]
    assert told.startswith("12 of 15 salesforce deals would be taken for deleted")
    assert told.endswith(f"`handoff sync --approve {desk.told('plan')['digest']}` does exactly that")
    assert "--approve" in desk.do("status").stdout
    assert desk.do("sync", "--approve", desk.told("plan")["digest"]).exit_code == 0
    assert desk.do("sync").exit_code == 0
