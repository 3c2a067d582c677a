"""Carrying writes out: what must be known first, the calls, and what became of each write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import AuthError, ConnectorError, Create, Gone, Publish, Remote, Update, Write
from connectors.http import Effect
from connectors.odoo.errors import SYSTEM
from connectors.odoo.rpc import Rpc
from connectors.odoo.target.fields import MODELS, Fields
from connectors.odoo.target.keys import external_id
from connectors.odoo.target.load import PLAIN, QUIET, Draft, Loader
from connectors.odoo.target.milestones import Milestones
from connectors.odoo.target.people import People
from connectors.odoo.target.shapes import Shapes
from connectors.odoo.target.text import markup
from connectors.odoo.target.values import Ref, Refs, written
from engine.model import ItemKind

Outcome = Remote | ConnectorError
_LOADED: tuple[ItemKind, ...] = ("project", "section", "task", "status")
# Dependencies are switched on with the publication: Odoo overlooks archived tasks where it works out who waits, and looks at them all then.
_HIDDEN = {"active": False, "privacy_visibility": "followers", "allow_milestones": True}
_TRANSLATED = ("project", "section")
_NAMED = "handoff "


@dataclass(frozen=True, slots=True)
class Writer:
    """Answers in the order of the writes. What fails before a write has left is true of that write: certainly not done."""

    rpc: Rpc
    loader: Loader
    shapes: Shapes
    fields: Fields
    people: People
    milestones: Milestones
    visibility: str

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Records of one model are made in one call, kind by kind; all else goes one by one, side by side. Raises AuthError when it met all."""
        try:
            await self._prepare(writes)
        except ConnectorError as error:
            outcomes: dict[int, Outcome] = dict.fromkeys(range(len(writes)), error)
        else:
            outcomes = await self._carried(writes)
        refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, AuthError)]
        if refusals and len(refusals) == len(writes):
            raise refusals[0]
        return [outcomes[at] for at in range(len(writes))]

    async def _prepare(self, writes: Sequence[Write]) -> None:
        await self.people.resolve(set[str]().union(*(_emails(write) for write in writes)))
        await self.fields.load(*{_kind(write) for write in writes if _fields(write).get("custom")})
        if any(_kind(write) == "task" and _fields(write).get("start_on") for write in writes):
            await self.shapes.learn()

    async def _carried(self, writes: Sequence[Write]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for kind in _LOADED:
            births = {at: write for at, write in enumerate(writes) if isinstance(write, Create) and write.item.kind == kind}
            if births:
                outcomes |= dict(zip(births, await self._born(kind, list(births.values())), strict=True))
        rest = [at for at in range(len(writes)) if at not in outcomes]
        done = await asyncio.gather(*(self._alone(writes[at]) for at in rest))
        return outcomes | dict(zip(rest, done, strict=True))

    # Making

    async def _born(self, kind: ItemKind, creates: Sequence[Create]) -> list[Outcome]:
        try:
            drafts = await self._drafts(kind, creates)
        except ConnectorError as error:
            return [error] * len(creates)
        sound = [at for at, draft in enumerate(drafts) if isinstance(draft, Draft)]
        made = await self.loader.load(MODELS[kind], [draft for draft in drafts if isinstance(draft, Draft)])
        outcomes = dict(zip(sound, made, strict=True))
        return [self._told(creates[at], outcomes.get(at, draft)) for at, draft in enumerate(drafts)]

    def _told(self, create: Create, made: Any) -> Outcome:
        if isinstance(made, ConnectorError):
            return made
        return Remote(str(made), create.item.kind, self.shapes.url(create.item.kind, {"id": made}), create.item.key)

    async def _drafts(self, kind: ItemKind, creates: Sequence[Create]) -> list[Draft | ConnectorError]:
        projects = {create.project for create in creates}
        stones = await self.milestones.of_creates(creates) if kind == "task" else {}
        hidden = await self._unpublished(projects) if kind == "task" else set[str]()
        places = await self._places(creates) if kind == "section" else {}
        more = [
            {
                **({"sequence": places[at]} if at in places else {}),
                **({"active": False} if create.project in hidden else {}),
            }
            for at, create in enumerate(creates)
        ]
        return [self._draft(create, stones.get(at), more[at]) for at, create in enumerate(creates)]

    def _draft(self, create: Create, stone: int | ConnectorError | None, more: Mapping[str, Any]) -> Draft | ConnectorError:
        if isinstance(stone, ConnectorError):
            return stone
        try:
            values = self._values(create)
        except ConnectorError as refusal:
            return refusal
        return Draft(external_id(create.item.key), {**values, **more, **({"milestone_id": Ref(stone)} if stone else {})})

    def _values(self, create: Create) -> dict[str, Any]:
        kind = create.item.kind
        if kind == "project":
            return {"name": f"{_NAMED}{create.nonce}", **_HIDDEN}
        values = self.shapes.values(kind, create.item.fields)
        inside = int(create.project or create.parent)
        match kind:
            case "section":
                return {**values, "project_ids": Refs((inside,))}
            case "status":
                return {**values, "project_id": Ref(inside)}
        # Ids of tasks and of projects may be the same: the key tells which of the two it is under.
        under = create.parent if create.item.parent not in ("", create.item.project) else ""
        return {
            **values,
            "project_id": Ref(inside),
            **({"parent_id": Ref(int(under))} if under else {}),
            **({"stage_id": Ref(int(create.section))} if create.section else {}),
        }

    async def _places(self, creates: Sequence[Create]) -> dict[int, int]:
        """Each section's place in its project: after those that are there, in the order given."""
        ids = sorted({int(create.project) for create in creates})
        rows = await self.rpc.search_read("project.task.type", [["project_ids", "in", ids]], ["sequence", "project_ids"])
        last = {str(id): max((int(row["sequence"]) for row in rows if id in row["project_ids"]), default=0) for id in ids}
        places: dict[int, int] = {}
        for at, create in enumerate(creates):
            places[at] = last[create.project] = last[create.project] + 1
        return places

    async def _unpublished(self, projects: set[str]) -> set[str]:
        """Those of the projects whose tasks must stay out of sight with them."""
        ids = [int(project) for project in projects]
        rows = await self.rpc.search_read("project.project", [["id", "in", ids], ["active", "=", False]], ["name"])
        return {str(row["id"]) for row in rows if is_provisional(row["name"])}

    # Everything else

    async def _alone(self, write: Write) -> Outcome:
        try:
            return await self._how(write)(write)
        except ConnectorError as error:
            return error

    def _how(self, write: Write) -> Callable[[Any], Awaitable[Outcome]]:
        match write:
            case Update():
                return self._update
            case Publish():
                return self._publish
        return self._depend if write.item.kind == "dependency" else self._comment

    async def _depend(self, create: Create) -> Outcome:
        waits = {"depend_on_ids": [[4, int(other)] for other in create.depends_on]}
        await self.rpc.call("project.task", "write", effect=Effect.REPEATABLE, ids=[int(create.parent)], vals=waits, context=QUIET)
        return Remote(create.parent, "dependency", key=create.item.key)

    async def _comment(self, create: Create) -> Outcome:
        note: dict[str, Any] = {"message_type": "comment", "subtype_xmlid": "mail.mt_note", "body_is_html": True}
        body = markup(create.item.fields.get("text"))
        made = await self.rpc.call("project.task", "message_post", effect=Effect.CREATE, ids=[int(create.parent)], body=body, **note)
        return Remote(str(made[0] if isinstance(made, list) else made), "comment", key=create.item.key)

    async def _update(self, update: Update) -> Outcome:
        values = self.shapes.values(update.kind, update.fields)
        if update.kind == "project":
            values = await self._paired(update.id, values)
        values |= await self.milestones.of_update(update)
        return await self._set(update.id, update.kind, values)

    async def _publish(self, publish: Publish) -> Outcome:
        """Name, content and visibility in one call, which also brings out the tasks: nobody ever sees a half-named project."""
        if publish.again and not await self._unpublished({publish.id}):
            return await self._set(publish.id, "project", {})
        values = await self._paired(publish.id, self.shapes.values("project", publish.item.fields))
        shown = {"privacy_visibility": self.visibility, "allow_task_dependencies": True, "active": True}
        return await self._set(publish.id, "project", {**values, **shown})

    async def _paired(self, project: str, values: dict[str, Any]) -> dict[str, Any]:
        """Odoo keeps both days of a project or none: one alone stands for both."""
        if not values.keys() & {"date_start", "date"}:
            return values
        rows = await self.rpc.search_read("project.project", [["id", "=", int(project)]], ["date_start", "date"])
        start, end = ((values[name] if name in values else (rows and rows[0][name]) or None) for name in ("date_start", "date"))
        return {**values, "date_start": start or end, "date": end or start}

    async def _set(self, id: str, kind: ItemKind, values: dict[str, Any]) -> Outcome:
        """A record that is not there is Gone, whether or not there is anything to set."""
        if values:
            await self._write(id, kind, values, QUIET)
            if kind in _TRANSLATED and "name" in values and self.rpc.connection.language != PLAIN["lang"]:
                await self._write(id, kind, {"name": values["name"]}, {**QUIET, "lang": self.rpc.connection.language})
        elif not await self.rpc.search_read(MODELS[kind], [["id", "=", int(id)]], ["id"]):
            raise Gone(f"Odoo has no {kind} {id} any more", system=SYSTEM)
        return Remote(id, kind, self.shapes.url(kind, {"id": id}))

    async def _write(self, id: str, kind: ItemKind, values: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        await self.rpc.call(MODELS[kind], "write", effect=Effect.UPDATE, ids=[int(id)], vals=written(values), context=context)


def is_provisional(name: object) -> bool:
    """Whether an archived project with this name is still to be published."""
    return str(name).startswith(_NAMED)


def _is_birth(write: Write) -> bool:
    """A provisional project names nobody yet."""
    return isinstance(write, Create) and write.item.kind == "project"


def _kind(write: Write) -> ItemKind:
    return write.kind if isinstance(write, Update) else write.item.kind


def _fields(write: Write) -> Mapping[str, Any]:
    if _is_birth(write):
        return {}
    return write.fields if isinstance(write, Update) else write.item.fields


def _emails(write: Write) -> set[str]:
    fields = _fields(write)
    leads = {str(fields[name]) for name in ("assignee", "owner") if fields.get(name)}
    return leads | set(fields.get("followers") or ())
