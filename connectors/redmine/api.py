"""Redmine's objects and listings over `Http`. https://www.redmine.org/projects/redmine/wiki/Rest_api"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base import Transient
from connectors.http import Effect, Http

Json = dict[str, Any]
PAGE = 100  # what Redmine gives at most, whatever is asked for
_STARTS = 5


class Api:
    def __init__(self, http: Http) -> None:
        self.http = http

    async def get(self, path: str, name: str = "", /, **query: str) -> Any:
        """The object at `path`, or what stands under `name` in it."""
        answer = await self.http.send("GET", path, effect=Effect.READ, params=query or None)
        return answer.data[name] if name else answer.data

    async def post(self, path: str, name: str, data: Mapping[str, Any], *, effect: Effect = Effect.CREATE) -> Json:
        """What was made; empty where Redmine does not say."""
        answer = await self.http.send("POST", path, effect=effect, body={name: dict(data)})
        return dict(answer.data[name]) if answer.data else {}

    async def put(self, path: str, name: str, data: Mapping[str, Any], *, effect: Effect = Effect.UPDATE) -> None:
        """Done, as far as Redmine says: it drops what it does not like without a word, so what matters is to be read back."""
        await self.http.send("PUT", path, effect=effect, body={name: dict(data)})

    async def every(self, path: str, name: str, /, **query: str) -> list[Json]:
        """All rows, each once. Rows that go meanwhile would shift the pages: then the listing starts again. Nothing at all may be a refused key."""
        for _ in range(_STARTS):
            rows, total = await self._pages(path, name, query)
            if len(rows) >= total:
                if not rows:
                    await self.confirm()
                return list(rows.values())
        raise Transient("the listing changes faster than it can be read", system=self.http.system)

    async def _pages(self, path: str, name: str, query: Mapping[str, str]) -> tuple[dict[int, Json], int]:
        rows: dict[int, Json] = {}
        offset, total = 0, 1
        while offset < total:
            page = await self.get(path, **query, limit=str(PAGE), offset=str(offset))
            rows |= {row["id"]: row for row in page[name]}
            total = int(page.get("total_count", 0)) if page[name] else 0
            offset += PAGE
        return rows, total

    async def confirm(self) -> Json:
        """Who we are; raises AuthError. With a refused key Redmine reads as a stranger and answers lists with nothing."""
        found: Json = await self.get("/users/current.json", "user")
        return found
