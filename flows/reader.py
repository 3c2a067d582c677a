"""One process at a time reads the CRMs, decides (T1), follows progress and tells the CRMs. The others help to carry out what was decided."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.base import LeaseLost, Runtime
from state import Lease, Leases, Store
from state.leases import READER


class Reader:
    """Whether this process is the one that reads. `transaction` is the store's, for what only the reader may write."""

    def __init__(self, store: Store, run: str, runtime: Runtime) -> None:
        self._store = store
        self._clock = runtime.clock
        self._leases = Leases(store, f"{run}-{runtime.random.getrandbits(32):08x}")
        self._lease: Lease | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_reading(self) -> bool:
        return self._lease is not None

    def begin(self) -> bool:
        """Be the reader, or stay it; False while another process is. Kept until `end`, as long as this process lives."""
        if self._lease is not None and self._leases.confirm([self._lease], self._clock()):
            return True
        self.end()
        self._lease = next(iter(self._leases.claim([READER], self._clock())), None)
        if self._lease is not None:
            self._keeper = asyncio.create_task(self._leases.keep(lambda: [self._lease] if self._lease else [], self._clock))
        return self.is_reading

    def end(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        lease, self._lease, self._keeper = self._lease, None, None
        if lease is not None:
            self._leases.release([lease])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Raises LeaseLost, and nothing is written, when another process is the reader by now."""
        with self._store.transaction():
            if self._lease is None or not self._leases.confirm([self._lease], self._clock()):
                raise LeaseLost("another process reads the CRM by now; it goes on from there, nothing is lost")
            yield
