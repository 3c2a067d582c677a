"""Figures, goals, and processes of one's own: what a benchmark reports and how it is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

ROOT = Path(__file__).parents[1]
LAUNCH = Path(__file__).parent / "launch.py"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `goal` is the bound it should keep: at least (`>=`) or at most (`<=`) that much; None where it only informs."""

    name: str
    value: float
    unit: str = ""
    goal: float | None = None
    bound: Literal[">=", "<="] = ">="

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.bound == ">=" else self.value <= self.goal


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark's figures, under its name and a line that says what was done."""

    name: str
    what: str
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class Ran:
    """A process from start to exit: wall seconds, CPU seconds, peak resident memory, and the JSON document it printed."""

    seconds: float
    cpu: float
    megabytes: float
    data: Any


def run(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Ran:
    """`python -m module` to its end, alone with its memory. Raises RuntimeError when it fails for another reason than unfinished business."""
    command = [sys.executable, str(LAUNCH), sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - ours
    took = json.loads(done.stdout)
    if took["code"] not in (0, 1):
        raise RuntimeError(f"{module} ended with code {took['code']}")
    return Ran(took["seconds"], took["cpu"], took["megabytes"], json.loads(took["told"]))


def middle(runs: Sequence[T], by: Callable[[T], float]) -> T:
    """The run that half of the others beat."""
    return sorted(runs, key=by)[len(runs) // 2]


@dataclass(slots=True)
class Sandbox:
    """A stand-in in a process of its own: `python -m bench.sandbox <name>`, told apart by a JSON line a question."""

    name: str
    options: Mapping[str, Any]
    env: Mapping[str, str] = field(init=False)
    _process: subprocess.Popen[str] = field(init=False)

    def __enter__(self) -> Sandbox:
        command = [sys.executable, "-m", "bench.sandbox", self.name, json.dumps(self.options)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
        self.env = self._heard()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()

    def counts(self) -> dict[str, Any]:
        """What it has been asked for so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("counts\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        heard: dict[str, Any] = json.loads(self._process.stdout.readline())
        return heard
