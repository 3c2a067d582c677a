"""Kanboard as a target: what the engine asks for, put together from the parts."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

from connectors.base import Changed, Conflict, Create, Description, Gone, Locate, Progress, Remote, Report, Runtime, Traits, Write, nowhere
from connectors.http import Http, Limiter
from connectors.kanboard.check import check, describe
from connectors.kanboard.columns import Columns
from connectors.kanboard.comments import Comments
from connectors.kanboard.connection import Connection, FieldMap
from connectors.kanboard.dependencies import Dependencies
from connectors.kanboard.progress import changes, progress
from connectors.kanboard.projects import Projects
from connectors.kanboard.rpc import Api, judge, read, whole
from connectors.kanboard.shapes import FIELDS, Shapes, same
from connectors.kanboard.site import Site
from connectors.kanboard.tasks import Tasks
from connectors.kanboard.writer import Outcome, Writer
from engine.model import ItemKind

Found = Remote | Conflict | Gone | None


class _Basic:
    """A login and a token that never change."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def headers(self) -> Mapping[str, str]:
        pair = f"{self._connection.login}:{self._connection.token.get_secret_value()}"
        return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}

    async def renew(self, dead: Mapping[str, str]) -> bool:
        return False


class KanboardTarget:
    """See `connectors.base.Target`. `fields` is the `fields:` section of the mapping: our custom names to entries of projects' metadata."""

    system: str = "kanboard"

    def __init__(self, connection: Connection, *, fields: Mapping[str, FieldMap], runtime: Runtime | None = None) -> None:
        self._connection = connection
        self._fields = fields
        self._http = _http(connection, runtime or Runtime())
        self._api = api = Api(self._http)
        self._site = site = Site(api, connection)
        self._shapes = shapes = Shapes(connection, site, fields)
        self._projects = Projects(api, connection, site, shapes, fields)
        self._columns = Columns(api, shapes)
        self._tasks = Tasks(api, connection, site, shapes, self._projects)
        self._comments = Comments(api, connection, self._tasks)
        self._dependencies = Dependencies(api, connection, site, shapes, self._tasks)
        self._writer = Writer(
            site,
            projects=self._projects,
            columns=self._columns,
            tasks=self._tasks,
            comments=self._comments,
            dependencies=self._dependencies,
        )
        self.traits = Traits(
            find_lag=timedelta(0),
            late_commit=timedelta(seconds=connection.late_commit_seconds),
            provisional=True,
            batch=20,
            kinds=frozenset(FIELDS),
            repeatable=frozenset({"dependency"}),
            fields=FIELDS,
            instead={
                "project.followers": "members of the project",
                "project.custom": "entries of the project's metadata, which the board does not show,",
                "task.milestone": f"the tag “{connection.milestone_tag}”",
            },
            unique=frozenset({"project"}),
        )

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._http.calls

    @property
    def unknown_people(self) -> frozenset[str]:
        """E-mails met so far that nobody active has; what named them was written without them."""
        return frozenset(self._site.unknown)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(None, None, None)

    async def check(self) -> Report:
        return await check(self._connection, self._api, self._site)

    async def describe(self) -> Description:
        return await describe(self._connection, self._api, self._site, self._fields)

    async def people(self, emails: Sequence[str]) -> set[str]:
        """Those of the e-mails that somebody active has."""
        await self._site.load()
        self._site.resolve(emails)
        return {email for email in emails if self._site.user(email)}

    async def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        return await self._writer.write(writes)

    async def find(self, creates: Sequence[Create]) -> Sequence[Found]:
        places: defaultdict[tuple[ItemKind, str], list[int]] = defaultdict(list)
        for at, create in enumerate(creates):
            places[create.item.kind, create.project].append(at)
        found: list[Found] = [None] * len(creates)
        for (kind, _), indices in places.items():
            for at, one in zip(indices, await self._find(kind, [creates[at] for at in indices]), strict=True):
                found[at] = one
        return found

    async def read(self, kind: ItemKind, ids: Sequence[str]) -> Sequence[Remote | None]:
        await self._site.load()
        match kind:
            case "project":
                return await self._projects.read(ids)
            case "section":
                columns = await self._api.run([read("getColumn", column_id=int(id)) for id in ids])
                return [self._shapes.section(row) if (row := whole(column)) else None for column in columns]
            case "comment":
                return await self._comments.read(ids)
            case "task" | "dependency":
                return await self._tasks.read(ids)
        return [None] * len(ids)

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return same(kind, field, ours, held, unknown=self.unknown_people)

    async def children(self, project: str) -> Sequence[Remote]:
        """Columns, tasks and their sub-tasks, each parent before its own."""
        await self._site.load()
        columns, tasks, parts = (whole(reply) or () for reply in await self._api.run(self._projects.contents(int(project))))
        lower = {row["id"] for row in parts}
        rows = sorted(tasks, key=lambda row: (row["id"] in lower, row["id"]))
        tags = await self._tasks.tags([str(row["id"]) for row in rows])
        return [*map(self._shapes.section, columns), *(self._shapes.task(row, tags[str(row["id"])]) for row in rows)]

    async def sweep(self, nonces: Sequence[str]) -> Sequence[str]:
        """Nothing: a creation given up for lost that turns up all the same is the project itself, or is refused."""
        del nonces
        return []

    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        del locate
        return await changes(self._api, self._connection, cursor)

    async def progress(self, projects: Sequence[str]) -> Sequence[Progress]:
        return await progress(self._api, self._connection, projects)

    async def _find(self, kind: ItemKind, creates: Sequence[Create]) -> Sequence[Found]:
        """All of one kind in one project, which is looked at first: what it held may be gone with it."""
        if kind == "project":
            return await self._projects.find(creates)
        head = (await self._projects.heads(creates))[creates[0].project]
        if isinstance(head, Gone):
            return [head] * len(creates)
        match kind:
            case "section":
                return await self._columns.find(creates)
            case "task":
                return await self._tasks.find(creates)
            case "comment":
                return await self._comments.find(creates)
        return await self._dependencies.find(creates)


def _http(connection: Connection, runtime: Runtime) -> Http:
    limiter = Limiter(runtime=runtime, per_minute=None, slots={"read": connection.reads_at_once, "write": connection.writes_at_once})
    return Http(system="kanboard", base_url=connection.url, runtime=runtime, authorize=_Basic(connection), judge=judge, limiter=limiter)
