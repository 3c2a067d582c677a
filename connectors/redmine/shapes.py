"""Redmine's objects in `Item`'s field names, and when two values are the same.

Ids: a project goes by its identifier, which is never given twice; a version is `v5`, a piece of news `n5`, a note `12-5` (on task 12), a task `12`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from connectors.base import Remote
from connectors.redmine.api import Json
from connectors.redmine.catalogue import Catalogue, named
from connectors.redmine.connection import Connection
from connectors.redmine.fields import Fields, same_value
from connectors.redmine.members import roles_of
from connectors.redmine.people import People
from connectors.redmine.text import Texts, key_in, line, normal
from engine.model import ItemKind

LONGEST_TITLE = 60  # of a version and of a piece of news
_STATUS = "Status: "


def fields_of(connection: Connection) -> dict[ItemKind, frozenset[str]]:
    """What each kind of item can hold there."""
    milestone = {"milestone"} if connection.milestone_tracker else set()
    news: dict[ItemKind, frozenset[str]] = {"status": frozenset({"status", "title", "text"})} if "news" in connection.modules else {}
    return {
        "project": frozenset({"name", "notes", "owner", "followers", "custom"}),
        "section": frozenset({"name"}),
        "task": frozenset({"name", "notes", "start_on", "due_on", "assignee", "followers", "custom", *milestone}),
        "dependency": frozenset(),
        "comment": frozenset({"text"}),
        **news,
    }


def instead_of(connection: Connection) -> dict[str, str]:
    """What stands in for what Redmine does not have."""
    stone = {"task.milestone": f"the tracker {connection.milestone_tracker}"} if connection.milestone_tracker else {}
    derived = (
        {"parent.start_on": "its sub-tasks' first", "parent.due_on": "its sub-tasks' last"} if connection.parent_dates == "derived" else {}
    )
    return {
        **derived,
        "section": "a version (target version of its tasks)",
        "status": "a piece of news",
        "project.owner": f"a member with the role {connection.owner_role}",
        "project.followers": f"members with the role {connection.role}",
        **stone,
    }


class Shapes:
    """Reads objects, once the catalogue is loaded and the people in the rows are learned."""

    def __init__(self, connection: Connection, catalogue: Catalogue, fields: Fields, people: People, texts: Texts) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._fields = fields
        self._people = people
        self._texts = texts
        self._base = connection.base_url.rstrip("/")

    def users(self, rows: list[Json]) -> Iterator[int]:
        """Everybody whose e-mail is needed to read these projects or tasks."""
        for row in rows:
            yield from (row["assigned_to"]["id"],) if row.get("assigned_to") else ()
            yield from (one["id"] for one in row.get("watchers") or ())
            yield from (one["user"]["id"] for one in row.get("memberships") or () if "user" in one)
            yield from self._fields.users("project" if "identifier" in row else "issue", row.get("custom_fields") or ())

    def project(self, row: Json) -> Remote:
        """A project, with its `memberships` in the row."""
        owning = self._catalogue.role(self._connection.owner_role)
        joined = [(one, self._people.mail(one["user"]["id"])) for one in row["memberships"] if "user" in one]
        held = {
            "name": row["name"],
            "notes": normal(row.get("description") or ""),
            "owner": ", ".join(mail for one, mail in joined if owning in roles_of(one)) or None,
            "followers": tuple(mail for _, mail in joined),
            "custom": self._fields.decode("project", row.get("custom_fields") or ()),
        }
        return Remote(row["identifier"], "project", self.url("project", row["identifier"]), key_in(row.get("description") or ""), held)

    def task(self, row: Json) -> Remote:
        """A task. A parent's dates are its sub-tasks', so they say nothing about what was written; without `watchers` there are no followers."""
        who = row.get("assigned_to")
        held: dict[str, Any] = {
            "name": row["subject"],
            "notes": normal(row.get("description") or ""),
            "start_on": _day(row.get("start_date")),
            "due_on": _day(row.get("due_date")),
            "assignee": self._people.mail(who["id"]) if who else None,
            "custom": self._fields.decode("issue", row.get("custom_fields") or ()),
        }
        if "watchers" in row:
            held["followers"] = tuple(self._people.mail(one["id"]) for one in row["watchers"])
        if self._connection.milestone_tracker:
            held["milestone"] = row["tracker"]["id"] == self._catalogue.tracker(self._connection.milestone_tracker)
        if row.get("children") and self._connection.parent_dates == "derived":
            del held["start_on"], held["due_on"]
        return Remote(str(row["id"]), "task", self.url("task", str(row["id"])), self.key(row), held)

    def key(self, row: Json) -> str:
        """The key a task carries; empty when it carries none."""
        if self._connection.key == "custom_field":
            held = named([one for one in row.get("custom_fields") or () if one.get("value")], self._connection.key_field or "")
            return str(held["value"]) if held else ""
        return key_in(row.get("description") or "")

    def section(self, row: Json) -> Remote:
        id_ = f"v{row['id']}"
        return Remote(id_, "section", self.url("section", id_), key_in(row.get("description") or ""), {"name": row["name"]})

    def comment(self, task: str, row: Json) -> Remote:
        id_ = f"{task}-{row['id']}"
        return Remote(id_, "comment", self.url("comment", id_), key_in(row["notes"]), {"text": normal(row["notes"])})

    def status(self, row: Json) -> Remote:
        id_, said = f"n{row['id']}", str(row.get("summary") or "")
        held = {
            "title": row["title"],
            "text": normal(row.get("description") or ""),
            "status": said.removeprefix(_STATUS).replace(" ", "_") if said.startswith(_STATUS) else said,
        }
        return Remote(id_, "status", self.url("status", id_), key_in(row.get("description") or ""), held)

    def url(self, kind: ItemKind, id_: str) -> str:
        """Where people see it."""
        match kind:
            case "project":
                return f"{self._base}/projects/{id_}"
            case "section":
                return f"{self._base}/versions/{number(id_)}"
            case "status":
                return f"{self._base}/news/{number(id_)}"
            case "comment":
                task, _, note = id_.partition("-")
                return f"{self._base}/issues/{task}#change-{note}"
        return f"{self._base}/issues/{id_}"

    def same(self, kind: ItemKind, field: str, written: Any, held: Any) -> bool:
        """Whether Redmine still holds what was written. People nobody knows there count as written when nobody is held."""
        if field.startswith("custom."):
            return same_value(written, held)
        unknown = self._people.unknown
        match field:
            case "name" | "title":
                longest = LONGEST_TITLE if kind in ("section", "status") else 255
                return line(str(written or ""), longest) == line(str(held or ""), longest)
            case "notes" | "text":
                return self._texts.normal(str(written or "")) == normal(str(held or ""))
            case "owner":
                return _who(written) in map(_who, str(held or "").split(", ")) or (not held and written in unknown)
            case "assignee":
                return _who(written) == _who(held) or (not held and written in unknown)
            case "followers":
                return {_who(one) for one in written or () if one not in unknown} <= {_who(one) for one in held or ()}
            case "custom":
                return all(same_value(value, held[name]) for name, value in (written or {}).items() if name in (held or {}))
            case "milestone":
                return bool(written) == bool(held)
        return bool(written == held)


def number(id_: str) -> str:
    """The number in an id of ours, or in one copied from an address."""
    return id_.lstrip("vn")


def summary(status: str) -> str:
    """A project's status as a piece of news says it."""
    return _STATUS + status.replace("_", " ")


def depth_first(rows: list[Json]) -> list[Json]:
    """Each parent before its own, else as they were."""
    parents: Mapping[int, int] = {row["id"]: row["parent"]["id"] for row in rows if row.get("parent")}

    def depth(id_: int) -> int:
        return 1 + depth(parents[id_]) if id_ in parents else 0

    return sorted(rows, key=lambda row: depth(row["id"]))


def _who(email: Any) -> str:
    return str(email or "").casefold()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
