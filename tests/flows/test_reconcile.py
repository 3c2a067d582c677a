"""What polling could have missed is found and goes the ordinary way, once; nothing else follows from a reading of everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import UnsafePlan
from engine.model import Hint
from flows.reconcile import Found
from flows.reconciled import last, line
from state import Leases, Store
from state.approvals import Approvals, Question
from state.hub import open_hub
from state.inbox import Arrivals, Inbox
from state.leases import READER
from tests.flows.files import RULES
from tests.flows.test_zoho import ZohoWorld
from tests.flows.world import Crash, Death, World

LONG_AGO = timedelta(hours=5)  # beyond what any poll looks back


async def known(path: Path, count: int = 1, **options: Any) -> tuple[World, list[str]]:
    """A world whose deals are known, and whose increment has gone on long since."""
    world = World(path, **options)
    deals = [world.deal(f"Deal {number}") for number in range(count)]
    await go_on(world)
    return world, deals


async def go_on(world: World) -> None:
    """Half a day passes, and polling moves on with it: a position stays where nothing is read."""
    other = world.deal("Another")
    await world.quiet()
    world.clock.move(minutes=600)
    world.change(other, StageName="Qualification")
    await world.quiet()


def slip(world: World, deal: str, **fields: Any) -> None:
    """An edit that polling cannot see: it is stamped with a moment the poll went by long ago."""
    world.org.update("Opportunity", deal, fields, at=world.clock() - LONG_AGO)


def missed(found: Found) -> list[str]:
    return [one.source for crm in found.report.crms.values() for one in crm.missed]


def hidden(found: Found) -> list[str]:
    return [one.source for crm in found.report.crms.values() for one in crm.hidden]


def back(found: Found) -> list[str]:
    return [one.source for crm in found.report.crms.values() for one in crm.back]


def verdicts(world: World, verdict: str) -> list[str]:
    return [row["source"] for row in world.audit(limit=1000) if row["verdict"] == verdict]


def kept(world: World) -> dict[str, Any]:
    with world.store() as store:
        found = last(store)
    assert found is not None
    return found


# what was missed


async def test_a_change_hidden_from_polling_is_found_and_makes_its_project_once(tmp_path: Path) -> None:
    world, (deal,) = await known(tmp_path)
    slip(world, deal, StageName="Closed Won")
    assert (await world.sync()).result == "nothing to do"
    found = await world.reconcile()
    assert missed(found) == [f"salesforce:deal:{deal}"]
    assert "deal.won" in found.report.crms["salesforce"].missed[0].what
    assert (found.summary.result, found.summary.counts["missed"]) == ("done", 1)
    assert world.shown() == ["Deal 0 onboarding"]
    assert "1 change had been missed" in found.report.line()
    assert line(kept(world)) == found.report.line()
    assert verdicts(world, "missed") == [f"salesforce:deal:{deal}"]
    again = await world.reconcile()
    assert (missed(again), world.shown()) == ([], ["Deal 0 onboarding"])
    assert {run.result for run in await world.quiet()} <= {"done", "nothing to do"}
    assert world.shown() == ["Deal 0 onboarding"]


async def test_the_position_of_polling_stays_where_polling_is(tmp_path: Path) -> None:
    world, _ = await known(tmp_path)
    before = json.loads(world.cursor() or "")["objects"]["main"]["at"]
    await world.reconcile()
    assert json.loads(world.cursor() or "")["objects"]["main"]["at"] >= before
    left = (await world.sync()).counts["read"]
    assert left == 0


async def test_a_change_nobody_polled_for_yet_was_not_missed(tmp_path: Path) -> None:
    world, (deal,) = await known(tmp_path)
    world.win(deal)
    world.clock.move(minutes=1)
    found = await world.reconcile(minutes=0)
    assert missed(found) == []
    assert world.shown() == ["Deal 0 onboarding"]
    assert verdicts(world, "missed") == []


async def test_nor_was_one_that_came_late_but_not_too_late(tmp_path: Path) -> None:
    """Committed after the poll, with a stamp from before it, as the poll itself reckons with."""
    world, (deal,) = await known(tmp_path)
    world.org.update("Opportunity", deal, {"StageName": "Closed Won"}, at=world.clock() - timedelta(minutes=5))
    found = await world.reconcile(minutes=0)
    assert missed(found) == []
    assert world.shown() == ["Deal 0 onboarding"]


async def test_what_changed_back_before_the_increment_read_it_is_no_change(tmp_path: Path) -> None:
    world, (deal,) = await known(tmp_path)
    slip(world, deal, NextStep="Call")
    listed: list[str] = []

    def undo(request: Any) -> None:
        query = str(request.url.params.get("q", ""))
        if "FROM Opportunity " in query:
            listed.append(query)
            if "WHERE SystemModstamp >=" in query:
                world.change(deal, NextStep=None)

    world.hook = undo
    found = await world.reconcile()
    assert len(listed) == 2
    assert missed(found) == []
    assert found.report.crms["salesforce"].missed == []
    assert found.summary.plan.actions == []
    assert world.audit(source=f"salesforce:deal:{deal}") == []


async def test_a_formula_of_another_record_moves_no_stamp_and_is_found(tmp_path: Path) -> None:
    world, (deal,) = await known(tmp_path)
    world.org.update("User", world.seller, {"Email": "sue@example.com"})
    await world.sync()
    found = await world.reconcile()
    assert f"salesforce:deal:{deal}" in missed(found)
    assert missed(await world.reconcile()) == []


async def test_a_record_that_came_to_be_behind_the_poll_is_new(tmp_path: Path) -> None:
    world, _ = await known(tmp_path)
    deal = world.org.insert(
        "Opportunity",
        {"Name": "Late", "StageName": "Closed Won", "Amount": 5000, "CloseDate": "2026-03-02"},
        at=world.clock() - LONG_AGO,
    )
    found = await world.reconcile()
    assert missed(found) == [f"salesforce:deal:{deal}"]
    assert world.shown() == ["Late onboarding"]


async def test_a_deletion_that_was_missed_is_a_deletion(tmp_path: Path) -> None:
    world, (deal,) = await known(tmp_path)
    world.org.delete("Opportunity", deal, at=world.clock() - LONG_AGO)
    found = await world.reconcile()
    assert [one.what for one in found.report.crms["salesforce"].missed] == ["deal.deleted"]
    assert hidden(found) == []
    assert missed(await world.reconcile()) == []


async def test_the_first_run_of_all_is_a_baseline_and_an_edited_mapping_is_no_change(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal(stage="Closed Won")
    first = await world.reconcile()
    assert (missed(first), first.report.crms["salesforce"].kinds) == ([], {})
    mapping = (world.folder / "mappings/salesforce.yaml").read_text()
    world.configure({"mappings/salesforce.yaml": mapping.replace("next_step: NextStep", "next_step: Description")})
    world.change(deal, Description="Quick")
    world.clock.move(minutes=600)
    second = await world.reconcile()
    assert (missed(second), set(second.report.crms["salesforce"].kinds)) == ([], {"customer"})
    assert world.shown() == []


# a person's word


async def test_what_was_missed_is_within_the_limits_of_any_change_or_waits_for_a_person(tmp_path: Path) -> None:
    tight = RULES.replace("projects_per_run: 10", "projects_per_run: 1")
    world, deals = await known(tmp_path, 2, files={"rules.yaml": tight})
    for deal in deals:
        slip(world, deal, StageName="Closed Won")
    refused = await world.reconcile()
    assert isinstance(refused.summary.error, UnsafePlan)
    assert (world.shown(), len(missed(refused)), verdicts(world, "missed")) == ([], 2, [])
    assert kept(world)["result"] == "refused"
    looked = await world.reconcile(dry=True)
    assert (looked.summary.plan.digest, looked.over_limits) == (refused.summary.plan.digest, refused.summary.error.reasons)
    await world.reconcile(approve=refused.summary.plan.digest)
    assert len(world.projects()) == 2


async def test_masses_that_seem_deleted_are_refused(tmp_path: Path) -> None:
    world, deals = await known(tmp_path, 12)
    for deal in deals:
        world.org.delete("Opportunity", deal, at=world.clock() - LONG_AGO)
    found = await world.reconcile()
    assert found.summary.result == "refused"
    assert "12 of 13 salesforce deals would be taken for deleted" in str(found.summary.error)
    assert verdicts(world, "missed") == []


# what is not shown


@pytest.mark.parametrize("server", [False, True])
async def test_a_record_that_vanished_is_told_once_and_once_more_when_it_is_back(
    server: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    world = World(tmp_path)
    if server:
        world.state = request.getfixturevalue("fresh_state")()
    deals = [world.deal(f"Deal {number}") for number in range(3)]
    await world.quiet()
    world.win(deals[0])
    await world.quiet()
    world.org.hold("Opportunity", deals[0], until=world.clock() + timedelta(days=2))
    name = f"salesforce:deal:{deals[0]}"
    first, second = await world.reconcile(), await world.reconcile()
    assert (hidden(first), hidden(second)) == ([name], [])
    assert second.report.crms["salesforce"].kinds["deal"].hidden == 1
    assert (first.summary.plan.actions, world.shown()) == ([], ["Deal 0 onboarding"])
    assert not world.board.projects[world.projects()[0]]["archived"]
    world.clock.move(days=3)
    world.org.settle()
    third, fourth = await world.reconcile(), await world.reconcile()
    assert (hidden(third), back(third), back(fourth)) == ([], [name], [])
    assert "1 record visible again in salesforce" in third.report.line()
    assert (verdicts(world, "hidden"), verdicts(world, "back")) == ([name], [name])
    assert world.shown() == ["Deal 0 onboarding"]


async def test_what_is_back_before_the_increment_is_read_was_not_hidden(tmp_path: Path) -> None:
    world, (deal, _) = await known(tmp_path, 2)
    world.org.hold("Opportunity", deal, until=world.clock() + timedelta(days=2))

    def show(request: Any) -> None:
        query = str(request.url.params.get("q", ""))
        if "FROM Opportunity WHERE SystemModstamp >=" in query and not any(row["Id"] == deal for row in world.org.rows("Opportunity")):
            world.org._held = [(name, world.clock(), row) for name, _, row in world.org._held]
            world.org.settle()
            world.change(deal, NextStep="Call")

    world.hook = show
    found = await world.reconcile()
    assert (hidden(found), missed(found), found.report.crms["salesforce"].kinds["deal"].hidden) == ([], [], 0)
    assert hidden(await world.reconcile()) == back(await world.reconcile()) == []


async def test_a_record_deleted_for_good_is_not_visible_any_more_and_nothing_else(tmp_path: Path) -> None:
    world, deals = await known(tmp_path, 3)
    world.org.hard_delete("Opportunity", deals[1], at=world.clock() - LONG_AGO)
    found = await world.reconcile()
    assert (hidden(found), missed(found)) == ([f"salesforce:deal:{deals[1]}"], [])
    assert "1 record not visible any more in salesforce" in found.report.line()


async def test_masses_that_are_not_shown_are_a_lost_permission_and_only_counted(tmp_path: Path) -> None:
    world, deals = await known(tmp_path, 12)
    for deal in deals[1:]:
        world.org.hold("Opportunity", deal, until=world.clock() + timedelta(days=1))
    found = await world.reconcile()
    assert (hidden(found), found.summary.result) == ([], "nothing to do")
    assert "11 of 13 deals are not shown" in found.report.line()
    world.clock.move(days=2)
    world.org.settle()
    again = await world.reconcile()
    assert (hidden(again), back(again), again.report.crms["salesforce"].notes) == ([], [], [])


# quiet, stopped, in the middle, beside others


async def test_with_nothing_to_tell_nothing_is_written_anywhere(tmp_path: Path) -> None:
    world, (deal,) = await known(tmp_path)
    world.win(deal)
    await world.quiet()
    sent: list[Any] = []
    world.hook, writes = sent.append, world.asana.counts["writes"]
    found = await world.reconcile()
    assert found.report.line().endswith(": nothing had been missed")
    assert found.report.tools["asana"].checked == 1
    crm = {request.method for request in sent if request.url.host == "salesforce.test" and not request.url.path.endswith("/token")}
    assert (crm, world.asana.counts["writes"] - writes) == ({"GET"}, 0)
    assert (found.summary.result, found.summary.plan.actions) == ("nothing to do", [])


async def test_a_look_changes_and_remembers_nothing(tmp_path: Path) -> None:
    world, (deal, other, made) = await known(tmp_path, 3)
    world.win(made)
    await world.quiet()
    slip(world, deal, StageName="Closed Won")
    world.org.hold("Opportunity", other, until=world.clock() + timedelta(days=2))
    for _ in range(2):
        found = await world.reconcile(dry=True)
        assert (missed(found), hidden(found)) == ([f"salesforce:deal:{deal}"], [f"salesforce:deal:{other}"])
        assert len(found.summary.plan.projects()) == found.report.tools["asana"].checked == 1
    assert world.shown() == ["Deal 2 onboarding"]
    with world.store() as store:
        assert last(store) is None
        assert store.metas("listing:") == store.metas("drift:") == {}


async def test_wherever_it_dies_the_next_makes_it_good(tmp_path: Path) -> None:
    at, died = 3, True
    while died:
        world, (deal,) = await known(tmp_path / str(at))
        slip(world, deal, StageName="Closed Won")
        world.death = Death(at)
        with suppress(Crash):
            await world.reconcile()
        died, world.death = world.death.dead, Death()
        await world.reconcile()
        await world.quiet()
        assert world.shown() == ["Deal 0 onboarding"], at
        assert set(world.tasks().values()) == {1}, at
        assert verdicts(world, "missed") == [f"salesforce:deal:{deal}"], at
        at += 23
    assert at > 100


async def test_a_stop_in_the_middle_leaves_the_rest_for_the_next(tmp_path: Path) -> None:
    world, deals = await known(tmp_path, 3)
    slip(world, deals[2], StageName="Closed Won")

    def halt(request: Any) -> None:
        world.stop.asked = world.stop.asked or "FROM Opportunity " in str(request.url.params.get("q", ""))

    world.hook = halt
    first = await world.reconcile()
    assert (first.summary.result, first.report.tools, world.shown()) == ("stopped", {}, [])
    world.hook, world.stop.asked = None, False
    await world.reconcile()
    assert verdicts(world, "missed") == [f"salesforce:deal:{deals[2]}"]
    assert world.shown() == ["Deal 2 onboarding"]


async def test_it_helps_while_another_process_reads(fresh_state: Callable[[], str], tmp_path: Path) -> None:
    world = World(tmp_path)
    world.state = fresh_state()
    deal = world.deal()
    await go_on(world)
    slip(world, deal, StageName="Closed Won")
    with Store(world.state, now=world.clock()) as store:
        world.clock.move(minutes=20)
        other = Leases(store, "another")
        leases = other.claim([READER], world.clock())
        found = await world.reconcile(minutes=0)
        assert (found.summary.result, found.report.crms, world.shown()) == ("helped", {}, [])
        assert last(store) is None
        other.release(leases)
    assert missed(await world.reconcile()) == [f"salesforce:deal:{deal}"]
    assert world.shown() == ["Big deal onboarding"]


async def test_a_listing_that_costs_too_much_goes_on_the_next_night_and_misses_nothing(tmp_path: Path) -> None:
    mapping = "  page_size: 200\n"
    world = World(tmp_path)
    text = (world.folder / "mappings/salesforce.yaml").read_text().replace("  client_id:", f"{mapping}  client_id:")
    world.configure({"mappings/salesforce.yaml": text})
    deals = [world.deal(f"Deal {number:03}") for number in range(450)]
    await go_on(world)
    slip(world, deals[-1], StageName="Closed Won")
    world.org.hold("Opportunity", deals[7], until=world.clock() + timedelta(days=9))
    nights = [await world.reconcile(most_calls=3)]
    while len(nights) < 9 and not nights[-1].report.crms["salesforce"].kinds["deal"].whole:
        assert hidden(nights[-1]) == []
        nights.append(await world.reconcile(most_calls=3))
    assert len(nights) > 2
    assert [name for night in nights for name in missed(night)] == [f"salesforce:deal:{deals[-1]}"]
    assert hidden(nights[-1]) == [f"salesforce:deal:{deals[7]}"]
    assert world.shown() == ["Deal 449 onboarding"]


# other systems


async def test_each_source_is_listed_by_itself_and_one_that_is_down_holds_up_none(tmp_path: Path) -> None:
    world, (deal,) = await known(tmp_path)
    text = (world.folder / "mappings/salesforce.yaml").read_text().replace("http://salesforce.test", "http://south.test")
    world.configure({"mappings/south.yaml": text, "rules.yaml": RULES.replace("[salesforce]", "[salesforce, south]")})
    slip(world, deal, StageName="Closed Won")
    found = await world.reconcile()
    assert "south" in found.summary.failures
    assert missed(found) == [f"salesforce:deal:{deal}"]
    assert list(kept(world)["crms"]) == ["salesforce"]
    assert "south" in kept(world)["told"]
    assert world.shown() == ["Deal 0 onboarding"]


async def test_zoho_is_listed_too_and_a_deletion_it_confirms_is_one(tmp_path: Path) -> None:
    world = ZohoWorld(tmp_path)
    deals = [world.add(f"Deal {number}") for number in range(5)]
    await world.quiet()
    world.clock.move(minutes=600)
    world.edit(deals[3], Next_Step="Call")
    world.zoho.world.delete("Deals", deals[4])
    await world.quiet()
    long_ago = world.clock() - LONG_AGO
    world.zoho.world.update("Deals", deals[0], {"Stage": "Closed Won"}, at=long_ago)
    for deal in deals[1:3]:
        world.zoho.world.delete("Deals", deal, at=long_ago)
    world.zoho.world.purge("Deals", deals[2], at=long_ago)
    assert (await world.sync()).result == "nothing to do"
    first, second = await world.reconcile(), await world.reconcile()
    assert sorted(missed(first)) == sorted(f"zoho:deal:{deal}" for deal in deals[:3])
    assert (missed(second), hidden(second)) == ([], [])
    assert world.shown() == ["Deal 0 onboarding"]


# what else a night is good for


async def test_old_questions_expire_and_hints_nobody_reads_are_forgotten(tmp_path: Path) -> None:
    world, _ = await known(tmp_path)
    with closing(open_hub(world.state, now=world.clock())) as hub:
        asked = Approvals(hub).ask(Question("run", "d1", "All", (), {}), now=world.clock(), expires_at=world.clock() + timedelta(minutes=5))
        arrived = Arrivals()
        for system in ("gone-crm", "salesforce", "asana"):
            arrived.add(system, [Hint("deal", "1")], events=1)
        Inbox(hub).store(arrived, world.clock())
        await world.reconcile()
        answer = Approvals(hub).get(asked.number)
        assert answer is not None
        assert answer.state == "expired"
        assert Inbox(hub).waiting().keys() == {"salesforce", "asana"}
