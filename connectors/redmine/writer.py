"""Carrying writes out: what must be known first, the calls, and what became of each write."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import AuthError, Conflict, ConnectorError, Create, Gone, Publish, Rejected, Remote, Update, Write
from connectors.http import Effect
from connectors.redmine.api import Api, Json
from connectors.redmine.drafts import Drafts, dropped, emails, fields_in, is_subtask
from connectors.redmine.errors import Invalid
from connectors.redmine.fields import owner_of
from connectors.redmine.find import Finder
from connectors.redmine.members import Attached, Members
from connectors.redmine.relations import wait_for
from connectors.redmine.shapes import Shapes, number
from connectors.redmine.text import identifier, key_in
from engine.model import ItemKind

Outcome = Remote | ConnectorError
_MOST_NAMESAKES = 9


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of the projects while one call of `write` is carried out."""

    members: Members
    attached: Attached


class Writer:
    """Answers in the order of the writes. What fails before a write has left is true of that write: certainly not done."""

    def __init__(self, api: Api, drafts: Drafts, shapes: Shapes, finder: Finder) -> None:
        self._api = api
        self._drafts = drafts
        self._people = drafts.people
        self._shapes = shapes
        self._finder = finder

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Side by side, but what touches one tree of tasks one after the other. Raises AuthError when it met every write."""
        try:
            await self._prepare(writes)
        except AuthError:
            raise
        except ConnectorError as error:  # nothing has left
            return [error] * len(writes)
        place = Place(Members(self._api), Attached(self._api))
        lanes: defaultdict[str, list[int]] = defaultdict(list)
        for at, write in enumerate(writes):
            lanes[_lane(at, write)].append(at)
        outcomes: dict[int, Outcome] = {}
        await asyncio.gather(*(self._carry(lane, writes, place, outcomes) for lane in lanes.values()))
        refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, AuthError)]
        if refusals and len(refusals) == len(writes):
            raise refusals[0]
        return [outcomes[at] for at in range(len(writes))]

    async def _prepare(self, writes: Sequence[Write]) -> None:
        await self._drafts.catalogue.load()
        wanted = set[str]().union(*map(emails, writes))
        for write in writes:
            kind = write.kind if isinstance(write, Update) else write.item.kind
            wanted.update(self._drafts.fields.emails(owner_of(kind), fields_in(write).get("custom") or {}))
        if any(isinstance(write, Publish) for write in writes):
            wanted.update(self._drafts.connection.members)
        await self._people.resolve(wanted)

    async def _carry(self, lane: Sequence[int], writes: Sequence[Write], place: Place, outcomes: dict[int, Outcome]) -> None:
        for at in lane:
            try:
                outcomes[at] = await self._one(writes[at], place)
            except ConnectorError as error:
                outcomes[at] = error

    async def _one(self, write: Write, place: Place) -> Remote:
        match write:
            case Publish():
                return await self._publish(write, place)
            case Update():
                return await self._update(write, place)
        make: Mapping[ItemKind, Callable[[Create, Place], Any]] = {
            "project": self._project,
            "section": self._section,
            "task": self._task,
            "dependency": self._dependency,
            "comment": self._comment,
            "status": self._status,
        }
        made: Remote = await make[write.item.kind](write, place)
        return made

    # made

    async def _project(self, create: Create, _: Place) -> Remote:
        """An identifier is given once: where ours is taken, this very project was made before."""
        id_ = identifier(create.item.key)
        try:
            await self._api.post("/projects.json", "project", self._drafts.new_project(create))
        except Invalid:
            if not isinstance(await self._finder.project(create), Remote):
                raise
        return Remote(id_, "project", self._shapes.url("project", id_), create.item.key)

    async def _section(self, create: Create, _: Place) -> Remote:
        """Names of versions are unique in a project: a section of the same name gets a number."""
        path = f"/projects/{create.project}/versions.json"
        for number_ in range(1, _MOST_NAMESAKES + 1):
            data = self._drafts.version(create, number_)
            try:
                row = await self._api.post(path, "version", data)
            except Invalid:
                if number_ == _MOST_NAMESAKES or data["name"] not in {one["name"] for one in await self._api.every(path, "versions")}:
                    raise
            else:
                break
        return self._made("section", f"v{row['id']}", create)

    async def _task(self, create: Create, place: Place) -> Remote:
        """Who gets the task is made a member first. Whom Redmine does not take all the same does not cost the task."""
        data = self._drafts.new_task(create)
        await self._join(create.project, data, place)
        if data.get("custom_fields"):
            await place.attached.attach(create.project, (one["id"] for one in data["custom_fields"]))
        try:
            row = await self._api.post("/issues.json", "issue", data)
        except Invalid:
            if not data.get("assigned_to_id"):
                raise
            row = await self._api.post("/issues.json", "issue", {**data, "assigned_to_id": ""})
            self._people.disown(str(create.item.fields["assignee"]))
        return self._made("task", str(row["id"]), create)

    async def _join(self, project: str, data: Json, place: Place) -> None:
        catalogue, connection = self._drafts.catalogue, self._drafts.connection
        role = catalogue.role(connection.role)
        if data.get("assigned_to_id"):
            await place.members.join(project, [data["assigned_to_id"]], role, enough=await catalogue.assignable())
        if data.get("watcher_user_ids"):
            await place.members.join(project, data["watcher_user_ids"], role)

    async def _dependency(self, create: Create, _: Place) -> Remote:
        await wait_for(self._api, create.parent, create.depends_on, self._drafts.connection.relation)
        return Remote(create.parent, "dependency", key=create.item.key)

    async def _comment(self, create: Create, _: Place) -> Remote:
        """A note comes with a change of its task, and Redmine tells nothing about it: it is looked for."""
        note = {"notes": self._drafts.note(create.item.fields.get("text"), create.item.key)}
        await self._api.put(f"/issues/{create.parent}.json", "issue", note, effect=Effect.CREATE)
        return await self._there(create)

    async def _status(self, create: Create, _: Place) -> Remote:
        news = self._drafts.news(create.item.fields, create.item.key)
        await self._api.post(f"/projects/{create.project or create.parent}/news.json", "news", news)
        return await self._there(create)

    async def _there(self, create: Create) -> Remote:
        """What was made just now, by its key. Raises Ambiguous through the look-up's own failure: the next run looks again."""
        found = await self._finder.after(create)
        if isinstance(found, Remote):
            return found
        if isinstance(found, Conflict | Gone):
            raise found
        raise Rejected(f"Redmine took the {create.item.kind} and did not keep it; has the key's user the right to add one there?")

    def _made(self, kind: ItemKind, id_: str, create: Create) -> Remote:
        return Remote(id_, kind, self._shapes.url(kind, id_), create.item.key)

    # changed

    async def _update(self, update: Update, place: Place) -> Remote:
        match update.kind:
            case "project":
                return await self._change_project(update, place)
            case "section":
                path, name, data = f"/versions/{number(update.id)}.json", "version", self._drafts.named(update.fields)
            case "task":
                return await self._change_task(update, place)
            case "comment":
                return await self._change_note(update)
            case "status":
                held = await self._api.get(f"/news/{number(update.id)}.json", "news")
                fields = {**self._shapes.status(held).fields, **update.fields}
                path, name, data = f"/news/{number(update.id)}.json", "news", self._drafts.news(fields, key_in(held["description"]))
            case _:
                raise Rejected(f"Redmine does not change a {update.kind} once it is made")
        await self._api.put(path, name, data)
        return Remote(update.id, update.kind, self._shapes.url(update.kind, update.id))

    async def _change_project(self, update: Update, place: Place) -> Remote:
        path = f"/projects/{update.id}.json"
        row = await self._api.get(path, "project")
        key = key_in(row.get("description") or "")
        if data := self._drafts.project(update.fields, key):
            await self._put("project", path, data)
        await self._share(update.id, update.fields, (), place)
        return Remote(update.id, "project", self._shapes.url("project", update.id), key)

    async def _change_task(self, update: Update, place: Place) -> Remote:
        path = f"/issues/{update.id}.json"
        row = await self._api.get(path, "issue", include="children")
        data = self._drafts.changed_task(update.fields, row, self._shapes.key(row))
        followers = self._people.known(update.fields.get("followers") or ())
        home = str(row["project"]["id"])
        await self._join(home, {**data, "watcher_user_ids": followers}, place)
        if data.get("custom_fields"):
            await place.attached.attach(home, (one["id"] for one in data["custom_fields"]))
        if data:
            await self._put("issue", path, data)
        for user in followers:
            watch = {"user_id": user}
            await self._api.http.send("POST", f"/issues/{update.id}/watchers.json", effect=Effect.REPEATABLE, body=watch)
        return Remote(update.id, "task", self._shapes.url("task", update.id), self._shapes.key(row))

    async def _put(self, name: str, path: str, data: Json) -> None:
        """Write, and read back: what Redmine did not take it drops without a word."""
        await self._api.put(path, name, data)
        if lost := dropped(data, await self._api.get(path, name)):
            raise Rejected(f"Redmine answered that it was done and kept {', '.join(lost)} as before", field=lost[0])

    async def _change_note(self, update: Update) -> Remote:
        task, _, note = update.id.partition("-")
        rows = (await self._api.get(f"/issues/{task}.json", "issue", include="journals"))["journals"]
        key = next((key_in(row["notes"]) for row in rows if str(row["id"]) == note), None)
        if key is None:
            raise Gone(f"note {note} is not on task {task} any more")
        await self._api.put(f"/journals/{note}.json", "journal", {"notes": self._drafts.note(update.fields["text"], key)})
        return Remote(update.id, "comment", self._shapes.url("comment", update.id), key)

    # published

    async def _publish(self, publish: Publish, place: Place) -> Remote:
        """Final content and privacy first, then who else belongs to it. Every call may be repeated."""
        path = f"/projects/{publish.id}.json"
        shown = publish.again and (await self._api.get(path, "project"))["is_public"] == self._drafts.privacy()["is_public"]
        if not shown:
            await self._put("project", path, self._drafts.published(publish))
        await self._share(publish.id, publish.item.fields, self._drafts.connection.members, place)
        return Remote(publish.id, "project", self._shapes.url("project", publish.id), publish.item.key)

    async def _share(self, project: str, fields: Mapping[str, Any], others: Iterable[str], place: Place) -> None:
        catalogue, connection = self._drafts.catalogue, self._drafts.connection
        if fields.get("owner"):
            owning = catalogue.role(connection.owner_role)
            await place.members.join(project, self._people.known([str(fields["owner"])]), owning, enough=frozenset({owning}))
        joining = self._people.known([*(fields.get("followers") or ()), *others])
        if joining:
            await place.members.join(project, joining, catalogue.role(connection.role))


def _lane(at: int, write: Write) -> str:
    """Sub-tasks of one task, dependencies of one project and changes of one object go one after the other: they touch the same rows."""
    if isinstance(write, Update):
        return f"{write.kind} {write.id}"
    if isinstance(write, Create):
        match write.item.kind:
            case "task" if is_subtask(write):
                return f"under {write.parent}"
            case "dependency":
                return f"dependencies of {write.project}"
            case "comment":
                return f"task {write.parent}"
    return f"write {at}"
