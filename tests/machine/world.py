"""The machine's world: a CRM, an awkward tool, a state file, a clock. `sync` is one process, from opening the state to being gone."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest

from connectors.base import Runtime
from engine.plan import Planner
from flows import session
from flows.apply import Drain, Stop
from flows.pipeline import Options, Summary, run_sync
from flows.session import Session, make_planner
from state import Outbox
from state.care import verify
from tests.flows.world import START, Clock, Crash, Death, MortalStore
from tests.machine.crm import Crm, CrmSource
from tests.machine.files import loaded
from tests.machine.tool import AwkwardTarget, AwkwardTool, Ways, Wire

T = TypeVar("T")
Troubles = Mapping[tuple[str, int], str]


@dataclass(frozen=True, slots=True)
class Nap:
    """A worker is paused for `seconds` once its n-th write has been answered, before it can note the answer."""

    after: int = 0
    seconds: float = 0


class FaultyWire:
    """Requests meet death before and after, and the trouble laid out for the n-th of their kind."""

    def __init__(self, death: Death, troubles: Troubles, clock: Clock, nap: Nap = Nap()) -> None:
        self._death, self._troubles, self._clock, self._nap = death, troubles, clock, nap
        self._seen: Counter[str] = Counter()

    async def __call__(self, operation: str, act: Callable[[str], Any]) -> Any:
        self._seen[operation] += 1
        trouble = self._troubles.get((operation, self._seen[operation]), "")
        self._death.step(f"before {operation}")
        await asyncio.sleep(0)
        answer = act(trouble)
        self._death.step(f"after {operation}")
        if operation == "write" and self._seen[operation] == self._nap.after:
            await self._clock.sleep(self._nap.seconds)
        return answer


class Quick(Session):
    """A session whose planner was made once for all: it depends on the configuration alone."""

    def __post_init__(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "make_planner", lambda _, traits: planner_for(Ways.of(traits["tool"])))
            super().__post_init__()


@cache
def planner_for(ways: Ways) -> Planner:
    return make_planner(loaded().configuration, {"tool": ways.traits})


class World:
    def __init__(self, path: Path, ways: Ways) -> None:
        self.clock = Clock(START)
        self.crm = Crm(self.clock)
        self.tool = AwkwardTool(self.clock, ways)
        self.state = path
        self.runs = 0
        self.decided: set[str] = set()
        self.steps: list[str] = []
        self.longest = 0

    def sync(self, *, crash_at: int = 0, troubles: Troubles | None = None, patience: float = 0, force: bool = False) -> Summary | None:
        """One run; None when it died."""
        options = Options(force=force, patience=timedelta(seconds=patience))
        return self._live(crash_at, lambda store, death: self._run(store, FaultyWire(death, troubles or {}, self.clock), options))

    def share(self, *, crash_at: int = 0, troubles: Troubles | None = None, nap: Nap = Nap()) -> None:
        """One run decides, and two workers carry it out together; one has all the troubles, the other looks again when a lease may be over."""

        async def work(store: MortalStore, death: Death) -> None:
            def drain(number: int, wire: FaultyWire) -> Drain:
                runtime = self._runtime(self.runs * 10 + number)
                return Drain(store, AwkwardTarget(self.tool, wire), run=f"worker-{self.runs:03}-{number}", runtime=runtime)

            async def twice() -> None:
                await drain(2, FaultyWire(death, {}, self.clock))()
                await self.clock.sleep(70 if nap.seconds else 0)
                await drain(3, FaultyWire(death, {}, self.clock))()

            async def deciding(operation: str, act: Callable[[str], Any]) -> Any:
                stop.asked = stop.asked or operation == "pull"  # what is read is decided on, and nothing is done
                return await wire(operation, act)

            stop, wire = Stop(), FaultyWire(death, {}, self.clock)
            await self._run(store, deciding, Options(), stop)
            async with asyncio.TaskGroup() as group:
                group.create_task(drain(1, FaultyWire(death, troubles or {}, self.clock, nap))())
                group.create_task(twice())

        self._live(crash_at, work)

    def _live(self, crash_at: int, life: Callable[[MortalStore, Death], Coroutine[Any, Any, T]]) -> T | None:
        """The life of one process: None when it ended before its time."""
        death = Death(crash_at)
        self.runs += 1

        async def live() -> T:
            store = MortalStore(self.state, now=self.clock())
            store.death = death
            try:
                return await life(store, death)
            finally:
                self.decided = {link.item.key for link in Outbox(store).projects_of([f"crm:deal:{deal}" for deal in self.crm.deals])}
                store.close()

        ended: T | None = None
        try:
            ended = asyncio.run(live())
        except* Crash:
            pass
        self.steps = death.steps
        self.longest = max(self.longest, len(death.steps))
        return ended

    def _runtime(self, seed: int) -> Runtime:
        return Runtime(clock=self.clock, sleep=self.clock.sleep, random=random.Random(seed))

    async def _run(self, store: MortalStore, wire: Wire, options: Options, stop: Stop | None = None) -> Summary:
        sources, targets = {"crm": CrmSource(self.crm, wire)}, {"tool": AwkwardTarget(self.tool, wire)}
        runtime = self._runtime(self.runs)
        return await run_sync(Quick(loaded(), store, sources, targets, f"run-{self.runs:03}", runtime, stop=stop or Stop()), options)

    def look(self, question: Callable[[MortalStore], Any]) -> Any:
        """Ask the state something, between runs."""
        with MortalStore(self.state, now=self.clock()) as store:
            return question(store)

    def outbox(self) -> dict[str, int]:
        counts: dict[str, int] = self.look(lambda store: Outbox(store).counts())
        return counts

    def problems(self) -> tuple[str, ...]:
        problems: tuple[str, ...] = self.look(lambda store: verify(store).problems)
        return problems
