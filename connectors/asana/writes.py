"""Each write as the calls that carry it out. Pure: people and custom fields are known by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from connectors.asana.batch import Action, Json, post, put
from connectors.asana.connection import Connection
from connectors.asana.fields import Fields
from connectors.asana.people import People
from connectors.asana.shapes import BORN, PATHS
from connectors.asana.text import document, external, line, normal
from connectors.base import Create, Publish, Rejected, Update, Write
from connectors.http import Effect
from engine.model import Item

PEOPLE = ("assignee", "owner", "followers")


def provisional(nonce: str) -> str:
    """The name of a project until it is published."""
    return f"handoff {nonce}"


def is_provisional(row: Mapping[str, Any]) -> bool:
    """Whether a project, read with its name and privacy, is still to be published."""
    return str(row["name"]).startswith(provisional("")) and row.get("privacy_setting") == "private"


def emails(write: Write) -> set[str]:
    """Everybody a write names."""
    fields = write.fields if isinstance(write, Update) else write.item.fields
    leads = {str(fields[name]) for name in ("assignee", "owner") if fields.get(name)}
    return leads | set(fields.get("followers") or ())


def custom(write: Write) -> Mapping[str, Any]:
    """The custom values a write sets. A provisional project has none yet, and sub-tasks carry none."""
    if isinstance(write, Create) and (write.item.kind != "task" or is_subtask(write)):
        return {}
    fields: Mapping[str, Any] = write.fields if isinstance(write, Update) else write.item.fields
    return fields.get("custom") or {}


def needs_held(write: Write) -> bool:
    """Whether the object must be read first: its marker stands in the notes, and a start date is written together with the due date."""
    if not isinstance(write, Update) or write.kind not in ("project", "task"):
        return False
    alone = "start_on" in write.fields and "due_on" not in write.fields
    return (
        "notes" in write.fields
        or alone
        or bool(write.fields.get("milestone"))
        or (write.kind == "task" and bool(write.fields.get("custom")))
    )


@dataclass(frozen=True, slots=True)
class Held:
    """What must be known of an object before it is updated."""

    key: str = ""
    start_on: str | None = None
    due_on: str | None = None
    project: str = ""


@dataclass(frozen=True, slots=True)
class Drafts:
    """Writes to actions. Raises Rejected for what Asana cannot hold."""

    connection: Connection
    fields: Fields
    people: People

    def draft(self, write: Write, held: Held) -> list[Action]:
        match write:
            case Create():
                return [self._create(write)]
            case Update():
                return self._update(write, held)
        raise TypeError(f"{type(write).__name__} is not drafted here")

    def _create(self, create: Create) -> Action:
        item = create.item
        match item.kind:
            case "project":
                return self._project(create)
            case "task":
                return self._task(create)
            case "dependency":
                waits = {"dependencies": list(create.depends_on)}
                return post(f"/tasks/{create.parent}/addDependencies", waits, effect=Effect.REPEATABLE)
            case "comment":
                text = document(str(item.fields.get("text") or ""), plain=True)
                return post(f"/tasks/{create.parent}/stories", {"html_text": text}, ("html_text",))
            case "status":
                return post("/status_updates", {"parent": create.project or create.parent, **_status(item.fields)}, ("title",))
        raise TypeError(f"{item.kind} is not drafted here")

    def _project(self, create: Create) -> Action:
        """Private, unnamed but for the nonce, and nothing of the customer in it: nobody but us sees it until it is published."""
        there = {"team": self.connection.team} if self.connection.sharing == "team" else {}
        data = {
            "workspace": self.connection.workspace,
            **there,
            "name": provisional(create.nonce),
            "html_notes": document("", key=create.item.key, plain=True),
            "privacy_setting": "private",
            "default_view": self.connection.default_view,
        }
        return post("/projects", data, BORN)

    def _task(self, create: Create) -> Action:
        item, data = create.item, self._common(create.item.fields, "assignee")
        data |= self._place(create) | self._key(create) | {"followers": self.people.known(item.fields.get("followers") or ())}
        if item.fields.get("milestone"):
            data["resource_subtype"] = "milestone"
        return post("/tasks", _without_idle_start(data), BORN)

    def _place(self, create: Create) -> Json:
        if is_subtask(create):
            return {"parent": create.parent}
        section = {"memberships": [{"project": create.project, "section": create.section}]} if create.section else {}
        return {"projects": [create.project], **section}

    def _key(self, create: Create) -> Json:
        key, notes = create.item.key, str(create.item.fields.get("notes") or "")
        values = {} if is_subtask(create) else self.fields.encode(create.item.fields.get("custom") or {})
        where = "notes" if self.connection.key == "custom_field" and is_subtask(create) else self.connection.key
        data: Json = {"html_notes": document(notes, key=key if where == "notes" else "", plain=False)}
        if where == "external":
            data["external"] = {"gid": external(key)}
        if where == "custom_field":
            values[self.key_field()] = key
        return {**data, "custom_fields": values} if values else data

    def key_field(self) -> str:
        """Gid of the custom field that carries keys; empty when none does."""
        if self.connection.key != "custom_field" or not self.connection.key_field:
            return ""
        found = self.fields.find(self.connection.key_field)
        if found is None:
            raise Rejected(f"Asana has no custom field {self.connection.key_field!r}, which should carry the keys", field="key_field")
        return found.gid

    def _common(self, fields: Mapping[str, Any], lead: str) -> Json:
        """Name, dates and the person in charge, as far as they are wanted."""
        data: Json = {}
        if "name" in fields:
            data["name"] = line(str(fields["name"]))
        for name in ("start_on", "due_on"):
            if name in fields:
                data[name] = _iso(fields[name])
        if lead in fields:
            person = fields[lead]
            if not person or self.people.gid(person):
                data[lead] = person or None
        return data

    def _update(self, update: Update, held: Held) -> list[Action]:
        path, fields = f"{PATHS[update.kind]}/{update.id}", update.fields
        match update.kind:
            case "section":
                return [put(path, {"name": line(str(fields["name"]))})]
            case "comment":
                return [put(path, {"html_text": document(str(fields["text"]), plain=True)})]
            case "project" | "task":
                data, joining = self._changes(update, held), self.people.known(fields.get("followers") or ())
                return [*([put(path, data, BORN)] if data or not joining else []), *self.joined(path, joining)]
        raise Rejected(f"Asana does not change a {update.kind} once it is made")

    def _changes(self, update: Update, held: Held) -> Json:
        fields, task = update.fields, update.kind == "task"
        data = self._common(fields, "assignee" if task else "owner")
        if "start_on" in data and "due_on" not in data:
            data["due_on"] = held.due_on
        if "notes" in fields:
            data["html_notes"] = document(str(fields["notes"] or ""), key=held.key, plain=not task)
        if fields.get("custom"):
            data["custom_fields"] = self.fields.encode(fields["custom"])
        if task and "milestone" in fields:
            data["resource_subtype"] = "milestone" if fields["milestone"] else "default_task"
        if fields.get("milestone") and held.start_on:
            data |= {"start_on": None, "due_on": data.get("due_on", held.due_on)}
        return _without_idle_start(data)

    def published(self, publish: Publish) -> Action:
        """The one call that makes a finished project what people see."""
        item, team = publish.item, self.connection.sharing == "team"
        data = self._common(item.fields, "owner")
        data["html_notes"] = document(str(item.fields.get("notes") or ""), key=item.key, plain=True)
        data["privacy_setting"] = "private_to_team" if team and self.connection.privacy == "private" else self.connection.privacy
        if item.fields.get("custom"):
            data["custom_fields"] = self.fields.encode(item.fields["custom"])
        if data.get("start_on") == data.get("due_on"):
            data.pop("start_on", None)  # a project that starts and ends on one day is refused
        return put(f"/projects/{publish.id}", _without_idle_start(data), BORN)

    def joined(self, path: str, followers: Sequence[str]) -> list[Action]:
        """Add followers; adding one twice is harmless. A task takes a list, a project a line of text."""
        listed = list(followers) if path.startswith("/tasks/") else ",".join(followers)
        return [post(f"{path}/addFollowers", {"followers": listed}, effect=Effect.REPEATABLE)] if followers else []


def without_people(action: Action, name: str) -> Action:
    """The same call without the people Asana refused."""
    return replace(action, data={field: value for field, value in action.data.items() if field != name})


def named(action: Action, name: str) -> list[str]:
    """The people a call names in one field."""
    value = action.data.get(name) or ()
    return value.split(",") if isinstance(value, str) else list(value)


def is_subtask(create: Create) -> bool:
    """Whether the task lives in another task."""
    return bool(create.parent) and create.parent != create.project


def _status(fields: Mapping[str, Any]) -> Json:
    text = normal(document(str(fields.get("text") or ""), plain=True))
    return {"title": line(str(fields.get("title") or "")), "text": text, "status_type": fields.get("status", "on_track")}


def _without_idle_start(data: Json) -> Json:
    """A start date lives beside a due date only, and never on a milestone."""
    idle = data.get("resource_subtype") == "milestone" or not data.get("due_on")
    return {name: value for name, value in data.items() if name != "start_on" or not (idle and value)}


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def title_of(item: Item) -> str:
    """What an item is called in a message."""
    return line(str(item.fields.get("name") or item.fields.get("title") or item.key))
