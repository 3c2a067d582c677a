"""An edit of the configuration holds from then on, and no flood follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flows.files import ONBOARDING, RULES, SALESFORCE
from tests.flows.world import Crash, Death, World

SIGNED = "Negotiation/Review"
BY_STAGE = SALESFORCE.replace(
    "status: {won: IsWon, closed: IsClosed}", f'status: {{field: StageName, values: {{Closed Won: won, "{SIGNED}": won}}, default: open}}'
)
MAPPING, BLUEPRINT = "mappings/salesforce.yaml", "mappings/blueprints/onboarding.yaml"


async def test_deals_that_an_edited_mapping_calls_won_are_history_and_make_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    signed = [world.deal(f"Deal {number}", stage=SIGNED) for number in range(3)]
    await world.quiet()
    world.configure({MAPPING: BY_STAGE})
    assert (await world.sync()).result == "nothing to do"
    for deal in signed:
        world.change(deal, NextStep="Call")
    await world.quiet()
    assert world.shown() == []
    with world.store() as store:
        assert all('"status":"won"' in one.data for one in store.all_snapshots("salesforce", "deal"))


async def test_from_the_edit_on_the_new_mapping_decides(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal()
    await world.quiet()
    world.configure({MAPPING: BY_STAGE})
    await world.quiet()
    world.change(deal, StageName=SIGNED)
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]


async def test_what_changed_while_the_mapping_was_edited_is_not_lost(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal, customer = world.deal(), world.account()
    await world.quiet()
    world.clock.move(minutes=5)
    world.change(deal, StageName=SIGNED)
    world.org.update("Account", customer, {"Tier__c": "VIP"})
    world.configure({MAPPING: BY_STAGE.replace("{name: Name,", "{name: Name, industry: Industry,")})
    await world.quiet()
    assert sorted(world.shown()) == ["Acme review", "Big deal onboarding"]


async def test_nor_is_a_change_of_a_line_item_that_leaves_no_mark_on_its_deal(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal()
    line = world.line(deal, "one")
    await world.quiet()
    world.win(deal)
    await world.quiet()
    before = world.org.get("Opportunity", deal)["SystemModstamp"]
    world.clock.move(minutes=5)
    world.org.update("OpportunityLineItem", line, {"Description": "two"})
    assert world.org.get("Opportunity", deal)["SystemModstamp"] == before
    world.configure({MAPPING: BY_STAGE})
    await world.quiet()
    assert world.tasks()["Deliver two"] == 1


async def test_a_field_that_is_read_from_now_on_is_there_for_customers_nobody_touched(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal(AccountId=world.account("Acme", Industry="Rockets"))
    await world.quiet()
    told = ONBOARDING.replace("for {{ customer.name if customer else 'nobody' }}", "in {{ customer.industry }}")
    world.configure({MAPPING: SALESFORCE.replace("{name: Name,", "{name: Name, industry: Industry,"), BLUEPRINT: told})
    world.win(deal)
    await world.quiet()
    assert "in Rockets" in world.board.projects[world.projects()[0]]["notes"]


async def test_projects_stay_as_they_are_until_their_record_changes_and_then_follow(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal(Description="Quick", NextStep="Call")
    await world.quiet()
    world.win(deal)
    await world.quiet()
    world.asana.counts.clear()
    world.configure({MAPPING: SALESFORCE.replace("next_step: NextStep", "next_step: Description")})
    assert (await world.sync()).result == "nothing to do"
    assert not world.asana.counts["writes"]
    assert "next: Call" in world.board.projects[world.projects()[0]]["notes"]
    world.change(deal, Amount=7000)
    await world.quiet()
    assert "next: Quick" in world.board.projects[world.projects()[0]]["notes"]


async def test_the_edit_is_followed_once_and_an_interrupted_reading_begins_anew(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deal(stage=SIGNED)
    await world.quiet()
    plain = (await world.sync()).calls["salesforce"]
    world.configure({MAPPING: BY_STAGE})
    at = 0
    while True:
        at += 1
        world.death = Death(at)
        try:
            first = await world.sync()
        except Crash:
            continue
        break
    world.death = Death()
    assert (at > 3, first.result) == (True, "nothing to do")
    assert (await world.sync()).calls["salesforce"] == plain
    assert world.shown() == []


async def test_a_field_taken_out_of_the_mapping_is_no_alarm(tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = [world.deal(f"Deal {number}", NextStep="Call") for number in range(12)]
    await world.quiet()
    world.clock.move(minutes=5)
    for deal in deals:
        world.change(deal, Amount=7000)
    world.configure({MAPPING: SALESFORCE.replace("      next_step: NextStep\n", "")})
    assert (await world.sync()).result == "nothing to do"


# rules and blueprints


async def test_a_rule_added_later_looks_ahead_only_unless_it_asks_for_a_backfill(tmp_path: Path) -> None:
    for name, backfill, shown in (("ahead", "", []), ("back", "    backfill: 2026-02-01\n", ["Past review-of-deal"])):
        world = World(tmp_path / name)
        world.deal("Past", stage="Closed Won", CloseDate="2026-02-10")
        world.deal("Before", stage="Closed Won", CloseDate="2026-01-10")
        await world.quiet()
        added = f"{RULES}  - name: later\n    on: [deal.won]\n{backfill}    do:\n      - {{create: another, target: asana}}\n"
        other = ONBOARDING.replace("name: onboarding", "name: another").replace(
            "{{ deal.name }} onboarding", "{{ deal.name }} review-of-deal"
        )
        world.configure({"rules.yaml": added, "mappings/blueprints/another.yaml": other})
        await world.quiet()
        assert world.shown() == shown


@pytest.mark.parametrize("edit", [("amount >= 1000", "amount >= 1"), ("on: [deal.won]", "on: [deal.won, deal.updated]")])
async def test_a_rule_edited_acts_on_what_happens_from_then_on(edit: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = [world.deal(f"Deal {number}", Amount=10 if "1000" in edit[0] else 5000) for number in range(3)]
    await world.quiet()
    for deal in deals:
        world.win(deal)
    await world.quiet()
    made = len(world.shown())
    world.configure({"rules.yaml": RULES.replace(*edit)})
    assert (await world.sync()).result == "nothing to do"
    assert len(world.shown()) == made


async def test_a_task_added_to_a_blueprint_reaches_a_project_with_the_next_change_of_its_record(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal()
    await world.quiet()
    world.win(deal)
    await world.quiet()
    world.configure({BLUEPRINT: ONBOARDING.replace("      - slot: scope\n", "      - {slot: survey, name: Survey}\n      - slot: scope\n")})
    assert (await world.sync()).result == "nothing to do"
    assert "Survey" not in world.tasks()
    world.change(deal, NextStep="Call")
    await world.quiet()
    assert world.tasks()["Survey"] == 1
