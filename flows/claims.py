"""The projects a drain has to work on, claimed a few at a time, so that other workers find some too, and given back as they are done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType

from state import Lease, Leases, Store

_AT_A_TIME = 6


class Claims:
    """`next` gives the lease of a project nobody else works on, `done` says that it is not needed any more. Leaving gives all of them back.

    While it is entered, what is held is kept, however long an answer takes.
    """

    def __init__(self, store: Store, leases: Leases, projects: Sequence[str], *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock
        self._left = list(reversed(projects))
        self._ready: list[Lease] = []
        self._held: dict[str, Lease] = {}
        self._done: list[Lease] = []

    async def __aenter__(self) -> Claims:
        self._keeper = asyncio.create_task(self._leases.keep(lambda: [*self._held.values()], self._clock))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._keeper.cancel()
        self._leases.release([*self._held.values(), *self._done])

    def next(self) -> Lease | None:
        while not self._ready and self._left:
            names = [self._left.pop() for _ in range(min(_AT_A_TIME, len(self._left)))]
            with self._store.transaction():
                self._leases.release(self._done)
                self._ready = self._leases.claim(names, self._clock())
            self._done.clear()
            self._held.update((lease.name, lease) for lease in self._ready)
        return self._ready.pop(0) if self._ready else None

    def done(self, lease: Lease) -> None:
        self._done.append(self._held.pop(lease.name))
