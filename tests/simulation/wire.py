"""Between the program and the world: every request and every commit passes here, is written down, and may meet a fault."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from sandbox.web import Dropped, Reply, Request, Sandbox
from sandbox.web import Fault as SandboxFault
from state import Store
from tests.flows.world import Crash
from tests.simulation.scenario import Fault

_ROUTES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"POST /services/oauth2/token", "token"),
        (r"GET /services/data/.*/query", "query"),
        (r"PATCH /services/data/", "write back"),
        (r"POST /api/1.0/projects$", "project"),
        (r"(POST|PUT) /api/1.0/.*sections", "section"),
        (r"POST /api/1.0/batch", "batch"),
        (r"POST /api/1.0/tasks$", "task"),
        (r"POST /api/1.0/tasks/\d+/stories", "story"),
        (r"POST /api/1.0/tasks/\d+/addDependencies", "dependency"),
        (r"POST /api/1.0/status_updates", "status"),
        (r"PUT /api/1.0/projects", "publish"),
        (r"PUT /api/1.0/tasks", "update"),
        (r"POST /api/1.0/memberships", "membership"),
        (r"GET /api/1.0/workspaces/\d+/events", "events"),
        (r"GET /api/1.0/", "list"),
    )
)
Upset = Callable[[Fault, Request], None]


def route_of(method: str, path: str) -> str:
    return next((name for pattern, name in _ROUTES if pattern.match(f"{method} {path}")), "other")


class Process:
    """One running process. From a crash on nothing works. `faults` are those still to come, `counts` what all processes asked for so far."""

    def __init__(self, faults: list[Fault], counts: Counter[str], say: Callable[[str], None], struck: Counter[str]) -> None:
        self._faults = faults
        self._counts = counts
        self._say = say
        self._struck = struck
        self.dead = False
        self.requests = 0
        self._thaws = 0.0

    def meet(self, *routes: str) -> tuple[Fault | None, int]:
        """The fault that strikes here, if one does, and which of its first route this is."""
        for route in routes:
            self._counts[route] += 1
        found = next((fault for fault in self._faults if fault.route in routes and fault.nth == self._counts[fault.route]), None)
        if found is not None:
            self._faults.remove(found)
            self._struck[found.kind] += 1
            self._say(f"!! {found}")
        return found, self._counts[routes[0]]

    def live(self) -> None:
        if self.dead:
            raise Crash("the process is gone")

    def freeze(self, seconds: float) -> None:
        """Nothing of this process goes on for so long, as when it is stopped or its machine sleeps."""
        self._thaws = asyncio.get_running_loop().time() + seconds

    async def thaw(self) -> None:
        while (rest := self._thaws - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110 - it may freeze again
            await asyncio.sleep(rest)
        self.live()

    def die(self, what: str) -> None:
        self.dead = True
        self._say(f"   the process dies {what}")
        raise Crash(what)


class Network(httpx.AsyncBaseTransport):
    """Reaches the sandboxes. A server goes on with what it has begun, whoever hangs up. Latency comes from the seed, by route and number."""

    def __init__(self, servers: Mapping[str, Sandbox], process: Process, seed: int, upset: Upset, say: Callable[[str], None]) -> None:
        self._servers = servers
        self._process = process
        self._seed = seed
        self._upset = upset
        self._say = say
        self._busy: set[asyncio.Task[Reply]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        process = self._process
        if request.method == "GET":
            await process.thaw()  # a write was on its way already: it leaves at once or not at all
        process.live()
        raw = request.url.raw_path.decode()
        path = unquote(raw.split("?")[0])
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Request(request.method, path, dict(request.url.params), headers, await request.aread(), raw)
        route = route_of(request.method, path)
        process.requests += 1
        fault, number = process.meet(route, "any")
        if fault is not None and fault.kind == "crash before":
            process.die(f"before {route} {number}")
        latency = random.Random(f"{self._seed} {route} {number}").random()
        task = asyncio.ensure_future(self._serve(request.url.host, seen, fault, latency))
        self._busy.add(task)
        task.add_done_callback(self._over)
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("read")):
                reply = await asyncio.shield(task)
        except Dropped as gone:
            await process.thaw()
            self._say(f"   {route} {number}: no answer")
            if fault is not None and fault.kind == "refuse":
                raise httpx.ConnectError("connection refused", request=request) from gone
            raise httpx.ReadError("connection reset", request=request) from gone
        except TimeoutError as slow:
            await process.thaw()
            self._say(f"   {route} {number}: no answer in time")
            raise httpx.ReadTimeout("no answer in time", request=request) from slow
        if fault is not None and fault.kind == "pause":
            process.freeze(fault.seconds)
        await process.thaw()
        if fault is not None and fault.kind == "crash after":
            process.die(f"after {route} {number}")
        self._say(f"   {route} {number}: {reply.status}")
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body, request=request)

    async def _serve(self, host: str, request: Request, fault: Fault | None, latency: float) -> Reply:
        await asyncio.sleep(latency / 2)
        server = self._servers[host]
        if fault is not None:
            self._upset(fault, request)
            if kind := _AT_THE_SERVER.get(fault.kind):
                told = {"Retry-After": f"{fault.seconds:g}"} if fault.kind == "too many" and fault.seconds else {}
                server.faults.append(SandboxFault("", kind, status=fault.status, seconds=fault.seconds, headers=told))
        reply = await server.answer(request)
        await asyncio.sleep(latency / 2)
        return reply

    def _over(self, task: asyncio.Task[Reply]) -> None:
        self._busy.discard(task)
        if not task.cancelled():
            task.exception()


_AT_THE_SERVER: dict[str, Any] = {
    **{kind: kind for kind in ("refuse", "reset_before", "reset_after", "error_before", "error_after", "hang_after", "hang", "late")},
    **{kind: kind for kind in ("slow", "html", "html_ok", "truncated", "empty")},
    "too many": "error_before",
}


class FragileStore(Store):
    """A store whose commits may be the last thing its process does, or find the disk full."""

    process: Process | None = None

    def __init__(self, where: Path | str, *, now: datetime) -> None:
        super().__init__(where, now=now)
        if not self.db.shared:
            self.db.execute("PRAGMA synchronous = OFF")  # deaths here are not power cuts

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        process = self.process
        if process is None:
            with super().transaction() as db:
                yield db
            return
        process.live()
        fault, number = process.meet("commit")
        with super().transaction() as db:
            if fault is not None and fault.kind == "disk full":
                db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
            yield db
            process.live()
            if fault is not None and fault.kind == "crash before":
                process.die(f"before commit {number}")
        if fault is not None and fault.kind == "crash after":
            process.die(f"after commit {number}")
