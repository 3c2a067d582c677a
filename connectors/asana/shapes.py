"""Asana's objects in `Item`'s field names: which fields to ask for, how to read them, and when two values are the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from connectors.asana.batch import Json
from connectors.asana.fields import HELD, Fields, same_value
from connectors.asana.text import document, key_from, key_in, line, normal
from connectors.base import Remote
from engine.model import ItemKind

PATHS: Mapping[ItemKind, str] = {
    "project": "/projects",
    "section": "/sections",
    "task": "/tasks",
    "dependency": "/tasks",
    "comment": "/stories",
    "status": "/status_updates",
}
BORN = ("permalink_url",)
ASK: Mapping[ItemKind, tuple[str, ...]] = {
    "project": ("name", "html_notes", "start_on", "due_on", "owner.email", "followers.email", "permalink_url", *HELD),
    "section": ("name",),
    "task": (
        "name",
        "html_notes",
        "start_on",
        "due_on",
        "assignee.email",
        "followers.email",
        "resource_subtype",
        "permalink_url",
        "num_subtasks",
        *HELD,
    ),
    "dependency": ("name",),
    "comment": ("html_text", "created_at"),
    "status": ("title", "text", "status_type", "created_at"),
}
FIELDS: Mapping[ItemKind, frozenset[str]] = {
    "project": frozenset({"name", "notes", "start_on", "due_on", "owner", "followers", "custom"}),
    "section": frozenset({"name"}),
    "task": frozenset({"name", "notes", "start_on", "due_on", "assignee", "followers", "milestone", "custom"}),
    "dependency": frozenset(),
    "comment": frozenset({"text"}),
    "status": frozenset({"status", "title", "text"}),
}


class Shapes:
    """Reads objects. `key` tells where tasks carry their key, `key_field` which custom field when it is one."""

    def __init__(self, fields: Fields, *, key: str, key_field: str | None) -> None:
        self._fields = fields
        self._key = key
        self._key_field = key_field

    def ask(self, kind: ItemKind) -> tuple[str, ...]:
        """The fields to ask for, so that `remote` can read the object."""
        return (*ASK[kind], "external.gid") if kind == "task" and self._key == "external" else ASK[kind]

    def remote(self, kind: ItemKind, row: Json) -> Remote:
        """The object in our words. Rich text comes in its normal form, which `same` compares with Markdown."""
        return Remote(row["gid"], kind, row.get("permalink_url") or "", self.key(kind, row), self._held(kind, row))

    def key(self, kind: ItemKind, row: Json) -> str:
        """The key the object carries; empty when it carries none."""
        if kind == "task" and self._key == "external" and row.get("external"):
            return key_from(str(row["external"].get("gid") or ""))
        if kind == "task" and self._key == "custom_field":
            for held in row.get("custom_fields") or ():
                if self._key_field in (held["gid"], held.get("name")) and held.get("text_value"):
                    return str(held["text_value"])
        return key_in(row.get("html_notes") or row.get("notes") or "")

    def _held(self, kind: ItemKind, row: Json) -> dict[str, Any]:
        match kind:
            case "section":
                return {"name": row["name"]}
            case "comment":
                return {"text": normal(row.get("html_text") or "")}
            case "status":
                return {"title": row.get("title") or "", "text": row.get("text") or "", "status": row.get("status_type")}
            case "dependency":
                return {}
        lead = "owner" if kind == "project" else "assignee"
        held: dict[str, Any] = {
            "name": row["name"],
            "notes": normal(row.get("html_notes") or ""),
            "start_on": _day(row.get("start_on")),
            "due_on": _day(row.get("due_on")),
            lead: (row.get(lead) or {}).get("email"),
            "followers": tuple(one["email"] for one in row.get("followers") or () if one.get("email")),
            "custom": self._fields.decode(row.get("custom_fields") or ()),
        }
        if kind == "task":
            held["milestone"] = row.get("resource_subtype") == "milestone"
        if held.get("milestone") or held["due_on"] is None:
            del held["start_on"]  # Asana keeps no start there, so its absence says nothing
        return held


def same(kind: ItemKind, field: str, written: Any, held: Any, *, unknown: frozenset[str] = frozenset()) -> bool:
    """Whether the tool still holds what was written. People `unknown` to the workspace count as written when nobody is held."""
    if field.startswith("custom."):
        return same_value(written, held)
    match field:
        case "name":
            return line(str(written or "")) == line(str(held or ""))
        case "notes" | "text" if kind != "status":
            return _normal(written, plain=kind != "task") == normal(str(held or ""))
        case "title" | "text":
            return line(str(written or "")) == line(str(held or ""))
        case "owner" | "assignee":
            return _who(written) == _who(held) or (not held and written in unknown)
        case "followers":
            return {_who(one) for one in written or () if one not in unknown} <= {_who(one) for one in held or ()}
        case "custom":
            return all(same_value(value, held[name]) for name, value in (written or {}).items() if name in (held or {}))
        case "milestone":
            return bool(written) == bool(held)
    return bool(written == held)


def _normal(markdown: Any, *, plain: bool) -> str:
    return normal(document(str(markdown or ""), plain=plain))


def _who(email: Any) -> str:
    return str(email or "").casefold()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
