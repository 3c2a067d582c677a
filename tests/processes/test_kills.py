"""`kill -9` at any moment of a run, over and over: afterwards everything is there once, as after one undisturbed run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes.kills import CREW, Figures, play, told


def made_good(figures: Figures, kills: int) -> None:
    print(told(figures, 1))  # noqa: T201 - shown when it fails, and with -s
    assert figures.wrong == []
    assert figures.kills == kills


def test_twenty_kills_all_over_a_backfill_leave_nothing_twice_and_lose_nothing(tmp_path: Path) -> None:
    made_good(play(tmp_path, projects=30, kills=20, seed=1), 20)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_sixty_kills_among_four_processes_on_a_server_leave_nothing_twice_and_lose_nothing(
    tmp_path: Path, fresh_state: Callable[[], str]
) -> None:
    figures = play(tmp_path, projects=150, kills=60, seed=1, state=fresh_state(), crew=CREW)
    made_good(figures, figures.kills)
    assert figures.kills > 40  # once all is made, idle workers come to no more requests to die at


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_two_hundred_kills_all_over_a_backfill_leave_nothing_twice_and_lose_nothing(tmp_path: Path) -> None:
    figures = play(tmp_path, projects=300, kills=200, seed=1)
    made_good(figures, 200)
    for what in ("reading the CRM, planning", "creating projects", "making tasks", "publishing", "writing back"):
        assert figures.killed[what], f"never killed while {what}"
