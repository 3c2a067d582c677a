"""Odoo's records in `Item`'s field names, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import Rejected, Remote
from connectors.odoo.errors import SYSTEM
from connectors.odoo.rpc import Row, Rpc
from connectors.odoo.target.fields import MODELS, Fields, same_value
from connectors.odoo.target.keys import externals, key_of, milestone_id
from connectors.odoo.target.people import People
from connectors.odoo.target.text import markup, normal, title
from connectors.odoo.target.values import Days, Ref, Refs
from engine.model import ItemKind

_ASK: Mapping[ItemKind, tuple[str, ...]] = {
    "project": ("name", "description", "date_start", "date", "user_id", "message_partner_ids"),
    "section": ("name",),
    "task": ("name", "description", "date_deadline", "user_ids", "message_partner_ids", "milestone_id", "project_id", "parent_id"),
    "dependency": ("name",),
    "comment": ("body", "model", "res_id"),
    "status": ("name", "status", "description"),
}
_FIELDS: Mapping[ItemKind, frozenset[str]] = {
    "project": frozenset({"name", "notes", "start_on", "due_on", "owner", "followers", "custom"}),
    "section": frozenset({"name"}),
    "task": frozenset({"name", "notes", "due_on", "assignee", "followers", "milestone", "custom"}),
    "dependency": frozenset(),
    "comment": frozenset({"text"}),
    "status": frozenset({"status", "title", "text"}),
}
_STATUS = {"complete": "done", "dropped": "off_track"}  # Odoo has no word for a project that was given up
STATUSES = {"on_track": "on_track", "at_risk": "at_risk", "off_track": "off_track", "on_hold": "on_hold", "done": "complete"}


def holdable(start_field: str) -> Mapping[ItemKind, frozenset[str]]:
    """The item fields Odoo can hold. Its tasks have a start only where a field for it is named."""
    return {**_FIELDS, "task": _FIELDS["task"] | {"start_on"}} if start_field else _FIELDS


class Shapes:
    """Reads records and writes them out. `start` names the field that holds a task's start; empty where none does."""

    def __init__(self, rpc: Rpc, fields: Fields, people: People, days: Days, *, start: str) -> None:
        self._rpc = rpc
        self._fields = fields
        self._people = people
        self._days = days
        self._start = start
        self._start_is_moment = False

    async def learn(self) -> None:
        """Whether a task's start is kept as a moment or as a day."""
        self._start_is_moment = bool(self._start) and await self._fields.type_of("task", self._start) == "datetime"

    # Reading

    async def ask(self, kind: ItemKind) -> tuple[str, ...]:
        """The fields to ask for, so that `remotes` can read the rows."""
        if kind not in ("project", "task"):
            return _ASK[kind]
        await self._fields.load(kind)
        start = (self._start,) if kind == "task" and self._start else ()
        return tuple(dict.fromkeys((*_ASK[kind], *start, *self._fields.names(kind))))

    async def remotes(self, kind: ItemKind, rows: Sequence[Row]) -> list[Remote]:
        """The objects, with their keys. Texts come in their normal form, which `same` compares with Markdown."""
        keys = {} if kind == "comment" else await externals(self._rpc, MODELS[kind], (row["id"] for row in rows))
        stones = await externals(self._rpc, "project.milestone", (row["milestone_id"] for row in rows if row.get("milestone_id")))
        users = {user for row in rows for user in (*row.get("user_ids", ()), row.get("user_id", 0)) if user}
        await self._people.meet(users, {partner for row in rows for partner in row.get("message_partner_ids", ())})
        return [self._remote(kind, row, keys.get(row["id"], ""), stones) for row in rows]

    def _remote(self, kind: ItemKind, row: Row, external: str, stones: Mapping[int, str]) -> Remote:
        key = key_of(external)
        stone = bool(key) and stones.get(row.get("milestone_id") or 0) == milestone_id(key)
        return Remote(str(row["id"]), kind, self.url(kind, row), key, self._held(kind, row, stone))

    def url(self, kind: ItemKind, row: Row) -> str:
        """The page a person opens: of the record, or of the project a stage or an update is part of."""
        base = self._rpc.connection.url
        return {"project": f"{base}/odoo/project/{row['id']}/tasks", "task": f"{base}/odoo/all-tasks/{row['id']}"}.get(kind, "")

    def _held(self, kind: ItemKind, row: Row, stone: bool) -> dict[str, Any]:
        match kind:
            case "section":
                return {"name": row["name"]}
            case "comment":
                return {"text": normal(str(row["body"] or ""))}
            case "status":
                return {"title": row["name"], "text": normal(str(row["description"] or "")), "status": STATUSES.get(row["status"])}
            case "project":
                return {**self._shared(kind, row), **self._span(row), "owner": self._people.addresses(filter(None, [row["user_id"]]))}
            case "task":
                start = {"start_on": self._days.day(row[self._start])} if self._start else {}
                due = {"due_on": self._days.day(row["date_deadline"])}
                return {**self._shared(kind, row), **start, **due, "assignee": self._people.addresses(row["user_ids"]), "milestone": stone}
        return {}

    def _shared(self, kind: ItemKind, row: Row) -> dict[str, Any]:
        followers = self._people.followers(row["message_partner_ids"])
        notes = normal(str(row["description"] or ""))
        return {"name": row["name"], "notes": notes, "followers": followers, "custom": self._fields.decode(kind, row)}

    def _span(self, row: Row) -> dict[str, Any]:
        return {"start_on": self._days.day(row["date_start"]), "due_on": self._days.day(row["date"])}

    # Writing. People and the server's fields are known by now.

    def values(self, kind: ItemKind, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What to set. Raises Rejected for what Odoo cannot hold. A task's milestone is made apart."""
        start, due = fields.get("start_on"), fields.get("due_on")
        if start and due and start > due:
            raise Rejected(
                f"the start, {start}, comes after the due date, {due}; Odoo would refuse it or show nonsense",
                field="start_on",
                system=SYSTEM,
            )
        match kind:
            case "status":
                status = _STATUS.get(fields["status"], fields["status"])
                text = markup(fields.get("text")) or "<p></p>"  # without one, Odoo writes a page of its own
                return {"name": title(fields.get("title")), "status": status, "description": text}
            case "section":
                return {"name": title(fields["name"])}
        values: dict[str, Any] = {}
        for name, value in fields.items():
            values |= self._value(kind, name, value)
        return values

    def _value(self, kind: ItemKind, name: str, value: Any) -> dict[str, Any]:
        match name:
            case "name":
                return {"name": title(value)}
            case "notes":
                return {"description": markup(value)}
            case "custom":
                return self._fields.encode(kind, value or {})
            case "followers":
                return {"message_partner_ids": Refs(self._people.partners(value or ()), added=True)}
            case "owner":
                return {"user_id": Ref(self._people.user(value))}
            case "assignee":
                return {"user_ids": Refs(tuple(filter(None, [self._people.user(value)])))}
            case "start_on" | "due_on":
                return self._date(kind, name, value)
        return {}

    def _date(self, kind: ItemKind, name: str, value: Any) -> dict[str, Any]:
        if kind == "project":
            return {"date_start" if name == "start_on" else "date": value.isoformat() if value else None}
        if name == "due_on":
            return {"date_deadline": self._days.moment(value)}
        if not self._start:
            return {}
        return {self._start: self._days.begin(value) if self._start_is_moment else value.isoformat() if value else None}

    # Comparing

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        unknown = self._people.unknown
        if field.startswith("custom."):
            return same_value(ours, held)
        match field:
            case "name" | "title":
                return title(ours) == title(held)
            case "notes" | "text":
                return normal(markup(ours)) == str(held or "")
            case "owner" | "assignee":
                return self._people.alike(ours, held) or (not held and ours in unknown)
            case "followers":
                return all(any(self._people.alike(one, other) for other in held or ()) for one in ours or () if one not in unknown)
            case "custom":
                return all(same_value(value, held[name]) for name, value in (ours or {}).items() if name in (held or {}))
            case "milestone":
                return bool(ours) == bool(held)
            case "status":
                return bool(STATUSES.get(_STATUS.get(ours, ours)) == held)
        return bool(ours == held)
