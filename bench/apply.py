"""Doing: how many objects one process creates for good, outbox and all, in a tool that answers at once; beside loops that keep no books."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.measure import Benchmark, Figure, Sandbox, middle, run

Json = dict[str, Any]
PROJECTS, ROUNDS = 300, 3


def measure() -> Benchmark:
    rounds = [_round() for _ in range(ROUNDS)]
    ours, plain, quick = (middle(runs, _rate) for runs in zip(*rounds, strict=True))
    rate, plain_rate, quick_rate = (_rate(one) for one in (ours, plain, quick))
    projects, calls = ours["projects"], ours["calls"]
    least = (ours["objects"] + ours["dependency sets"]) / projects + 1
    return Benchmark(
        "apply",
        f"{projects} projects into an Asana stand-in over TCP, no latency, no limits; state on disk, synchronous=FULL; the middle one of three",
        [
            Figure("objects applied", rate, "objects/s", 800),
            Figure("objects a project", ours["objects"] / projects),
            Figure("dependency sets a project", ours["dependency sets"] / projects),
            Figure("calls a project", calls["requests"] / projects, "requests"),
            Figure("units a project", calls["units"] / projects, "of the rate limit"),
            Figure("least units possible", least, "of the rate limit"),
            Figure("peak memory", ours["megabytes"], "MB"),
            Figure("own CPU time", ours["cpu"] / ours["objects"] * 1e3, "ms an object"),
            Figure("bare loop, plain httpx", plain_rate, "objects/s"),
            Figure("bare loop, httpx-aiohttp", quick_rate, "objects/s"),
            Figure("ours over plain httpx", rate / plain_rate, "times"),
            Figure("ours over httpx-aiohttp", rate / quick_rate, "times"),
        ],
    )


def _round() -> tuple[Json, Json, Json]:
    """Ours and both loops right after each other, so that a busy machine is busy for all."""
    bare = [_child("bench.bare", PROJECTS // 6, transport) for transport in ("httpx", "aiohttp")]
    return _child("bench.applying", PROJECTS), bare[0], bare[1]


def _rate(one: Json) -> float:
    return float(one["objects"] / one["seconds"])


def _child(module: str, projects: int, *more: str) -> Json:
    """A fresh stand-in and a fresh process that fills it."""
    with tempfile.TemporaryDirectory() as folder, Sandbox("asana", {}) as sandbox:
        ran = run(module, str(projects), str(Path(folder) / "state.db"), *more, env=sandbox.env)
        counts = sandbox.counts()
    units = counts["reads"] + counts["writes"]
    return {**ran.data, "megabytes": ran.megabytes, "calls": {"requests": counts["requests"], "units": units}}
