"""`python -m tests.simulation [SEED] [--seeds N] [--from K] [--jobs 2] [--json]`: many scenarios, or one told in full."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tests.simulation.scenario import generate
from tests.simulation.shrink import shrink
from tests.simulation.simulate import Outcome, simulate

_CHUNK = 10


def main(words: list[str]) -> int:
    asked = _asked(words)
    if asked.seed is not None:
        return _one(asked.seed, shrinking=not asked.whole)
    tally = Tally()
    for number, outcome in enumerate(_played(range(asked.first, asked.first + asked.seeds), asked.jobs), 1):
        tally.add(outcome)
        if not asked.json and (number % 100 == 0 or number == asked.seeds):
            _say(f"  {number} of {asked.seeds} seeds, {sum(tally.faults.values())} faults, {len(tally.failed)} failed")
        for violation in outcome.violations:
            _say(f"seed {outcome.scenario.seed}: {violation}")
    figures = tally.figures()
    print(json.dumps(figures, indent=2) if asked.json else "\n".join(f"{name:>24}  {value}" for name, value in figures.items()))  # noqa: T201
    for seed in tally.failed[:3]:
        _say(replay(seed))
    return 1 if tally.failed else 0


def replay(seed: int) -> str:
    return f"To see it again, cut down to what is needed: make simulate SEED={seed}"


def tell(outcome: Outcome) -> str:
    """A scenario, what happened, and what went wrong, for people."""
    wrong = "\n".join(f"  {violation}" for violation in outcome.violations) or "  nothing"
    return "\n".join(
        [f"Scenario of seed {outcome.scenario.seed}", str(outcome.scenario), "What happened", *outcome.trace, "What is wrong", wrong]
    )


def _asked(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulate the whole pipeline with faults everywhere.")
    parser.add_argument(
        "seed", nargs="?", type=int, help="play this one scenario and tell all of it; cut down to what is needed if it fails"
    )
    parser.add_argument("--seeds", type=int, default=500, help="how many scenarios (default 500)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once (default 2)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--whole", action="store_true", help="with a seed: do not cut the scenario down")
    return parser.parse_args(words)


def _one(seed: int, *, shrinking: bool) -> int:
    outcome = simulate(generate(seed))
    if outcome.violations and shrinking:
        _say(f"seed {seed} fails; looking for the smallest part of it that still does")
        outcome = shrink(outcome, tell=lambda tried, left: _say(f"  {tried} tried, {left} entries left") if tried % 50 == 0 else None)
    print(tell(outcome))  # noqa: T201
    return 1 if outcome.violations else 0


class Tally:
    """Sums over outcomes."""

    def __init__(self) -> None:
        self.seeds = 0
        self.sums: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.failed: list[int] = []

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.sums.update(outcome.figures)
        self.faults.update(outcome.faults)
        if outcome.violations:
            self.failed.append(outcome.scenario.seed)

    def figures(self) -> dict[str, Any]:
        sums = {name: self.sums[name] for name in ("runs", "requests", "crashes", "projects", "tasks", "edits by people", *BROKEN)}
        return {
            "seeds": self.seeds,
            **sums,
            "faults": sum(self.faults.values()),
            **dict(sorted(self.faults.items())),
            "failed": self.failed,
        }


BROKEN = ("duplicates", "lost", "overwritten", "other")


def _played(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    if jobs <= 1:
        yield from map(_play, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_play, seeds, chunksize=_CHUNK)


def _play(seed: int) -> Outcome:
    outcome = simulate(generate(seed))
    return outcome if outcome.violations else Outcome(outcome.scenario, (), (), outcome.figures, outcome.faults)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        os._exit(1)
