"""An event loop without waiting: when nobody has anything to do, time jumps to the first who wants to wake up. Equal programs run equally."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.flows.world import Clock

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_TURNS = 400_000


class Stuck(RuntimeError):
    """Everybody waits for somebody, or time stands still."""


class _Jump(selectors.BaseSelector):
    """Instead of waiting for a socket, moves the time on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._turns = 0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self._keys[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return self._keys[fileobj]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turns += 1
        if timeout is None:
            raise Stuck("everybody waits, and nothing will ever happen")
        if timeout > 0:
            self.now += timeout
            self._turns = 0
        elif self._turns > _TURNS:
            raise Stuck("a great deal happens, and no time passes")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`asyncio.sleep`, time-outs and everything else that waits take no time but on `time()`."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


class VirtualClock(Clock):
    """The loop's time as a moment. `skew` seconds are added to what a client reads: its clock may be wrong, the servers' are not."""

    def __init__(self) -> None:
        super().__init__(START)
        self.skew = 0.0

    def __call__(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def skewed(self) -> datetime:
        return self() + timedelta(seconds=self.skew)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.000001))
