"""`explain`, `status`, `history`, `retry`, `resolve`: why it is as it is, what waits, and a person's say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.flows.desk import TOKEN, Desk, local
from tests.flows.files import RULES


def made(desk: Desk, **fields: Any) -> str:
    """A won deal, after the run that acts on it (or not)."""
    deal = desk.world.deal("Big deal", **fields)
    desk.do("sync")
    desk.world.win(deal)
    desk.do("sync")
    return deal


def parked(desk: Desk) -> str:
    """A deal whose project waits: Asana refuses its tasks for good."""
    desk.world.tool.fault("POST /api/1.0/batch$", "error_before", status=400, times=-1)
    return made(desk)


def by_hand(desk: Desk, name: str) -> str:
    """A task somebody makes in the project that is not visible yet; gives its id."""
    data = {"name": name, "projects": list(desk.world.board.projects)}
    answer = httpx.post(f"{desk.env['TOOL']}/tasks", json={"data": data}, headers={"Authorization": f"Bearer {TOKEN}"})
    return str(answer.json()["data"]["gid"])


# explain


def test_a_project_is_explained_by_whatever_name_one_has_of_it(desk: Desk) -> None:
    deal = made(desk)
    source, project = f"salesforce:deal:{deal}", desk.world.projects()[0]
    url = desk.told("explain", deal)["projects"][0]["url"]
    assert project in url
    for name in (deal, deal[:15], source, f"{source}/onboarding", f"{source}/onboarding/kickoff", project, url):
        found = desk.told("explain", name)
        assert found["source"] == source, name
        assert found["projects"][0]["key"] == f"{source}/onboarding"
        assert "rules.yaml:7" in found["projects"][0]["why"]
        assert "visible since" in found["projects"][0]["state"]


def test_a_task_says_when_and_why_it_was_made(desk: Desk) -> None:
    deal = made(desk)
    told = " ".join(desk.do("explain", f"salesforce:deal:{deal}/onboarding/kickoff").stdout.split())
    assert "task salesforce:deal" in told
    assert "because of deal.won at" in told
    assert "rule onboard, rules.yaml:7; made 20" in told


def test_a_deal_without_a_project_is_told_each_rule_with_the_values_it_saw(desk: Desk) -> None:
    rules = RULES + "  - name: off\n    enabled: false\n    on: [deal.won]\n    do: [{create: onboarding, target: asana}]\n"
    desk.world.configure(local({"rules.yaml": rules}))
    deal = made(desk, Amount=None)
    found = desk.told("explain", deal)
    says = {rule["name"]: (rule["outcome"], rule["reason"], rule["values"]) for rule in found["rules"]}
    assert says["onboard"] == ("fails", "not (deal.amount is none) is false (deal.amount is empty)", "deal.amount = None")
    assert says["amount"] == ("holds", "deal.status == 'won' is true (deal.status = 'won')", "deal.status = won")
    assert says["open-again"][:2] == ("holds", "it has no condition")
    assert says["off"][0] == "off"
    assert "vip" not in says
    assert [(event["rule"], event["verdict"]) for event in found["trail"]] == [("onboard", "passed")]
    assert "It has no project." in desk.do("explain", deal).stdout


def test_a_rule_that_acted_one_that_passed_and_one_never_woken_are_told_apart(desk: Desk) -> None:
    deal = made(desk)
    desk.world.change(deal, StageName="Prospecting", Amount=10)
    desk.do("sync")
    so_far = {rule["name"]: rule["so_far"] for rule in desk.told("explain", deal)["rules"]}
    assert so_far["onboard"].startswith("acted on deal.won, 20")
    assert so_far["open-again"].startswith("acted on deal.reopened")
    assert so_far["amount"].startswith("passed over deal.amount_changed, 20")
    assert "deal.status == 'won' is false" in so_far["amount"]
    other = desk.world.deal("Other")
    desk.do("sync")
    untouched = desk.told("explain", other)["rules"][0]
    assert (untouched["so_far"], untouched["outcome"]) == ("never woken: no deal.won is on record", "holds")
    assert "never woken: no deal.won" in desk.do("explain", other).stdout


def test_a_record_the_baseline_recorded_and_nothing_more_says_so(desk: Desk) -> None:
    deal = desk.world.deal(AccountId=desk.world.account())
    desk.do("sync")
    told = desk.do("explain", deal).stdout
    assert "since the baseline recorded it" in told
    assert "customer Acme" in told


def test_a_change_no_rule_asks_for_is_accounted_for(desk: Desk) -> None:
    deal = desk.world.deal()
    desk.do("sync")
    desk.world.change(deal, NextStep="Call")
    desk.do("sync")
    assert [event["reason"] for event in desk.told("explain", deal)["trail"]] == ["no rule asks for this"]


@pytest.mark.parametrize(
    "name", ["nonsense", "006000000000000AAA", "a:b", "https://app.asana.com/0/1", "salesforce:deal", "%", "' OR 1=1 --"]
)
def test_what_nobody_has_seen_is_said_to_be_unknown(desk: Desk, name: str) -> None:
    made(desk)
    done = desk.do("explain", name)
    assert done.exit_code == 2
    assert "nothing is known about" in done.stderr


# status and history


def test_history_lists_the_runs_newest_first_and_one_runs_trail(desk: Desk) -> None:
    deal = made(desk)
    runs = desk.told("history")
    assert [run["result"] for run in runs] == ["done", "done"]
    assert runs[0]["counts"]["published"] == 1
    assert runs[1]["counts"]["baseline deal"] == 1
    trail = desk.told("history", "--run", runs[0]["run"])
    assert {event["verdict"] for event in trail} == {"acts", "created", "published"}
    assert {event["source"] for event in trail} == {f"salesforce:deal:{deal}"}
    assert len(desk.told("history", "--limit", "1")) == 1


def test_status_says_what_is_known_what_was_made_and_that_nothing_waits(desk: Desk) -> None:
    made(desk)
    found = desk.told("status")
    assert found["known"] == {"salesforce deal": 1}
    assert (found["counts"]["projects"], found["counts"]["published"], found["counts"]["open"], found["parked"]) == (1, 1, 0, [])
    assert "done" in found["last_run"]


# a person's say


def test_what_the_tool_refuses_for_good_waits_with_the_reason_and_nothing_half_done_is_visible(desk: Desk) -> None:
    deal = parked(desk)
    assert desk.told("sync")["result"] in {"waiting", "with errors"}
    waiting = desk.told("status")["parked"]
    assert [row["key"].rsplit("/", 1)[1] for row in waiting] == ["kickoff", "scope", "done"]
    assert "Asana answered 400" in waiting[0]["error"]
    assert "waits for a person" in desk.told("explain", deal)["projects"][0]["state"]
    assert desk.world.shown() == []


def test_retry_tries_everything_again_with_the_next_sync(desk: Desk) -> None:
    parked(desk)
    assert desk.told("retry") == {"retried": 3, "write_back": 0, "messages": 0}
    desk.do("sync")
    assert len(desk.told("status")["parked"]) == 3
    desk.world.tool.faults.clear()
    desk.told("retry")
    assert desk.do("sync").exit_code == 0
    assert desk.world.shown() == ["Big deal onboarding"]
    assert desk.told("status")["parked"] == []


def test_one_action_is_retried_another_dismissed_and_the_project_appears_without_it(desk: Desk) -> None:
    parked(desk)
    kickoff, scope, done = (row["number"] for row in desk.told("status")["parked"])
    desk.world.tool.faults.clear()
    desk.told("resolve", str(kickoff), "retry")
    desk.told("resolve", str(scope), "retry")
    told = desk.told("resolve", str(done), "dismiss")
    assert told["key"].endswith("/onboarding/done")
    desk.do("sync")
    assert desk.world.shown() == ["Big deal onboarding"]
    assert desk.world.tasks() == {"Kick off Big deal": 1, "Scope": 1, "Agenda": 1}
    assert desk.told("status")["counts"]["open"] == 0


def test_an_object_that_is_there_already_is_adopted_and_worked_on(desk: Desk) -> None:
    deal = parked(desk)
    number = desk.told("status")["parked"][0]["number"]
    desk.world.tool.faults.clear()
    remote = by_hand(desk, "Made by hand")
    assert desk.do("resolve", str(number), "adopt", "--id", remote).exit_code == 0
    desk.told("retry")
    desk.do("sync")
    key = f"salesforce:deal:{deal}/onboarding/kickoff"
    assert "resolved: adopt" in {event["verdict"] for event in desk.told("explain", deal)["trail"] if event["key"] == key}
    assert desk.world.tasks()["Kick off Big deal"] == 0


def test_a_decision_that_makes_no_sense_is_refused(desk: Desk) -> None:
    parked(desk)
    number = str(desk.told("status")["parked"][0]["number"])
    for words in (["resolve", "9999", "retry"], ["resolve", number, "adopt"], ["resolve", number, "burn"], ["resolve", "x", "retry"]):
        done = desk.do(*words)
        assert done.exit_code == 2, words
        assert isinstance(done.exception, SystemExit)
    assert len(desk.told("status")["parked"]) == 3
