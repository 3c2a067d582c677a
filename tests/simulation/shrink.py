"""The smallest part of a scenario that still fails: leave out halves, quarters, and so on down to single entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.simulation.scenario import Scenario
from tests.simulation.simulate import Outcome, simulate


def shrink(failed: Outcome, *, most: int = 400, tell: Callable[[int, int], None] = lambda _tried, _left: None) -> Outcome:
    """The outcome of the smallest failing scenario found in at most `most` tries."""
    best, tried = failed, 0
    smaller = True
    while smaller and tried < most:
        smaller = False
        for part in ("faults", "entries"):
            size = max(len(_of(best.scenario, part)) // 2, 1)
            while size and tried < most:
                at = 0
                while at < len(_of(best.scenario, part)) and tried < most:
                    tried += 1
                    outcome = simulate(_without(best.scenario, part, _of(best.scenario, part)[at : at + size]))
                    tell(tried, len(best.scenario.entries) + len(best.scenario.faults))
                    if outcome.violations:
                        best, smaller = outcome, True
                    else:
                        at += size
                size //= 2
    return best


def _of(scenario: Scenario, part: str) -> Sequence[object]:
    return scenario.faults if part == "faults" else scenario.entries


def _without(scenario: Scenario, part: str, left_out: Sequence[object]) -> Scenario:
    return scenario.without(faults=left_out) if part == "faults" else scenario.without(entries=left_out)
