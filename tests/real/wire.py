"""The wire to a real server, with faults on demand: what a network, a proxy or a crashing server does to a request and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import httpx

Trouble = Literal[
    "lost",  # done, and no answer
    "broken",  # not done, a server error
    "broken_after",  # done, then a server error
    "garbled",  # done, and the answer cannot be read
    "late",  # no answer; done when `settle` is called
    "busy",  # not done, too many requests
    "html_ok",  # not done, a page of HTML with status 200
    "html",  # not done, a page of HTML with status 503
    "truncated",  # done, and half an answer
    "empty",  # not done, an empty answer with status 200
    "reset",  # not done, the connection breaks
]
Match = Callable[[httpx.Request], bool]
_PAGE = b"<html><body>Please wait</body></html>"


@dataclass
class Fault:
    """Strikes `times` matching requests (-1: all of them) after leaving the first `skip` alone."""

    match: Match
    what: Trouble
    times: int = 1
    skip: int = 0

    def strikes(self, request: httpx.Request) -> bool:
        if self.times == 0 or not self.match(request):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= self.times > 0
        return True


class Wire(httpx.AsyncBaseTransport):
    """Carries requests to the real server. `sent` are all requests that went out, `late` those still on their way.

    A connection is opened for each request: the wire may be used from one event loop after another.
    """

    def __init__(self) -> None:
        self.cut = False
        self.faults: list[Fault] = []
        self.sent: list[httpx.Request] = []
        self.late: list[httpx.Request] = []

    def fault(self, match: Match, what: Trouble, *, times: int = 1, skip: int = 0) -> None:
        self.faults.append(Fault(match, what, times, skip))

    async def settle(self) -> None:
        """What was late arrives now."""
        late, self.late = self.late, []
        for request in late:
            await _carry(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if self.cut:
            raise httpx.ConnectError("connection refused", request=request)
        self.sent.append(request)
        fault = next((one for one in self.faults if one.strikes(request)), None)
        return await _struck(request, fault.what, self.late) if fault else await _carry(request)


class Beside(httpx.AsyncBaseTransport):
    """Requests to this machine go to the real server, all others to the stand-ins."""

    def __init__(self, stand_ins: httpx.AsyncBaseTransport, real: httpx.AsyncBaseTransport) -> None:
        self._stand_ins, self._real = stand_ins, real

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await (self._real if request.url.host == "127.0.0.1" else self._stand_ins).handle_async_request(request)


async def _carry(request: httpx.Request) -> httpx.Response:
    async with httpx.AsyncHTTPTransport(verify=False) as transport:  # no encryption on loopback: certificates take 30 ms to read
        response = await transport.handle_async_request(request)
        body = await response.aread()
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in (b"content-encoding", b"transfer-encoding")]
        return httpx.Response(response.status_code, headers=headers, content=body, request=request)


async def _struck(request: httpx.Request, what: Trouble, late: list[httpx.Request]) -> httpx.Response:
    match what:
        case "late":
            late.append(request)
            raise httpx.ReadTimeout("no answer", request=request)
        case "reset":
            raise httpx.ReadError("connection reset", request=request)
        case "broken":
            return httpx.Response(500, text="Internal Server Error", request=request)
        case "busy":
            return httpx.Response(429, headers={"Retry-After": "2"}, text="Too Many Requests", request=request)
        case "html_ok" | "html":
            return httpx.Response(200 if what == "html_ok" else 503, headers={"Content-Type": "text/html"}, content=_PAGE, request=request)
        case "empty":
            return httpx.Response(200, request=request)
    return _after(what, request, await _carry(request))


def _after(what: Trouble, request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    match what:
        case "broken_after":
            return httpx.Response(502, text="Bad Gateway", request=request)
        case "garbled":
            return httpx.Response(200, headers={"Content-Type": "text/html"}, content=_PAGE, request=request)
        case "truncated":
            return httpx.Response(answer.status_code, content=answer.content[: len(answer.content) // 2], request=request)
    raise httpx.ReadError("connection reset", request=request)
