"""What is written to Kanboard reads the same as what is held there, and nothing else does."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.base import Rejected
from connectors.kanboard.connection import FieldMap
from connectors.kanboard.metadata import entries, same_value, values
from connectors.kanboard.shapes import mark, mark_of, pending, same
from connectors.kanboard.text import LONGEST, body, clean, identifier, is_identifier, key_in, line, reference, title


@given(st.text())
@example("\ud800 half a character")
@example("0")
def test_names_and_texts_are_sent_in_a_form_that_does_not_change_again(text: str) -> None:
    assert title(text).strip() == line(text) == line(title(text))
    assert body(body(text)) == body(text)
    clean(text).encode()
    assert same("task", "name", text, title(text))
    assert same("task", "notes", text, body(text))


def test_a_long_text_is_cut_and_says_so() -> None:
    text = "many words " * 10_000
    assert len(body(text)) <= LONGEST
    assert f"{len(text)} characters" in body(text)
    assert same("task", "notes", text, body(text))


@given(st.text(min_size=1), st.text(min_size=1))
@example("crm:deal:1", "crm:deal:2")
@example("crm:deal:a", "crm:deal:A")
def test_an_identifier_is_one_keys_alone(one: str, other: str) -> None:
    one, other = clean(one), clean(other)
    assert re.fullmatch(r"[A-Z0-9]{1,50}", identifier(one))
    assert is_identifier(identifier(one))
    assert (identifier(one) == identifier(other)) is (one == other)


@pytest.mark.parametrize("theirs", [None, "", "ACME", "HOME", "HO" + "A" * 15, "HO" + "1" * 16])
def test_identifiers_of_others_are_told_apart(theirs: str | None) -> None:
    assert not is_identifier(theirs)


def test_references_are_keys_and_long_ones_stay_apart() -> None:
    assert reference("crm:deal:7/onboarding/kickoff") == "crm:deal:7/onboarding/kickoff"
    long = [reference("x" * 300 + end) for end in "ab"]
    assert len(set(long)) == 2
    assert max(map(len, long)) <= 191


def test_what_is_left_of_a_long_key_is_not_taken_for_a_key() -> None:
    """An object that has another key than the one it is known by is a stranger's."""
    assert key_in(reference("x" * 300)) == ""
    assert key_in(reference("x" * 191)) == "x" * 191
    assert key_in(None) == ""


@pytest.mark.parametrize(
    ("field", "ours", "held", "are"),
    [
        ("name", "Build  it", "Build it", True),
        ("name", "Build", "build", False),
        ("notes", "a\r\nb", "a\nb", True),
        ("notes", "a b", "a c", False),
        ("assignee", "Ann@Example.com", "ann@example.com", True),
        ("assignee", "nobody@x", None, True),
        ("assignee", "nobody@x", "ann@example.com", False),
        ("assignee", "ann@example.com", None, False),
        ("followers", ("ann@example.com", "nobody@x"), ("bob@x", "ANN@example.com"), True),
        ("followers", ("ann@example.com",), ("bob@x",), False),
        ("milestone", False, None, True),
        ("milestone", True, False, False),
        ("due_on", date(2026, 3, 2), date(2026, 3, 2), True),
        ("due_on", date(2026, 3, 2), None, False),
        ("custom.value", Decimal("24000.00"), "24000", True),
        ("custom.value", Decimal("24000"), "24001", False),
    ],
)
def test_same(field: str, ours: Any, held: Any, *, are: bool) -> None:
    assert same("task", field, ours, held, unknown=frozenset({"nobody@x"})) is are


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Decimal("1000000"), "1000000"),
        (Decimal("0.50"), "0.5"),
        (True, "yes"),
        (date(2026, 3, 2), "2026-03-02"),
        (datetime(2026, 3, 2, 9, 30), "2026-03-02T09:30:00"),  # noqa: DTZ001
        (["a", "b"], "a, b"),
        (None, ""),
        ("vip", "VIP"),
        ("x" * 300, "x" * 255),
    ],
)
def test_custom_values_are_texts_and_compare_as_such(value: Any, told: str) -> None:
    fields = {"tier": FieldMap(custom_field="Tier", values={"vip": "VIP"})}
    assert entries({"tier": value}, fields) == {"Tier": told}
    assert same_value(value, values({"Tier": told, "other": "x"}, fields)["tier"])


def test_a_custom_field_without_a_place_is_refused_with_the_place_to_name_it() -> None:
    with pytest.raises(Rejected, match=r"mappings/kanboard\.yaml") as refusal:
        entries({"region": "emea"}, {})
    assert refusal.value.field == "region"


def test_columns_carry_keys_and_those_of_people_do_not() -> None:
    assert mark_of({"description": mark("crm:deal:7/plan")}) == "crm:deal:7/plan"
    assert [mark_of({"description": text}) for text in (None, "", "see handoff:x")] == ["", "", ""]


@pytest.mark.parametrize(
    ("task", "user"),
    [
        ({"recurrence_factor": -7, "recurrence_status": 0}, 7),
        ({"recurrence_factor": 0, "recurrence_status": 0}, 0),
        ({"recurrence_factor": 3, "recurrence_status": 0}, 0),
        ({"recurrence_factor": -7, "recurrence_status": 1}, 0),
    ],
)
def test_only_a_negative_factor_of_a_task_that_does_not_recur_says_who_waits(task: dict[str, int], user: int) -> None:
    assert pending(task) == user
