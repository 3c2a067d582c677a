"""The hub's database, with a thread of its own: what waits for a disk or a server holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from state.database import Database

T = TypeVar("T")


class Records:
    """One connection, opened when it is first needed; what it is asked for is done one after the other.

    A call raises what the work raises: StateError, Transient.
    """

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect
        self._db: Database | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub-records")

    async def __call__(self, work: Callable[[Database], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    async def close(self) -> None:
        """Once what was asked for is done."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _do(self, work: Callable[[Database], T]) -> T:
        if self._db is None:
            self._db = self._connect()
        return work(self._db)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
