"""Odoo as a target: what the engine asks for, put together from the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from connectors.base import (
    Changed,
    Create,
    Description,
    Locate,
    Progress,
    Remote,
    Report,
    Runtime,
    Traits,
    Write,
    nowhere,
)
from connectors.odoo.connection import Connection
from connectors.odoo.errors import SYSTEM
from connectors.odoo.rpc import Rpc
from connectors.odoo.schema import Schema
from connectors.odoo.target.changes import changes, progress
from connectors.odoo.target.check import check
from connectors.odoo.target.describe import describe
from connectors.odoo.target.fields import MODELS, FieldMap, Fields
from connectors.odoo.target.find import Finder, Found
from connectors.odoo.target.load import Loader
from connectors.odoo.target.milestones import Milestones
from connectors.odoo.target.people import People
from connectors.odoo.target.shapes import Shapes, holdable
from connectors.odoo.target.values import Days
from connectors.odoo.target.writer import Outcome, Writer
from engine.model import ItemKind

_INSTEAD = {
    "task.milestone": "a milestone of Odoo's with the task's name and day, which the task belongs to",
}


class OdooTarget:
    """See `connectors.base.Target`. `fields` is the `fields:` section of the mapping: our custom names to fields of Odoo's."""

    system: str = SYSTEM

    def __init__(self, connection: Connection, *, fields: Mapping[str, FieldMap], runtime: Runtime | None = None) -> None:
        world = runtime or Runtime()
        self._overlap = timedelta(seconds=max(connection.lookback_seconds, connection.late_commit_seconds))
        self._days = Days(ZoneInfo(connection.zone), connection.due_time)
        self._rpc = Rpc(connection, world)
        self._people = People(self._rpc)
        self._schema = Schema(self._rpc)
        self._fields = Fields(self._schema, fields)
        self._shapes = Shapes(self._rpc, self._fields, self._people, self._days, start=connection.start_field)
        self._finder = Finder(self._rpc, self._shapes)
        loader = Loader(self._rpc, world)
        stones = Milestones(self._rpc, loader, self._days)
        self._writer = Writer(self._rpc, loader, self._shapes, self._fields, self._people, stones, connection.visibility)
        self.traits = Traits(
            find_lag=timedelta(0),
            late_commit=timedelta(seconds=connection.late_commit_seconds),
            provisional=True,
            batch=50,
            kinds=frozenset(MODELS),
            repeatable=frozenset({"dependency"}),
            fields=holdable(connection.start_field),
            instead=_INSTEAD,
            unique=frozenset({"project", "section", "task", "status"}),
        )

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._rpc.calls

    @property
    def unknown_people(self) -> frozenset[str]:
        """E-mails met so far that no user has; what named them was written without them."""
        return frozenset(self._people.unknown)

    async def __aenter__(self) -> Self:
        await self._rpc.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._rpc.__aexit__(None, None, None)

    async def check(self) -> Report:
        return await check(self._rpc, self._schema, self._fields)

    async def describe(self) -> Description:
        return await describe(self._rpc, self._schema)

    async def people(self, emails: Sequence[str]) -> set[str]:
        """Those of the e-mails that a user has."""
        await self._people.resolve(emails)
        return self._people.known(emails)

    async def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        return await self._writer.write(writes)

    async def find(self, creates: Sequence[Create]) -> Sequence[Found]:
        return await self._finder.find(creates)

    async def read(self, kind: ItemKind, ids: Sequence[str]) -> Sequence[Remote | None]:
        rows = await self._rpc.search_read(MODELS[kind], [["id", "in", list(map(int, ids))]], await self._shapes.ask(kind))
        found = {remote.id: remote for remote in await self._shapes.remotes(kind, rows)}
        return [found.get(id) for id in ids]

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return self._shapes.same(kind, field, ours, held)

    async def children(self, project: str) -> Sequence[Remote]:
        """Sections, tasks and their sub-tasks, each parent before its own."""
        inside = int(project)
        sections = await self._rpc.search_read(
            MODELS["section"], [["project_ids", "in", [inside]]], await self._shapes.ask("section"), order="sequence, id"
        )
        tasks = await self._rpc.search_read(MODELS["task"], [["project_id", "=", inside]], await self._shapes.ask("task"), order="id")
        level = [row for row in tasks if row["parent_id"] not in {other["id"] for other in tasks}]
        ordered = list(level)
        while level := [row for row in tasks if row["parent_id"] in {above["id"] for above in level}]:
            ordered += level
        return [*await self._shapes.remotes("section", sections), *await self._shapes.remotes("task", ordered)]

    async def sweep(self, nonces: Sequence[str]) -> Sequence[str]:
        """Nothing: a second attempt at a project gives the first one's, so none is left behind."""
        del nonces
        return []

    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        del locate  # every record names its project
        return await changes(self._rpc, cursor, self._overlap)

    async def progress(self, projects: Sequence[str]) -> Sequence[Progress]:
        return await progress(self._rpc, self._days, projects)
