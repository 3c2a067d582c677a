"""Let the machine run: so many examples, always the same ones, or others each time."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Sync

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
ALL = (Phase.generate, Phase.shrink)


def search(
    examples: int,
    *,
    machine: type[Sync] = Sync,
    steps: int = 10,
    phases: Sequence[Phase] = ALL,
    verbosity: Verbosity = Verbosity.normal,
    derandomize: bool = True,
) -> None:
    """Raises what the machine found, the shortest way to it told."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            verbosity=verbosity,
            derandomize=derandomize,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
