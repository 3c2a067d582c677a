"""Tasks and their sub-tasks, which are tasks linked as children. The key is a task's reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import Ambiguous, Conflict, ConnectorError, Create, Gone, Rejected, Remote, Update
from connectors.kanboard.connection import Connection
from connectors.kanboard.projects import Head, Projects, gone, membership
from connectors.kanboard.rpc import Api, Call, Json, again, create, is_error, read, update, whole
from connectors.kanboard.shapes import Shapes
from connectors.kanboard.site import Site
from connectors.kanboard.text import body, key_in, line, reference, title

Outcome = Remote | ConnectorError
Found = Remote | Conflict | Gone | None


@dataclass(frozen=True, slots=True)
class _Draft:
    """A task to be made: where, under which task, for whom."""

    create: Create
    head: Head
    above: Json | None
    user: int


class Tasks:
    def __init__(self, api: Api, connection: Connection, site: Site, shapes: Shapes, projects: Projects) -> None:
        self._api = api
        self._projects = projects
        self._connection = connection
        self._site = site
        self._shapes = shapes

    async def make(self, creates: Sequence[Create], heads: Mapping[str, Head | Gone]) -> list[Outcome]:
        """What stands there under its key already is taken, and completed; the rest is made in one request."""
        outcomes: dict[int, Outcome] = {}
        drafts: dict[int, _Draft] = {}
        there = await self._there(creates)
        above = await self.rows([one.parent for one in creates if is_subtask(one)])
        for at, (one, row) in enumerate(zip(creates, there, strict=True)):
            draft = self._draft(one, heads[one.project], above)
            if isinstance(draft, ConnectorError) or is_error(row):
                outcomes[at] = draft if isinstance(draft, ConnectorError) else row
                continue
            drafts[at] = draft
            if row:
                outcomes[at] = self._remote(one, row["id"])
        wanted = {at: draft for at, draft in drafts.items() if at not in outcomes}
        for at, outcome in zip(wanted, await self._send(list(wanted.values())), strict=True):
            outcomes[at] = outcome
        await self._hang(drafts, outcomes)
        return [outcomes[at] for at in range(len(creates))]

    async def _there(self, creates: Sequence[Create]) -> list[Any]:
        """The task each would be, if it is there. MySQL takes letters of either case for the same; then all are looked through."""
        replies = await self._api.run([_by_reference(one) for one in creates])
        for at, (one, row) in enumerate(zip(creates, replies, strict=True)):
            if row and not is_error(row) and row["reference"] != reference(one.item.key):
                found = (await self.find([one]))[0]
                replies[at] = found if isinstance(found, ConnectorError) else {"id": found.id} if found else None
        return replies

    async def rows(self, ids: Sequence[str]) -> dict[str, Json]:
        """The tasks of ours among these. One without a reference is a stranger's, whatever its id was before."""
        wanted = list(dict.fromkeys(ids))
        replies = await self._api.run([read("getTask", task_id=int(id)) for id in wanted])
        rows = {id: None if isinstance(reply, Rejected) else whole(reply) for id, reply in zip(wanted, replies, strict=True)}
        return {id: row for id, row in rows.items() if row and row["reference"]}

    async def read(self, ids: Sequence[str]) -> list[Remote | None]:
        rows = await self.rows(ids)
        tags = await self.tags(list(rows))
        return [self._shapes.task(rows[id], tags[id]) if id in rows else None for id in ids]

    async def find(self, creates: Sequence[Create]) -> list[Found]:
        """All in one project. A sub-task that is not linked to its task yet is not there yet: its creation is to be repeated."""
        listed = await self._api.one(read("searchTasks", project_id=int(creates[0].project), query="status:all")) or []
        found: list[Found] = [self._settle(one, [row for row in listed if row["reference"] == reference(one.item.key)]) for one in creates]
        parts = {
            remote.id: one.parent for one, remote in zip(creates, found, strict=True) if is_subtask(one) and isinstance(remote, Remote)
        }
        loose = {id for id, parents in (await self._parents(list(parts))).items() if parts[id] not in parents}
        return [None if isinstance(remote, Remote) and remote.id in loose else remote for remote in found]

    async def change(self, changes: Sequence[Update]) -> list[Outcome]:
        """Only what differs is sent: an update that changes nothing would still count as one."""
        rows = await self.rows([change.id for change in changes])
        unseen = await self._projects.unseen(row["project_id"] for row in rows.values())
        tagged = [change.id for change in changes if "milestone" in change.fields and change.id in rows]
        tags = await self.tags(tagged)
        outcomes: list[Outcome] = []
        for change in changes:
            row = rows.get(change.id)
            outcomes.append(
                gone(f"task {change.id}")
                if row is None
                else await self._changed(change, row, tags, published=row["project_id"] not in unseen)
            )
        return outcomes

    async def _changed(self, change: Update, row: Json, tags: Mapping[str, Sequence[str]], *, published: bool) -> Outcome:
        try:
            calls = self._calls(change, row, tags.get(change.id, ()), published=published)
            replies = [whole(reply) for reply in await self._api.run(calls)]
        except ConnectorError as error:
            return error
        if replies and replies[-1] is not True:
            return await self._why(change, row)
        return Remote(change.id, "task", self._shapes.address("task", change.id), key_in(row["reference"]))

    def _calls(self, change: Update, row: Json, tags: Sequence[str], *, published: bool) -> list[Call]:
        values = self._values(change.fields)
        user = self._site.user(str(change.fields.get("assignee") or ""))
        if "assignee" in change.fields and (user or not change.fields["assignee"]):
            values |= _for(user, published)
        held = self._shapes.task(row, tags).fields
        same = {"date_started": "start_on", "date_due": "due_on"}
        values = {
            name: value
            for name, value in values.items()
            if (change.fields[same[name]] != held[same[name]] if name in same else value != row.get(name))
        }
        if "milestone" in change.fields and bool(change.fields["milestone"]) is not held["milestone"]:
            others = [tag for tag in tags if tag != self._connection.milestone_tag]
            values["tags"] = [*others, *self._milestone(change.fields)]
        if not values:
            return []
        join = [membership(row["project_id"], user)] if user and published and "owner_id" in values else []
        return [*join, update("updateTask", id=row["id"], **values)]

    async def _why(self, change: Update, row: Json) -> Outcome:
        """The reason Kanboard does not give."""
        if not await self.rows([change.id]):
            return gone(f"task {change.id}")
        return Rejected(f"Kanboard did not take {', '.join(sorted(change.fields))} of task {row['id']}, and does not say why")

    def _draft(self, one: Create, head: Head | Gone, above: Mapping[str, Json]) -> _Draft | ConnectorError:
        if isinstance(head, Gone):
            return head
        parent = above.get(one.parent) if is_subtask(one) else None
        if is_subtask(one) and (parent is None or parent["project_id"] != head.id or parent["reference"] != reference(one.item.parent)):
            return gone(f"task {one.parent}, which {one.item.key} is part of,")
        start, due = one.item.fields.get("start_on"), one.item.fields.get("due_on")
        if start and due and start > due:
            return Rejected(f"the task {_name(one)!r} would start on {start} and be due on {due}", field="start_on")
        column = head.columns.get(int(one.section)) if one.section else ""
        if column is None or column not in ("", one.item.section or column):
            return gone(f"column {one.section} ({one.item.section})")
        if not _name(one):
            return Rejected(f"the task {one.item.key} has no name, which Kanboard needs", field="name")
        return _Draft(one, head, parent, self._site.user(str(one.item.fields.get("assignee") or "")))

    async def _send(self, drafts: Sequence[_Draft]) -> list[Outcome]:
        calls = [call for draft in drafts for call in self._creation(draft, draft.user)]
        replies = iter(await self._api.run(calls))
        outcomes: list[Outcome] = []
        for draft in drafts:
            made = [next(replies) for _ in self._creation(draft, draft.user)][-1]
            outcomes.append(made if is_error(made) else self._remote(draft.create, made) if made else await self._refused(draft))
        return outcomes

    async def _refused(self, draft: _Draft) -> Outcome:
        """Certainly not made. Once more for nobody, if it was for somebody Kanboard would not have."""
        made: Any = 0
        if draft.user:
            self._site.disown(draft.user)
            made = (await self._api.run(self._creation(draft, 0)))[-1]
        if is_error(made) or made:
            return made if is_error(made) else self._remote(draft.create, made)
        return Rejected(f"Kanboard did not make the task {_name(draft.create)!r}, and does not say why; its column may be gone")

    def _creation(self, draft: _Draft, user: int) -> list[Call]:
        one, head = draft.create, draft.head
        column = int(one.section) if one.section else draft.above["column_id"] if draft.above else 0
        fields = one.item.fields
        values = {"description": "", **self._values(fields), **(_for(user, head.published) if user else {})}
        values |= {"column_id": column, "tags": self._milestone(fields), "reference": reference(one.item.key)}
        join = [membership(head.id, user)] if user and head.published else []
        return [*join, create("createTask", project_id=head.id, **values)]

    def _values(self, fields: Mapping[str, Any]) -> Json:
        values: Json = {}
        if "name" in fields:
            values["title"] = title(str(fields["name"]))
        if "notes" in fields:
            values["description"] = body(str(fields["notes"] or ""))
        if "start_on" in fields:
            values["date_started"] = self._site.at(fields["start_on"], self._connection.start_time)
        if "due_on" in fields:
            values["date_due"] = self._site.at(fields["due_on"], self._connection.due_time)
        return values

    def _milestone(self, fields: Mapping[str, Any]) -> list[str]:
        return [self._connection.milestone_tag] if fields.get("milestone") else []

    async def tags(self, ids: Sequence[str]) -> dict[str, list[str]]:
        replies = await self._api.run([read("getTaskTags", task_id=int(id)) for id in ids])
        return {id: list((whole(reply) or {}).values()) for id, reply in zip(ids, replies, strict=True)}

    async def _parents(self, ids: Sequence[str]) -> dict[str, set[str]]:
        """What each of these is linked to as a part."""
        replies = await self._api.run([read("getAllTaskLinks", task_id=int(id)) for id in ids])
        part = self._connection.part_of
        return {
            id: {str(row["task_id"]) for row in whole(reply) or () if row["label"] == part} for id, reply in zip(ids, replies, strict=True)
        }

    async def _hang(self, drafts: Mapping[int, _Draft], outcomes: dict[int, Outcome]) -> None:
        """Link sub-tasks to what they are part of. One whose link is in doubt is in doubt; repeating its creation completes it."""
        made = {at: outcome.id for at in drafts if drafts[at].above and isinstance(outcome := outcomes[at], Remote)}
        parents = await self._parents(list(made.values()))
        open_ = {at: id for at, id in made.items() if drafts[at].create.parent not in parents[id]}
        kind = self._site.link(self._connection.part_of) if open_ else 0
        ends = [(int(id), int(drafts[at].create.parent)) for at, id in open_.items()]
        links = [again("createTaskLink", task_id=part, opposite_task_id=above, link_id=kind) for part, above in ends]
        for at, reply in zip(open_, await self._api.run(links), strict=True):
            if not reply or is_error(reply):
                said = reply.message if is_error(reply) else "Kanboard refused the link"
                outcomes[at] = Ambiguous(f"the sub-task {_name(drafts[at].create)!r} is there and not linked to its task yet: {said}")

    def _settle(self, one: Create, rows: Sequence[Json]) -> Found:
        if len(rows) > 1:
            theirs = [self._shapes.address("task", row["id"]) for row in rows]
            return Conflict(f"{len(rows)} tasks have the reference {one.item.key} ({_name(one)!r}); keep one of them", theirs=theirs)
        return next((self._remote(one, row["id"]) for row in rows), None)

    def _remote(self, one: Create, id: object) -> Remote:
        return Remote(str(id), "task", self._shapes.address("task", id), one.item.key)


def is_subtask(create: Create) -> bool:
    """Whether the task is part of another task. Its key tells: the id of a task may be the id of a project, too."""
    return create.item.parent not in ("", create.item.project)


def _for(user: int, published: bool) -> Json:
    """Only members can be assigned; until there are any, the task remembers whom it is for. See `shapes.pending`."""
    return {"owner_id": user, "recurrence_factor": 0} if published or not user else {"owner_id": 0, "recurrence_factor": -user}


def _by_reference(one: Create) -> Call:
    return read("getTaskByReference", project_id=int(one.project), reference=reference(one.item.key))


def _name(one: Create) -> str:
    return line(str(one.item.fields.get("name") or ""))
