"""From a template to items: deterministic keys, dates that hold, links that skip what is not made."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from engine.model import Item
from tests.engine.planning import KEY, Desk, change, deal, planner
from tests.flows.files import RULES

QUIET = RULES.split("  - name: amount")[0]
HEAD = "version: 1\nname: onboarding\n"


def items(blueprint: str, *, at: datetime = datetime(2026, 3, 6, 9, tzinfo=UTC), **fields: Any) -> dict[str, Item]:
    desk = Desk(planner({"rules.yaml": QUIET, "mappings/blueprints/onboarding.yaml": HEAD + blueprint}))
    plan = desk.plan(change(deal(**fields), deal(status="won", **fields), at=at))
    return {action.item.key.removeprefix(KEY): action.item for action in plan.actions if action.op == "create"}


def tasks(*rows: str, project: str = "{name: P}") -> str:
    return f"project: {project}\nsections:\n  - slot: s\n    name: S\n    tasks:\n" + "".join(f"      - {{{row}}}\n" for row in rows)


def test_dates_count_working_days_from_the_event_over_a_weekend() -> None:
    made = items(
        tasks(
            "slot: a, name: A, start: anchor, due: start + 2 working days", "slot: b, name: B, start: after a, due: start + 1 working days"
        )
    )
    assert (made["/a"].fields["start_on"], made["/a"].fields["due_on"]) == (date(2026, 3, 6), date(2026, 3, 10))
    assert made["/b"].fields["start_on"] > made["/a"].fields["due_on"]


def test_a_project_ends_with_its_last_task() -> None:
    made = items(
        tasks(
            "slot: a, name: A, due: anchor + 1 working days",
            "slot: b, name: B, due: anchor + 9 working days",
            project="{name: P, due: last due}",
        )
    )
    assert made[""].fields["due_on"] == made["/b"].fields["due_on"]


def test_a_milestone_has_no_start() -> None:
    made = items(tasks("slot: a, name: A, milestone: true, start: anchor, due: start + 1 working days"))
    assert set(made["/a"].fields) == {"name", "milestone", "due_on"}


def test_a_task_that_is_not_made_passes_on_what_it_would_have_waited_for() -> None:
    made = items(tasks("slot: a, name: A", "slot: b, name: B, when: deal.amount > 9000, after: [a]", "slot: c, name: C, after: [b]"))
    assert "/b" not in made
    assert made["/c#after"].depends_on == (f"{KEY}/a",)


def test_a_loop_makes_one_task_for_each_and_waits_for_all_of_them() -> None:
    lines = [{"id": "x", "description": "X"}, {"id": "y", "description": "Y"}]
    made = items(tasks('slot: a, name: "{{ i.description }}", for: i in deal.line_items', "slot: b, name: B, after: [a]"), line_items=lines)
    assert (made["/a:x"].fields["name"], made["/a:y"].fields["name"]) == ("X", "Y")
    assert made["/b#after"].depends_on == (f"{KEY}/a:x", f"{KEY}/a:y")


def test_a_section_that_is_not_wanted_takes_its_tasks_along() -> None:
    made = items(
        "project: {name: P}\nsections:\n  - {slot: s, name: S, when: false, tasks: [{slot: a, name: A}]}\n  - {slot: t, name: T}\n"
    )
    assert set(made) == {"", "/t"}


def test_parents_stand_before_what_lives_in_them() -> None:
    made = list(items(tasks("slot: a, name: A, subtasks: [{slot: b, name: B, after: [c]}]", "slot: c, name: C")))
    assert made == ["", "/s", "/a", "/c", "/b", "/b#after"]


def test_a_name_is_one_line_and_never_empty() -> None:
    made = items(tasks('slot: a, name: "{{ deal.next_step }}"', 'slot: b, name: "{{ deal.description }}"'), description="two\n lines ")
    assert (made["/a"].fields["name"], made["/b"].fields["name"]) == ("a", "two lines")


def test_whoever_is_not_found_is_told_and_nobody_is_made_up() -> None:
    desk = Desk(
        planner(
            {
                "rules.yaml": QUIET,
                "mappings/blueprints/onboarding.yaml": HEAD + tasks('slot: a, name: A, assignee: "{{ deal.owner.email }}"'),
            }
        )
    )
    plan = desk.plan(change(deal(), deal(status="won")))
    assert "assignee" not in next(action.item for action in plan.actions if action.item.kind == "task").fields
    assert plan.notes[KEY] == ("{{ deal.owner.email }}: nobody found",)


def test_the_same_input_gives_the_same_items() -> None:
    text = tasks("slot: a, name: A, due: anchor + 3 working days")
    assert items(text) == items(text)
