"""Asana as a target: what the engine asks for, put together from the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

from connectors.asana.about import about
from connectors.asana.batch import Api, Json, get, put, whole
from connectors.asana.check import check
from connectors.asana.connection import Connection, FieldMap
from connectors.asana.errors import Judge
from connectors.asana.fields import Fields
from connectors.asana.find import Finder, Found
from connectors.asana.people import People
from connectors.asana.progress import changes, progress
from connectors.asana.reach import reach
from connectors.asana.sections import Sections
from connectors.asana.shapes import FIELDS, PATHS, Shapes, same
from connectors.asana.text import document
from connectors.asana.writer import Outcome, Writer
from connectors.asana.writes import Drafts, provisional
from connectors.base import Changed, Create, Description, Gone, Locate, Progress, Remote, Report, Runtime, Traits, Write, nowhere
from engine.model import ItemKind


class AsanaTarget:
    """See `connectors.base.Target`. `fields` is the `fields:` section of the mapping: our custom names to Asana's custom fields."""

    system: str = "asana"

    def __init__(self, connection: Connection, *, fields: Mapping[str, FieldMap], runtime: Runtime | None = None) -> None:
        self._connection = connection
        self._judge = Judge()
        self._http = reach(connection, self._judge, runtime or Runtime())
        self._api = Api(self._http, self._judge)
        self._people = People(self._api, connection.workspace)
        self._fields = Fields(self._api, connection.workspace, fields, date_form=connection.date_field_form)
        self._shapes = Shapes(self._fields, key=connection.key, key_field=connection.key_field)
        self._finder = Finder(self._api, self._shapes, connection.workspace)
        drafts = Drafts(connection, self._fields, self._people)
        self._writer = Writer(self._api, drafts, self._shapes, Sections(self._api, connection.default_sections))
        self.traits = Traits(
            find_lag=timedelta(0),
            late_commit=timedelta(seconds=connection.late_commit_seconds),
            provisional=True,
            batch=10,
            kinds=frozenset(FIELDS),
            repeatable=frozenset({"dependency"}),
            fields=FIELDS,
            most_dependencies=30,
        )

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._http.calls

    @property
    def unknown_people(self) -> frozenset[str]:
        """E-mails met so far that nobody in the workspace has; what named them was written without them."""
        return frozenset(self._people.unknown)

    @property
    def deprecations(self) -> Mapping[str, str]:
        """Changes Asana announced in its answers, by name."""
        return dict(self._judge.deprecations)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(None, None, None)

    async def check(self) -> Report:
        return await check(self._connection, self._api, self._fields, self._people)

    async def describe(self) -> Description:
        """What projects and tasks hold, the workspace's custom fields with their options, its people."""
        return await about(self._api, self._fields, self._connection.workspace)

    async def people(self, emails: Sequence[str]) -> set[str]:
        """Those of the e-mails that somebody in the workspace has."""
        await self._people.resolve(emails)
        return set(self._people.known(emails))

    async def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        return await self._writer.write(writes)

    async def find(self, creates: Sequence[Create]) -> Sequence[Found]:
        found = await self._finder.find(creates)
        for create, one in zip(creates, found, strict=True):
            if isinstance(one, Remote):
                self._writer.remember(one.id, create.item.key)
        return found

    async def read(self, kind: ItemKind, ids: Sequence[str]) -> Sequence[Remote | None]:
        replies = await self._api.run([get(f"{PATHS[kind]}/{gid}", self._shapes.ask(kind)) for gid in ids])
        return [None if isinstance(reply, Gone) else self._remote(kind, whole(reply)["data"]) for reply in replies]

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return same(kind, field, ours, held, unknown=self.unknown_people)

    async def children(self, project: str) -> Sequence[Remote]:
        """Sections, tasks and their sub-tasks, each parent before its own."""
        sections = await self._api.every(f"/projects/{project}/sections", self._shapes.ask("section"))
        level = await self._api.every(f"/projects/{project}/tasks", self._shapes.ask("task"))
        tasks = {row["gid"]: row for row in level}
        while level := [row for parent in level if parent.get("num_subtasks") for row in await self._subtasks(parent["gid"])]:
            level = [row for row in level if row["gid"] not in tasks]
            tasks |= {row["gid"]: row for row in level}
        return [*(self._remote("section", row) for row in sections), *(self._remote("task", row) for row in tasks.values())]

    async def sweep(self, nonces: Sequence[str]) -> Sequence[str]:
        """Archive the unpublished projects of given-up creates and say so in their names. Never deletes; gives their gids."""
        names = {provisional(nonce): nonce for nonce in nonces}
        orphans = {row["gid"]: names[row["name"]] for row in await self._finder.projects() if row["name"] in names}
        blank = document("", plain=True)
        data = {gid: {"archived": True, "name": f"abandoned {nonce}", "html_notes": blank} for gid, nonce in orphans.items()}
        for reply in await self._api.run([put(f"/projects/{gid}", each) for gid, each in data.items()]):
            if not isinstance(reply, Gone):
                whole(reply)
        return list(orphans)

    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        return await changes(self._api, self._connection.workspace, cursor, locate)

    async def progress(self, projects: Sequence[str]) -> Sequence[Progress]:
        return await progress(self._api, projects)

    async def _subtasks(self, gid: str) -> list[Json]:
        return await self._api.every(f"/tasks/{gid}/subtasks", self._shapes.ask("task"))

    def _remote(self, kind: ItemKind, row: Json) -> Remote:
        remote = self._shapes.remote(kind, row)
        self._writer.remember(remote.id, remote.key)
        return remote
