"""The hub as a process: one event loop, requests parsed in C, and an end in order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hub import web

# Whoever ends TLS in front of us is on this machine or in a private network; nobody else is believed who they speak for.
_PROXIES = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
_HEADERS_WITHIN = 10.0  # seconds
_END_WITHIN = 6  # seconds: more than any body is waited for, less than the ten after which supervisors send SIGKILL


class Impatient(HttpToolsProtocol):
    """Ends connections on which a request's head does not arrive in time, and answers nobody who is gone.

    Of requests that were sent all at once uvicorn tells only the last that its connection is lost; the answer to another is a trace in the log.
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._asked = WeakSet[RequestResponseCycle]()
        self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        self._heard()
        super().on_headers_complete()
        if self.cycle is not None:
            self._asked.add(self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()
        for one in self._asked:
            one.disconnected = True
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(_HEADERS_WITHIN, self.transport.close)

    def _heard(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class Server(uvicorn.Server):
    """Says when it is up; signals are the caller's business."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def server(app: web.App, *, host: str, port: int, behind_proxy: bool, ready: Callable[[], None] = lambda: None) -> Server:
    """`behind_proxy`: what a proxy says of whom it speaks for is believed."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what strangers send is no news
    options: dict[str, Any] = {"proxy_headers": behind_proxy, **({"forwarded_allow_ips": _PROXIES} if behind_proxy else {})}
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=Impatient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_END_WITHIN,
        backlog=4096,
        **options,
    )
    return Server(config, ready)
