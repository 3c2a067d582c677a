from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flows.timeline import Timeline, fit
from flows.view import ProjectView, SectionView
from tests.flows.views import SMALL, TODAY, printed, project, task

MONDAY = date(2026, 11, 23)


def timeline(view: ProjectView, width: int = 80, today: date = TODAY) -> list[str]:
    return printed(Timeline(view, today), width)


def row(view: ProjectView, word: str, width: int = 80, today: date = TODAY) -> str:
    return next(line for line in timeline(view, width, today)[1:] if word in line)


def weeks(count: int) -> ProjectView:
    return project(SectionView("S", (task("Work", MONDAY, MONDAY + timedelta(weeks=count, days=-1)),)))


def test_a_bar_covers_its_days_and_the_weekend_inside_it_is_lighter() -> None:
    view = project(SectionView("S", (task("Work", MONDAY, MONDAY + timedelta(days=8)), task("Rest", None, MONDAY + timedelta(days=14)))))
    bar = row(view, "Work")
    cells = bar.count("█") // 7
    assert cells >= 1
    assert bar.count("█") == 7 * cells
    assert bar.count("▒") == 2 * cells
    assert bar.count("░") == 2 * cells


def test_holidays_are_shaded_by_the_calendar_that_is_given() -> None:
    lines = printed(Timeline(weeks(1), MONDAY, lambda day: day != MONDAY + timedelta(days=2)))
    bar = next(line for line in lines if "Work" in line)
    assert bar.count("▒") * 6 == bar.count("█")


def test_milestones_are_diamonds_and_waiting_is_hinted_by_numbers() -> None:
    kickoff = row(SMALL, "Kickoff 明")
    assert kickoff.startswith(" 3 ")
    assert "←1,2" in kickoff
    assert kickoff.count("◆") == 1
    assert "←3" in row(SMALL, "Agree")


def test_today_is_marked_where_it_is_and_nowhere_when_it_is_outside() -> None:
    assert "┊" in row(SMALL, "Handover")
    assert "┊" not in "".join(timeline(SMALL, today=date(2020, 1, 1)))
    assert "┊" not in "".join(timeline(SMALL, today=date(2030, 1, 1)))


def test_months_and_mondays_are_named() -> None:
    lines = timeline(SMALL, 120)
    assert "Nov" in lines[1]
    assert "Dec" in lines[1]
    assert [word for word in lines[2].split() if word.isdigit()] == ["23", "30", "07"]


def test_a_project_without_dates_says_so() -> None:
    assert "Nothing in this project has a date yet." in timeline(project(SectionView("S", (task("x"),))))[1]


@pytest.mark.parametrize("count", [1, 6, 12, 60, 300])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal_however_long_the_project(count: int, width: int) -> None:
    view = project(SectionView("明远" * 30, weeks(count).sections[0].tasks))
    assert max(cell_len(line) for line in timeline(view, width)) <= width


def test_a_long_project_is_shown_in_whole_weeks_from_a_monday() -> None:
    scale = fit(date(2026, 11, 25), date(2027, 11, 25), 60)
    assert (scale.days_per_cell, scale.day(0)) == (7, MONDAY)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 5_000), st.integers(10, 300))
def test_every_day_of_the_span_has_its_cell(first: date, days: int, width: int) -> None:
    last = first + timedelta(days=min(days, width * 28 - 7))
    scale = fit(first, last, width)
    assert scale.width <= width
    assert 0 <= scale.cell(first) <= scale.cell(last) < scale.width
    assert scale.day(scale.cell(last)) <= last < scale.day(scale.cell(last)) + timedelta(days=scale.days_per_cell)
