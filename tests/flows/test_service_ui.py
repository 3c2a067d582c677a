"""What guards the Prefect server: who may ask, under which name, and what a page of it may load."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from flows.service_ui import Guarded, Patient, hosts, policy

API = "http://127.0.0.1:4200/api"


async def page(_request: object) -> HTMLResponse:
    return HTMLResponse("runs", headers={"x-frame-options": "ALLOWALL"})


async def news(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("news")
    await socket.close()


INNER = Starlette(routes=[Route("/", page, methods=["GET", "POST"]), WebSocketRoute("/events", news)])
GUARDED = Guarded(INNER, names=hosts(4200, ["Prefect.example.com"]), api=API)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(GUARDED), base_url="http://127.0.0.1:4200") as ready:
        yield ready


async def heard(origin: str) -> list[dict[str, Any]]:
    """What a web socket opened by a page of that origin gets."""
    headers = [(b"host", b"127.0.0.1:4200"), (b"origin", origin.encode())]
    got: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        got.append(message)

    await GUARDED({"type": "websocket", "path": "/events", "headers": headers, "query_string": b""}, receive, send)
    return got


@pytest.mark.parametrize("name", ["127.0.0.1:4200", "localhost:4200", "[::1]:4200", "prefect.example.com", "PREFECT.example.com"])
async def test_it_answers_under_its_own_names(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get("/", headers={"host": name})).text == "runs"


@pytest.mark.parametrize(
    "name", ["evil.example", "127.0.0.1:80", "127.0.0.1", "127.0.0.1:4200.evil.example", "prefect.example.com:4200", ""]
)
async def test_a_name_that_was_made_to_point_here_gets_nothing(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get("/", headers={"host": name})
    assert (answer.status_code, answer.text) == (403, "This server does not go by that name.\n")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:4201", "https://prefect.example.com.evil.example"])
async def test_a_page_of_another_site_may_not_call(client: httpx.AsyncClient, origin: str) -> None:
    answer = await client.post("/", headers={"origin": origin})
    assert (answer.status_code, answer.text) == (403, "This server takes no calls from other sites.\n")
    assert [message["type"] for message in await heard(origin)] == ["websocket.close"]


@pytest.mark.parametrize("origin", ["http://127.0.0.1:4200", "http://localhost:4200", "https://prefect.example.com"])
async def test_its_own_pages_may_call_and_listen(client: httpx.AsyncClient, origin: str) -> None:
    assert (await client.post("/", headers={"origin": origin})).status_code == 200
    assert "news" in [message.get("text") for message in await heard(origin)]


@pytest.mark.parametrize("name", ["127.0.0.1:4200", "evil.example"])
async def test_every_answer_carries_the_policy(client: httpx.AsyncClient, name: str) -> None:
    headers = (await client.get("/", headers={"host": name})).headers
    assert headers["content-security-policy"] == policy(API)
    assert headers.get_list("x-frame-options") == ["DENY"]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_the_policy_allows_this_server_and_nothing_else() -> None:
    rules = dict(rule.split(" ", 1) for rule in policy(API).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    allowed = {word for words in rules.values() for word in words.split()}
    own = {"http://127.0.0.1:4200", "ws://127.0.0.1:4200"}
    assert allowed - own == {"'none'", "'self'", "'unsafe-eval'", "'unsafe-inline'", "data:", "blob:"}
    assert "'unsafe-inline'" not in rules["script-src"]
    assert "wss://prefect.example.com" in policy("https://prefect.example.com/api")


class Busy:
    """A server whose database is busy so many times; it gives back what it was sent."""

    def __init__(self, times: int) -> None:
        self.times, self.asked, self.slept = times, 0, 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        request = Request(scope, receive)
        body = await request.body()
        if self.asked <= self.times:
            await PlainTextResponse("busy", status_code=503)(scope, receive, send)
            raise RuntimeError("as Starlette raises it after the answer")
        await PlainTextResponse(body, status_code=201)(scope, receive, send)

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds

    async def post(self, body: bytes) -> httpx.Response:
        transport = httpx.ASGITransport(Patient(self, sleep=self.sleep), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4200") as ready:
            return await ready.post("/", content=body)


@pytest.mark.parametrize(("times", "status", "asked"), [(0, 201, 1), (2, 201, 3), (5, 201, 6), (9, 503, 6)])
async def test_a_busy_database_is_asked_again_with_the_same_request(times: int, status: int, asked: int) -> None:
    busy = Busy(times)
    answer = await busy.post(b"start a run" * 1000)
    assert (answer.status_code, busy.asked) == (status, asked)
    assert answer.content == (b"busy" if status == 503 else b"start a run" * 1000)
    assert busy.slept < 10
