"""Somebody at the systems' doors, who sees what a process is about and can strike at the worst moment."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox.web import Dropped, Reply, Request, Sandbox

How = Literal["lost", "answered", "later"]
PATIENCE = 25  # requests
_STAGES = (
    ("/oauth2/token", "signing in"),
    ("/query", "reading the CRM, planning"),
    ("/events", "hearing of changes"),
    ("POST .*/projects$", "creating projects"),
    ("/sections", "making sections"),
    ("batch POST /tasks$|batch POST .*/subtasks$", "making tasks"),
    ("batch POST .*addDependencies", "linking tasks"),
    ("batch GET", "looking up"),
    ("PUT .*/projects/|/memberships|CustomField|custom_fields|/users", "publishing"),
    ("/composite", "writing back"),
)


def stage(request: Request) -> str:
    """What a process is about that sends this."""
    route = f"{request.method} {request.path}"
    if request.path.endswith("/batch"):
        first = request.json()["data"]["actions"][0]
        route = f"batch {first['method'].upper()} {first['relative_path'].split('?')[0]}"
    return next((name for sign, name in _STAGES if re.search(sign, route)), "looking up")


@dataclass(frozen=True, slots=True)
class Moment:
    """At which request from now on, and whether it is lost, carried out but not answered, or answered and the end comes `delay` seconds later.

    A stage that is named is waited for, for some requests more.
    """

    request: int
    stage: str
    how: How
    delay: float


class Watch:
    """Stands at every system's door: knows what was asked for last, and strikes at a chosen moment."""

    def __init__(self, sandboxes: Sequence[Sandbox]) -> None:
        self.stage = ""
        self._asked = 0
        self._chosen: tuple[Moment, Callable[[], None]] | None = None
        self._lock = threading.Lock()
        for sandbox in sandboxes:
            self._stand_at(sandbox)

    def arm(self, moment: Moment, strike: Callable[[], None]) -> None:
        with self._lock:
            self.stage, self._asked, self._chosen = "starting", 0, (moment, strike)

    def disarm(self) -> None:
        with self._lock:
            self._chosen = None

    def _stand_at(self, sandbox: Sandbox) -> None:
        answer = sandbox.answer

        async def watched(request: Request) -> Reply:
            chosen = self._comes(request)
            if chosen is None:
                return await answer(request)
            moment, strike = chosen
            if moment.how == "lost":
                strike()
                raise Dropped
            reply = await answer(request)
            if moment.how == "answered":
                strike()
            else:
                asyncio.get_running_loop().call_later(moment.delay, strike)
            return reply

        sandbox.answer = watched  # type: ignore[method-assign]

    def _comes(self, request: Request) -> tuple[Moment, Callable[[], None]] | None:
        with self._lock:
            self.stage = stage(request)
            if self._chosen is None:
                return None
            moment, strike = self._chosen
            self._asked += 1
            waits = moment.stage not in {"", self.stage} and self._asked < moment.request + PATIENCE
            if waits or self._asked < moment.request:
                return None
            self._chosen = None
            return moment, strike
