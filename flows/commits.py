"""Grouped commits: everything the concurrent workers hand in during one turn of the loop goes into one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from state.store import Store

Work = Callable[[], None]


class Commits:
    """`await commits(work)` returns once the transaction that ran `work` is on disk; raises what the transaction raised."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Work, asyncio.Future[None]]] = []

    async def __call__(self, work: Work) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((work, done))
        await done

    def _flush(self) -> None:
        group, self._waiting = self._waiting, []
        try:
            with self._store.transaction():
                for work, _ in group:
                    work()
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits for this transaction
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
            return
        for _, done in group:
            if not done.done():
                done.set_result(None)
