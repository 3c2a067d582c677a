"""Sections, in the order given: one after the other, because a batch runs in any order. The first takes over the section a project is born with."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from connectors.asana.batch import Api, post, put
from connectors.asana.text import line
from connectors.base import ConnectorError, Create, Rejected, Remote, Transient
from connectors.http import Effect


class Sections:
    """Makes sections. Costs one look-up a project besides one call a section."""

    def __init__(self, api: Api, defaults: Sequence[str]) -> None:
        self._api = api
        self._defaults = {name.casefold() for name in ("", *defaults)}
        self._settled: set[str] = set()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def make(self, project: str, creates: Sequence[Create]) -> list[Remote | ConnectorError]:
        """After an outcome that is not final the rest is not tried: made later, they still come in order."""
        async with self._locks[project]:
            results: list[Remote | ConnectorError] = []
            stop: ConnectorError | None = None
            for create in creates:
                result = stop or await self._one(project, create)
                results.append(result)
                if stop is None and isinstance(result, ConnectorError) and not isinstance(result, Rejected):
                    self._settled.discard(project)
                    stop = Transient("not tried: the section before it is not there yet", system=self._api.http.system)
            return results

    async def _one(self, project: str, create: Create) -> Remote | ConnectorError:
        name = line(str(create.item.fields["name"]))
        try:
            vacant = await self._vacant(project)
            if vacant:
                # A lost renaming is as doubtful as a lost create: repeated blindly, it would make a second section.
                adopt = replace(put(f"/sections/{vacant}", {"name": name}, ("name",)), effect=Effect.CREATE)
                reply = await self._api.one(adopt)
            else:
                reply = await self._api.one(post(f"/projects/{project}/sections", {"name": name}, ("name",)))
        except ConnectorError as error:
            return error
        return Remote(reply["data"]["gid"], "section", fields={"name": name})

    async def _vacant(self, project: str) -> str:
        """The untitled section of a new project, if it is still there; looked up once."""
        if project in self._settled:
            return ""
        rows = await self._api.every(f"/projects/{project}/sections", ("name",))
        self._settled.add(project)
        return next((row["gid"] for row in rows if (row.get("name") or "").strip().casefold() in self._defaults), "")
