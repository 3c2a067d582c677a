"""What one run may do before a person says yes: counted over the whole plan, each limit named with what was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.config import Limits, RuleLimits
from engine.limits import FEW, by_rule, over_limits
from engine.model import Action, Item
from engine.plan import Alarm, Plan
from tests.engine.planning import AT, Desk, change, deal

WON = change(deal(), deal(status="won"))


def update(number: int, kind: Any = "project", op: Any = "update") -> Action:
    key = f"salesforce:deal:{number:03}/onboarding"
    return Action(
        op,
        Item(key, kind, {}, key.removesuffix("#c")),
        "asana",
        key.split("/", maxsplit=1)[0],
        "onboarding",
        "deal.updated",
        AT,
        "onboard",
        "",
    )


def above(plan: Plan, *, projects: int = 1000, rules: dict[str, RuleLimits] | None = None, **limits: Any) -> list[str]:
    return over_limits(plan, Limits(**limits), rules or {}, projects=projects)


def test_limits_name_what_they_allow_and_what_was_asked() -> None:
    plan = Desk().plan(WON)
    one, none = RuleLimits(projects_per_run=1), RuleLimits(projects_per_run=0)
    assert above(plan, projects_per_run=1, rules={"onboard": one}) == []
    assert above(plan, projects_per_run=0, rules={"onboard": none, "vip": none}) == [
        "1 new projects, limits.projects_per_run allows 0",
        "1 new projects by rule onboard, its limits.projects_per_run allows 0",
    ]


def test_updates_and_comments_have_limits_for_the_run_and_for_each_rule() -> None:
    plan = Plan([update(1), update(2), replace(update(3), item=Item("k#c", "comment", {}, "k")), update(4, "status", "create")])
    assert by_rule(plan) == {"onboard": {"updates": 2, "comments": 2}}
    assert above(plan, updates_per_run=2, comments_per_run=2) == []
    assert above(plan, updates_per_run=1, comments_per_run=1) == [
        "2 updates, limits.updates_per_run allows 1",
        "2 comments and statuses, limits.comments_per_run allows 1",
    ]
    assert above(plan, rules={"onboard": RuleLimits(updates_per_run=1, comments_per_run=1)}) == [
        "2 updates by rule onboard, its limits.updates_per_run allows 1",
        "2 comments and statuses by rule onboard, its limits.comments_per_run allows 1",
    ]


def test_what_is_added_to_a_project_that_exists_is_an_update_of_it_and_what_is_born_with_one_is_not() -> None:
    desk = Desk()
    first = desk.plan(WON)
    assert by_rule(first) == {"onboard": {"projects": 1}}
    lines = [{"id": "a", "description": "A"}]
    more = desk.plan(change(deal(status="won"), deal(status="won", line_items=lines)))
    assert by_rule(more) == {"onboard": {"updates": 2}}, "a task, and what it waits for"


@pytest.mark.parametrize(("touched", "projects", "refused"), [(FEW, 10, False), (FEW + 1, 21, True), (FEW + 1, 22, False)])
def test_a_share_of_the_projects_counts_from_a_few_on(touched: int, projects: int, refused: bool) -> None:
    plan = Plan([update(number) for number in range(touched)])
    assert above(plan, projects=projects, touched_share=0.5) == (
        [f"{touched} of {projects} projects would be changed, limits.touched_share allows 50%"] if refused else []
    )
    assert above(plan, projects=projects, touched_share=1) == []


def test_an_alarm_is_a_reason_and_part_of_what_an_approval_is_of() -> None:
    plain, odd, other = Plan(), Plan(alarms=[Alarm("odd", ("a",))]), Plan(alarms=[Alarm("odd", ("b",))])
    assert above(odd) == ["odd"]
    assert len({plain.digest, odd.digest, other.digest}) == 3
