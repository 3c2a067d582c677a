"""Working days: China's moved holidays and made-up weekends, parts of countries, unknown years and names."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendar import Calendar, UnknownCalendar

CN = Calendar.named("CN")


@pytest.mark.parametrize("day", [date(2025, 1, 28), date(2025, 2, 4), date(2026, 2, 16), date(2026, 2, 23)])
def test_spring_festival_is_not_worked(day: date) -> None:
    assert not CN.is_working(day)


@pytest.mark.parametrize("day", [date(2025, 10, 1), date(2025, 10, 8), date(2026, 10, 1), date(2026, 10, 7)])
def test_national_day_week_is_not_worked(day: date) -> None:
    assert not CN.is_working(day)


@pytest.mark.parametrize("day", [date(2025, 1, 26), date(2025, 2, 8), date(2025, 10, 11), date(2026, 1, 4), date(2026, 2, 14)])
def test_a_made_up_weekend_is_worked(day: date) -> None:
    assert day.weekday() >= 5
    assert CN.is_working(day)
    assert not Calendar.named("").is_working(day)


def test_five_working_days_after_the_eve_of_spring_festival_skip_the_whole_holiday() -> None:
    # 24 to 27 January: Friday, a made-up Sunday, Monday; then off until 5 February; Saturday the 8th is made up
    assert CN.add(date(2025, 1, 24), 2) == date(2025, 1, 27)
    assert CN.add(date(2025, 1, 24), 5) == date(2025, 2, 7)
    assert CN.add(date(2025, 1, 24), 6) == date(2025, 2, 8)
    assert CN.add(date(2025, 2, 8), -6) == date(2025, 1, 24)


def test_zero_working_days_is_the_next_working_day_on_or_after() -> None:
    assert CN.add(date(2026, 10, 1), 0) == date(2026, 10, 8)
    assert CN.add(date(2026, 10, 8), 0) == date(2026, 10, 8)


def test_a_year_without_published_holidays_is_said_to_be_unknown_and_still_works_monday_to_friday() -> None:
    assert CN.known(2026)
    assert not CN.known(2099)
    assert not CN.known(2150)
    assert CN.is_working(date(2150, 3, 4))
    assert not CN.is_working(date(2150, 3, 7))


def test_a_part_of_a_country_has_its_own_holidays() -> None:
    chavez = date(2026, 3, 31)
    assert Calendar.named("US").is_working(chavez)
    assert not Calendar.named("US-CA").is_working(chavez)


def test_the_nameless_calendar_works_monday_to_friday_only() -> None:
    assert Calendar.named("").is_working(date(2026, 1, 1))
    assert not Calendar.named("").is_working(date(2026, 1, 3))


def test_weekends_follow_the_country() -> None:
    saudi = Calendar.named("SA")
    assert not saudi.is_working(date(2026, 1, 9))
    assert saudi.is_working(date(2026, 1, 11))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cn", "did you mean CN?"),
        ("US-CAA", "did you mean US-CA?"),
        ("Narnia", "use a country code such as CN, or US-CA for a part of one"),
    ],
)
def test_an_unknown_name_says_which_was_meant(name: str, hint: str) -> None:
    with pytest.raises(UnknownCalendar) as caught:
        Calendar.named(name)
    assert caught.value.hint == hint


@given(st.dates(date(2020, 1, 1), date(2035, 1, 1)), st.integers(1, 60), st.sampled_from(["", "CN", "DE", "US-CA"]))
def test_going_forth_and_back_comes_home(day: date, count: int, name: str) -> None:
    calendar = Calendar.named(name)
    start = calendar.add(day, 0)
    there = calendar.add(start, count)
    assert calendar.is_working(there)
    assert sum(calendar.is_working(start + timedelta(days=n)) for n in range(1, (there - start).days + 1)) == count
    assert calendar.add(there, -count) == start
