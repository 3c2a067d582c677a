"""What every stand-in sends by itself, and what becomes of it on the way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.sender import Answer, Letter, Sender
from sandbox.web import Reply, Sandbox, serve
from tests.sandbox.receiver import Receiver


class Clock:
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def letter(address: str, text: str) -> Letter:
    return Letter.of(f"{address}/in", text.encode(), {"X-Told": "yes"})


@pytest.mark.parametrize(
    ("way", "arrived"),
    [
        ({}, "abcdef"),
        ({"lose": 2}, "ace"),
        ({"repeat": 3}, "abccdeff"),
        ({"swap": 2}, "acbed"),
        ({"delay": 2}, "ace"),
    ],
)
async def test_every_nth_is_lost_doubled_overtaken_or_late(way: dict[str, int], arrived: str) -> None:
    hub, clock = Receiver(), Clock()
    sender = Sender(clock, lambda: ())
    for name, every in way.items():
        setattr(sender.way, name, every)
    async with serve(Sandbox(hub)) as address:
        for text in "abcdef":
            sender.put(letter(address, text))
            await sender.deliver()
        assert b"".join(request.body for request in hub.got).decode() == arrived
        clock.now += timedelta(seconds=60)
        await sender.deliver()
    late = "bdf" if "delay" in way else ""
    assert sorted(b"".join(request.body for request in hub.got).decode()) == sorted(arrived + late)
    assert sender.way.lost == (3 if "lose" in way else 0)
    assert all(request.headers["x-told"] == "yes" for request in hub.got)


async def test_what_was_not_taken_is_written_anew_and_sent_again_when_it_is_due() -> None:
    hub, clock = Receiver(Reply(503, b"busy")), Clock()
    sender, tries = Sender(clock, lambda: ()), []

    def answered(answer: Answer) -> timedelta | None:
        tries.append((answer.status, answer.text))
        return timedelta(minutes=5) if answer.status != 200 else None

    async with serve(Sandbox(hub)) as address:
        sender.put(Letter(address, lambda: ({}, f"{len(tries)}".encode()), answered))
        assert [await sender.deliver() for _ in range(2)] == [1, 0]
        clock.now += timedelta(minutes=5)
        hub.answer = Reply(200)
        assert [await sender.deliver() for _ in range(2)] == [1, 0]
    assert [request.body for request in hub.got] == [b"0", b"1"]
    assert tries == [(503, "busy"), (200, "")]


async def test_nobody_there_is_an_answer_too() -> None:
    async with serve(Sandbox(Receiver())) as address:
        pass
    sender = Sender(Clock(), lambda: ())
    sender.put(letter(address, "x"))
    await sender.deliver()
    assert (await sender.ask(address, {}, b"")).status == 0
    assert sender.sent == {"0": 1}


async def test_in_the_background_it_sends_what_another_thread_gives_it() -> None:
    hub, sender = Receiver(), Sender(Clock(), lambda: ())
    async with serve(Sandbox(hub)) as address, sender.running():
        for text in "abc":
            await asyncio.to_thread(sender.put, letter(address, text))
        await hub.wait(3)
        sender.put(Letter(address, lambda: ({}, b"again"), lambda _: timedelta(0) if len(hub.got) < 5 else None))
        await hub.wait(5)
    assert [request.body for request in hub.got[3:]] == [b"again"] * 2
    sender.put(letter(address, "after the end"))
    assert len(hub.got) == 5


@pytest.mark.parametrize("steps", range(6))
async def test_it_ends_whenever_it_was_woken(steps: int) -> None:
    sender = Sender(Clock(), lambda: ())
    async with asyncio.timeout(20):
        for before in range(6):
            async with sender.running():
                for _ in range(before):
                    await asyncio.sleep(0)
                sender.wake()
                for _ in range(steps):
                    await asyncio.sleep(0)


async def test_a_fault_of_the_app_is_not_swallowed() -> None:
    def broken(_answer: Answer) -> Any:
        raise ZeroDivisionError

    hub, sender = Receiver(), Sender(Clock(), lambda: ())
    async with serve(Sandbox(hub)) as address:
        sender.put(Letter(address, lambda: ({}, b""), broken))
        with pytest.raises(ZeroDivisionError):
            await sender.deliver()
