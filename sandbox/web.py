"""What every sandbox shares: a request, a reply, faults per route, and two ways to be reached (TCP on loopback, or in process).

An `App` is synchronous and stateful: `handle(request)` reads or changes its state and replies. Everything about time, loss and load happens
around it, in `answer`, so one fault behaves the same over TCP and in process.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, unquote

import httpx
from aiohttp import web

from sandbox.sender import Sender

Sleep = Callable[[float], Awaitable[None]]
_FOR_EVER = 86_400.0
FaultKind = Literal[
    "refuse",  # the connection is dropped before the request is read
    "reset_before",  # dropped after the request was read, nothing done
    "error_before",  # `status` (default 500) with nothing done
    "error_after",  # done, then `status` (default 502)
    "reset_after",  # done, then the connection is dropped
    "hang_after",  # done, then no answer for `seconds`, then dropped
    "late",  # dropped at once; done `seconds` later
    "hang",  # no answer for as long as anybody waits; done `seconds` later
    "slow",  # done, answered after `seconds`
    "html",  # nothing done, an HTML page with `status` (default 503)
    "html_ok",  # done, but 200 with an HTML page
    "truncated",  # done, half of the body
    "empty",  # nothing done, `status` (default 500), no body
]


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded, without the query; `raw_path` as sent. Header names are lower case. `query` keeps the last of equal names."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    raw_path: str = ""

    def json(self) -> Any:
        """The parsed body; raises ValueError when it is not JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Reply:
    """`then`, where there is one, asks elsewhere first: what it gives is the reply."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Callable[[], Awaitable[Reply]] | None = None

    @staticmethod
    def json(status: int, data: Any, headers: Mapping[str, str] | None = None) -> Reply:
        return Reply(
            status, json.dumps(data, ensure_ascii=False).encode(), {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        )


class App(Protocol):
    """`admit` may refuse a request before it starts (limits on requests in flight); `release` is called when an admitted one has ended."""

    def handle(self, request: Request) -> Reply: ...
    def admit(self, request: Request) -> Reply | None: ...
    def release(self, request: Request) -> None: ...


class Dropped(Exception):
    """The connection ends here without an answer."""


@dataclass(slots=True)
class Fault:
    """Strikes requests whose "METHOD /path" matches `route` (a regular expression), after letting `skip` of them pass, `times` times (-1: always).

    `headers` go with the answer of "error_before" (Retry-After, for one).
    """

    route: str
    kind: FaultKind
    times: int = 1
    skip: int = 0
    status: int = 0
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    struck: int = 0

    def strikes(self, route: str) -> bool:
        if self.times == self.struck or not re.search(self.route, route):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.struck += 1
        return True


@dataclass(slots=True)
class Failure:
    """Refuses calls of a name in the system's own words, after letting `skip` of them pass, `times` times (-1: always), with nothing done."""

    name: str
    error: Exception
    times: int = 1
    skip: int = 0

    def strike(self, name: str) -> None:
        if self.name != name or self.times == 0:
            return
        if self.skip > 0:
            self.skip -= 1
            return
        self.times -= 1
        raise self.error


