"""Whole runs: what a change in the CRM comes to, that it comes to it once, and that a quiet run costs nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from connectors.base import StateError
from state import Note, Store
from tests.flows.files import ONBOARDING, RULES
from tests.flows.world import MortalStore, World


async def born(world: World, name: str = "Big deal") -> str:
    """A deal that was won after the first contact, with its project."""
    deal = world.deal(name, AccountId=world.account())
    await world.quiet()
    world.win(deal)
    await world.quiet()
    return deal


async def test_a_quiet_run_writes_nothing_and_asks_once_for_each_object(tmp_path: Path) -> None:
    world = World(tmp_path)
    await born(world)
    world.crm.seen.clear()
    world.tool.seen.clear()
    summary = await world.sync()
    assert summary.result == "nothing to do"
    assert world.crm.seen == {"POST /services/oauth2/token": 1, "GET /services/data/v66.0/queryAll": 4}
    assert world.tool.seen == {f"GET /api/1.0/workspaces/{world.board.workspace}/events": 1}


async def test_what_we_write_back_comes_around_as_no_change(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = await born(world)
    row = world.org.get("Opportunity", deal)
    assert row["Handoff_Key__c"] == f"salesforce:deal:{deal}/onboarding"
    assert row["Handoff_Project_URL__c"].startswith("https://app.asana.com/")
    echoes = [note for note in world.audit(source=f"salesforce:deal:{deal}") if note["verdict"] == "passed"]
    assert [note["event"] for note in echoes] == []


async def test_won_lost_won_again_is_one_project(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = await born(world)
    for stage in ("Closed Lost", "Prospecting", "Closed Won", "Closed Lost", "Closed Won"):
        world.change(deal, StageName=stage)
        await world.sync()
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]
    assert world.statuses() == ["at_risk"]


async def test_a_deal_deleted_and_restored_keeps_its_project(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = await born(world)
    world.org.delete("Opportunity", deal)
    await world.quiet()
    world.org.undelete("Opportunity", deal)
    await world.quiet()
    events = [note["event"] for note in world.audit(source=f"salesforce:deal:{deal}") if note["verdict"] == "passed"]
    assert ("deal.restored" in events[0], events[1]) == (True, "deal.deleted")
    assert len(world.projects()) == 1


async def test_a_deal_that_is_won_and_deleted_before_anybody_looked_makes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal()
    await world.sync()
    world.win(deal)
    world.org.delete("Opportunity", deal)
    await world.quiet()
    assert world.shown() == []


async def test_a_persons_edits_stay_and_fields_of_the_crm_do_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = await born(world)
    kickoff = world.task("Kick off Big deal")["gid"]
    world.board.edit_task(kickoff, {"name": "My kick-off", "notes": "scribble"}, world.person)
    world.board.edit_project(world.projects()[0], {"name": "My project", "notes": "our own words"}, world.person)
    world.change(deal, Name="Bigger deal", Amount=7000, NextStep="Call")
    summary = (await world.quiet())[0]
    task, project = world.board.tasks[kickoff], world.board.projects[world.projects()[0]]
    assert task["name"] == "My kick-off"
    assert "Worth 7000" in task["notes"]
    assert project["name"] == "Bigger deal onboarding"
    assert project["notes"] == "our own words"
    assert summary.counts["kept"] == 2
    kept = [note for note in world.audit(source=f"salesforce:deal:{deal}") if note["verdict"] == "kept"]
    assert {note["detail"]["theirs"] for note in kept} == {"My kick-off", "our own words"}


async def test_a_comment_is_made_once_for_each_change_however_often_the_record_is_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = await born(world)
    for amount in (7000, 5000, 7000):
        world.change(deal, Amount=amount)
        await world.sync()
        world.org.touch("Opportunity", deal)
        await world.sync()
    await world.sync(only=(f"salesforce:deal:{deal}",))
    assert [text.split()[-1].split(".")[0] for text in world.comments("Kick off Big deal")] == ["7000", "5000", "7000"]


async def test_a_record_looked_at_again_for_a_rule_that_fails_gets_the_comment_of_another_rule_once(tmp_path: Path) -> None:
    broken = (
        RULES
        + "  - {name: broken, on: [deal.amount_changed], when: 1 / (deal.amount - 7000) > 0, do: [{create: onboarding, target: asana}]}\n"
    )
    world = World(tmp_path, files={"rules.yaml": broken})
    deal = await born(world)
    world.change(deal, Amount=7000)
    for number in range(3):
        run = await world.sync()
        assert run.plan.count("failed") == 1
        world.change(deal, NextStep=f"Call {number}")
    assert len(world.comments("Kick off Big deal")) == 1


async def test_customers_merged_get_one_review_between_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second, third = (world.account(name) for name in ("First", "Second", "Third"))
    await world.quiet()
    world.org.update("Account", first, {"Tier__c": "VIP"})
    await world.quiet()
    world.org.merge("Account", second, [first])
    world.org.update("Account", second, {"Tier__c": "VIP"})
    await world.quiet()
    world.org.merge("Account", third, [second])
    await world.quiet()
    world.org.update("Account", third, {"Tier__c": "VIP"})
    await world.quiet()
    assert world.shown() == ["First review"]


async def test_a_project_keeps_telling_the_day_it_was_made_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    customer = world.account(Description="Old")
    await world.quiet()
    world.org.update("Account", customer, {"Tier__c": "VIP"})
    await world.quiet()
    world.clock.move(days=3)
    world.org.update("Account", customer, {"Description": "New"})
    await world.quiet()
    assert "VIP since 02 March 2026: New" in world.board.projects[world.projects()[0]]["notes"]


async def test_a_customer_who_becomes_visible_late_appears_on_the_project(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal()
    await world.sync()
    customer = world.account("Late Ltd")
    world.win(deal, AccountId=customer)
    world.org.hold("Account", customer, world.clock.now + timedelta(minutes=8))
    await world.sync(minutes=5)
    assert "for nobody" in world.board.projects[world.projects()[0]]["notes"]
    await world.sync(minutes=5)
    assert "for Late Ltd" in world.board.projects[world.projects()[0]]["notes"]
    assert world.shown() == ["Big deal onboarding"]


UNSURE = RULES.replace("version: 1\n", "version: 1\ncurrencies: {base: EUR, rates: {}}\n").replace(
    "when: deal.amount is not none and deal.amount >= 1000", "when: deal.amount | convert(deal.currency, 'EUR') >= 1000"
)


async def test_a_rule_that_cannot_be_worked_out_is_tried_again_and_then_acts(tmp_path: Path) -> None:
    world = World(tmp_path, files={"rules.yaml": UNSURE})
    deal = world.deal(CurrencyIsoCode="USD")
    await world.sync()
    world.win(deal)
    assert (await world.sync()).result == "with errors"
    assert (await world.sync()).result == "with errors"
    world.configure({"rules.yaml": UNSURE.replace("rates: {}", "rates: {USD: 0.9}")})
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]
    assert (await world.sync()).calls["salesforce"] == 5, "nothing is read again any more"


async def test_a_record_that_waited_and_is_again_as_it_was_is_not_read_for_ever(tmp_path: Path) -> None:
    world = World(tmp_path, files={"rules.yaml": UNSURE.replace("deal.won", "deal.updated")})
    deal = world.deal(CurrencyIsoCode="USD")
    await world.sync()
    world.change(deal, NextStep="Call")
    assert (await world.sync()).result == "with errors"
    world.change(deal, NextStep=None)
    await world.quiet()
    assert (await world.sync()).calls["salesforce"] == 5


async def test_a_deal_that_waited_and_is_deleted_while_it_is_looked_at_again_makes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, files={"rules.yaml": UNSURE})
    await world.sync()
    deal = world.deal(CurrencyIsoCode="USD", stage="Closed Won")
    assert (await world.sync()).result == "with errors"
    world.configure({"rules.yaml": UNSURE.replace("rates: {}", "rates: {USD: 0.9}")})

    def delete_after_the_second_look(request: httpx.Request) -> None:
        query = request.url.params.get("q", "")
        if " FROM Opportunity " in query and "Id IN" not in query and not world.org.get("Opportunity", deal)["IsDeleted"]:
            world.org.delete("Opportunity", deal)

    world.hook = delete_after_the_second_look
    await world.quiet()
    assert world.org.get("Opportunity", deal)["IsDeleted"]
    assert world.shown() == []


@pytest.mark.parametrize(("zone", "due"), [("UTC", "2026-03-04"), ("Asia/Shanghai", "2026-03-05")])
async def test_the_day_of_an_event_is_that_of_the_blueprints_time_zone(zone: str, due: str, tmp_path: Path) -> None:
    world = World(tmp_path, files={"mappings/blueprints/onboarding.yaml": f"{ONBOARDING}timezone: {zone}\n"})
    deal = world.deal()
    await world.sync()
    world.clock.move(hours=8)  # 17:20 in London, past one in the night in Shanghai
    world.win(deal)
    await world.quiet()
    assert world.task("Kick off Big deal")["due_on"] == due


HOSTILE = ['O\'Brien \\ "Sons"', "two\nlines", "🚀 明远智能", "שלום עולם", "<script>alert(1)</script> & <b>x</b>", "{{ 7*7 }} {% raw %}"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_any_name_arrives_as_it_is_and_once(name: str, tmp_path: Path) -> None:
    world = World(tmp_path)
    await born(world, name)
    shown = " ".join(name.split())
    assert world.shown() == [f"{shown} onboarding"]
    assert world.tasks()[f"Kick off {shown}"] == 1
    assert (await world.sync()).result == "nothing to do"


async def test_notes_of_any_length_are_no_obstacle(tmp_path: Path) -> None:
    notes = ONBOARDING.replace('notes: "Worth {{ deal.amount }}"', 'notes: "{{ deal.description }}"')
    world = World(tmp_path, files={"mappings/blueprints/onboarding.yaml": notes})
    deal = world.deal(Description="Long words. " * 2700)
    await world.quiet()
    world.win(deal)
    await world.quiet()
    assert world.task("Kick off Big deal")["notes"].count("Long words.") > 1000


async def test_five_thousand_deals_of_one_moment_all_arrive(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.sync()
    world.org.bulk_load("Opportunity", [{"Name": f"Deal {n}", "StageName": "Prospecting", "CloseDate": "2026-03-02"} for n in range(5000)])
    summary = await world.sync()
    assert summary.counts["read"] == 5000
    with world.store() as store:
        assert store.count_snapshots()["salesforce", "deal"] == 5000


async def test_a_blueprint_of_a_thousand_tasks_becomes_one_project(tmp_path: Path) -> None:
    tasks = "".join(f"      - {{slot: t{n}, name: Task {n}}}\n" for n in range(1000))
    blueprint = f"version: 1\nname: onboarding\nproject: {{name: Huge}}\nsections:\n  - slot: all\n    name: All\n    tasks:\n{tasks}"
    comment = '      - comment: "Now worth {{ deal.amount }}"\n        on: onboarding/kickoff\n'
    plain = RULES.replace(comment, "      - {set_status: at_risk, on: onboarding}\n")
    world = World(tmp_path, files={"rules.yaml": plain, "mappings/blueprints/onboarding.yaml": blueprint})
    await born(world)
    assert world.shown() == ["Huge"]
    assert set(world.tasks().values()) == {1}
    assert len(world.tasks()) == 1000


@pytest.mark.parametrize("skew", [-7200, 7200])
async def test_a_clock_that_goes_wrong_against_the_crm_loses_nothing(skew: float, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.org.clock = lambda: world.clock() + timedelta(seconds=skew)
    world.sf.org.clock = world.org.clock
    await born(world)
    assert world.shown() == ["Big deal onboarding"]


async def test_a_full_disk_ends_the_run_with_advice_and_the_next_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal()
    await world.sync()
    world.win(deal)
    store = MortalStore(world.state, now=world.clock())
    store.db.execute(f"PRAGMA max_page_count = {store.db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(StateError, match="the disk is full; make room and run again"):
        fill(store, world)
    summary = await world.sync(store=store)
    assert (summary.result, type(summary.error)) == ("failed", StateError)
    assert world.shown() == []
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]


def fill(store: Store, world: World) -> None:
    while True:
        with store.transaction():
            store.note("run", [Note("", "", "", "note", "x" * 500)], world.clock())


async def test_what_was_decided_earlier_is_not_held_up_by_a_crm_that_is_down_or_a_refused_plan(tmp_path: Path) -> None:
    world = World(tmp_path, files={"rules.yaml": RULES.replace("projects_per_run: 10", "projects_per_run: 1")})
    first, second, third = (world.deal(f"Deal {n}") for n in range(3))
    await world.sync()
    world.clock.move(minutes=1)
    world.win(first)
    fault = world.tool.fault(r"POST /api/1.0/projects$", "error_before", status=429, times=-1)
    assert (await world.sync(patience=timedelta())).result == "waiting"
    assert world.shown() == []
    world.tool.faults.remove(fault)
    world.crm.fault(r"GET /services/data/.*/queryAll", "error_before", status=503, times=-1)
    down = await world.sync()
    assert down.result == "failed"
    assert world.shown() == ["Deal 0 onboarding"]
    world.crm.faults.clear()
    world.win(second)
    world.win(third)
    assert (await world.sync()).result == "refused"
    assert world.shown() == ["Deal 0 onboarding"]


async def test_a_condition_on_a_whole_record_or_list_is_remembered_by_name_and_length(tmp_path: Path) -> None:
    asked = RULES.replace("deal.amount is not none and deal.amount >= 1000", "customer and deal.line_items | length > 50")
    world = World(tmp_path, files={"rules.yaml": asked})
    deal = world.deal(AccountId=world.account("Acme"))
    world.line(deal, "one")
    await world.sync()
    world.clock.move(minutes=1)
    world.win(deal)
    assert (await world.sync()).result == "nothing to do"
    told = next(note for note in world.audit() if note["rule"] == "onboard")
    assert told["verdict"] == "passed"
    assert told["detail"]["customer"] == "Acme"


@pytest.mark.parametrize(("end", "outcome"), [(ZeroDivisionError, "failed"), (asyncio.CancelledError, "stopped")])
async def test_a_run_that_ends_in_a_way_nobody_foresaw_is_closed_all_the_same(
    tmp_path: Path, end: type[BaseException], outcome: str
) -> None:
    world = World(tmp_path)

    def strike(_request: object) -> None:
        raise end

    world.hook = strike
    with pytest.raises(end):
        await world.sync()
    with world.store() as store:
        assert [run.outcome for run in store.runs()] == [outcome]
