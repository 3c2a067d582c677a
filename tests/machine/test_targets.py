"""Every promise holds for each tool there is a connector for, as far as its traits go: the machine runs with an awkward tool that wears them."""

from __future__ import annotations

import pytest

from tests.machine.examples import DEATHS, STORIES, play
from tests.machine.machine import Sync
from tests.machine.search import NIGHTLY, search
from tests.machine.tool import Ways
from tests.targets import TARGETS, traits_of


def like(system: str) -> type[Sync]:
    return type(f"Like{system.title()}", (Sync,), {"wears": Ways.of(traits_of(system))})


@pytest.mark.timeout(7200 if NIGHTLY else 600)
@pytest.mark.parametrize("system", TARGETS)
def test_nothing_twice_and_nothing_lost_in_a_tool_like(system: str) -> None:
    search(600, machine=like(system), steps=20, derandomize=False) if NIGHTLY else search(60, machine=like(system))


@pytest.mark.parametrize("system", TARGETS)
def test_all_is_well_after_every_story_and_a_death_anywhere_in_a_tool_like(system: str) -> None:
    for story in (*STORIES, *DEATHS):
        play(story, like(system))
