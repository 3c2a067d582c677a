"""What is sent, and whether it was kept. Pure: people, trackers and custom fields are known by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.base import Create, Publish, Rejected, Update, Write
from connectors.redmine.api import Json
from connectors.redmine.catalogue import Catalogue
from connectors.redmine.connection import Connection
from connectors.redmine.fields import Fields
from connectors.redmine.people import People
from connectors.redmine.shapes import LONGEST_TITLE, summary
from connectors.redmine.text import Texts, clean, identifier, line, normal, short_mark


def emails(write: Write) -> set[str]:
    """Everybody a write names."""
    fields = fields_in(write)
    leads = {str(fields[name]) for name in ("assignee", "owner") if fields.get(name)}
    return leads | set(fields.get("followers") or ())


def fields_in(write: Write) -> Mapping[str, Any]:
    return write.fields if isinstance(write, Update) else write.item.fields


def is_subtask(create: Create) -> bool:
    """Whether the task lives in another task."""
    return bool(create.parent) and create.parent != create.project


@dataclass(frozen=True, slots=True)
class Drafts:
    """The bodies of requests. Raises Rejected for what Redmine cannot hold."""

    connection: Connection
    catalogue: Catalogue
    fields: Fields
    people: People
    texts: Texts

    def new_project(self, create: Create) -> Json:
        """Seen by administrators only until it is published. All that a task may need is allowed in it."""
        trackers = {self._tracker(False), *([self._tracker(True)] if self.connection.milestone_tracker else [])}
        key_field = [self.key_field()] if self.connection.key == "custom_field" else []
        under = {"parent_id": self.connection.parent, "inherit_members": False} if self.connection.parent else {}
        return {
            **self.project({"notes": "", **create.item.fields}, create.item.key),
            "identifier": identifier(create.item.key),
            "is_public": False,
            "tracker_ids": sorted(trackers),
            "enabled_module_names": list(self.connection.modules),
            "issue_custom_field_ids": [*key_field, *self.fields.ids("issue")],
            **under,
        }

    def published(self, publish: Publish) -> Json:
        return {**self.project({"notes": "", **publish.item.fields}, publish.item.key), **self.privacy()}

    def privacy(self) -> Json:
        return {"is_public": self.connection.privacy == "public"}

    def project(self, fields: Mapping[str, Any], key: str) -> Json:
        """Name, notes and custom fields, as far as they are wanted. The key stands in the notes."""
        data: Json = {}
        if "name" in fields:
            data["name"] = line(str(fields["name"]))
        if "notes" in fields:
            data["description"] = self.texts.document(str(fields.get("notes") or ""), key=key)
        if fields.get("custom"):
            data["custom_fields"] = _listed(self.fields.encode("project", fields["custom"]))
        return data

    def new_task(self, create: Create) -> Json:
        """Without a start date Redmine would take the day it is made: nothing is said as well as something."""
        item, key = create.item, create.item.key
        tracker = self._tracker(bool(item.fields.get("milestone")))
        values = self.fields.encode("issue", item.fields.get("custom") or {}, tracker=tracker)
        if self.connection.key == "custom_field":
            values[self.key_field()] = key
        place = {"parent_issue_id": create.parent} if is_subtask(create) else {}
        if create.section:
            place["fixed_version_id"] = create.section.removeprefix("v")
        return {
            "project_id": create.project,
            "tracker_id": tracker,
            "start_date": "",
            **self._common({"notes": "", **item.fields}, "" if self.connection.key == "custom_field" else key),
            **({"custom_fields": _listed(values)} if values else {}),
            **place,
        }

    def changed_task(self, fields: Mapping[str, Any], row: Json, key: str) -> Json:
        """What changes of a task as it is. The dates of a parent are its sub-tasks' and not written."""
        derived = bool(row.get("children")) and self.connection.parent_dates == "derived"
        wanted = {name: value for name, value in fields.items() if not (derived and name in ("start_on", "due_on"))}
        data = self._common(wanted, "" if self.connection.key == "custom_field" else key)
        data.pop("watcher_user_ids", None)  # taken for new tasks only
        tracker = int(row["tracker"]["id"])
        if "milestone" in fields and self.connection.milestone_tracker:
            tracker = data["tracker_id"] = self._tracker(bool(fields["milestone"]))
        if fields.get("custom"):
            data["custom_fields"] = _listed(self.fields.encode("issue", fields["custom"], tracker=tracker))
        return data

    def _common(self, fields: Mapping[str, Any], key: str) -> Json:
        data: Json = {}
        if "name" in fields:
            data["subject"] = line(str(fields["name"]))
        if "notes" in fields:
            data["description"] = self.texts.document(str(fields["notes"] or ""), key=key)
        for ours, theirs in (("start_on", "start_date"), ("due_on", "due_date")):
            if ours in fields:
                data[theirs] = _iso(fields[ours])
        if "assignee" in fields:
            data |= self._assigned(str(fields["assignee"] or ""))
        if followers := self.people.known(fields.get("followers") or ()):
            data["watcher_user_ids"] = followers
        return data

    def _assigned(self, email: str) -> Json:
        """Nobody is written as an empty text (Redmine takes null for no change); somebody unknown changes nothing."""
        if not email:
            return {"assigned_to_id": ""}
        return {} if (id_ := self.people.id(email)) is None else {"assigned_to_id": id_}

    def version(self, create: Create, number: int = 1) -> Json:
        """The `number`th of its name in the project."""
        name = line(str(create.item.fields["name"]), LONGEST_TITLE if number == 1 else LONGEST_TITLE - 4)
        return {"name": name if number == 1 else f"{name} ({number})", "description": short_mark(create.item.key)}

    def named(self, fields: Mapping[str, Any]) -> Json:
        return {"name": line(str(fields["name"]), LONGEST_TITLE)}

    def news(self, fields: Mapping[str, Any], key: str) -> Json:
        """A piece of news needs a title and a text; the status stands in its summary."""
        status = summary(str(fields.get("status") or "on_track"))
        title = line(str(fields.get("title") or ""), LONGEST_TITLE) or status
        return {"title": title, "summary": status, "description": self.texts.document(str(fields.get("text") or ""), key=key)}

    def note(self, text: Any, key: str) -> str:
        return self.texts.document(str(text or ""), key=key)

    def key_field(self) -> int:
        """Id of the custom field that carries keys."""
        found = self.fields.find("issue", self.connection.key_field or "")
        if found is None:
            raise Rejected(f"Redmine has no custom field {self.connection.key_field!r}, which should carry the keys", field="key_field")
        return int(found["id"])

    def _tracker(self, milestone: bool) -> int:
        stone = milestone and self.connection.milestone_tracker
        return self.catalogue.tracker(self.connection.milestone_tracker if stone else self.connection.tracker)


_HELD = {"assigned_to_id": "assigned_to", "tracker_id": "tracker"}


def dropped(data: Json, row: Json) -> list[str]:
    """What of the fields just written the object does not hold: Redmine drops what it does not take without a word."""
    return [name for name, value in data.items() if name != "custom_fields" and _plain(value) != _held(name, row)] + [
        f"custom field {one['id']}" for one in data.get("custom_fields") or () if not _kept(one, row.get("custom_fields") or ())
    ]


def _held(name: str, row: Json) -> str:
    value = row.get(_HELD.get(name, name))
    return _plain(value["id"] if isinstance(value, dict) else value)


def _kept(one: Json, rows: Sequence[Json]) -> bool:
    return any(row["id"] == one["id"] and _same(one["value"], row.get("value")) for row in rows)


def _same(written: Any, held: Any) -> bool:
    if isinstance(written, list) or isinstance(held, list):
        return {str(one) for one in written or () if one} == {str(one) for one in held or () if one}
    return _plain(written) == _plain(held)


def _plain(value: Any) -> str:
    return " ".join(normal(clean("" if value is None else str(value))).split())


def _listed(values: Mapping[int, Any]) -> list[Json]:
    return [{"id": id_, "value": value} for id_, value in values.items()]


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""
