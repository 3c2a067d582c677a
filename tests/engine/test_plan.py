"""From changes to actions, each with its reason, and a reason for all that is passed over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.engine.planning import AT, KEY, TRAITS, Desk, change, customer, deal, planner
from tests.flows.files import RULES

WON = change(deal(), deal(status="won"))


def test_a_won_deal_becomes_a_project_that_is_published_last() -> None:
    plan = Desk().plan(WON)
    assert plan.counts() == {"create project": 1, "create section": 2, "create task": 4, "create dependency": 2, "publish project": 1}
    assert (plan.actions[0].item.key, plan.actions[-1].op) == (KEY, "publish")
    assert plan.actions[0].why.startswith("rule onboard, rules.yaml:")
    assert [(d.rule, d.verdict) for d in plan.decisions] == [("onboard", "acts")]


def test_a_project_is_made_once_and_the_reason_names_it() -> None:
    desk = Desk()
    desk.plan(WON)
    again = desk.plan(change(deal(status="lost"), deal(status="won")))
    assert again.projects() == []
    assert again.decisions[0].reason == f"its project {KEY} exists already, made by rule onboard"
    twice = Desk().plan(WON, WON)
    assert len(twice.projects()) == 1
    assert twice.decisions[1].reason == f"its project {KEY} is made by rule onboard already, in this plan"


def test_a_condition_that_does_not_hold_is_told_with_what_it_saw() -> None:
    plan = Desk().plan(change(deal(), deal(status="won", amount=10)))
    assert (plan.actions, plan.decisions[0].verdict) == ([], "passed")
    assert plan.decisions[0].seen["deal.amount"] == 10


def test_equal_changes_give_equal_digests_and_others_do_not() -> None:
    digests = {Desk().plan(WON).digest for _ in range(3)}
    assert len(digests) == 1
    assert Desk().plan(change(deal(), deal(status="won", name="Other"))).digest not in digests


def test_fields_in_step_follow_and_all_others_stay() -> None:
    desk = Desk()
    desk.plan(WON)
    plan = desk.plan(change(deal(status="won"), deal(status="won", name="Bigger", owner=None, next_step="Call")))
    changed = {action.item.key.removeprefix(KEY): set(action.changed) for action in plan.actions}
    assert changed == {"": {"name", "notes"}, "/kickoff": {"name"}}
    assert plan.actions[0].keep == {"name": "crm", "notes": "in_step"}


def test_a_later_change_does_not_move_the_event_of_a_project() -> None:
    desk = Desk()
    before, vip = customer(), customer(tier="VIP", description="x")
    desk.plan(change(before, vip))
    later = desk.plan(change(vip, customer(tier="VIP", description="y"), at=AT + timedelta(days=9)))
    (update,) = later.actions
    assert update.changed["notes"] == "VIP since 02 March 2026: y"


def test_a_new_line_item_adds_its_task_and_one_that_went_is_only_told() -> None:
    desk = Desk()
    lines = [{"id": "a", "description": "A"}, {"id": "b", "description": "B"}]
    desk.plan(change(deal(), deal(status="won", line_items=lines[:1])))
    plan = desk.plan(change(deal(status="won", line_items=lines[:1]), deal(status="won", line_items=lines[1:])))
    assert [action.item.key.removeprefix(KEY) for action in plan.actions] == ["/line:b", "/line:b#after"]
    assert plan.notes[KEY] == (f"{KEY}/line:a would not be made any more; it stays",)


def test_a_comment_is_one_for_each_change_whatever_version_of_the_record_shows_it() -> None:
    desk = Desk()
    desk.plan(WON)
    changed = [
        change(deal(status="won"), deal(status="won", amount=amount), version=version)
        for amount, version in ((9000, "v2"), (9000, "v3"), (8000, "v3"))
    ]
    keys = [action.item.key for each in changed for action in desk.plan(each).actions if action.item.kind == "comment"]
    assert (keys[0] == keys[1], keys[1] == keys[2]) == (True, False)


def test_without_its_project_a_comment_is_passed_over() -> None:
    plan = Desk().plan(change(deal(status="won"), deal(status="won", amount=1)))
    assert [decision.reason for decision in plan.decisions] == ["there is no onboarding project for it"]


def test_what_a_tool_has_no_way_to_hold_is_said_and_not_tried() -> None:
    desk = Desk(planner(traits=replace(TRAITS, kinds=frozenset({"project", "section", "task"}))))
    plan = desk.plan(WON)
    assert "create dependency" not in plan.counts()
    assert plan.notes[KEY] == ("asana has no dependency: left out",)
    assert desk.plan(change(deal(status="won"), deal())).decisions[0].reason == "asana has no way to hold a status"


def test_only_the_rules_named_act() -> None:
    assert Desk().plan(WON, among={"vip"}).actions == []


def test_a_deleted_deal_is_not_kept_in_step() -> None:
    desk = Desk()
    desk.plan(WON)
    assert desk.plan(change(deal(status="won"), None, deleted=True)).actions == []


def test_a_project_of_too_many_objects_is_refused_by_itself() -> None:
    small = RULES.replace("updates_per_run: 50", "updates_per_run: 50, objects_per_project: 8")
    plan = Desk(planner({"rules.yaml": small})).plan(WON)
    assert plan.actions == []
    assert plan.decisions[0].verdict == "failed"
    assert plan.decisions[0].reason == "the project would have 9 objects, limits.objects_per_project allows 8"
