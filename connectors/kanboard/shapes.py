"""Kanboard's objects in `Item`'s field names, and when two values are the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from connectors.base import Remote
from connectors.kanboard.connection import Connection, FieldMap
from connectors.kanboard.metadata import same_value, values
from connectors.kanboard.rpc import Json
from connectors.kanboard.site import Site
from connectors.kanboard.text import LONGEST_COLUMN, identifier, key_in, line, normal
from engine.model import ItemKind

FIELDS: Mapping[ItemKind, frozenset[str]] = {
    "project": frozenset({"name", "notes", "start_on", "due_on", "owner", "followers", "custom"}),
    "section": frozenset({"name"}),
    "task": frozenset({"name", "notes", "start_on", "due_on", "assignee", "milestone"}),
    "dependency": frozenset(),
    "comment": frozenset({"text"}),
}
KEY = "handoff_key"  # in a project's metadata; there from its publishing on
_MARK = "handoff:"


class Shapes:
    """Reads objects, once the site is loaded."""

    def __init__(self, connection: Connection, site: Site, fields: Mapping[str, FieldMap]) -> None:
        self._url = connection.url.rstrip("/")
        self._milestone = connection.milestone_tag
        self._site = site
        self._fields = fields

    def address(self, kind: ItemKind, id: object) -> str:
        """Where people see it. The address Kanboard itself gives is localhost's until somebody sets one."""
        match kind:
            case "project" | "section":
                return f"{self._url}/?controller=BoardViewController&action=show&project_id={id}"
            case "task" | "dependency":
                return f"{self._url}/?controller=TaskViewController&action=show&task_id={id}"
        return ""

    def project(self, row: Json, metadata: Mapping[str, str], members: Iterable[int]) -> Remote:
        key = metadata.get(KEY, "")
        fields = {
            "name": str(row["name"]),
            "notes": str(row["description"] or ""),
            "start_on": _iso(row["start_date"]),
            "due_on": _iso(row["end_date"]),
            "owner": self._site.email(row["owner_id"] or 0) or None,
            "followers": tuple(map(self._site.email, members)),
            "custom": values(metadata, self._fields),
        }
        return Remote(str(row["id"]), "project", self.address("project", row["id"]), key if is_of(row, key) else "", fields)

    def section(self, row: Json) -> Remote:
        return Remote(str(row["id"]), "section", self.address("section", row["project_id"]), mark_of(row), {"name": str(row["title"])})

    def task(self, row: Json, tags: Iterable[str] = ()) -> Remote:
        fields = {
            "name": str(row["title"]),
            "notes": str(row["description"] or ""),
            "start_on": self._site.day(row["date_started"]),
            "due_on": self._site.day(row["date_due"]),
            "assignee": self._site.email(row["owner_id"] or pending(row)) or None,
            "milestone": self._milestone in tags,
        }
        return Remote(str(row["id"]), "task", self.address("task", row["id"]), key_in(row["reference"]), fields)


def comment(row: Json) -> Remote:
    return Remote(str(row["id"]), "comment", "", key_in(row["reference"]), {"text": str(row["comment"] or "")})


def is_of(row: Json, key: str) -> bool:
    """Whether a project is the one of this key. Its id alone may have been another's."""
    return bool(key) and row.get("identifier") == identifier(key)


def mark(key: str) -> str:
    """What a column of ours has for a description."""
    return _MARK + key


def mark_of(column: Json) -> str:
    """The key a column carries; empty for one that is not ours."""
    text = str(column.get("description") or "").strip()
    return text.removeprefix(_MARK) if text.startswith(_MARK) else ""


def pending(task: Json) -> int:
    """Who gets the task when its project is published: until then nobody is a member, and only members can be assigned.

    Kept as a negative recurrence factor, a number without a meaning in a task that does not recur, and one people cannot enter.
    """
    factor = int(task.get("recurrence_factor") or 0)
    return -factor if factor < 0 and not task.get("recurrence_status") else 0


def same(kind: ItemKind, field: str, written: Any, held: Any, *, unknown: frozenset[str] = frozenset()) -> bool:
    """Whether Kanboard still holds what was written. People `unknown` there count as written when nobody is held."""
    if field.startswith("custom."):
        return same_value(written, held)
    match field:
        case "name":
            most = (LONGEST_COLUMN,) if kind == "section" else ()
            return line(str(written or ""), *most) == line(str(held or ""), *most)
        case "notes" | "text":
            return normal(str(written or "")) == normal(str(held or ""))
        case "owner" | "assignee":
            return _who(written) == _who(held) or (not held and written in unknown)
        case "followers":
            return {_who(one) for one in written or () if one not in unknown} <= {_who(one) for one in held or ()}
        case "custom":
            return all(same_value(value, (held or {}).get(name)) for name, value in (written or {}).items())
        case "milestone":
            return bool(written) == bool(held)
    return bool(written == held)


def _who(email: Any) -> str:
    return str(email or "").casefold()


def _iso(text: str | None) -> date | None:
    """A project's dates are days, as texts."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
