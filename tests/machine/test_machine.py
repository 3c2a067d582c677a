"""Whatever happens in whatever order: nothing twice, nothing lost, nothing of a person's overwritten."""

from __future__ import annotations

import pytest

from tests.machine.examples import DEATHS, STORIES, Story, name_of, play
from tests.machine.search import NIGHTLY, search


@pytest.mark.timeout(7200 if NIGHTLY else 600)
def test_nothing_twice_and_nothing_lost() -> None:
    search(3_000, steps=20, derandomize=False) if NIGHTLY else search(150)


@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_all_is_well_after(story: Story) -> None:
    play(story)


def test_all_is_well_after_a_death_anywhere() -> None:
    lives = [play(story).world.longest for story in DEATHS]
    assert max(lives) < len(DEATHS), "the last deaths come after the end: every step was the last of some run"
