"""Commits what arrived, many deliveries at a time. While one batch goes to disk the next one gathers, so nobody waits for more than two commits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from engine.model import Hint
from flows import logs
from state.inbox import Arrivals

Commit = Callable[[Arrivals], Awaitable[None]]
_log = logs.get("hub")


class NotStored(Exception):
    """What arrived could not be stored; it must not be acknowledged."""


@dataclass(slots=True)
class _Batch:
    arrived: Arrivals = field(default_factory=Arrivals)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    stored: bool = False


class Ledger:
    """`commit` stores a batch as a whole or raises. What is only counted waits up to `pause` seconds for company."""

    def __init__(self, commit: Commit, *, pause: float = 1.0) -> None:
        self._commit, self._pause = commit, pause
        self._batch = _Batch()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping = False

    async def add(self, system: str, hints: Iterable[Hint], *, events: int) -> None:
        """Returns once it is stored for good. Raises NotStored."""
        batch = self._batch
        batch.arrived.add(system, hints, events=events)
        self._due.set()
        await batch.settled.wait()
        if not batch.stored:
            raise NotStored

    def refuse(self, system: str, reason: str) -> None:
        """Count a delivery that was not taken. Nobody waits for that."""
        self._batch.arrived.refuse(system, reason)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._due.set)

    def start(self) -> None:
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Commit what was taken, then end."""
        self._stopping = True
        self._due.set()
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while not self._stopping:
            await self._due.wait()
            await self._next()
        await self._next()

    async def _next(self) -> None:
        batch, self._batch = self._batch, _Batch()
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            if batch.arrived:
                await self._commit(batch.arrived)
            batch.stored = True
        except Exception as error:  # noqa: BLE001 - whatever it was: nothing is acknowledged, and the next batch is another try
            _log.error("not stored", extra={"error": type(error).__name__, "deliveries": batch.arrived.deliveries.total()})
            self._batch.arrived.refused.update(batch.arrived.refused)
        finally:
            batch.settled.set()
