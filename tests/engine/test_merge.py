"""Three ways: what we wrote last, what we want, what stands there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.merge import merge


def same(field: str, ours: Any, held: Any) -> bool:
    return bool(ours == held)


@pytest.mark.parametrize(
    ("base", "want", "held", "keep", "written", "kept"),
    [
        ("A", "B", "A", "in_step", True, False),  # nobody touched it
        ("A", "B", "B", "in_step", False, False),  # it stands there already
        ("A", "B", "C", "in_step", False, True),  # a person's word
        ("A", "B", "C", "crm", True, False),  # the CRM's word counts more
        ("A", None, "A", "in_step", True, False),  # clearing is a change too
        ("A", "B", None, "in_step", False, True),  # a person cleared it
        (..., "B", None, "in_step", True, False),  # never written, nobody filled it
        (..., "B", "", "in_step", True, False),
        (..., "B", "C", "in_step", False, True),  # never written, somebody filled it
        (..., "B", 0, "in_step", False, True),  # a zero is something
    ],
)
def test_each_field_is_decided_by_who_wrote_it_last(base: Any, want: Any, held: Any, keep: str, written: bool, kept: bool) -> None:  # noqa: PLR0917
    known = {} if base is ... else {"name": base}
    merged = merge(base=known, want={"name": want}, held={"name": held}, keep={"name": keep}, same=same)
    assert (merged.write == {"name": want}) is written
    assert merged.kept == ({"name": (want, held)} if kept else {})


def test_custom_fields_are_decided_one_by_one() -> None:
    merged = merge(
        base={"custom": {"a": 1, "b": 1}},
        want={"custom": {"a": 2, "b": 2, "c": 2}},
        held={"custom": {"a": 1, "b": 9}},
        keep={"custom": "in_step"},
        same=same,
    )
    assert merged.write == {"custom": {"a": 2, "c": 2}}
    assert merged.kept == {"custom.b": (2, 9)}


def test_custom_fields_of_the_crm_are_the_crms() -> None:
    merged = merge(base={}, want={"custom": {"b": 2}}, held={"custom": {"b": 9}}, keep={"custom": "crm"}, same=same)
    assert (merged.write, merged.kept) == ({"custom": {"b": 2}}, {})


def test_values_are_compared_as_the_tool_would() -> None:
    merged = merge(base={"n": "a"}, want={"n": "B "}, held={"n": "b"}, keep={}, same=lambda f, o, h: o.strip().lower() == h.strip().lower())
    assert merged.write == {}


VALUES = st.sampled_from(["", None, "a", "b", "c"])
FIELDS = st.dictionaries(st.sampled_from(["name", "notes", "due_on"]), VALUES)


@given(FIELDS, FIELDS, FIELDS)
def test_merging_again_after_writing_writes_nothing_more(base: dict[str, Any], want: dict[str, Any], held: dict[str, Any]) -> None:
    keep = dict.fromkeys(want, "in_step")
    first = merge(base=base, want=want, held=held, keep=keep, same=same)
    now = {**held, **first.write}
    again = merge(base={**base, **first.write}, want=want, held=now, keep=keep, same=same)
    assert again.write == {}
    assert again.kept == first.kept
