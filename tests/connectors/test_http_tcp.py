"""What a broken connection means, over real sockets: a write that may have arrived is in doubt, one that never left may be sent again."""

from __future__ import annotations

import random
import socket
from typing import Any

import pytest

from connectors.base import Ambiguous, Runtime, Transient
from connectors.http import Answer, Effect, Http, Limiter, judge_status
from sandbox.web import Reply, Request, Sandbox, serve


class Counter:
    """An app that counts what it did."""

    def __init__(self) -> None:
        self.done = 0

    def handle(self, request: Request) -> Reply:
        self.done += request.method == "POST"
        return Reply.json(200, {"done": self.done})

    def admit(self, request: Request) -> Reply | None:
        return None

    def release(self, request: Request) -> None:
        return None


def client(url: str, timeout: float = 30.0) -> Http:
    async def sleep(_seconds: float) -> None:
        return None

    def judge(answer: Answer, effect: Effect) -> Any:
        return judge_status(answer, effect, words=f"answered {answer.status}")

    runtime = Runtime(sleep=sleep, random=random.Random(1), timeout=timeout)
    limiter = Limiter(runtime=runtime, per_minute=None, slots={"read": 4, "write": 4})
    return Http(system="stub", base_url=url, runtime=runtime, authorize=None, judge=judge, limiter=limiter)


@pytest.mark.parametrize("warm", [False, True], ids=["a new connection", "a kept connection"])
@pytest.mark.parametrize("kind", ["refuse", "reset_before", "reset_after", "hang_after", "error_after", "late"])
async def test_a_creation_whose_answer_is_lost_is_in_doubt_and_is_not_sent_again(kind: Any, warm: bool) -> None:
    sandbox = Sandbox(Counter())
    async with serve(sandbox) as url, client(url) as http:
        if warm:
            await http.send("GET", "/warm", effect=Effect.READ)
        sandbox.fault("POST /things", kind)
        with pytest.raises(Ambiguous):
            await http.send("POST", "/things", effect=Effect.CREATE, body={})
    assert sandbox.seen["POST /things"] == 1


async def test_a_creation_that_is_answered_too_late_is_in_doubt() -> None:
    sandbox = Sandbox(Counter())
    sandbox.fault("POST /things", "slow", seconds=0.5)
    async with serve(sandbox) as url, client(url, timeout=0.1) as http:
        with pytest.raises(Ambiguous):
            await http.send("POST", "/things", effect=Effect.CREATE, body={})
    assert sandbox.seen["POST /things"] == 1


async def test_a_creation_that_never_left_is_certainly_not_done() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with client(url) as http:
            with pytest.raises(Transient, match=r"cannot reach 127\.0\.0\.1:[0-9]+ \(connection refused\); check"):
                await http.send("POST", "/things", effect=Effect.CREATE, body={})
            assert http.calls == 5


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "error_before"])
async def test_what_may_be_repeated_is_tried_until_it_is_answered(kind: Any) -> None:
    sandbox = Sandbox(Counter())
    sandbox.fault("POST /things", kind, times=3)
    async with serve(sandbox) as url, client(url) as http:
        answer = await http.send("POST", "/things", effect=Effect.REPEATABLE, body={})
    assert answer.data["done"] >= 1
    assert sandbox.seen["POST /things"] == 4