class Sandbox:
    """An app with its faults, its latency and its visitors' book.

    `seen` counts requests by "METHOD /path"; `latency` is seconds added to every answer. `recorder`, when set, is shown each exchange.
    `sender` is the app's, when it sends something by itself.
    """

    def __init__(self, app: App, *, latency: float = 0.0, sleep: Sleep = asyncio.sleep) -> None:
        self.app = app
        self.latency = latency
        self.faults: list[Fault] = []
        self.seen: Counter[str] = Counter()
        self.recorder: Callable[[Request, Reply], None] | None = None
        self.sender: Sender | None = getattr(app, "sender", None)
        self._sleep = sleep
        self._late: set[asyncio.Task[None]] = set()

    def fault(self, route: str, kind: FaultKind, *, times: int = 1, skip: int = 0, status: int = 0, seconds: float = 0.0) -> Fault:
        fault = Fault(route, kind, times=times, skip=skip, status=status, seconds=seconds)
        self.faults.append(fault)
        return fault

    async def answer(self, request: Request) -> Reply:
        """The reply to one request, or Dropped. Faults strike here."""
        route = f"{request.method} {request.path}"
        self.seen[route] += 1
        refusal = self.app.admit(request)
        if refusal is not None:
            return refusal
        try:
            if self.latency:
                await self._sleep(self.latency)
            fault = next((fault for fault in self.faults if fault.strikes(route)), None)
            reply = await self._struck(fault, request) if fault else await self._done(request)
        finally:
            self.app.release(request)
        if self.recorder is not None:
            self.recorder(request, reply)
        return reply

    async def _done(self, request: Request) -> Reply:
        reply = self.app.handle(request)
        return await reply.then() if reply.then is not None else reply

    async def _struck(self, fault: Fault, request: Request) -> Reply:
        match fault.kind:
            case "refuse" | "reset_before":
                raise Dropped
            case "error_before":
                return _broken(fault.status or 500, fault.headers)
            case "empty":
                return Reply(fault.status or 500)
            case "html":
                return _html(fault.status or 503)
            case "late":
                self._do_later(fault.seconds, request)
                raise Dropped
            case "hang":
                self._do_later(fault.seconds, request)
                await self._sleep(_FOR_EVER)
                raise Dropped
        reply = await self._done(request)
        match fault.kind:
            case "error_after":
                return _broken(fault.status or 502)
            case "html_ok":
                return _html(200)
            case "truncated":
                return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers)
            case "slow":
                await self._sleep(fault.seconds)
                return reply
            case "hang_after":
                await self._sleep(fault.seconds)
        raise Dropped

    def _do_later(self, seconds: float, request: Request) -> None:
        async def commit() -> None:
            await self._sleep(seconds)
            await self._done(request)

        task = asyncio.ensure_future(commit())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


def _broken(status: int, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply.json(status, {"errors": [{"message": "Server Error", "phrase": "6 sad squid snuggle softly"}]}, headers)


def _html(status: int) -> Reply:
    page = b"<!DOCTYPE html><html><head><title>Down for maintenance</title></head><body><h1>We'll be right back</h1></body></html>"
    return Reply(status, page, {"Content-Type": "text/html; charset=utf-8"})


@asynccontextmanager
async def serve(sandbox: Sandbox, *, port: int = 0) -> AsyncIterator[str]:
    """The sandbox on loopback TCP, sending what it has to send; gives its base URL (`http://127.0.0.1:PORT`)."""

    async def handler(incoming: web.BaseRequest) -> web.StreamResponse:
        request = Request(
            incoming.method,
            incoming.path,
            dict(incoming.query),
            {k.lower(): v for k, v in incoming.headers.items()},
            await incoming.content.read(),
            incoming.raw_path,
        )
        try:
            reply = await sandbox.answer(request)
        except Dropped:
            if incoming.transport is not None:
                incoming.transport.abort()
            return web.Response(status=500)
        return web.Response(status=reply.status, body=reply.body, headers=dict(reply.headers))

    runner = web.ServerRunner(web.Server(handler, max_line_size=65_536, max_field_size=65_536), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    sender: Sender | None = getattr(sandbox, "sender", None)  # whatever answers like a sandbox may be served
    try:
        async with sender.running() if sender is not None else nullcontext():
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class InProcess(httpx.AsyncBaseTransport):
    """Reaches sandboxes without a socket: `InProcess({"http://salesforce.test": sandbox})`, keyed by scheme and host."""

    def __init__(self, sandboxes: Mapping[str, Sandbox]) -> None:
        self._sandboxes = {httpx.URL(base).netloc: sandbox for base, sandbox in sandboxes.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sandbox = self._sandboxes.get(request.url.netloc)
        if sandbox is None:
            raise httpx.ConnectError(f"no sandbox at {request.url.host}", request=request)
        raw = request.url.raw_path.decode()
        seen = Request(
            request.method,
            unquote(raw.split("?")[0]),
            dict(request.url.params),
            {k.lower(): v for k, v in request.headers.items()},
            await request.aread(),
            raw,
        )
        timeout = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(timeout):
                reply = await sandbox.answer(seen)
        except Dropped as gone:
            raise httpx.ReadError("connection reset", request=request) from gone
        except TimeoutError as slow:
            raise httpx.ReadTimeout("no answer in time", request=request) from slow
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body, request=request)
