"""What a blueprint can set there, as the server says it."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.base import Description, FieldInfo, Member, ObjectInfo, Stage
from connectors.redmine.api import Api, Json
from connectors.redmine.catalogue import Catalogue
from connectors.redmine.connection import Connection
from connectors.redmine.fields import Owner

_PROJECT = (("name", "Name", "string"), ("notes", "Description", "text"), ("owner", "Member", "user"), ("followers", "Members", "user"))
_TASK = (
    ("name", "Subject", "string"),
    ("notes", "Description", "text"),
    ("start_on", "Start date", "date"),
    ("due_on", "Due date", "date"),
    ("assignee", "Assignee", "user"),
    ("followers", "Watchers", "user"),
)


async def describe(connection: Connection, api: Api, catalogue: Catalogue) -> Description:
    """Fields of projects and tasks, built in and custom, the statuses of tasks, the people who are not locked."""
    await catalogue.load()
    statuses = await api.get("/issue_statuses.json", "issue_statuses")
    users = await api.every("/users.json", "users")
    stone = (("milestone", f"Tracker {connection.milestone_tracker}", "bool"),) if connection.milestone_tracker else ()
    objects = (
        ObjectInfo("project", "Project", _fields(_PROJECT, catalogue, "project"), "project"),
        ObjectInfo("issue", "Issue", _fields((*_TASK, *stone), catalogue, "issue"), "task"),
        ObjectInfo("version", "Version", (FieldInfo("name", "Name", "string", required=True),), "section"),
    )
    stages = tuple(Stage(row["name"], "issues, closed" if row.get("is_closed") else "issues") for row in statuses)
    return Description(objects, stages, tuple(_member(row) for row in users))


def _fields(built_in: Sequence[tuple[str, str, str]], catalogue: Catalogue, owner: Owner) -> tuple[FieldInfo, ...]:
    own = (FieldInfo(path, label, type_, required=path == "name") for path, label, type_ in built_in)
    return (*own, *(_custom(row) for row in catalogue.fields if row["customized_type"] == owner))


def _custom(row: Json) -> FieldInfo:
    choices = {str(one["value"]): str(one["label"]) for one in row.get("possible_values") or ()}
    return FieldInfo(row["name"], row["name"], row["field_format"], custom=True, required=bool(row.get("is_required")), choices=choices)


def _member(row: Json) -> Member:
    return Member(str(row["id"]), f"{row.get('firstname', '')} {row.get('lastname', '')}".strip(), str(row.get("mail") or ""))
