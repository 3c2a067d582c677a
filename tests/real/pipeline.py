"""The pipeline on its way into a real tool, from the stand-in of a CRM, where a run may die at any step."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import httpx

from connectors.base import Runtime
from sandbox.web import InProcess
from tests.flows.world import Crash, Death, Wire, World
from tests.real.wire import Beside


class RealTool(World):
    """A world whose tool is a real server, reached over `line`."""

    def __init__(self, path: Path, files: dict[str, str], line: httpx.AsyncBaseTransport) -> None:
        super().__init__(path, files=files)
        self._line = line

    def runtime(self) -> Runtime:
        wire = Wire(Beside(InProcess(self.hosts), self._line), self.death, self.hook)
        return Runtime(clock=self.clock, sleep=self.clock.sleep, random=random.Random(7), transport=wire, timeout=60)

    async def won(self) -> str:
        await self.sync()
        deal = self.deal()
        self.line(deal, "boots")
        self.win(deal)
        return deal

    def whole(self) -> None:
        """Asserts that everything is there once."""
        raise NotImplementedError


async def die_everywhere(make: Callable[[int], RealTool], *, every: int) -> int:
    """Runs that die at every so-manieth step, each made good by the next; gives the step that the last one did not come to."""
    at, alive = 1, False
    while not alive:
        world = make(at)
        await world.won()
        world.death = Death(at)
        try:
            await world.sync()
            alive = True
        except Crash:
            pass
        world.death = Death()
        await world.quiet()
        world.whole()
        at += every
    return at
