"""Each guard is missed when it is gone. Which way, and after how much looking: `make mutants`."""

from __future__ import annotations

import pytest

from tests.machine.mutants import MUTANTS, Mutant
from tests.machine.trial import by_search, by_story

EXAMPLES = 20  # those that take longer have a story
RARE = {"an update is repeated when the lost one can no longer take effect"}  # three thousand examples did not come upon it; its story does


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_guard_is_missed(mutant: Mutant) -> None:
    assert by_story(mutant) or by_search(mutant, EXAMPLES), f"nothing is wrong when this is so: {mutant.told}"


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mutant", [one for one in MUTANTS.values() if one.guard not in RARE], ids=lambda one: one.guard)
def test_a_guard_is_missed_by_random_search_too(mutant: Mutant) -> None:
    assert by_search(mutant, 3000)
