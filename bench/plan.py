"""From records to a plan: how many changed deals one core maps, compares, holds against ten rules and turns into projects."""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from bench import data
from bench.measure import Benchmark, Figure, middle, run
from bench.world import offline, rulebook_of
from connectors.base import ConnectorError, Description, Page, Report
from engine.model import CrmKind, Record, WriteBack
from engine.plan import Plan
from flows.command.common import run as run_async
from flows.pipeline import Options, gather
from state import Store

DEALS, CUSTOMERS, ROUNDS = 20_000, 2_000, 3


class Listing:
    """A source that holds its records ready, so that nothing but our own work is measured."""

    system = "salesforce"
    kinds: tuple[CrmKind, ...] = ("customer", "deal")
    calls = 0

    def __init__(self) -> None:
        self.records: dict[CrmKind, Sequence[Record]] = {}

    async def __aenter__(self) -> Listing:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    async def check(self) -> Report:
        return Report("a list")

    async def describe(self) -> Description:
        return Description(())

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        records = self.records.pop(kind, ())
        for start in range(0, len(records), 2_000):
            yield Page(tuple(records[start : start + 2_000]), "read")

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        return ()

    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        return [None] * len(rows)


def measure() -> Benchmark:
    took = [run("bench.plan").data for _ in range(ROUNDS)]
    one = middle(took, lambda each: float(each["total"]))
    each = {stage: one[stage] / DEALS * 1e6 for stage in ("mapping", "rules", "planning", "total")}
    return Benchmark(
        "plan",
        f"{DEALS:,} changed deals, ten rules, one core: map, compare with what was known, decide, render; the middle one of three",
        [
            Figure("deals planned", DEALS / one["total"], "deals/s", 3_000),
            Figure("map", each["mapping"], "µs a deal"),
            Figure("compare", each["total"] - each["mapping"] - each["planning"], "µs a deal"),
            Figure("rules", each["rules"], "µs a deal"),
            Figure("blueprints", each["planning"] - each["rules"], "µs a deal"),
            Figure("projects planned", one["projects"]),
            Figure("objects planned", one["objects"]),
            Figure("decisions told", one["decisions"]),
        ],
    )


async def stages(store: Store) -> dict[str, float]:
    """CPU seconds of a whole gathering, and of its stages each alone."""
    listing = Listing()
    session = offline(store, listing)
    listing.records = {"customer": list(data.customer_records(CUSTOMERS)), "deal": deals(before=True)}
    await gather(session, Options())
    listing.records = {"deal": deals()}
    gc.collect()
    gc.freeze()  # the CRM's answers, here all at once, are none of the memory a run looks after
    began = time.process_time()
    pulled, plan = await gather(session, Options())
    total = time.process_time() - began
    changes, fresh = list(pulled.changes.values()), deals()
    gc.freeze()
    mapper, planner, rulebook = session.mappers["salesforce"], session.planner, rulebook_of(session)
    mapping = timed(lambda: [mapper.map(record) for record in fresh])
    rules = timed(lambda: [list(rulebook.decide(change)) for change in changes])

    def plan_all() -> None:
        for change in changes:
            planner.plan(change, {}, Plan())

    planning = timed(plan_all)
    return {
        **{"total": total, "mapping": mapping, "rules": rules, "planning": planning},
        "projects": len(plan.projects()),
        "objects": sum(action.op == "create" and action.item.kind != "dependency" for action in plan.actions),
        "decisions": len(plan.decisions),
    }


def deals(*, before: bool = False) -> list[Record]:
    return [old if before else new for old, new in data.records(DEALS, CUSTOMERS)]


def timed(work: Callable[[], object]) -> float:
    """CPU seconds: the core's own, whatever else the machine does."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "state.db", now=data.NOW) as store:
        sys.stdout.write(json.dumps(run_async(stages(store))))
