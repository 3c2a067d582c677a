"""What an answer of Kanboard means, call by call."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.base import Ambiguous, AuthError, ConnectorError, RateLimited, Rejected, Runtime, Transient
from connectors.http import Http, Limiter
from connectors.kanboard.rpc import MOST, Api, Call, Forbidden, again, create, judge, read, update
from tests.conformance.source import Clock

Answers = Callable[[httpx.Request], httpx.Response]
ALL = [read("getTask", task_id=1), again("addProjectUser"), update("updateTask"), create("createTask")]


async def run(answers: Answers, *calls: Call) -> list[Any]:
    clock = Clock(datetime(2026, 3, 2, tzinfo=UTC))
    runtime = Runtime(clock=clock, sleep=clock.sleep, transport=httpx.MockTransport(answers))
    limiter = Limiter(runtime=runtime, per_minute=None, slots={"read": 1, "write": 1})
    async with Http(
        system="kanboard", base_url="http://kanboard.test", runtime=runtime, authorize=None, judge=judge, limiter=limiter
    ) as http:
        return await Api(http).run(calls)


def says(*rows: Any, status: int = 200) -> Answers:
    """Answers each call in turn: with a result, or with an error when it is one."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        calls = asked if isinstance(asked, list) else [asked]
        told = [{"jsonrpc": "2.0", "id": call["id"], **row} for call, row in zip(calls, rows, strict=True)]
        return httpx.Response(status, json=told if isinstance(asked, list) else told[0])

    return answer


def kinds(replies: list[Any]) -> list[type]:
    return [type(reply) for reply in replies]


async def test_false_and_null_are_answers() -> None:
    assert await run(says({"result": False}, {"result": None}, {"result": 7}), ALL[0], ALL[2], ALL[3]) == [False, None, 7]


async def test_answers_are_told_apart_by_their_numbers() -> None:
    def backwards(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[{"id": call["id"], "result": call["method"]} for call in reversed(json.loads(request.content))])

    assert await run(backwards, *ALL) == [call.method for call in ALL]


async def test_many_calls_go_in_several_requests_and_one_goes_alone() -> None:
    sizes: list[int] = []

    def count(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        sizes.append(len(asked) if isinstance(asked, list) else 0)
        return says(*[{"result": 1}] * max(sizes[-1], 1))(request)

    assert await run(count, *[ALL[0]] * (MOST + 1)) == [1] * (MOST + 1)
    assert sizes == [MOST, 0]


@pytest.mark.parametrize("code", [-32700, -32600, -32601, -32602])
async def test_a_call_that_was_never_run_is_rejected(code: int) -> None:
    (refused,) = await run(says({"error": {"code": code, "message": "Invalid params", "data": "Missing argument: name"}}), ALL[3])
    assert isinstance(refused, Rejected)
    assert "Missing argument: name" in refused.message


async def test_any_other_error_leaves_a_create_in_doubt_and_its_neighbours_alone() -> None:
    broken = {"error": {"code": 0, "message": "SQL Error: database is locked " + "x" * 1000}}
    replies = await run(says({"result": 5}, broken, broken), ALL[3], ALL[3], ALL[2])
    assert replies[0] == 5
    assert kinds(replies[1:]) == [Ambiguous, Transient]
    assert len(replies[1].message) < 500


async def test_an_answer_that_is_missing_or_empty_is_in_doubt() -> None:
    """An exception without words comes as neither result nor error."""
    cut = lambda request: httpx.Response(200, json=[{"id": 1, "result": 5}, {"id": 2}])  # noqa: E731
    replies = await run(cut, ALL[3], ALL[3], ALL[3])
    assert replies[0] == 5
    assert kinds(replies[1:]) == [Ambiguous, Ambiguous]


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b'"x"', b"null"])
async def test_what_is_not_json_rpc_is_in_doubt_and_points_to_the_address(body: bytes) -> None:
    replies = await run(lambda request: httpx.Response(200, content=body), *ALL)
    assert kinds(replies) == [Transient, Transient, Transient, Ambiguous]
    assert all("url" in reply.message for reply in replies)


async def test_403_for_a_batch_is_asked_again_one_by_one_unless_it_creates() -> None:
    """It ends the batch in the middle: what comes before was done."""

    def forbids_two(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        calls = asked if isinstance(asked, list) else [asked]
        forbidden = any(call["params"].get("task_id") == 2 for call in calls)
        return httpx.Response(403, json={"error": {"code": 403}, "id": None}) if forbidden else says({"result": 1})(request)

    two = read("getTask", task_id=2)
    replies = await run(forbids_two, ALL[0], two, ALL[2])
    assert [replies[0], replies[2]] == [1, 1]
    assert isinstance(replies[1], Forbidden)
    assert kinds(await run(forbids_two, ALL[3], two, ALL[2])) == [Ambiguous, Transient, Transient]


@pytest.mark.parametrize(
    ("status", "meaning"), [(401, AuthError), (429, RateLimited), (404, Rejected), (500, Ambiguous), (502, Ambiguous), (302, Ambiguous)]
)
async def test_a_status_means_the_same_for_every_create_of_a_batch(status: int, meaning: type[ConnectorError]) -> None:
    headers = {"Retry-After": "600"}
    replies = await run(lambda request: httpx.Response(status, headers=headers, json={}), ALL[3], ALL[3])
    assert kinds(replies) == [meaning, meaning]
