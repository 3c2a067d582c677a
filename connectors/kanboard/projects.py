"""Projects: made unseen, under an identifier that is one key's alone, and shown when they are complete.

Without a member nobody but an administrator sees a project. So a new one has none, and the name of its attempt; publishing gives it its
content first and its members last, and then its tasks to those they are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.base import ConnectorError, Create, Gone, Publish, Rejected, Remote, Update
from connectors.kanboard.connection import Connection, FieldMap
from connectors.kanboard.metadata import LONGEST, entries
from connectors.kanboard.rpc import Api, Call, Json, again, create, read, update, whole
from connectors.kanboard.shapes import KEY, Shapes, is_of, mark_of, pending
from connectors.kanboard.site import Site
from connectors.kanboard.text import body, identifier, is_identifier, title

Outcome = Remote | ConnectorError
_MANAGER, _MEMBER = "project-manager", "project-member"


@dataclass(frozen=True, slots=True)
class Head:
    """A project others are to be made in. `published`: it has members, and tasks may be assigned to them. `columns`: id → key, if ours."""

    id: int
    published: bool
    columns: Mapping[int, str]


class Projects:
    def __init__(self, api: Api, connection: Connection, site: Site, shapes: Shapes, fields: Mapping[str, FieldMap]) -> None:
        self._api = api
        self._connection = connection
        self._site = site
        self._shapes = shapes
        self._fields = fields

    async def heads(self, creates: Iterable[Create]) -> dict[str, Head | Gone]:
        """The projects these belong in, each checked by its key: an id may have been given out again."""
        keys = {create.project: create.item.project for create in creates}
        calls = [call for id in keys for call in _head(int(id))]
        replies = iter(await self._api.run(calls))
        heads: dict[str, Head | Gone] = {}
        for id, key in keys.items():
            row, published, columns = next(replies), next(replies), next(replies)
            there = not isinstance(row, Rejected) and whole(row) and is_of(row, key)
            marks = {column["id"]: mark_of(column) for column in whole(columns) or ()} if there else {}
            heads[id] = Head(int(id), bool(whole(published)), marks) if there else gone(f"project {id} ({key})")
        return heads

    async def unseen(self, ids: Iterable[int]) -> set[int]:
        """Those that are ours and not published yet."""
        wanted = sorted(set(ids))
        replies = iter(await self._api.run([call for id in wanted for call in _head(id)[:2]]))
        rows = {id: (whole(next(replies)), whole(next(replies))) for id in wanted}
        return {id for id, (row, published) in rows.items() if row and is_identifier(row["identifier"]) and not published}

    async def make(self, create: Create) -> Outcome:
        """One a key, whatever was sent before: Kanboard refuses a second one, and the first is taken."""
        return await self._there(create) or await self._made(create)

    async def _made(self, wanted: Create) -> Outcome:
        key = wanted.item.key
        id = await self._api.one(create("createProject", name=f"handoff {wanted.nonce}", identifier=identifier(key)))
        if id:
            return Remote(str(id), "project", self._shapes.address("project", id), key)
        refused = Rejected(f"Kanboard did not make the project {key}, and does not say why; may the token's user create projects?")
        return await self._there(wanted) or refused

    async def _there(self, create: Create) -> Remote | None:
        key = create.item.key
        row = await self._api.one(read("getProjectByIdentifier", identifier=identifier(key)))
        return Remote(str(row["id"]), "project", self._shapes.address("project", row["id"]), key) if row else None

    async def find(self, creates: Sequence[Create]) -> list[Remote | None]:
        return [await self._there(create) for create in creates]

    async def read(self, ids: Sequence[str]) -> list[Remote | None]:
        """None for what is gone, and for what has its id now and is none of ours."""
        calls = [call for id in ids for call in (read("getProjectById", project_id=int(id)), *_details(int(id)))]
        replies = iter(await self._api.run(calls))
        found: list[Remote | None] = []
        for _ in ids:
            row, metadata, members = next(replies), next(replies), next(replies)
            there = not isinstance(row, Rejected) and whole(row) and is_identifier(row["identifier"])
            found.append(self._shapes.project(row, whole(metadata), map(int, whole(members))) if there else None)
        return found

    def contents(self, id: int) -> list[Call]:
        """Its columns, its tasks, and those of them that are part of another."""
        parts = f'status:all link:"{self._connection.part_of}"'
        queries = [read("searchTasks", project_id=id, query=query) for query in ("status:all", parts)]
        return [read("getColumns", project_id=id), *queries]

    async def publish(self, publish: Publish) -> Outcome:
        id = int(publish.id)
        reads = [read("getProjectById", project_id=id), read("getProjectMetadata", project_id=id), read("getColumns", project_id=id)]
        row, metadata, columns, tasks = await self._api.run([*reads, read("searchTasks", project_id=id, query="status:all")])
        if isinstance(row, Rejected) or not whole(row) or not is_of(row, publish.item.key):
            return gone(f"project {id} ({publish.item.key})")
        if not (publish.again and whole(metadata).get(KEY)):
            await self._content(id, publish.item.fields, publish.item.key)
        await self._tidy(whole(columns))
        await self._share(id, publish.item.fields, whole(tasks))
        return Remote(publish.id, "project", self._shapes.address("project", id), publish.item.key)

    async def change(self, change: Update) -> Outcome:
        (held,) = await self.read([change.id])
        if held is None:
            return gone(f"project {change.id}")
        await self._content(int(change.id), change.fields)
        await self._join(int(change.id), change.fields)
        return Remote(change.id, "project", self._shapes.address("project", change.id), held.key)

    async def _content(self, id: int, fields: Mapping[str, Any], key: str = "") -> None:
        """What the project says, each value absolute. The key last: with it, the content is there."""
        values = self._values(fields)
        if values and await self._api.one(update("updateProject", project_id=id, **values)) is not True:
            raise Rejected(f"Kanboard did not take {', '.join(sorted(values))} of project {id}, and does not say why")
        metadata = entries(fields.get("custom") or {}, self._fields) | ({KEY: key[:LONGEST]} if key else {})
        if metadata and await self._api.one(update("saveProjectMetadata", project_id=id, values=metadata)) is not True:
            raise Rejected(f"Kanboard did not take the metadata {', '.join(sorted(metadata))} of project {id}")

    def _values(self, fields: Mapping[str, Any]) -> Json:
        start, due = fields.get("start_on"), fields.get("due_on")
        if start and due and start > due:
            raise Rejected(f"the project would start on {start} and end on {due}", field="start_on")
        values: Json = {}
        if "name" in fields:
            values["name"] = title(str(fields["name"]))
        if "notes" in fields:
            values["description"] = body(str(fields["notes"] or ""))
        for name, theirs in (("start_on", "start_date"), ("due_on", "end_date")):
            if name in fields:
                values[theirs] = _iso(fields[name])
        if "owner" in fields:
            owner = self._site.user(str(fields["owner"] or ""))
            if owner or not fields["owner"]:
                values["owner_id"] = owner
        return values

    async def _tidy(self, columns: Sequence[Json]) -> None:
        """Where there are columns of ours, those every project is born with go. One that holds tasks stays."""
        born = [column["id"] for column in columns if not mark_of(column)]
        if len(born) < len(columns):
            for reply in await self._api.run([update("removeColumn", column_id=id) for id in born]):
                whole(reply)

    async def _share(self, id: int, fields: Mapping[str, Any], tasks: Sequence[Json]) -> None:
        """Members, and then the tasks that waited for them. Adding somebody twice is refused and harmless."""
        waiting = {task["id"]: user for task in tasks if (user := pending(task))}
        await self._join(id, fields, [*self._site.known(self._connection.members), *waiting.values()])
        calls = [update("updateTask", id=task, owner_id=user, recurrence_factor=0) for task, user in waiting.items()]
        for (task, user), reply in zip(waiting.items(), await self._api.run(calls), strict=True):
            if whole(reply) is not True:  # somebody who was switched off in between
                self._site.disown(user)
                await self._api.one(update("updateTask", id=task, recurrence_factor=0))

    async def _join(self, id: int, fields: Mapping[str, Any], others: Iterable[int] = ()) -> None:
        owner = self._site.user(str(fields.get("owner") or ""))
        roles = dict.fromkeys((*self._site.known(fields.get("followers") or ()), *others), _MEMBER) | ({owner: _MANAGER} if owner else {})
        for reply in await self._api.run([membership(id, user, role) for user, role in roles.items()]):
            whole(reply)


def membership(project: int, user: int, role: str = _MEMBER) -> Call:
    return again("addProjectUser", project_id=project, user_id=user, role=role)


def _head(id: int) -> tuple[Call, Call, Call]:
    published = read("getProjectMetadataByName", project_id=id, name=KEY)
    return read("getProjectById", project_id=id), published, read("getColumns", project_id=id)


def _details(id: int) -> tuple[Call, Call]:
    return read("getProjectMetadata", project_id=id), read("getProjectUsers", project_id=id)


def gone(what: str) -> Gone:
    return Gone(f"{what} is not in Kanboard any more; somebody deleted it")


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""
