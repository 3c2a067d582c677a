"""What an edition allows: calls in flight, and credits in any 24 hours."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sandbox.zoho.world import Clock

DAY = timedelta(hours=24)
FLYING = {"free": 5, "standard": 10, "professional": 15, "enterprise": 20, "ultimate": 25}
HEAVY = 10
CREDITS = {"free": 5_000, "standard": 50_000, "professional": 50_000, "enterprise": 50_000, "ultimate": 50_000}
A_USER = {"free": 0, "standard": 250, "professional": 500, "enterprise": 1_000, "ultimate": 2_000}
MOST = {"standard": 100_000, "professional": 3_000_000, "enterprise": 5_000_000}


@dataclass(slots=True)
class Limits:
    """`credits` is what 24 hours hold (by the edition and its users when not said)."""

    clock: Clock
    edition: str
    users: int = 5
    credits: int = 0
    flying: int = 0
    heavy: int = 0
    _spent: deque[tuple[datetime, int]] = field(default_factory=deque)
    _total: int = 0

    def __post_init__(self) -> None:
        whole = CREDITS[self.edition] + self.users * A_USER[self.edition]
        self.credits = self.credits or min(whole, MOST.get(self.edition, whole))

    @property
    def left(self) -> int:
        now = self.clock()
        while self._spent and self._spent[0][0] <= now - DAY:
            self._total -= self._spent.popleft()[1]
        return max(0, self.credits - self._total)

    def spend(self, cost: int) -> None:
        self._spent.append((self.clock(), cost))
        self._total += cost

    def exhaust(self) -> None:
        """Nothing is left for the next 24 hours."""
        self.spend(self.left)

    def restore(self) -> None:
        self._spent.clear()
        self._total = 0

    def start(self, *, heavy: bool) -> bool:
        """Whether one more call may be in flight; if so it is, until `end`."""
        if self.flying >= FLYING[self.edition] or (heavy and self.heavy >= HEAVY):
            return False
        self.flying += 1
        self.heavy += heavy
        return True

    def end(self, *, heavy: bool) -> None:
        self.flying = max(0, self.flying - 1)
        self.heavy = max(0, self.heavy - heavy)
