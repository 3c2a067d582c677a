"""What a tool cannot hold is left out and said."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.blueprint import Rendered
from engine.fit import Abilities, fit
from engine.model import Item, ItemKind

KINDS: frozenset[ItemKind] = frozenset({"project", "section", "task", "dependency"})


def task(key: str, **fields: object) -> Item:
    return Item(key, "task", {"name": key, **fields}, "p", "p")


def test_a_kind_the_tool_does_not_have_goes_with_a_note() -> None:
    fitted = fit(
        Rendered((Item("p", "project", {}, "p"), Item("s", "section", {}, "p", "p")), ("seen before",)),
        Abilities(frozenset({"project"}), {}),
        "x",
    )
    assert [item.key for item in fitted.items] == ["p"]
    assert fitted.notes == ("seen before", "x has no section: left out")


def test_a_field_the_tool_does_not_have_goes_and_the_rest_stays() -> None:
    fitted = fit(
        Rendered((task("a", start_on=1, due_on=2), task("b", start_on=1)), ()),
        Abilities(KINDS, {"task": frozenset({"name", "due_on"})}),
        "x",
    )
    assert [item.fields for item in fitted.items] == [{"name": "a", "due_on": 2}, {"name": "b"}]
    assert fitted.notes == ("x has no start_on on a task: left out",)


def test_what_fits_is_not_touched() -> None:
    whole = Rendered((task("a"), task("b")), ())
    assert fit(whole, Abilities(KINDS, {}, most_dependencies=3), "x") == whole


@given(st.lists(st.tuples(st.integers(0, 6), st.sets(st.integers(0, 6), min_size=1)), max_size=12), st.integers(1, 4))
def test_no_task_takes_part_in_more_links_than_the_tool_allows(wanted: list[tuple[int, set[int]]], most: int) -> None:
    items = tuple(
        Item(f"{number}:{at}#after", "dependency", {}, "p", f"t{at}", "", tuple(f"t{other}" for other in sorted(others - {at})))
        for number, (at, others) in enumerate(wanted)
    )
    fitted = fit(Rendered(items, ()), Abilities(KINDS, {}, most_dependencies=most), "x")
    ends = Counter(end for item in fitted.items for other in item.depends_on for end in (item.parent, other))
    assert all(count <= most for count in ends.values())
    lost = sum(len(item.depends_on) for item in items) - sum(len(item.depends_on) for item in fitted.items)
    assert bool(fitted.notes) == bool(lost)


def test_what_stands_in_for_something_is_said_once_and_the_item_stays() -> None:
    abilities = Abilities(KINDS, {}, instead={"section": "versions", "task.followers": "a line in the description", "task.start_on": "x"})
    whole = Rendered(
        (Item("s", "section", {"name": "Plan"}, "p", "p"), task("a", followers=("ann",)), task("b", followers=("ann",), start_on=None)), ()
    )
    fitted = fit(whole, abilities, "tool")
    assert fitted.items == whole.items
    assert fitted.notes == ("tool has no section: versions instead", "tool has no followers on a task: a line in the description instead")


def test_a_task_of_a_section_that_goes_stands_in_the_project_itself() -> None:
    section, inside = Item("s", "section", {"name": "Plan"}, "p", "p"), Item("a", "task", {"name": "a"}, "p", "p", "s")
    fitted = fit(Rendered((section, inside), ()), Abilities(frozenset({"project", "task"}), {}), "x")
    assert fitted.items == (Item("a", "task", {"name": "a"}, "p", "p", ""),)


def test_what_a_task_with_sub_tasks_cannot_hold_is_said_where_there_is_one() -> None:
    below = Item("b", "task", {"name": "b", "due_on": 1}, "p", "a")
    abilities = Abilities(KINDS, {}, instead={"parent.due_on": "the last of its sub-tasks'"})
    assert fit(Rendered((task("a", due_on=2), below), ()), abilities, "x").notes == (
        "x has no due_on of its own on a task with sub-tasks: the last of its sub-tasks' instead",
    )
    assert fit(Rendered((task("a", due_on=2), task("b", due_on=1)), ()), abilities, "x").notes == ()
