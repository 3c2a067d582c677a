"""The dispatcher: bursts collapse into one run, runs follow each other, a system that is down is not hammered, a stop ends it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.base import Runtime, Transient
from engine.model import Hint
from flows.apply import Stop
from flows.dispatch import Dispatcher
from state.hub import open_hub
from state.inbox import Arrivals, Inbox
from tests.flows.world import START, Clock


class Desk:
    """An inbox on a clock that jumps; `script` is told of every moment and may tell of records or end it all."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox, self.clock, self.stop = inbox, Clock(), Stop()
        self.runs: list[tuple[float, int]] = []
        self.fails = 0
        self.down: set[str] = set()
        self.script: Callable[[float], None] = lambda _: None
        self.ends = 60.0

    def tell(self, *ids: str, system: str = "salesforce") -> None:
        arrived = Arrivals()
        arrived.add(system, [Hint("deal", id_) for id_ in ids], events=len(ids))
        self.inbox.store(arrived, self.clock())

    @property
    def now(self) -> float:
        return round((self.clock() - START).total_seconds(), 1)

    async def sleep(self, seconds: float) -> None:
        self.clock.move(seconds=seconds)
        self.script(self.now)
        self.stop.asked = self.stop.asked or self.now >= self.ends
        await asyncio.sleep(0)

    async def run(self, systems: Sequence[str]) -> Collection[str]:
        taken = self.inbox.take([system for system in systems if system not in self.down])
        self.runs.append((self.now, len(taken)))
        self.clock.move(seconds=1)
        if self.fails:
            self.fails -= 1
            raise Transient("away")
        self.inbox.settle(taken)
        return self.down.intersection(systems)

    async def play(self) -> list[tuple[float, int]]:
        runtime = Runtime(clock=self.clock, sleep=self.sleep, random=random.Random(1))
        await Dispatcher(self.inbox, ["salesforce", "zoho"], self.run, runtime, self.stop)()
        return self.runs


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(open_hub(tmp_path / "s.db", now=START)) as db:
        yield Desk(Inbox(db))


def between(start: float, end: float, do: Callable[[], None]) -> Callable[[float], None]:
    return lambda now: do() if start <= now <= end else None


async def test_a_burst_is_one_run_once_it_is_over(desk: Desk) -> None:
    desk.script = between(1, 1.8, lambda: desk.tell(*(str(number) for number in range(10))))
    ((at, count),) = await desk.play()
    assert count == 10
    assert 1.8 < at < 3


async def test_a_stream_without_end_is_followed_all_the_same(desk: Desk) -> None:
    desk.script = lambda now: desk.tell(str(now))
    desk.ends = 10
    runs = await desk.play()
    assert len(runs) > 2
    assert all(count <= 10 for _, count in runs)
    assert max(later - earlier for (earlier, _), (later, _) in pairwise(runs)) < 3


async def test_what_was_told_during_a_run_is_the_next_one(desk: Desk) -> None:
    desk.tell("1")
    first = desk.run

    async def run(systems: Sequence[str]) -> Collection[str]:
        gave_out = await first(systems)
        if len(desk.runs) == 1:
            desk.tell("2")
        return gave_out

    desk.run = run  # type: ignore[method-assign]
    assert [count for _, count in await desk.play()] == [1, 1]


async def test_a_system_that_is_down_is_asked_less_and_less_and_nothing_is_forgotten(desk: Desk) -> None:
    desk.tell("1")
    desk.fails = 5
    desk.ends = 300
    runs = await desk.play()
    pauses = [later - earlier for (earlier, _), (later, _) in pairwise(runs)]
    assert len(runs) == 6
    assert pauses == sorted(pauses)
    assert (pauses[0] < 4, pauses[-1] > 30) == (True, True)
    assert desk.inbox.take(["salesforce"]) == []


async def test_a_system_that_is_down_holds_up_no_other(desk: Desk) -> None:
    desk.down = {"zoho"}
    desk.tell("1", system="zoho")
    desk.script = between(20, 30, lambda: desk.tell("1"))
    desk.ends = 40
    runs = await desk.play()
    assert sum(count for at, count in runs if 20 < at < 32) >= 3
    assert len([at for at, count in runs if not count]) < 7
    assert [told.count for told in desk.inbox.take(["zoho"])] == [1]


async def test_what_nobody_reads_starts_no_run(desk: Desk) -> None:
    desk.tell("1", system="hubspot")
    assert await desk.play() == []


async def test_a_stop_ends_it_also_in_a_pause(desk: Desk) -> None:
    desk.tell("1")
    desk.fails, desk.ends = 100, 40
    await desk.play()
    assert desk.clock() - START < timedelta(seconds=45)
    assert isinstance(desk.clock(), datetime)


async def test_what_another_run_read_meanwhile_starts_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.tell("1")
    look, looks = desk.inbox.last_told, iter([True] * 3)
    monkeypatch.setattr(desk.inbox, "last_told", lambda: look() if next(looks, False) else {})
    assert await desk.play() == []
