"""The limiters in front: requests a minute (refused ones count too), and requests in flight, reads and writes apart."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.asana.state import Clock

WINDOW = 60.0


@dataclass(slots=True)
class Window:
    """What one token asked for in the last minute."""

    most: int
    asked: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0

    def ask(self, now: datetime, weight: int) -> float:
        """0 when there was room, else the seconds until there will be. Counted either way."""
        at = now.timestamp()
        while self.asked and self.asked[0][0] <= at - WINDOW:
            self.total -= self.asked.popleft()[1]
        room = self.total + weight <= self.most
        self.asked.append((at, weight))
        self.total += weight
        return 0.0 if room else self._wait(at, weight)

    def _wait(self, at: float, weight: int) -> float:
        total = self.total + weight
        for asked, size in self.asked:
            total -= size
            if total <= self.most:
                return math.ceil(asked + WINDOW - at)
        return WINDOW


class Limits:
    """Windows per token and requests in flight. A batch weighs what its actions weigh, all or nothing."""

    def __init__(self, clock: Clock, *, per_minute: int | None, reads: int, writes: int, searches: int = 60) -> None:
        self._clock, self._per_minute, self._searches = clock, per_minute, searches
        self._most = (reads, writes)
        self._flying: dict[str, tuple[int, int]] = {}
        self._windows: dict[str, Window] = {}

    def admit(self, token: str, reads: int, writes: int) -> float:
        """0 when the request may start (then `release` it with the same weights), else the Retry-After in seconds."""
        if self._per_minute is not None:
            window = self._windows.setdefault(token, Window(self._per_minute))
            wait = window.ask(self._clock(), reads + writes)
            if wait:
                return wait
        flying = self._flying.get(token, (0, 0))
        if (reads and flying[0] + reads > self._most[0]) or (writes and flying[1] + writes > self._most[1]):
            return 2.0
        self._flying[token] = (flying[0] + reads, flying[1] + writes)
        return 0.0

    def release(self, token: str, reads: int, writes: int) -> None:
        flying = self._flying.get(token, (0, 0))
        self._flying[token] = (max(0, flying[0] - reads), max(0, flying[1] - writes))

    def search(self, token: str) -> float:
        """The same for the search calls, which have a window of their own."""
        return self._windows.setdefault(f"search {token}", Window(self._searches)).ask(self._clock(), 1)
