"""Play a scenario, let the dust settle, and judge. The same seed gives the same trace, letter by letter."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.flows.world import Crash
from tests.simulation.loop import VirtualLoop
from tests.simulation.oracle import judge
from tests.simulation.scenario import Scenario, Sync
from tests.simulation.stage import Stage

MOST_RUNS = 12


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a scenario: the promises it broke, what happened, and how much of it."""

    scenario: Scenario
    violations: tuple[str, ...]
    trace: tuple[str, ...]
    figures: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


def simulate(scenario: Scenario, state: str = "") -> Outcome:
    """Play a scenario with an empty state: a file, or at the address given."""
    folder = Path(tempfile.mkdtemp(prefix="handoff-simulation-"))
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(_simulate(scenario, folder, state))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _simulate(scenario: Scenario, folder: Path, state: str) -> Outcome:
    stage = Stage(folder, scenario, state)
    violations: list[str] = []
    asyncio.get_running_loop().set_exception_handler(_unheard)
    try:
        for entry in scenario.entries:
            await stage.play(entry)
        await _settle(stage)
        violations = judge(stage)
    except Exception as error:  # noqa: BLE001 - whatever else gets out of a run is a finding
        last = traceback.extract_tb(error.__traceback__)[-1]
        violations = [f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})", *stage.watch.violations]
    wrong = tuple(dict.fromkeys(filter(None, violations)))
    return Outcome(scenario, wrong, tuple(stage.trace), _figures(stage, wrong), stage.struck)


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Nobody hears of what still runs of a process that is gone."""
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)


async def _settle(stage: Stage) -> None:
    """No faults any more: runs until there is nothing to do, a person's second try of what waits for one, and a sweep."""
    number = 1000
    for minutes, retry in ((20, False), (20, True), (130, False)):
        if retry and not stage.retry_parked():
            continue
        result = ""
        while result != "nothing to do":
            number += 1
            if number > 1000 + MOST_RUNS:
                stage.watch.wrong(f"not quiet after {MOST_RUNS} runs without a fault: {result}")
                return
            summary = await stage.run(Sync(number, minutes), healthy=True)
            result = summary.result if summary else "crashed"
            if result == "waiting" and stage.watch.parked:
                break  # for a person


_SORTS = {
    "duplicates": ("second time", "times", "twice"),
    "lost": ("never", "nobody said", "should be"),
    "overwritten": ("a person wrote", "overwrote"),
}


def _sort(violation: str) -> str:
    return next((name for name, signs in _SORTS.items() if any(sign in violation for sign in signs)), "other")


def _figures(stage: Stage, violations: tuple[str, ...]) -> Counter[str]:
    watch = stage.watch
    found = Counter(stage.figures)
    found.update(_sort(violation) for violation in violations)
    found["projects"] = len(watch.shown)
    found["tasks"] = len(watch.tasks_by_key())
    found["edits by people"] = sum(not edit.by_us for edits in watch.edits.values() for edit in edits)
    return found
