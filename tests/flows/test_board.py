from __future__ import annotations

import pytest
from rich.cells import cell_len

from flows.board import Board
from flows.view import ProjectView, SectionView, called, initials, plain
from tests.flows.views import SMALL, TODAY, printed, project, task


def board(view: ProjectView, width: int = 80) -> list[str]:
    return printed(Board(view, TODAY), width)


def test_sections_stand_beside_each_other_with_their_counts() -> None:
    titles = next(line for line in board(SMALL) if "Handover" in line)
    assert titles.split() == ["Handover", "1/2", "启动", "Kickoff", "0/2"]


def test_a_card_shows_who_when_and_how_far() -> None:
    text = "\n".join(board(SMALL))
    assert "✓ Sales briefing" in text
    assert "◆ Kickoff" in text
    assert "陈 · 1 Dec · 1/2" in text
    assert "TF · 24 Nov" in text


def test_the_heading_tells_status_progress_and_owner() -> None:
    heading = board(SMALL)[0]
    assert heading == "明远智能 · Onboarding  ● on track  1/4 done · Chen Haoran · 23 Nov – 8 Dec"


@pytest.mark.parametrize("width", [20, 40, 80, 81, 160])
@pytest.mark.parametrize(
    "name", ["明远智能制造有限公司的非常长的项目任务名称需要换行并且截断才可以", "x" * 200, "🌿 Grüne Wiese 🚀" * 9, "شركة النور للتجارة"]
)
def test_no_line_is_wider_than_the_terminal(width: int, name: str) -> None:
    view = project(*(SectionView(name, (task(name, None, TODAY),)) for _ in range(5)), name=name[:30])
    assert max(cell_len(line) for line in board(view, width)) <= width


def test_frames_stay_straight_beside_wide_characters() -> None:
    cards = [line for line in board(project(SectionView("S", (task("明远" * 60),)))) if line.startswith(("╭", "│", "╰"))]
    assert {cell_len(line) for line in cards} == {80}


def test_columns_wrap_when_narrow_and_join_when_wide() -> None:
    view = project(*(SectionView(f"S{number}", (task("t"),)) for number in range(6)))
    rows = [sum(f"S{number}" in " ".join(board(view, width)[1:2]) for number in range(6)) for width in (80, 160)]
    assert rows == [3, 6]


@pytest.mark.parametrize("name", ["x" * 200, "明远" * 10])
def test_a_long_section_name_leaves_room_for_its_count(name: str) -> None:
    title = board(project(SectionView(name, (task("t"),)), SectionView(name)), 60)[1]
    assert title.count("…") == 2
    assert title.count("0/1") == title.count("0/0") == 1
    assert cell_len(title) <= 60


def test_markup_and_control_characters_in_a_name_are_only_text() -> None:
    text = "\n".join(board(project(SectionView("[red]S[/red]", (task("[bold]a\x1b[31m\u202eb[/bold]\r\nc"),)))))
    assert "[red]S[/red]" in text
    assert "[bold]a[31mb[/bold] c" in text
    assert "\x1b" not in text


def test_an_empty_project_still_has_a_heading() -> None:
    assert board(project())[0].startswith("Onboarding")


@pytest.mark.parametrize(
    ("person", "short"),
    [("Clara Weiss", "CW"), ("clara.weiss@x.example", "CW"), ("陈浩然", "陈"), ("", ""), ("Jean-Luc P. Picard", "JL")],
)
def test_people_are_known_by_their_initials(person: str, short: str) -> None:
    assert initials(person) == short


def test_plain_text_is_one_line() -> None:
    assert plain("a\n\tb\u200f  c\x00") == "a b c"


@pytest.mark.parametrize(
    ("person", "name"), [("clara.weiss@x.example", "Clara Weiss"), ("Clara Weiss", "Clara Weiss"), ("陈浩然", "陈浩然"), ("", "")]
)
def test_an_address_is_shown_as_the_name_it_holds(person: str, name: str) -> None:
    assert called(person) == name
