"""The first contact: how long it takes to record a CRM's history, and then how little a run costs that finds nothing new."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.measure import Benchmark, Figure, Ran, Sandbox, middle, run
from bench.world import FOLDER

DEALS, CUSTOMERS = 100_000, 10_000


def measure() -> tuple[Benchmark, Benchmark]:
    """The baseline and the quiet run after it, each a `handoff sync` from the start of its process to the exit."""
    crm = Sandbox("salesforce", {"deals": DEALS, "customers": CUSTOMERS})
    with tempfile.TemporaryDirectory() as folder, crm, Sandbox("asana", {}) as tool:
        state = Path(folder) / "state.db"

        def sync() -> Ran:
            arguments = ("sync", "--folder", str(FOLDER), "--state", str(state), "--json")
            return run("flows.cli", *arguments, env={**crm.env, **tool.env})

        first = sync()
        size = state.stat().st_size / 1e6
        quiet = [sync() for _ in range(3)]
    assert first.data["baseline"] == {"deal": DEALS, "customer": CUSTOMERS}, first.data["error"]
    assert all(ran.data["result"] == "nothing to do" for ran in quiet), quiet[0].data["error"]
    return _baseline(first, size), _quiet(middle(quiet, lambda ran: ran.seconds))


def _baseline(ran: Ran, size: float) -> Benchmark:
    return Benchmark(
        "baseline",
        f"first sync with {DEALS:,} deals and {CUSTOMERS:,} customers, in bulk; nothing is created",
        [
            Figure("seconds", ran.seconds, "s"),
            Figure("own CPU time", ran.cpu, "s"),
            Figure("peak memory", ran.megabytes, "MB"),
            Figure("calls to the CRM", ran.data["calls"]["salesforce"]),
            Figure("state file", size, "MB"),
        ],
    )


def _quiet(ran: Ran) -> Benchmark:
    return Benchmark(
        "quiet",
        f"a sync with {DEALS:,} known deals and no change, from process start to exit; the middle one of three",
        [
            Figure("seconds", ran.seconds, "s", 2, "<="),
            Figure("peak memory", ran.megabytes, "MB", 150, "<="),
            Figure("own CPU time", ran.cpu, "s"),
            Figure("calls to the CRM", ran.data["calls"]["salesforce"]),
            Figure("calls to the tool", ran.data["calls"]["asana"]),
        ],
    )
