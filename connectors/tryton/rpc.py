"""Tryton's JSON-RPC: a session that is renewed when it ends, and calls of model methods in the company's context."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from connectors.base import Runtime
from connectors.http import Effect, Http, Limiter
from connectors.tryton.connection import Connection
from connectors.tryton.errors import SYSTEM, judge, judge_login
from connectors.tryton.values import decoded, encoded

Row = dict[str, Any]
Domain = list[Any]
LANGUAGE = "en"  # the language every database has, so that a refusal can be told from another by its words


class Session:
    """The credentials of a session. Many calls meeting one that ended cause one login."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()
        self._token = ""
        self.user = 0
        limiter = Limiter(runtime=runtime, per_minute=None, slots={"read": 1, "write": 1})
        self.http = Http(
            system=SYSTEM, base_url=connection.url, runtime=runtime, authorize=None, judge=judge_login, limiter=limiter, longest_wait=10.0
        )

    async def headers(self) -> Mapping[str, str]:
        async with self._lock:
            if not self._token:
                await self._login()
        return {"Authorization": f"Session {self._token}"}

    async def renew(self, dead: Mapping[str, str]) -> bool:
        async with self._lock:
            if dead.get("Authorization") == f"Session {self._token}":
                await self._login()
        return True

    async def _login(self) -> None:
        self._token = ""
        login, password = self._connection.login, self._connection.password.get_secret_value()
        body = {"id": 0, "method": "common.db.login", "params": [login, {"password": password}, LANGUAGE]}
        answer = await self.http.send("POST", path(self._connection), effect=Effect.READ, body=body)
        self.user, token = answer.data["result"][:2]
        self._token = b64encode(f"{login}:{self.user}:{token}".encode()).decode()


def path(connection: Connection) -> str:
    return f"/{quote(connection.database, safe='')}/rpc/"


class Rpc:
    """Calls of model methods. `context` is the user's own, in one language and the connection's company."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self.connection = connection
        self._session = Session(connection, runtime)
        slots = {"read": connection.reads_at_once, "write": connection.writes_at_once}
        limiter = Limiter(runtime=runtime, per_minute=None, slots=slots)
        self._http = Http(system=SYSTEM, base_url=connection.url, runtime=runtime, authorize=self._session, judge=judge, limiter=limiter)
        self._context: Row | None = None
        self.time: datetime | None = None  # the server's own, by its last answer
        self._lock = asyncio.Lock()

    @property
    def calls(self) -> int:
        return self._http.calls + self._session.http.calls

    async def open(self) -> None:
        await self._http.__aenter__()
        await self._session.http.__aenter__()

    async def close(self) -> None:
        await self._http.__aexit__(None, None, None)
        await self._session.http.__aexit__(None, None, None)

    async def call(self, method: str, *args: Any, effect: Effect = Effect.READ, context: Mapping[str, Any] | None = None) -> Any:
        """The result of `<model>.<method>`, in plain values."""
        return await self._send(method, args, {**await self.context(), **(context or {})}, effect)

    async def rows(
        self, model: str, domain: Domain, fields: Sequence[str], *, order: Sequence[Sequence[str]] | None = None, limit: int | None = None
    ) -> list[Row]:
        """The records a domain finds, with their fields, dotted ones nested."""
        named = list(dict.fromkeys(["id", *fields]))
        result = await self.call(f"{model}.search_read", domain, 0, limit, [list(each) for each in order] if order else None, named)
        return list(result)

    async def context(self) -> Row:
        """What every call is made in; asked for once."""
        async with self._lock:
            if self._context is None:
                own = await self._own()
                company = self.connection.company if self.connection.company is not None else own.get("company")
                employee = {"employee": own["employee"]} if own.get("employee") else {}
                self._context = {"language": LANGUAGE, **employee, **({"company": company, "companies": [company]} if company else {})}
        return self._context

    async def _own(self) -> Row:
        """The user's company and employee. A server that was just started may leave them out of the preferences."""
        found: Row = await self._send("res.user.get_preferences", (True,), {"language": LANGUAGE}, Effect.READ)
        if found.get("company") is None and self._session.user:
            (found,) = await self._send(
                "res.user.read", ([self._session.user], ["company", "employee"]), {"language": LANGUAGE}, Effect.READ
            )
        return found

    async def _send(self, method: str, args: Sequence[Any], context: Mapping[str, Any], effect: Effect) -> Any:
        body = {"id": 1, "method": f"model.{method}", "params": encoded([*args, dict(context)])}
        answer = await self._http.send("POST", path(self.connection), effect=effect, body=body)
        self.time = _time(answer.headers.get("date", ""))
        return decoded(answer.data["result"])


def _time(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header)
    except ValueError:
        return None
