"""Relative dates: the language, its problems, and what they resolve to."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendar import Calendar
from engine.dates import Base, Cycle, Dated, Found, Invalid, date_fields, order, parse_date, resolve
from engine.model import Customer, Deal, LineItem
from engine.shapes import shape_of

CUSTOM = {"deal": ["go_live"]}
SHAPES = {name: shape_of(model, CUSTOM) for name, model in {"deal": Deal, "customer": Customer, "item": LineItem}.items()}
FIELDS = date_fields(SHAPES, "deal")
SLOTS = ["kickoff", "kick-off", "go-live"]
EVENT = date(2026, 1, 5)
VALUES: Mapping[str, Found] = {
    "anchor": date(2026, 1, 7),
    "start": date(2026, 1, 8),
    "after kickoff": date(2026, 1, 9),
    "kickoff.due": date(2026, 1, 9),
    "kick-off.start": date(2026, 1, 12),
    "last due": date(2026, 3, 31),
    "deal.close_date": date(2026, 1, 31),
    "deal.created_at": datetime(2026, 1, 1, 23, 30, tzinfo=UTC),
    "deal.custom.go_live": "2026-05-04",
    "item.service_date": date(2026, 6, 1),
}


def day(text: str, *, values: Mapping[str, Found] = VALUES, zone: str = "UTC", calendar: str = "") -> Dated:
    rule = parse_date(text, slots=SLOTS, fields=FIELDS)

    def lookup(base: Base) -> Found:
        return values.get(str(base))

    return resolve(rule, lookup, event=EVENT, calendar=Calendar.named(calendar), zone=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event", "2026-01-05"),
        ("anchor", "2026-01-07"),
        ("start + 3 working days", "2026-01-13"),
        ("after kickoff", "2026-01-12"),
        ("after kickoff + 1 week", "2026-01-19"),
        ("kickoff.due", "2026-01-09"),
        ("kick-off.start-2 days", "2026-01-10"),
        ("last due", "2026-03-31"),
        ("close_date", "2026-01-31"),
        ("close_date + 0 working days", "2026-02-02"),
        ("close_date - 1 working day", "2026-01-30"),
        ("deal.close_date + 1 month", "2026-02-28"),
        ("close_date - 2 months + 1 day", "2025-12-01"),
        ("deal.custom.go_live - 1 week", "2026-04-27"),
        ("item.service_date", "2026-06-01"),
        ("  event   +  1   working   day ", "2026-01-06"),
    ],
)
def test_a_date_counts_from_its_base(text: str, expected: str) -> None:
    assert day(text) == Dated(date.fromisoformat(expected))


def test_a_moment_becomes_a_day_in_the_given_zone() -> None:
    assert day("created_at").day == date(2026, 1, 1)
    assert day("created_at", zone="Asia/Shanghai").day == date(2026, 1, 2)


def test_working_days_follow_the_calendar() -> None:
    assert day("event + 31 working days", calendar="CN").day == date(2026, 2, 24)


def test_an_empty_base_falls_back_to_the_event_and_says_so() -> None:
    told = day("close_date + 1 day", values={})
    assert told == Dated(date(2026, 1, 6), "deal.close_date is empty; counted from the day of the event")
    assert day("after kickoff", values={}).note == "kickoff has no date; counted from the day of the event"


def test_a_custom_value_that_is_no_date_counts_as_empty() -> None:
    assert day("deal.custom.go_live", values={"deal.custom.go_live": "soon"}).day == EVENT


def test_the_last_due_of_nothing_is_no_day() -> None:
    assert day("last due", values={}).day is None


def test_a_date_outside_the_calendar_is_no_day() -> None:
    assert day("event" + " + 9999 months" * 10).day is None


@pytest.mark.parametrize(
    ("text", "message", "column", "hint"),
    [
        ("after kickof", "unknown slot kickof", 7, "did you mean kickoff?"),
        ("  go-live2.due", "unknown slot go-live2", 3, "did you mean go-live?"),
        ("clos_date + 1 day", "unknown date clos_date", 1, "did you mean close_date?"),
        ("event + 3 wroking days", "unknown unit wroking", 11, "did you mean working?"),
        ("event + 3 weekss", "unknown unit weekss", 11, "did you mean weeks?"),
        ("event + 3 working weeks", "there are no working weeks", 11, "count working days"),
        ("event + five days", "'+ five days' is not a step", 6, ""),
        ("", "a date is written like", 1, ""),
    ],
)
def test_a_problem_names_the_spot_and_what_was_meant(text: str, message: str, column: int, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_date(text, slots=SLOTS, fields=FIELDS)
    problem = caught.value.problems[0]
    assert problem.message.startswith(message)
    assert problem.column == column
    assert hint in problem.hint


def test_a_word_out_of_place_is_refused() -> None:
    with pytest.raises(Invalid, match="'anchor' has no meaning here"):
        parse_date("anchor + 1 day", slots=(), fields=FIELDS, words=["event"])


def test_text_fields_are_not_dates() -> None:
    assert "deal.name" not in FIELDS
    assert FIELDS["close_date"] == "deal.close_date"


def test_order_puts_what_is_waited_for_first_and_names_a_cycle() -> None:
    assert order({"b": ["a"], "a": [], "c": ["b"]}) == ("a", "b", "c")
    with pytest.raises(Cycle, match="a") as caught:
        order({"a": ["b"], "b": ["c"], "c": ["a"]})
    assert set(caught.value.names) == {"a", "b", "c"}
    assert caught.value.names[0] == caught.value.names[-1]


@given(st.text() | st.text(alphabet="event after.due+-0123456789 workingdays_\n"))
def test_no_text_makes_parsing_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert parse_date(text, slots=SLOTS, fields=FIELDS).text == text
