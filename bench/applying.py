"""The process that applies: `python -m bench.applying PROJECTS STATE`. Prints what it did as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.world import FOLDER, NOWHERE, won
from connectors.base import Runtime
from engine.plan import Plan
from flows.apply import Drain
from flows.command.common import run
from flows.configuration import load
from flows.session import Session, connect
from state import Store
from state.engines import place


async def apply(projects: int, state: Path | str) -> dict[str, Any]:
    """Decide on so many projects and work them off; seconds and objects count from the first commit to the last."""
    loaded, runtime, plan = load(FOLDER, {**NOWHERE, **os.environ}), Runtime(), Plan()
    async with connect(loaded, runtime) as (sources, targets):
        with Store(state, now=runtime.clock()) as store:
            session = Session(loaded, store, sources, targets, "bench", runtime)
            for change in won(projects, session.mappers["salesforce"]):
                session.planner.plan(change, {}, plan)
            began, used = time.perf_counter(), time.process_time()
            with store.transaction():
                session.outbox.decide(plan.actions, session.run, runtime.clock())
            applied = await Drain(store, targets["asana"], run=session.run, runtime=runtime, patience=timedelta(minutes=3))()
            seconds, cpu = time.perf_counter() - began, time.process_time() - used
            left = session.outbox.counts()
    assert not left["open"], applied.errors[:3]
    assert not left["parked"], applied.errors[:3]
    kinds = Counter(action.item.kind for action in plan.actions if action.op == "create")
    sets = kinds.pop("dependency")
    return {
        "projects": projects,
        "objects": kinds.total(),
        "dependency sets": sets,
        "seconds": seconds,
        "cpu": cpu,
        "published": left["published"],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(apply(int(sys.argv[1]), place(sys.argv[2])))))
