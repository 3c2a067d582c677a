"""The Prefect server, with its pages and its API kept to those they are for: `python -m flows.service_ui --port 4200`.

Prefect's own server answers whoever asks, under any name and from any page: a web site open in the same browser could start runs (its CORS allows
every origin, and a name that is made to point at this machine is as good as its address). Here a request under a foreign name or from a foreign
page is refused, and every answer carries a policy that lets a page load and call nothing but this server.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from flows.processes import wait_for_parent

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_GRACE = 4  # seconds an open connection is given when the server ends


def hosts(port: int, names: Collection[str] = ()) -> frozenset[str]:
    """What the server may be called in a request: this machine, and `names` (`prefect.example.com`, `prefect:4200`) if it is reached by others."""
    return frozenset({f"{name}:{port}" for name in _LOOPBACK} | {name.lower() for name in names})


def policy(api: str) -> str:
    """The content security policy of the pages: everything from here, calls to here and to the `api` they were told of.

    Prefect's pages (its first UI; the second is switched off) set styles on elements, draw with compiled functions (the timeline of a run) and
    load images and workers of their own making. A link's target opens nothing but itself.
    """
    at = urlsplit(api)
    socket = f"{'wss' if at.scheme == 'https' else 'ws'}://{at.netloc}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            f"connect-src 'self' {at.scheme}://{at.netloc} {socket}",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class Guarded:
    """An ASGI application that answers under its own names and to its own pages only, and whose every answer carries the headers that keep it so."""

    def __init__(self, app: ASGIApp, *, names: Collection[str], api: str) -> None:
        self._app, self._names = app, names
        self._headers = {
            "content-security-policy": policy(api),
            "x-frame-options": "DENY",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            "x-dns-prefetch-control": "off",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def covered(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        if wrong := self._wrong(Headers(scope=scope)):
            refusal: Any = WebSocketClose(code=1008) if scope["type"] == "websocket" else PlainTextResponse(f"{wrong}\n", status_code=403)
            await refusal(scope, receive, covered)
            return
        await self._app(scope, receive, covered)

    def _wrong(self, headers: Headers) -> str:
        if headers.get("host", "").lower() not in self._names:
            return "This server does not go by that name."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() not in self._names:
            return "This server takes no calls from other sites."
        return ""


class Patient:
    """An ASGI application that is asked again when SQLite was busy. Prefect answers 503 then: nothing was done, and its own clients try again; a
    browser does not, and a person who starts a run would be told that it failed."""

    def __init__(self, app: ASGIApp, *, tries: int = 6, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._app, self._tries, self._sleep = app, tries, sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = [message async for message in _whole(receive)]
        for number in range(1, self._tries + 1):
            if not await self._is_busy(dict(scope), _again(told, receive), send, last=number == self._tries):
                return
            await self._sleep(0.1 * 2**number)

    async def _is_busy(self, scope: Scope, receive: Receive, send: Send, *, last: bool) -> bool:
        busy = False

        async def unless_busy(message: Message) -> None:
            nonlocal busy
            busy = busy or (message["type"] == "http.response.start" and message["status"] == 503 and not last)
            if not busy:
                await send(message)

        try:
            await self._app(scope, receive, unless_busy)
        except Exception:  # it is raised after it was answered; the answer counts
            if not busy:
                raise
        return busy


async def _whole(receive: Receive) -> AsyncIterator[Message]:
    more = True
    while more:
        yield (message := await receive())
        more = bool(message.get("more_body"))


def _again(told: Sequence[Message], receive: Receive) -> Receive:
    """The same request once more, and then whatever comes."""
    rest = iter(told)

    async def replayed() -> Message:
        message = next(rest, None)
        return message if message is not None else await receive()

    return replayed


def app(*, port: int, names: Collection[str] = ()) -> Guarded:
    """Prefect's server as its settings in the environment want it, guarded."""
    from prefect.server.api.server import create_app  # noqa: PLC0415 - imported after its settings are in the environment
    from prefect.settings import get_current_settings  # noqa: PLC0415

    api = str(get_current_settings().server.ui.api_url or f"http://127.0.0.1:{port}/api")
    return Guarded(Patient(create_app(final=True)), names=hosts(port, names), api=api)


def main(words: list[str] | None = None) -> None:
    """Serve until a signal says otherwise; with --child also until standard input ends, which it does however the parent ends."""
    parser = argparse.ArgumentParser(prog="python -m flows.service_ui", description="The Prefect server, kept to itself.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument(
        "--name", action="append", default=[], help="a further name the server is reached by, with its port where it has one"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    origins = ",".join(f"{scheme}://{name}" for name in sorted(hosts(given.port, given.name)) for scheme in ("http", "https"))
    os.environ.setdefault("PREFECT_SERVER_UI_API_URL", f"http://127.0.0.1:{given.port}/api")
    os.environ.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", origins)

    servers: list[Any] = []
    if given.child:
        threading.Thread(target=_end_with_parent, args=(servers,), daemon=True).start()

    import uvicorn  # noqa: PLC0415

    guarded = app(port=given.port, names=given.name)
    config = uvicorn.Config(guarded, host=given.host, port=given.port, timeout_graceful_shutdown=_GRACE, server_header=False)
    servers.append(uvicorn.Server(config))
    servers[0].run()


def _end_with_parent(servers: Sequence[Any]) -> None:
    """A parent that was killed leaves no server behind that would hold its port: one that serves ends in order, one that starts at once."""
    wait_for_parent()
    for server in servers:
        server.should_exit = True
    if not any(server.started for server in servers):
        os._exit(0)


if __name__ == "__main__":
    main()
