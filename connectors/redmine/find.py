"""Looking for what lost creates made: by the identifier, or by the key the object carries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connectors.base import Ambiguous, Conflict, ConnectorError, Create, Gone, Remote
from connectors.redmine.api import Api, Json
from connectors.redmine.connection import Connection
from connectors.redmine.errors import Forbidden
from connectors.redmine.fields import Fields
from connectors.redmine.relations import waits_for
from connectors.redmine.shapes import Shapes
from connectors.redmine.text import identifier, line, short_mark

Found = Remote | Conflict | Gone | None
_FEW = 10
EVERYTHING = {"status_id": "*", "subproject_id": "!*", "sort": "id"}  # closed ones too, of this project alone


class Finder:
    def __init__(self, api: Api, shapes: Shapes, fields: Fields, connection: Connection) -> None:
        self._api = api
        self._shapes = shapes
        self._fields = fields
        self._connection = connection

    async def find(self, creates: Sequence[Create]) -> list[Found]:
        """In the order of the creates."""
        listings: dict[str, asyncio.Task[list[Json]]] = {}
        try:
            return list(await asyncio.gather(*(self._find(create, listings, few=len(creates) <= _FEW) for create in creates)))
        finally:
            await asyncio.gather(*listings.values(), return_exceptions=True)

    async def _find(self, create: Create, listings: dict[str, asyncio.Task[list[Json]]], *, few: bool) -> Found:
        try:
            match create.item.kind:
                case "project":
                    return await self.project(create)
                case "dependency":
                    there = await waits_for(self._api, create.parent)
                    return Remote(create.parent, "dependency") if there.issuperset(create.depends_on) else None
                case "task" if few and self._connection.key == "custom_field":
                    return self._match(create, await self._keyed(create))
            place = f"{create.item.kind} {create.parent if create.item.kind == 'comment' else create.project or create.parent}"
            if place not in listings:
                listings[place] = asyncio.ensure_future(self._listing(create))
            return self._match(create, await asyncio.shield(listings[place]))
        except Gone as gone:
            return gone

    async def project(self, create: Create) -> Found:
        """By its identifier. Redmine shows nothing of an archived project, but that it is there. To a refused key nothing may be there."""
        id_ = identifier(create.item.key)
        try:
            await self._api.get(f"/projects/{id_}.json")
        except Gone:
            await self._api.confirm()
            return None
        except Forbidden:
            pass
        return Remote(id_, "project", self._shapes.url("project", id_), create.item.key)

    async def after(self, create: Create) -> Found:
        """What was made a moment ago. A look-up that fails leaves open what is there."""
        try:
            return self._match(create, await self._listing(create))
        except ConnectorError as error:
            raise Ambiguous(f"it was taken, but looking for it failed: {error.message}", system=error.system) from error

    async def _listing(self, create: Create) -> list[Json]:
        project = create.project or create.parent
        match create.item.kind:
            case "section":
                return await self._api.every(f"/projects/{project}/versions.json", "versions")
            case "comment":
                rows = (await self._api.get(f"/issues/{create.parent}.json", "issue", include="journals"))["journals"]
                return [row for row in rows if row.get("notes")]
            case "status":
                return await self._api.every(f"/projects/{project}/news.json", "news")
        return await self._api.every(f"/projects/{project}/issues.json", "issues", **EVERYTHING)

    async def _keyed(self, create: Create) -> list[Json]:
        """Tasks by the custom field of their keys."""
        field = self._fields.find("issue", self._connection.key_field or "")
        query = {f"cf_{field['id']}": create.item.key} if field else {}
        return await self._api.every(f"/projects/{create.project}/issues.json", "issues", **EVERYTHING, **query)

    def _match(self, create: Create, rows: Sequence[Json]) -> Found:
        match create.item.kind:
            case "section":
                ours = short_mark(create.item.key)
                marks = [ours if ours in (row.get("description") or "").split() else "" for row in rows]
                return self._settle(create, marks, rows, ours)
            case "comment":
                return self._settle(create, [self._shapes.comment(create.parent, row).key for row in rows], rows)
            case "status":
                return self._settle(create, [self._shapes.status(row).key for row in rows], rows)
        return self._settle(create, [self._shapes.key(row) for row in rows], rows)

    def _settle(self, create: Create, keys: Sequence[str], rows: Sequence[Json], wanted: str = "") -> Found:
        ours = [row for key, row in zip(keys, rows, strict=True) if key == (wanted or create.item.key)]
        found = [self._remote(create, row) for row in ours]
        if len(found) > 1:
            name = line(str(create.item.fields.get("name") or create.item.fields.get("title") or create.item.key))
            words = f"{len(found)} {create.item.kind}s are {name!r} ({create.item.key}); keep one of them"
            return Conflict(words, theirs=[one.url for one in found])
        return found[0] if found else None

    def _remote(self, create: Create, row: Json) -> Remote:
        kind = create.item.kind
        id_ = {"section": f"v{row['id']}", "status": f"n{row['id']}", "comment": f"{create.parent}-{row['id']}"}.get(kind, str(row["id"]))
        return Remote(id_, kind, self._shapes.url(kind, id_), create.item.key)
