"""Parked work has a door: it is listed in words, one command decides about each, and it holds up nothing that does not depend on it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base import ConfigError, Remote
from flows.resolve import decide, seek
from flows.waiting import Waiting, waiting
from sandbox.asana import tasks
from tests.flows.desk import HANDOFF, TOKEN, Desk, local, wait_for
from tests.flows.test_pipeline import UNSURE
from tests.flows.world import World

BATCH = r"POST /api/1.0/batch$"
API = {"Authorization": f"Bearer {TOKEN}"}


def won(desk: Desk, name: str = "Big deal", **fields: Any) -> str:
    """A deal that the next sync finds won."""
    deal = desk.world.deal(name, **fields)
    desk.do("sync")
    desk.world.win(deal)
    return deal


def parked(desk: Desk) -> dict[str, str]:
    """Asana refused every task of a project once; the numbers by slot."""
    won(desk)
    desk.world.tool.fault(BATCH, "error_before", status=400, times=1)
    desk.do("sync")
    return {row["key"].rsplit("/", 1)[1]: str(row["number"]) for row in desk.told("status")["parked"]}


def project(desk: Desk) -> str:
    return next(iter(desk.world.board.projects))


def by_hand(desk: Desk, name: str, home: str, **data: Any) -> str:
    """A task somebody makes in a project; gives its id."""
    body = {"data": {"name": name, "projects": [home], **data}}
    return str(httpx.post(f"{desk.env['TOOL']}/tasks", json=body, headers=API).json()["data"]["gid"])


def words(text: str) -> str:
    return " ".join(text.split())


# status


@pytest.mark.parametrize("columns", ["80", "200"])
def test_status_says_what_waits_why_what_hangs_on_it_and_what_to_type(desk: Desk, columns: str) -> None:
    numbers = parked(desk)
    told = words(desk.do("status", COLUMNS=columns).stdout)
    assert "Waiting for a person: 3" in told
    assert f'{numbers["kickoff"]} create task "Kick off Big deal" in project "Big deal onboarding" for deal "Big deal"' in told
    assert "/lightning/r/Opportunity/" in told
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d UTC: Asana answered 400", told)
    assert "1 sub-task, 1 dependency wait for it; nobody sees the project before this is decided" in told
    assert "leave it out, and with it 1 sub-task; the project appears without, once the others are decided too" in told
    for way in ("retry", "dismiss", "adopt --id <its id or address>"):
        assert f"handoff resolve {numbers['kickoff']} {way}" in told


def test_status_as_json_has_all_of_it(desk: Desk) -> None:
    numbers = parked(desk)
    row = desk.told("status")["parked"][0]
    assert (str(row["number"]), row["op"], row["record"], row["project"]) == (
        numbers["kickoff"],
        "create",
        "Big deal",
        "Big deal onboarding",
    )
    assert row["commands"][0] == f"handoff resolve {numbers['kickoff']} retry"
    assert {"since", "why", "hangs", "url", "key", "source"} <= row.keys()


def test_what_is_in_doubt_is_listed_with_the_time_it_is_looked_for_again(desk: Desk) -> None:
    won(desk)
    desk.world.tool.fault(BATCH, "reset_before")
    desk.do("sync", "--wait", "0")
    found = desk.told("status")
    assert found["parked"] == []
    assert {row["key"].rsplit("/", 1)[1] for row in found["in_doubt"]} == {"kickoff", "scope", "done"}
    assert all(row["until"] >= row["sent"] for row in found["in_doubt"])
    told = words(desk.do("status").stdout)
    assert "In doubt; settled by itself, nothing need be done" in told
    assert "Nothing waits for a person." in told


# one door


def test_a_task_that_is_dismissed_is_left_out_and_the_project_appears_without_it(desk: Desk) -> None:
    numbers = parked(desk)
    desk.do("resolve", numbers["scope"], "retry")
    desk.do("resolve", numbers["done"], "retry")
    desk.do("sync")
    assert desk.world.shown() == []
    told = desk.do("resolve", numbers["kickoff"], "dismiss")
    assert "leave it out, and with it 1 sub-task; the project appears without it" in words(told.stdout)
    assert desk.do("sync").exit_code == 0
    assert desk.world.shown() == ["Big deal onboarding"]
    assert desk.world.tasks() == {"Scope": 1, "Done": 1}
    assert desk.told("status")["parked"] == []


def test_each_decision_is_in_the_audit_trail_with_who_took_it(desk: Desk) -> None:
    numbers = parked(desk)
    desk.do("resolve", numbers["kickoff"], "dismiss", LOGNAME="alice")
    desk.do("retry", LOGNAME="bob")
    trail = desk.told("explain", deal_of(desk))["trail"]
    told = {
        event["key"].rsplit("/", 1)[1]: (event["verdict"], event["reason"].split(":")[0])
        for event in trail
        if "resolved" in event["verdict"]
    }
    assert told == {
        "kickoff": ("resolved: dismiss", "by alice"),
        "scope": ("resolved: retry", "by bob"),
        "done": ("resolved: retry", "by bob"),
    }


def deal_of(desk: Desk) -> str:
    return str(next(iter(desk.world.org.rows("Opportunity")))["Id"])


def test_a_decision_taken_twice_is_taken_once_and_another_one_is_refused(desk: Desk) -> None:
    numbers = parked(desk)
    assert desk.do("resolve", numbers["kickoff"], "dismiss").exit_code == 0
    again = desk.do("resolve", numbers["kickoff"], "dismiss")
    assert (again.exit_code, "was decided already" in again.stdout) == (0, True)
    other = desk.do("resolve", numbers["kickoff"], "retry")
    assert (other.exit_code, "does not wait for a person, it is dismissed for good" in words(other.stderr)) == (2, True)
    unknown = desk.do("resolve", "9999", "retry")
    assert (unknown.exit_code, "nothing waits under 9999" in unknown.stderr, "handoff status" in unknown.stderr) == (2, True, True)


def test_on_a_terminal_dismissing_asks_first_and_no_is_no(desk: Desk) -> None:
    numbers = parked(desk)
    for answer, left in (("n", 3), ("y", 2)):
        asked = at_terminal(desk, "resolve", numbers["kickoff"], "dismiss", answer=answer)
        assert "Dismiss it for good?" in words(asked)
        assert len(desk.told("status")["parked"]) == left
    assert desk.run("resolve", numbers["scope"], "dismiss", "--yes")[0] == 0


def at_terminal(desk: Desk, *verb: str, answer: str) -> str:
    try:
        master, slave = pty.openpty()
    except OSError:
        pytest.skip("this machine has no pseudo-terminals")
    command = [str(HANDOFF), *verb, "-C", str(desk.folder)]
    process = subprocess.Popen(command, env=desk.env, stdin=slave, stdout=slave, stderr=slave)  # noqa: S603 - the command itself
    os.close(slave)
    os.write(master, f"{answer}\n".encode())
    wait_for(lambda: process.poll() is not None)
    told = os.read(master, 65536).decode()
    os.close(master)
    return told


def test_the_door_is_the_same_with_the_state_on_postgresql(desk: Desk, fresh_state: Callable[[], str]) -> None:
    desk.env["HANDOFF_STATE"] = fresh_state()
    numbers = parked(desk)
    for slot, way in (("kickoff", "retry"), ("scope", "retry"), ("done", "dismiss")):
        assert desk.do("resolve", numbers[slot], way).exit_code == 0
    assert "was decided already" in desk.do("resolve", numbers["done"], "dismiss").stdout
    assert desk.do("sync").exit_code == 0
    assert desk.world.tasks() == {"Kick off Big deal": 1, "Agenda": 1, "Scope": 1}


# adopting


def test_a_task_made_by_hand_is_adopted_by_its_address_and_nothing_is_made_beside_it(desk: Desk) -> None:
    numbers = parked(desk)
    mine = by_hand(desk, "Made by hand", project(desk))
    address = f"https://app.asana.com/1/{desk.env['WORKSPACE']}/project/{project(desk)}/task/{mine}/f"
    done = desk.told("resolve", numbers["kickoff"], "adopt", "--id", address)
    assert done["object"].endswith(mine)
    desk.do("retry")
    assert desk.do("sync").exit_code == 0
    assert desk.world.shown() == ["Big deal onboarding"]
    assert desk.world.tasks() == {"Made by hand": 1, "Agenda": 1, "Scope": 1, "Done": 1}
    assert desk.world.task("Scope")["dependencies"].keys() == {mine}


def test_what_cannot_be_the_object_is_refused_and_the_action_keeps_waiting(desk: Desk) -> None:
    numbers = parked(desk)
    home = project(desk)
    other = desk.told("status")["parked"][1]["key"]
    another = by_hand(desk, "Of another key", home, html_notes=f"<body><code>handoff:{other}</code></body>")
    elsewhere = by_hand(desk, "Elsewhere", desk.world.board.add_project("Other"))
    taken = by_hand(desk, "Taken", home)
    desk.do("resolve", numbers["done"], "adopt", "--id", taken)
    refusals = {"120": "there is no task 120 in asana", taken: "stands for", home: "there is no task"}
    refusals |= {elsewhere: "is not in the project", another: f"carries another key, {other}"}
    for named, reason in refusals.items():
        done = desk.do("resolve", numbers["kickoff"], "adopt", "--id", named)
        assert (done.exit_code, reason in words(done.stderr)) == (2, True), done.stderr
    assert len(desk.told("status")["parked"]) == 2


async def test_two_objects_with_one_key_are_named_and_one_is_chosen(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal()
    await world.sync()
    world.win(deal)
    world.tool.fault(BATCH, "reset_before")
    await world.sync(patience=timedelta())
    mark = f"<body><code>handoff:salesforce:deal:{deal}/onboarding/kickoff</code></body>"
    data = {"name": "Kick off Big deal", "projects": list(world.board.projects), "html_notes": mark}
    first, second = (tasks.create(world.board, data, world.board.bot)["gid"] for _ in range(2))
    await world.sync()
    (one,) = listed(world)
    assert all(gid in one.why for gid in (first, second))
    with pytest.raises(ConfigError) as asked:
        await sought(world, one, "")
    assert all(gid in asked.value.problems[0].hint for gid in (first, second))
    found = await sought(world, one, second)
    with world.store() as store:
        decide(store, one, "adopt", by="alice", now=world.clock(), remote=found)
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]
    assert world.task("Scope")["dependencies"].keys() == {second}


async def sought(world: World, one: Waiting, named: str) -> Remote:
    with world.store() as store:
        return await seek(world.loaded, store, one, named, world.runtime())


def refused_project(desk: Desk) -> str:
    """Asana refused the project itself once; its number."""
    won(desk)
    desk.world.tool.fault(r"POST /api/1.0/projects$", "error_before", status=400, times=1)
    desk.do("sync")
    (row,) = desk.told("status")["parked"]
    assert row["hangs"] == "2 sections, 3 tasks, 1 sub-task, 2 dependencies wait for it; nobody sees the project before this is decided"
    return str(row["number"])


def test_a_project_made_by_hand_is_adopted_filled_and_told_to_the_crm(desk: Desk) -> None:
    number = refused_project(desk)
    mine = desk.world.board.add_project("By hand", desk.world.person)
    assert desk.do("resolve", number, "adopt", "--id", f"https://app.asana.com/0/{mine}/list").exit_code == 0
    assert desk.do("sync").exit_code == 0
    assert list(desk.world.board.projects) == [mine]
    assert desk.world.tasks(mine) == {"Kick off Big deal": 1, "Agenda": 1, "Scope": 1, "Done": 1}
    assert mine in desk.world.org.get("Opportunity", deal_of(desk))["Handoff_Project_URL__c"]


def test_a_project_that_is_dismissed_is_given_up_whole(desk: Desk) -> None:
    told = desk.do("resolve", refused_project(desk), "dismiss")
    assert "give the whole project up" in told.stdout
    assert desk.do("sync").exit_code == 0
    assert desk.world.board.projects == {}
    assert desk.told("status")["counts"]["open"] == 0


# write-backs and records


def refused_back(desk: Desk) -> str:
    """A deal with a project, whose row the CRM refuses to write."""
    deal = won(desk)
    desk.world.crm.fault(r"PATCH .*/composite/sobjects", "error_before", status=400, times=1)
    desk.do("sync")
    return deal


def test_a_refused_write_back_goes_through_the_same_door(desk: Desk) -> None:
    deal = refused_back(desk)
    (row,) = desk.told("status")["refused"]
    assert row["ref"] == f"write-back/{deal}"
    assert "Handoff_Status__c" in row["what"]
    assert f"handoff resolve write-back/{deal} retry" in words(desk.do("status", COLUMNS="80").stdout)
    assert desk.do("resolve", deal, "adopt", "--id", "1").exit_code == 2
    assert desk.do("resolve", deal[:15], "retry").exit_code == 0
    assert desk.told("status")["refused"] == []
    assert desk.do("sync").exit_code == 0
    assert desk.world.org.get("Opportunity", deal)["Handoff_Status__c"] == "in_progress"


def test_a_dismissed_write_back_stays_untold_until_there_is_more_to_tell(desk: Desk) -> None:
    deal = refused_back(desk)
    assert desk.do("resolve", f"write-back/{deal}", "dismiss").exit_code == 0
    assert desk.do("sync").exit_code == 0
    assert desk.world.org.get("Opportunity", deal).get("Handoff_Status__c") is None
    desk.world.board.complete_task(desk.world.task("Scope")["gid"], desk.world.person)
    desk.do("sync")
    assert desk.world.org.get("Opportunity", deal)["Handoff_Progress__c"] == 33
    assert "resolved: dismiss" in {event["verdict"] for event in desk.told("explain", deal)["trail"]}


def test_a_record_no_rule_could_be_worked_out_for_is_listed_and_can_be_given_up(desk: Desk) -> None:
    desk.world.configure(local({"rules.yaml": UNSURE}))
    deal = won(desk, CurrencyIsoCode="USD")
    assert desk.do("sync").exit_code == 1
    (row,) = desk.told("status")["undecided"]
    assert (row["ref"], row["record"]) == (f"undecided/{deal}", "Big deal")
    assert "USD" in row["why"]
    assert desk.do("resolve", deal, "retry").exit_code == 2, "it is looked at again by itself"
    assert desk.do("resolve", deal, "dismiss").exit_code == 0
    assert desk.do("sync").exit_code == 0
    assert desk.told("status")["undecided"] == []


async def test_a_record_the_crm_does_not_show_keeps_waiting_and_is_decided_when_it_is_back(tmp_path: Path) -> None:
    world = World(tmp_path, files={"rules.yaml": UNSURE})
    deal = world.deal(CurrencyIsoCode="USD")
    await world.sync()
    world.win(deal)
    assert (await world.sync()).result == "with errors"
    world.configure({"rules.yaml": UNSURE.replace("rates: {}", "rates: {USD: 0.9}")})
    world.org.hold("Opportunity", deal, world.clock.now + timedelta(minutes=30))
    await world.sync()
    assert [one.ref for one in listed(world)] == [f"undecided/{deal}"]
    await world.quiet()
    assert (world.shown(), listed(world)) == (["Big deal onboarding"], [])


def listed(world: World) -> list[Waiting]:
    with world.store() as store:
        return waiting(store)


# it holds up nothing else

WIDE = """
version: 1
name: onboarding
project: {name: "{{ deal.name }} onboarding", notes: "{{ deal.next_step }}"}
sections:
  - slot: all
    name: All
    tasks:
      - {slot: kickoff, name: Kickoff}
