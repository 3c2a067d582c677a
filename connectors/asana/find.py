"""Looking for what lost creates made. Listings are read-your-write; search and typeahead are not, so they are never asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from connectors.asana.batch import Api, Json
from connectors.asana.shapes import Shapes
from connectors.asana.text import document, line, normal
from connectors.asana.writes import is_provisional, provisional, title_of
from connectors.base import Conflict, Create, Gone, Remote
from engine.model import ItemKind

Found = Remote | Conflict | Gone | None
_PROJECT = ("name", "notes", "created_at", "permalink_url", "privacy_setting", "archived")


class Finder:
    """One listing answers all creates of one kind in one place."""

    def __init__(self, api: Api, shapes: Shapes, workspace: str) -> None:
        self._api = api
        self._shapes = shapes
        self._workspace = workspace

    async def find(self, creates: Sequence[Create]) -> list[Found]:
        places: defaultdict[tuple[ItemKind, str], list[int]] = defaultdict(list)
        for at, create in enumerate(creates):
            places[create.item.kind, _place(create)].append(at)
        listings = await asyncio.gather(*(self._place(kind, creates[at[0]]) for (kind, _), at in places.items()))
        found: list[Found] = [None] * len(creates)
        for (kind, _), rows, indices in zip(places, listings, places.values(), strict=True):
            for at in indices:
                found[at] = rows if isinstance(rows, Gone) else self._match(kind, creates[at], rows)
        return found

    async def _place(self, kind: ItemKind, create: Create) -> list[Json] | Gone:
        """What is listed where the create's object would be; a place that is gone says nothing about the others."""
        try:
            return await self._listing(kind, create)
        except Gone as gone:
            return gone

    async def projects(self) -> list[Json]:
        """Every project of the workspace that the token sees, archived ones included."""
        return await self._api.every(f"/workspaces/{self._workspace}/projects", _PROJECT)

    async def _listing(self, kind: ItemKind, create: Create) -> list[Json]:
        match kind:
            case "project":
                return await self.projects()
            case "section":
                return await self._api.every(f"/projects/{create.project}/sections", ("name",))
            case "task":
                ask = ("name", "notes", "permalink_url", "external.gid", "custom_fields.name", "custom_fields.text_value")
                return await self._api.every(_place(create), ask)
            case "comment":
                return await self._api.every(f"/tasks/{create.parent}/stories", ("resource_subtype", "html_text"))
            case "status":
                return await self._api.every("/status_updates", ("title", "text", "status_type"), parent=create.project or create.parent)
        return await self._api.every(f"/tasks/{create.parent}/dependencies", ())

    def _match(self, kind: ItemKind, create: Create, rows: Sequence[Json]) -> Found:
        match kind:
            case "project":
                return _settle(kind, create, self._our_projects(create, rows))
            case "dependency":
                there = {row["gid"] for row in rows}
                return Remote(create.parent, kind) if there.issuperset(create.depends_on) else None
            case "comment" | "status":
                # Equal texts are one text: which of two equal comments is ours makes no difference.
                return next((Remote(row["gid"], kind) for row in rows if _says(kind, create, row)), None)
        key = create.item.key
        ours = (row for row in rows if (_says(kind, create, row) if kind == "section" else self._shapes.key(kind, row) == key))
        return _settle(kind, create, list(ours))

    def _our_projects(self, create: Create, rows: Sequence[Json]) -> list[Json]:
        """The published project wins; else the one of this very attempt; what abandoned attempts left behind is the sweeper's."""
        name = provisional(create.nonce)
        ours = [row for row in rows if row["name"] == name or self._shapes.key("project", row) == create.item.key]
        published = [row for row in ours if not is_provisional(row)]
        return published or [row for row in ours if row["name"] == name] or ours


def _place(create: Create) -> str:
    """Where a create's object would be listed."""
    if create.item.kind == "task":
        inside = create.parent and create.parent != create.project
        return f"/tasks/{create.parent}/subtasks" if inside else f"/projects/{create.project}/tasks"
    return {"project": "", "section": create.project, "status": create.project or create.parent}.get(create.item.kind, create.parent)


def _settle(kind: ItemKind, create: Create, rows: Sequence[Json]) -> Found:
    if len(rows) > 1:
        theirs = [row.get("permalink_url") or row["gid"] for row in rows]
        return Conflict(f"{len(rows)} {kind}s are {title_of(create.item)!r} ({create.item.key}); keep one of them", theirs=theirs)
    return next((Remote(row["gid"], kind, row.get("permalink_url") or "", create.item.key) for row in rows), None)


def _text(row: Json, name: str) -> str:
    return line(str(row.get(name) or ""))


def _says(kind: ItemKind, create: Create, row: Json) -> bool:
    """Whether an object without a key reads as the create would have it."""
    fields = create.item.fields
    match kind:
        case "section":
            return _text(row, "name") == line(str(fields["name"]))
        case "status":
            return _text(row, "title") == line(str(fields.get("title") or "")) and row.get("status_type") == fields.get("status")
    comment = row.get("resource_subtype", "comment_added") == "comment_added"
    return comment and normal(row.get("html_text") or "") == normal(document(str(fields.get("text") or ""), plain=True))
