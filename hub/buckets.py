"""How often something may go wrong before it is not looked at any more: a bucket for each who asks, that fills up again by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")


class Buckets:
    """Each key begins with `burst`, and gets `per_second` back. No more than `most` keys are remembered, those used last.

    Who was found genuine is not held back for `trust` seconds, however much goes wrong in its name meanwhile.
    """

    def __init__(self, *, burst: float, per_second: float, clock: Callable[[], float], trust: float = 900.0, most: int = 10_000) -> None:
        self._burst, self._rate, self._clock, self._trust, self._most = burst, per_second, clock, trust, most
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._trusted: OrderedDict[Hashable, float] = OrderedDict()

    def is_empty(self, key: Hashable) -> bool:
        return self._level(key) < 1 and not self._is_trusted(key)

    def take(self, key: Hashable) -> bool:
        """Something went wrong. Whether there was anything left in the bucket."""
        level = self._level(key)
        self._note(self._levels, key, (max(level - 1, 0.0), self._clock()))
        return level >= 1

    def trust(self, key: Hashable) -> None:
        """Something went right."""
        self._note(self._trusted, key, self._clock() + self._trust)

    def _level(self, key: Hashable) -> float:
        level, at = self._levels.get(key, (self._burst, 0.0))
        return min(self._burst, level + (self._clock() - at) * self._rate)

    def _is_trusted(self, key: Hashable) -> bool:
        return self._trusted.get(key, 0.0) > self._clock()

    def _note(self, book: OrderedDict[Hashable, T], key: Hashable, value: T) -> None:
        book[key] = value
        book.move_to_end(key)
        if len(book) > self._most:
            book.popitem(last=False)
