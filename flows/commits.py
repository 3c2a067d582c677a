"""Grouped commits: everything the concurrent workers hand in during one turn of the loop goes into one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from connectors.base import LeaseLost
from state import Lease, Leases, Store

Work = Callable[[Lease], None]
_Entry = tuple[Lease, Work, "asyncio.Future[Lease]"]


class Commits:
    """`await commits(lease, work)` returns once the transaction that ran `work` is on disk, with the lease as it stood in there.

    `work` runs only when the lease is still held, and is given it; otherwise LeaseLost is raised, to those concerned alone. Raises what the
    transaction raised.
    """

    def __init__(self, store: Store, leases: Leases, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock
        self._waiting: list[_Entry] = []

    async def __call__(self, lease: Lease, work: Work) -> Lease:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Lease] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((lease, work, done))
        return await done

    def _flush(self) -> None:
        group, self._waiting = self._waiting, []
        try:
            with self._store.transaction():
                held = self._leases.confirm([lease for lease, _, _ in group], self._clock())
                for lease, work, _ in group:
                    if _is_held(lease, held):
                        work(held[lease.name])
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits for this transaction
            for _, _, done in group:
                if not done.done():
                    done.set_exception(error)
            return
        for lease, _, done in group:
            if not done.done():
                if _is_held(lease, held):
                    done.set_result(held[lease.name])
                else:
                    done.set_exception(LeaseLost(f"another process has taken over {lease.name}; it goes on from there"))


def _is_held(lease: Lease, held: Mapping[str, Lease]) -> bool:
    return lease.name in held and held[lease.name].fence == lease.fence
