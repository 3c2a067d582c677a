"""What a system sends by itself: letters to addresses outside, with what the way there does to them.

An app that sends has a `sender`, and gives it its letters when asked. `web.serve` lets it send in the background; a test that moves its own
clock calls `deliver` instead.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import aiohttp

LOOK = 0.05  # seconds between two looks for what has fallen due, whatever the clock
Content = tuple[Mapping[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0: nobody answered in time. Header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body[:1000].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Letter:
    """One POST. `write` gives headers and body anew for each attempt; `answered` says after how long to try again, or None: it is settled."""

    url: str
    write: Callable[[], Content]
    answered: Callable[[Answer], timedelta | None] = lambda _answer: None
    due: datetime | None = None

    @staticmethod
    def of(url: str, body: bytes, headers: Mapping[str, str]) -> Letter:
        """One that is sent once, as it is."""
        return Letter(url, lambda: (headers, body))


@dataclass(slots=True)
class Way:
    """What happens to letters on their way. Every nth (0: none) is lost without anybody noticing, comes twice, is overtaken by the next, is late."""

    lose: int = 0
    repeat: int = 0
    swap: int = 0
    delay: int = 0
    seconds: float = 60.0
    passed: int = 0
    lost: int = 0
    _kept: list[Letter] = field(default_factory=list)

    def through(self, letters: Iterable[Letter], now: datetime) -> list[Letter]:
        """What comes out at the other end."""
        return [found for letter in letters for found in self._one(letter, now)]

    def _one(self, letter: Letter, now: datetime) -> list[Letter]:
        self.passed += 1
        overtaken, self._kept = self._kept, []
        if self._strikes(self.lose):
            self.lost += 1
            return overtaken
        if self._strikes(self.swap):
            self._kept = [letter]
            return overtaken
        if self._strikes(self.delay):
            return [replace(letter, due=now + timedelta(seconds=self.seconds)), *overtaken]
        return [letter, *([letter] if self._strikes(self.repeat) else []), *overtaken]

    def _strikes(self, every: int) -> bool:
        return every > 0 and self.passed % every == 0


class Sender:
    """Sends what `letters` gives, `at_once` at a time. `way` is what happens on the way; `sent` counts attempts by the status they met.

    `wake` tells it, from any thread, that there is something to send.
    """

    def __init__(
        self, clock: Callable[[], datetime], letters: Callable[[], Iterable[Letter]], *, at_once: int = 32, timeout: float = 10.0
    ) -> None:
        self.way = Way()
        self.sent: Counter[str] = Counter()
        self._clock = clock
        self._letters = letters
        self._given: deque[Letter] = deque()
        self._later: list[Letter] = []
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._at_once = at_once
        self._awake: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def put(self, letter: Letter) -> None:
        """A letter besides those of the app."""
        self._given.append(letter)
        self.wake()

    def wake(self) -> None:
        if self._awake is not None:
            loop, event = self._awake
            with suppress(RuntimeError):  # the loop has ended: nobody is there to be woken
                loop.call_soon_threadsafe(event.set)

    async def deliver(self) -> int:
        """Send what is due now, once each, and wait for the answers; gives how many came out of the way."""
        due = self._due()
        async with aiohttp.ClientSession(timeout=self._timeout) as client:
            await asyncio.gather(*(self._send(client, letter) for letter in due))
        return len(due)

    async def ask(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One POST by itself, and its answer: a handshake."""
        async with aiohttp.ClientSession(timeout=self._timeout) as client:
            return await _post(client, url, headers, body)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send in the background for as long as the block lasts. What is under way at its end is let go."""
        self._awake = asyncio.get_running_loop(), asyncio.Event()
        self.wake()
        task = asyncio.create_task(self._run(self._awake[1]))
        try:
            yield
        finally:
            self._awake = None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, awake: asyncio.Event) -> None:
        turns = asyncio.Semaphore(self._at_once)

        async def send(letter: Letter) -> None:
            async with turns:
                await self._send(client, letter)

        async with (
            aiohttp.ClientSession(timeout=self._timeout, connector=aiohttp.TCPConnector(limit=0)) as client,
            asyncio.TaskGroup() as group,
        ):
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):  # `wait_for` may swallow a cancellation that comes together with what it waits for
                        await awake.wait()
                awake.clear()
                for letter in self._due():
                    group.create_task(send(letter))

    def _due(self) -> list[Letter]:
        now = self._clock()
        fresh = [*self._letters(), *(self._given.popleft() for _ in range(len(self._given)))]
        found = [*self._later, *self.way.through(fresh, now)]
        due = [letter for letter in found if letter.due is None or letter.due <= now]
        self._later = [letter for letter in found if letter.due is not None and letter.due > now]
        return due

    async def _send(self, client: aiohttp.ClientSession, letter: Letter) -> None:
        headers, body = letter.write()
        answer = await _post(client, letter.url, headers, body)
        self.sent[str(answer.status)] += 1
        again = letter.answered(answer)
        if again is not None:
            self._later.append(replace(letter, due=self._clock() + again))


async def _post(client: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    try:
        async with client.post(url, data=body, headers=dict(headers), allow_redirects=False) as reply:
            return Answer(reply.status, {name.lower(): value for name, value in reply.headers.items()}, await reply.read())
    except (aiohttp.ClientError, OSError, TimeoutError):
        return Answer(0)
