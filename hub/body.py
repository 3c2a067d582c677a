"""A request's body, up to a size and within a time, with no more of them held at once than memory is meant for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from connectors.push import Refused
from hub.web import Receive


class Disconnected(Exception):
    """Whoever asked is gone."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`body` bytes of one delivery, taken in within `seconds`; `held` bytes of all that are being read, `held_of_one` of one system's."""

    body: int = 1 << 20
    seconds: float = 5.0
    held: int = 64 << 20
    held_of_one: int = 16 << 20
    hints: int = 5000


class Bodies:
    """Raises Refused: 415 for what is compressed, 413 for too much, 408 for too slow, 503 when too many are under way."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: Counter[str] = Counter()

    async def read(self, of: str, headers: Mapping[str, str], receive: Receive) -> bytes:
        if headers.get("content-encoding", "identity").strip().lower() not in {"identity", ""}:
            raise Refused(415, "type", "compressed bodies are not taken")
        told = headers.get("content-length", "")
        if told.isdigit() and int(told) > self._limits.body:
            raise Refused(413, "size")
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._whole(of, receive)
        except TimeoutError:
            raise Refused(408, "body", "the body did not come in time") from None

    async def _whole(self, of: str, receive: Receive) -> bytes:
        parts = bytearray()
        with self._counted(of) as count:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                part = message.get("body", b"")
                count(len(part))
                parts += part
                if len(parts) > self._limits.body:
                    raise Refused(413, "size")
                if not message.get("more_body", False):
                    return bytes(parts)

    @contextmanager
    def _counted(self, of: str) -> Iterator[_Count]:
        count = _Count(self, of)
        try:
            yield count
        finally:
            self._held[of] -= count.bytes

    def hold(self, of: str, size: int) -> None:
        if self._held.total() + size > self._limits.held or self._held[of] + size > self._limits.held_of_one:
            raise Refused(503, "flood", "too many deliveries at once")
        self._held[of] += size


class _Count:
    def __init__(self, bodies: Bodies, of: str) -> None:
        self._bodies, self._of, self.bytes = bodies, of, 0

    def __call__(self, size: int) -> None:
        self._bodies.hold(self._of, size)
        self.bytes += size
