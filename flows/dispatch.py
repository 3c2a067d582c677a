"""Runs as soon as pushes tell of something: it waits for the burst to end, starts one run at a time, the next right behind, and never asks a system
that is down more often than it must."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.base import ConnectorError, Runtime
from flows import logs
from flows.apply import Stop
from state.inbox import Inbox

_log: logging.Logger = logs.get("dispatch")
Run = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""One run for what some systems told; gives those of them that gave out."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `look`: between two looks into the inbox; `quiet`: no news for as long ends a burst; `longest`: it is not waited for any longer.

    A system that gave out is left alone for `first`, twice as long each time, up to `most`.
    """

    look: float = 0.2
    quiet: float = 0.4
    longest: float = 1.5
    first: float = 2.0
    most: float = 60.0


class Dispatcher:
    """Call it to work until a stop is asked for. `systems` are those somebody reads; what others told is left alone."""

    def __init__(self, inbox: Inbox, systems: Sequence[str], run: Run, runtime: Runtime, stop: Stop, *, pace: Pace | None = None) -> None:
        self._inbox, self._systems, self._run = inbox, tuple(systems), run
        self._runtime, self._stop, self._pace = runtime, stop, pace or Pace()
        self._failed: Counter[str] = Counter()
        self._rests: dict[str, datetime] = {}

    async def __call__(self) -> None:
        while not self._stop.asked:
            if await self._burst() and (systems := [*self._told()]):  # another run may have read it all by now
                await self._follow(systems)
            else:
                await self._runtime.sleep(self._pace.look)

    async def _burst(self) -> bool:
        """Whether something waits, once no more of it comes for a moment. By this process's clock alone: the hub may have another."""
        began = heard = self._runtime.clock()
        last: Mapping[str, datetime] = {}
        while not self._stop.asked and (told := self._told()):
            now = self._runtime.clock()
            if told != last:
                last, heard = told, now
            if now - heard >= timedelta(seconds=self._pace.quiet) or now - began >= timedelta(seconds=self._pace.longest):
                return True
            await self._runtime.sleep(self._pace.look)
        return False

    def _told(self) -> Mapping[str, datetime]:
        """The systems to follow now, with when each last told something."""
        now = self._runtime.clock()
        try:
            told = self._inbox.last_told()
        except ConnectorError as error:
            _log.warning("the inbox cannot be read", extra={"error": type(error).__name__})
            return {}
        return {system: told[system] for system in self._systems if system in told and self._rests.get(system, now) <= now}

    async def _follow(self, systems: Sequence[str]) -> None:
        try:
            gave_out = await self._run(systems)
        except ConnectorError as error:
            _log.warning("run failed", extra={"error": type(error).__name__})
            gave_out = systems
        for system in systems:
            self._failed[system] = self._failed[system] + 1 if system in gave_out else 0
            if self._failed[system]:
                rest = min(self._pace.most, self._pace.first * 2 ** min(self._failed[system] - 1, 20))
                self._rests[system] = self._runtime.clock() + timedelta(seconds=rest)
