"""What the pages work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from flows.configuration import Loaded
from flows.settings import Settings
from hub.access import Access
from hub.buckets import Buckets
from hub.ledger import Ledger
from hub.records import Records
from hub.sessions import Sessions
from state import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """`records` is the hub's database, the inbox's ledger writes to it by a connection of its own. `attempts` are wrong tries to sign in."""

    where: Settings
    loaded: Loaded
    clock: Callable[[], datetime]
    records: Records
    ledger: Ledger
    sessions: Sessions
    access: Access
    attempts: Buckets

    async def from_state(self, work: Callable[[Store], T]) -> T:
        """Whatever is to be read of the state while another process may have it. Raises StateError, for one that is not there yet too."""
        return await asyncio.to_thread(self._from_state, work)

    def _from_state(self, work: Callable[[Store], T]) -> T:
        with Store(self.where.state, now=self.clock(), read_only=True) as store:
            return work(store)
