"""One way to call a model's methods, over JSON-2 or, on older servers, JSON-RPC.

https://www.odoo.com/documentation/19.0/developer/reference/external_api.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from connectors.base import AuthError, ConfigError, ConnectorError, Runtime, Transient
from connectors.http import Answer, Effect, Http, Limiter, unknown
from connectors.odoo.connection import Connection
from connectors.odoo.errors import SYSTEM, judge
from engine.model import Problem

Row = dict[str, Any]
Domain = Sequence[Any]

JSON2_SINCE = 19
# What JSON-RPC takes by place: older servers name it otherwise, or look for it there.
_BY_PLACE = {"create": "vals_list", "search": "domain", "search_count": "domain"}


class _Key:
    """The API key, in the header JSON-2 reads it from. It cannot be renewed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def headers(self) -> Mapping[str, str]:
        key, database = self._connection.key, self._connection.database
        return {
            **({"Authorization": f"bearer {key.get_secret_value()}"} if key else {}),
            **({"X-Odoo-Database": database} if database else {}),
        }

    async def renew(self, dead: Mapping[str, str]) -> bool:
        del dead
        return False


class Rpc:
    """Calls methods on one server, within `async with`. `server_time` is what its last answer was dated, None when it did not say."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self.connection = connection
        self.server_time: datetime | None = None
        self._http = Http(
            system=SYSTEM,
            base_url=connection.url,
            runtime=runtime,
            authorize=_Key(connection),
            judge=self._judge,
            limiter=Limiter(runtime=runtime, per_minute=None, slots={"read": connection.at_once, "write": connection.at_once}),
        )
        self._once = asyncio.Lock()
        self._version: tuple[int, int] | None = None
        self._uid: int | None = None

    @property
    def calls(self) -> int:
        """HTTP calls made so far."""
        return self._http.calls

    async def __aenter__(self) -> Rpc:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(None, None, None)

    async def call(
        self,
        model: str,
        method: str,
        *,
        effect: Effect,
        ids: Sequence[int] | None = None,
        context: Mapping[str, Any] | None = None,
        within: float | None = None,
        **named: Any,
    ) -> Any:
        """What the method returned; None where it returned nothing. `ids` are the records it runs on, `context` is added to ours.

        Archived records are seen, and texts come in the connection's language, unless `context` says otherwise. Raises what `judge` makes of it.
        """
        told = {"lang": self.connection.language, "active_test": False, **(context or {})}
        if await self.speaks_json2():
            body = {**({"ids": list(ids)} if ids is not None else {}), "context": told, **named}
            return (await self._http.send("POST", f"/json/2/{model}/{method}", effect=effect, body=body, within=within)).data
        placed = [named.pop(_BY_PLACE[method])] if method in _BY_PLACE else []
        words = [model, method, [*([list(ids)] if ids is not None else []), *placed], {**named, "context": told}]
        signed = [self.connection.database, await self._user(), self.connection.secret]
        return await self._service("object", "execute_kw", [*signed, *words], effect, within)

    async def search_read(self, model: str, domain: Domain, fields: Sequence[str], *, order: str = "", limit: int = 0) -> list[Row]:
        """Rows with `id` and these fields, relations as plain ids. A limit of 0 is none."""
        more: dict[str, Any] = {**({"order": order} if order else {}), **({"limit": limit} if limit else {})}
        if await self.speaks_json2():
            more["load"] = ""  # no names beside ids; older servers do not know it
        rows = await self.call(model, "search_read", effect=Effect.READ, domain=list(domain), fields=list(fields), **more)
        return [{name: _id(value) for name, value in row.items()} for row in rows]

    async def version(self) -> tuple[int, int]:
        """Major and minor version of the server."""
        async with self._once:
            if self._version is None:
                self._version = await self._ask_version()
            return self._version

    async def uid(self) -> int:
        """The id of the user we act as."""
        if await self.speaks_json2():
            return int((await self.call("res.users", "context_get", effect=Effect.READ))["uid"])
        return await self._user()

    async def speaks_json2(self) -> bool:
        """Which protocol is spoken: as the connection says, or as the server's version allows."""
        wanted = self.connection.protocol
        if wanted != "auto":
            return wanted == "json2"
        speaks = (await self.version())[0] >= JSON2_SINCE
        if speaks and self.connection.key:
            return True
        if self.connection.login and self.connection.database:
            return False
        raise ConfigError([_unable(speaks)], system=SYSTEM)

    async def _ask_version(self) -> tuple[int, int]:
        """Newer servers tell it by an address of its own, older ones over JSON-RPC."""
        try:
            told = (await self._http.send("GET", "/web/version", effect=Effect.READ)).data["version_info"]
        except (ConfigError, KeyError, TypeError):
            told = (await self._service("common", "version", [], Effect.READ))["server_version_info"]
        return _numbers(told)

    async def _user(self) -> int:
        async with self._once:
            if self._uid is None:
                signed = [self.connection.database, self.connection.login, self.connection.secret]
                uid = await self._service("common", "login", signed, Effect.READ)
                if not uid:
                    raise AuthError("login or key refused; check database, login and key of the connection", system=SYSTEM)
                self._uid = int(uid)
            return self._uid

    async def _service(self, service: str, method: str, args: Sequence[Any], effect: Effect, within: float | None = None) -> Any:
        body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": {"service": service, "method": method, "args": args}}
        answer = await self._http.send("POST", "/jsonrpc", effect=effect, body=body, within=within)
        if not isinstance(answer.data, Mapping) or "jsonrpc" not in answer.data:
            raise unknown("the answer is not one of JSON-RPC", effect)
        return answer.data.get("result")

    def _judge(self, answer: Answer, effect: Effect) -> ConnectorError | None:
        self.server_time = _dated(answer) or self.server_time
        return judge(answer, effect)


def _id(value: Any) -> Any:
    """A relation's id where its name came along."""
    return value[0] if isinstance(value, list) and len(value) == 2 and isinstance(value[1], str) else value


def _unable(speaks_json2: bool) -> Problem:
    if speaks_json2:
        return Problem(
            "this server wants an API key", hint="make one in the preferences of the integration user", path=("connection", "key")
        )
    return Problem("this server is older than JSON-2", hint="add login and database for JSON-RPC", path=("connection", "login"))


def _numbers(version_info: Sequence[Any]) -> tuple[int, int]:
    """(19, 0) of [19, 0, 0, "final", 0, ""]; a hosted server may say "saas~18" for its major version."""
    try:
        return int(str(version_info[0]).rpartition("~")[2]), int(version_info[1])
    except (ValueError, IndexError) as failure:
        raise Transient("the server tells its version in a way that is not understood", system=SYSTEM) from failure


def _dated(answer: Answer) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None
