"""Roundup's REST interface: lists and items of a class, changed only by who has seen their latest state.

https://www.roundup-tracker.org/docs/rest.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from connectors.base import Runtime
from connectors.http import Answer, Effect, Http, Limiter
from connectors.roundup.connection import Connection
from connectors.roundup.errors import SYSTEM, judge

Row = Mapping[str, Any]


class Basic:
    """Name and password with each request: they do not expire, and nothing renews them."""

    def __init__(self, login: str, password: str) -> None:
        self._headers = {"Authorization": "Basic " + b64encode(f"{login}:{password}".encode()).decode()}

    async def headers(self) -> Mapping[str, str]:
        return self._headers

    async def renew(self, dead: Mapping[str, str]) -> bool:
        del dead
        return False


class Api:
    """`server_time` is what the latest answer was dated; None before the first."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        parts = urlsplit(connection.url)
        slots = {"read": connection.at_once, "write": connection.at_once}
        self.server_time: datetime | None = None
        self._http = Http(
            system=SYSTEM,
            base_url=f"{connection.url}/rest/data",
            runtime=runtime,
            authorize=Basic(connection.login, connection.password.get_secret_value()),
            judge=judge,
            limiter=Limiter(runtime=runtime, per_minute=None, slots=slots),
            headers={"X-Requested-With": "rest", "Origin": f"{parts.scheme}://{parts.netloc}", "Referer": f"{connection.url}/"},
        )

    @property
    def calls(self) -> int:
        return self._http.calls

    async def open(self) -> None:
        await self._http.__aenter__()

    async def close(self) -> None:
        await self._http.__aexit__(None, None, None)

    async def items(self, name: str, fields: Iterable[str], *where: tuple[str, str], verbose: int = 0) -> list[Row]:
        """The items of a class that are not retired. A pair of `where` may come again: any of its values will do."""
        asked = [("@fields", ",".join(fields)), ("@verbose", str(verbose)), *where]
        answer = await self._get(f"/{name}?{urlencode(asked, safe='@,;:')}")
        return list(answer.data["data"]["collection"])

    async def item(self, name: str, row: str, fields: Iterable[str]) -> tuple[Row, str]:
        """One item, retired or not, and the tag of its state."""
        answer = await self._get(f"/{name}/{row}?{urlencode([('@fields', ','.join(fields)), ('@verbose', '0')], safe='@,')}")
        return answer.data["data"]["attributes"], str(answer.data["data"]["@etag"])

    async def whole(self, name: str, row: str) -> Row:
        """One item with all its fields but those that Roundup gives every class."""
        attributes: Row = (await self._get(f"/{name}/{row}")).data["data"]["attributes"]
        return attributes

    async def classes(self) -> list[str]:
        return list((await self._get("")).data["data"])

    async def change(self, name: str, row: str, values: Mapping[str, Any], tag: str) -> None:
        """Set these fields of an item that is as it was when the tag was given. Raises Conflict when it is not."""
        await self._http.send("PATCH", f"/{name}/{row}", effect=Effect.REPEATABLE, body=values, headers={"If-Match": tag})

    async def _get(self, path: str) -> Answer:
        answer = await self._http.send("GET", path, effect=Effect.READ)
        self.server_time = parsedate_to_datetime(answer.headers["date"]) if "date" in answer.headers else None
        return answer
