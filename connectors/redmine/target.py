"""Redmine as a target: what the engine asks for, put together from the parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

from connectors.base import Changed, Create, Description, Gone, Locate, Progress, Remote, Report, Runtime, Traits, Write, nowhere
from connectors.http import Http, Limiter
from connectors.redmine.api import Api, Json
from connectors.redmine.catalogue import Catalogue
from connectors.redmine.check import check
from connectors.redmine.connection import Connection, FieldMap
from connectors.redmine.describe import describe
from connectors.redmine.drafts import Drafts
from connectors.redmine.errors import judge
from connectors.redmine.fields import Fields
from connectors.redmine.find import EVERYTHING, Finder, Found
from connectors.redmine.members import members
from connectors.redmine.people import People
from connectors.redmine.progress import changes, progress
from connectors.redmine.shapes import Shapes, depth_first, fields_of, instead_of, number
from connectors.redmine.text import Texts
from connectors.redmine.writer import Outcome, Writer
from engine.model import ItemKind


class _Key:
    """An API key, which never changes."""

    def __init__(self, connection: Connection) -> None:
        self._key = connection.api_key

    async def headers(self) -> Mapping[str, str]:
        return {"X-Redmine-API-Key": self._key.get_secret_value()}

    async def renew(self, dead: Mapping[str, str]) -> bool:
        return False


class RedmineTarget:
    """See `connectors.base.Target`. `fields` is the `fields:` section of the mapping: our custom names to Redmine's custom fields."""

    system: str = "redmine"

    def __init__(self, connection: Connection, *, fields: Mapping[str, FieldMap], runtime: Runtime | None = None) -> None:
        self._connection = connection
        self._http = _http(connection, runtime or Runtime())
        self._api = Api(self._http)
        self._people = People(self._api)
        self._catalogue = Catalogue(self._api)
        self._fields = Fields(self._catalogue, self._people, fields)
        texts = Texts(connection.text)
        self._shapes = Shapes(connection, self._catalogue, self._fields, self._people, texts)
        self._finder = Finder(self._api, self._shapes, self._fields, connection)
        self._writer = Writer(self._api, Drafts(connection, self._catalogue, self._fields, self._people, texts), self._shapes, self._finder)
        held = fields_of(connection)
        self.traits = Traits(
            find_lag=timedelta(0),
            late_commit=timedelta(seconds=connection.late_commit_seconds),
            provisional=False,
            batch=10,
            kinds=frozenset(held),
            repeatable=frozenset({"dependency"}),
            fields=held,
            instead=instead_of(connection),
            unique=frozenset({"project"}),
        )

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._http.calls

    @property
    def unknown_people(self) -> frozenset[str]:
        """E-mails met so far that nobody in Redmine has; what named them was written without them."""
        return frozenset(self._people.unknown)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(None, None, None)

    async def check(self) -> Report:
        return await check(self._connection, self._api, self._catalogue, self._fields, self._people)

    async def describe(self) -> Description:
        return await describe(self._connection, self._api, self._catalogue)

    async def people(self, emails: Sequence[str]) -> set[str]:
        """Those of the e-mails that somebody in Redmine has."""
        await self._people.resolve(emails)
        return {email for email in emails if self._people.id(email) is not None}

    async def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        return await self._writer.write(writes)

    async def find(self, creates: Sequence[Create]) -> Sequence[Found]:
        await self._catalogue.load()
        return await self._finder.find(creates)

    async def read(self, kind: ItemKind, ids: Sequence[str]) -> Sequence[Remote | None]:
        await self._catalogue.load()
        return await asyncio.gather(*(self._read(kind, id_) for id_ in ids))

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return self._shapes.same(kind, field, ours, held)

    async def children(self, project: str) -> Sequence[Remote]:
        """Sections, tasks and their sub-tasks, each parent before its own. Versions and tasks of other projects are not children."""
        await self._catalogue.load()
        top, versions, rows = await asyncio.gather(
            self._api.get(f"/projects/{project}.json", "project"),
            self._api.every(f"/projects/{project}/versions.json", "versions"),
            self._api.every(f"/projects/{project}/issues.json", "issues", **EVERYTHING),
        )
        await self._people.learn(self._shapes.users(rows))
        sections = (row for row in versions if row["project"]["id"] == top["id"])
        parents = {row["parent"]["id"] for row in rows if row.get("parent")}
        tasks = ({**row, "children": row["id"] in parents} for row in depth_first(rows))
        return [*map(self._shapes.section, sections), *map(self._shapes.task, tasks)]

    async def sweep(self, nonces: Sequence[str]) -> Sequence[str]:
        """Nothing: a project's identifier is given once, so a late create beside a second attempt is refused by Redmine itself."""
        return []

    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        return await changes(self._api, cursor, locate, lookback=timedelta(seconds=self._connection.lookback_seconds))

    async def progress(self, projects: Sequence[str]) -> Sequence[Progress]:
        return await progress(self._api, projects)

    async def _read(self, kind: ItemKind, id_: str) -> Remote | None:
        readers: Mapping[ItemKind, Callable[[str], Awaitable[Remote | None]]] = {
            "project": self._project,
            "section": self._section,
            "comment": self._comment,
            "status": self._status,
        }
        try:
            return await readers.get(kind, self._task)(id_)
        except Gone:
            return None

    async def _project(self, id_: str) -> Remote:
        row = await self._api.get(f"/projects/{id_}.json", "project")
        row = {**row, "memberships": await members(self._api, id_)}
        await self._people.learn(self._shapes.users([row]))
        return self._shapes.project(row)

    async def _task(self, id_: str) -> Remote:
        row: Json = await self._api.get(f"/issues/{id_}.json", "issue", include="watchers,children")
        await self._people.learn(self._shapes.users([row]))
        return self._shapes.task(row)

    async def _section(self, id_: str) -> Remote:
        return self._shapes.section(await self._api.get(f"/versions/{number(id_)}.json", "version"))

    async def _status(self, id_: str) -> Remote:
        return self._shapes.status(await self._api.get(f"/news/{number(id_)}.json", "news"))

    async def _comment(self, id_: str) -> Remote | None:
        task, _, note = id_.partition("-")
        rows = (await self._api.get(f"/issues/{task}.json", "issue", include="journals"))["journals"]
        return next((self._shapes.comment(task, row) for row in rows if str(row["id"]) == note and row.get("notes")), None)


def _http(connection: Connection, runtime: Runtime) -> Http:
    limiter = Limiter(runtime=runtime, per_minute=None, slots={"read": connection.reads_at_once, "write": connection.writes_at_once})
    return Http(system="redmine", base_url=connection.base_url, runtime=runtime, authorize=_Key(connection), judge=judge, limiter=limiter)
