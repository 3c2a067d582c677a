"""Somebody who is pushed to: takes what comes over TCP, and answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbox.web import Reply, Request


class Receiver:
    """An app that keeps what it `got`. It gives `answer`, which may depend on the request."""

    def __init__(self, answer: Reply | Callable[[Request], Reply] = Reply(200)) -> None:  # noqa: B008 - frozen
        self.answer = answer
        self.got: list[Request] = []
        self._more = asyncio.Event()

    def handle(self, request: Request) -> Reply:
        self.got.append(request)
        self._more.set()
        return self.answer if isinstance(self.answer, Reply) else self.answer(request)

    def admit(self, request: Request) -> Reply | None:
        return None

    def release(self, request: Request) -> None:
        return None

    async def wait(self, count: int) -> None:
        """Until so many have come."""
        async with asyncio.timeout(20):
            while len(self.got) < count:
                self._more.clear()
                await self._more.wait()


def shake(request: Request) -> Reply:
    """Asana's handshake, and a nod to everything else."""
    secret = request.headers.get("x-hook-secret")
    return Reply(200, headers={"X-Hook-Secret": secret} if secret else {})
