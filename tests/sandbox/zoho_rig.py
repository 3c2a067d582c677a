"""A small organisation to drive the stand-in of Zoho CRM with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from sandbox.web import Request, Sandbox
from sandbox.zoho import Zoho

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DEAL = {"Stage": "Qualification"}
CLIENT = {"client_id": "1000.HANDOFFCLIENT", "client_secret": "handoff-secret"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "1000.handoff.refresh", **CLIENT}


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
    headers: Mapping[str, str]

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def info(self) -> Any:
        return self.body["info"]

    @property
    def code(self) -> str:
        return str(self.body["code"])

    @property
    def codes(self) -> list[str]:
        return [row["code"] for row in self.body["data"]]


def request(method: str, path: str, token: str, data: Any = None, query: Mapping[str, Any] | None = None, **headers: str) -> Request:
    """A request as it would come over the wire; `path` from the root."""
    texts = {name: str(value) for name, value in (query or {}).items()}
    raw = quote(path, safe="/%:") + (f"?{urlencode(texts)}" if texts else "")
    sent = {"host": "127.0.0.1:9", "content-type": "application/json", **headers}
    if token:
        sent["authorization"] = f"Zoho-oauthtoken {token}"
    return Request(method, path, texts, sent, b"" if data is None else json.dumps(data).encode(), raw)


class Rig:
    """The app behind a Sandbox, its clock, and a way to ask it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.app = Zoho(self.clock, **settings)
        self.world = self.app.world
        self.box = Sandbox(self.app)
        self.book: list[tuple[Request, Any]] = []
        self.box.recorder = lambda asked, reply: self.book.append((asked, reply))
        self.token = ""

    async def mint(self, host: str = "127.0.0.1:9", **form: str) -> Seen:
        """What the accounts server says to a refresh."""
        body = urlencode({**REFRESH, **form}).encode()
        headers = {"host": host, "content-type": "application/x-www-form-urlencoded"}
        reply = await self.box.answer(Request("POST", "/oauth/v2/token", {}, headers, body, "/oauth/v2/token"))
        return Seen(reply.status, json.loads(reply.body), reply.headers)

    async def ask(
        self, method: str, path: str, data: Any = None, *, root: str = "/crm/v8", headers: Mapping[str, str] | None = None, **query: Any
    ) -> Seen:
        """Asks with a token that is minted when there is none."""
        if not self.token:
            self.token = (await self.mint()).body["access_token"]
        asked = request(method, root + path, self.token, data, query, **(headers or {}))
        reply = await self.box.answer(asked)
        plain = reply.headers.get("Content-Type", "").startswith("application/json")
        return Seen(reply.status, json.loads(reply.body) if plain and reply.body else reply.body, reply.headers)

    async def write(self, method: str, path: str, *rows: dict[str, Any], **more: Any) -> Seen:
        """Rows in `data`, with no triggers; `headers` go as headers, other names into the body."""
        headers = more.pop("headers", None)
        return await self.ask(method, path, {"data": list(rows), "trigger": [], **more}, headers=headers)

    def deals(self, count: int, **fields: Any) -> list[str]:
        return [self.world.insert("Deals", {"Deal_Name": f"deal {number}", **DEAL, **fields}) for number in range(count)]

    async def names(self, path: str, **query: Any) -> list[str]:
        seen = await self.ask("GET", path, fields="Deal_Name", **query)
        return [row["Deal_Name"] for row in seen.data] if seen.status == 200 else []
