"""Under Asana's own limits: how near the run comes to what the rate limit alone allows, and whether it is ever told to slow down."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.measure import Benchmark, Figure, Sandbox, run

PROJECTS, PER_MINUTE, LATENCY = 24, 1500, 0.1


def measure() -> Benchmark:
    options = {"per_minute": PER_MINUTE, "latency": LATENCY}
    with tempfile.TemporaryDirectory() as folder, Sandbox("asana", options) as sandbox:
        ran = run("bench.applying", str(PROJECTS), str(Path(folder) / "state.db"), env=sandbox.env)
        counts = sandbox.counts()
    units = counts["reads"] + counts["writes"]
    least = units / (PER_MINUTE / 60)  # at the steady rate: what a fresh minute would let through at once is not counted on
    return Benchmark(
        "limited",
        f"{PROJECTS} projects at {LATENCY * 1000:.0f} ms a request and {PER_MINUTE} requests a minute, 50 reads and 15 writes in flight",
        [
            Figure("over the time the rate allows", ran.data["seconds"] / least, "times", 1.15, "<="),
            Figure("seconds", ran.data["seconds"], "s"),
            Figure("seconds the rate allows", least, "s"),
            Figure("units", units, "of the rate limit"),
            Figure("refused with 429", counts.get("rejected", 0), "requests", 0, "<="),
        ],
    )
