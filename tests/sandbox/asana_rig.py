"""A small workspace to drive the stand-in of Asana with. Every reply it gives is judged by the public API description, where that is at hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from sandbox.asana import Asana
from sandbox.web import Request, Sandbox
from tests.asana_spec import check_reply, load_spec

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(frozen=True, slots=True)
class Seen:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def words(self) -> str:
        return str(self.body["errors"][0]["message"])


def request(method: str, path: str, token: str, data: Any = None, query: dict[str, Any] | None = None) -> Request:
    """A request as it would come over the wire. `path` without the prefix."""
    texts = {name: str(value) for name, value in (query or {}).items()}
    raw = quote(f"/api/1.0{path}", safe="/%:") + (f"?{urlencode(texts)}" if texts else "")
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    body = b"" if data is None else json.dumps({"data": data}).encode()
    return Request(method, f"/api/1.0{path}", texts, headers, body, raw)


class Rig:
    """The app behind a Sandbox, its clock, and a way to ask it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.app = Asana(self.clock, **settings)
        self.world = self.app.world
        self.box = Sandbox(self.app)

    async def ask(self, method: str, path: str, data: Any = None, *, token: str | None = None, **query: Any) -> Seen:
        asked = request(method, path, self.world.token if token is None else token, data, query)
        reply = await self.box.answer(asked)
        if load_spec() is not None and "text/html" not in reply.headers.get("Content-Type", ""):
            check_reply(asked, reply)
        return Seen(reply.status, json.loads(reply.body), dict(reply.headers))

    async def made(self, path: str, **data: Any) -> dict[str, Any]:
        """The data of a create that has to succeed."""
        seen = await self.ask("POST", path, data)
        assert seen.status in (200, 201), seen.body
        found: dict[str, Any] = seen.data
        return found

    async def project(self, **data: Any) -> str:
        return str((await self.made("/projects", **{"name": "Onboarding", "workspace": self.world.workspace, **data}))["gid"])

    async def task(self, project: str, **data: Any) -> str:
        return str((await self.made("/tasks", **{"name": "Kick-off", "projects": [project], **data}))["gid"])

    async def names(self, path: str, **query: Any) -> list[str]:
        return [row["name"] for row in (await self.ask("GET", path, **query)).data]


def at_birth(project: str, section: str) -> dict[str, Any]:
    return {"projects": [project], "memberships": [{"project": project, "section": section}]}
