"""Runs as soon as pushes tell of something: it waits for the burst to end, starts one run at a time, the next right behind, and never asks a system
that is down more often than it must."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.base import ConnectorError, Runtime
from flows import logs
from flows.apply import Stop
from state.inbox import Inbox

_log: logging.Logger = logs.get("dispatch")
Run = Callable[[], Awaitable[bool]]
"""One run for what was told; whether it went well."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `look`: between two looks into the inbox; `quiet`: no news for as long ends a burst; `longest`: it is not waited for any longer.

    After a run that failed, `first` passes before the next, twice as much each time, up to `most`.
    """

    look: float = 0.2
    quiet: float = 0.4
    longest: float = 1.5
    first: float = 2.0
    most: float = 60.0


class Dispatcher:
    """Call it to work until a stop is asked for. `systems` are those somebody reads; what others told is left alone."""

    def __init__(self, inbox: Inbox, systems: Sequence[str], run: Run, runtime: Runtime, stop: Stop, *, pace: Pace | None = None) -> None:
        self._inbox, self._systems, self._run = inbox, frozenset(systems), run
        self._runtime, self._stop, self._pace = runtime, stop, pace or Pace()

    async def __call__(self) -> None:
        failed = 0
        while not self._stop.asked:
            if not await self._burst():
                await self._runtime.sleep(self._pace.look)
                continue
            failed = 0 if await self._one() else failed + 1
            if failed:
                await self._pause(min(self._pace.most, self._pace.first * 2 ** (failed - 1)))

    async def _burst(self) -> bool:
        """Whether something waits, once no more of it comes for a moment. By this process's clock alone: the hub may have another."""
        began = heard = self._runtime.clock()
        last: datetime | None = None
        while not self._stop.asked and (told := self._last_told()) is not None:
            now = self._runtime.clock()
            if told != last:
                last, heard = told, now
            if now - heard >= timedelta(seconds=self._pace.quiet) or now - began >= timedelta(seconds=self._pace.longest):
                return True
            await self._runtime.sleep(self._pace.look)
        return False

    def _last_told(self) -> datetime | None:
        """When the last of the hints that wait came; None when none does."""
        try:
            return max((at for system, at in self._inbox.last_told().items() if system in self._systems), default=None)
        except ConnectorError as error:
            _log.warning("the inbox cannot be read", extra={"error": type(error).__name__})
            return None

    async def _one(self) -> bool:
        try:
            return await self._run()
        except ConnectorError as error:
            _log.warning("run failed", extra={"error": type(error).__name__})
            return False

    async def _pause(self, seconds: float) -> None:
        until = self._runtime.clock() + timedelta(seconds=seconds)
        while not self._stop.asked and self._runtime.clock() < until:
            await self._runtime.sleep(self._pace.look)