""" + "".join(f"      - {{slot: t{number}, name: Task {number}}}\n" for number in range(14))


async def test_what_waits_holds_up_no_other_project_no_task_beside_it_and_no_write_back(tmp_path: Path) -> None:
    world = World(tmp_path, files={"mappings/blueprints/onboarding.yaml": WIDE})
    old, first, second = world.deal("Old"), world.deal("First"), world.deal("Second")
    await world.sync()
    world.win(old)
    await world.quiet()
    for deal in (first, second):
        world.win(deal)
    world.tool.fault(BATCH, "error_before", status=400, times=1)
    await world.sync()
    world.change(old, NextStep="Call", Amount=7000)
    await world.sync()
    stuck = {one.project for one in listed(world)}
    assert len(stuck) == 1
    assert len(listed(world)) == 10, "a batch of the one project"
    assert len(world.shown()) == 2, "the other project is there"
    assert stuck.isdisjoint(world.shown())
    hidden = next(gid for gid, held in world.board.projects.items() if gid not in world.projects())
    assert len(list(world.board.tasks_of(hidden))) == 5, "the tasks beside those that wait"
    assert world.board.projects[world.projects()[0]]["notes"].startswith("Call")
    assert len(world.comments("Kickoff", world.projects()[0])) == 1
    told = [world.org.get("Opportunity", deal).get("Handoff_Status__c") for deal in (old, first, second)]
    assert sorted(map(str, told)) == ["None", "in_progress", "in_progress"]
    with world.store() as store:
        assert store.due_back("salesforce") == []


async def test_a_refused_rule_does_not_hold_up_another_record(tmp_path: Path) -> None:
    world = World(tmp_path, files={"rules.yaml": UNSURE})
    odd, plain = world.deal("Odd", CurrencyIsoCode="USD"), world.deal("Plain")
    await world.sync()
    world.win(odd)
    world.win(plain)
    await world.sync()
    assert world.shown() == ["Plain onboarding"]
    assert [one.record for one in listed(world)] == ["Odd"]
