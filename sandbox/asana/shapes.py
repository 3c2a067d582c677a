"""How records look from outside: which fields a record has, and which of them come unasked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sandbox.asana.selection import Tree
from sandbox.asana.state import Record, State

Getter = Callable[[State, Record], Any]


class Ref(NamedTuple):
    """A record of some kind inside another."""

    kind: str
    record: Record


def one(kind: str, table: str, key: str) -> Getter:
    def get(state: State, record: Record) -> Ref | None:
        gid = record.get(key)
        return None if gid is None else Ref(kind, getattr(state, table)[gid])

    return get


def many(kind: str, table: str, key: str) -> Getter:
    def get(state: State, record: Record) -> list[Ref]:
        rows = getattr(state, table)
        return [Ref(kind, rows[gid]) for gid in record[key] if gid in rows]

    return get


def constant(value: Any) -> Getter:
    return lambda _state, _record: value


def plain(*names: str) -> dict[str, Getter | None]:
    return dict.fromkeys(names)


def _projects(state: State, task: Record) -> list[Ref]:
    return [Ref("project", state.projects[home["project"]]) for home in task["memberships"]]


def _homes(_state: State, task: Record) -> list[Ref]:
    return [Ref("home", home) for home in task["memberships"]]


def _task_fields(state: State, task: Record) -> list[Ref]:
    seen: dict[str, None] = {}
    for home in task["memberships"]:
        for setting in state.projects[home["project"]]["custom_field_settings"]:
            seen[state.settings_of_fields[setting]["custom_field"]] = None
    return [value(state, gid, task["custom_fields"].get(gid)) for gid in seen if gid in state.custom_fields]


def _project_fields(state: State, project: Record) -> list[Ref]:
    gids = [state.settings_of_fields[setting]["custom_field"] for setting in project["custom_field_settings"]]
    return [value(state, gid, project["custom_fields"].get(gid)) for gid in gids if gid in state.custom_fields]


def value(state: State, gid: str, held: Any) -> Ref:
    """A custom field together with what one object holds in it."""
    field = state.custom_fields[gid]
    record = {**field, "display_value": _display(state, field["type"], held)}
    match field["type"]:
        case "enum":
            record["enum_value"] = None if held is None else state.enum_options[held]
        case "multi_enum":
            record["multi_enum_values"] = [state.enum_options[option] for option in held or []]
        case "people":
            record["people_value"] = [Ref("user", state.users[user]) for user in held or []]
        case "date":
            record["date_value"] = held
        case kind:
            record[f"{kind}_value"] = held
    return Ref("field_value", record)


def _display(state: State, kind: str, held: Any) -> str | None:
    if held is None:
        return None
    match kind:
        case "enum":
            return str(state.enum_options[held]["name"])
        case "multi_enum":
            return ", ".join(state.enum_options[option]["name"] for option in held)
        case "people":
            return ", ".join(state.users[user]["name"] for user in held)
        case "date":
            return str(held.get("date_time") or held.get("date"))
    return str(held)


def _members(state: State, project: Record) -> list[Ref]:
    return [Ref("user", state.users[gid]) for gid in state.members_of[project["gid"]] if gid in state.users]


def _member(state: State, membership: Record) -> Ref:
    gid = membership["member"]
    return Ref("team", state.teams[gid]) if gid in state.teams else Ref("user", state.users[gid])


def _current_status(state: State, project: Record) -> Ref | None:
    posted = state.statuses_of.get(project["gid"])
    return Ref("status_update", state.status_updates[posted[-1]]) if posted else None


def _home_project(state: State, home: Record) -> Ref:
    return Ref("project", state.projects[home["project"]])


def _home_section(state: State, home: Record) -> Ref:
    return Ref("section", state.sections[home["section"]])


def _watched(state: State, hook: Record) -> Ref:
    tables = {"workspace": state.workspaces, "team": state.teams, "task": state.tasks, "project": state.projects}
    kind = hook["resource_kind"]
    return Ref(kind, tables[kind].get(hook["resource"], {"gid": hook["resource"], "resource_type": kind}))


def _parent(state: State, record: Record) -> Ref:
    gid = record["parent"]
    return Ref("project", state.projects[gid]) if gid in state.projects else Ref("task", state.tasks[gid])


Shape = dict[str, Getter | None]
BASE = plain("resource_type", "name")
FIELD: Shape = BASE | plain(
    "resource_subtype", "type", "description", "enabled", "precision", "format", "is_global_to_workspace", "has_notifications_enabled"
)
FIELD |= plain("representation_type", "id_prefix", "is_formula_field", "is_value_read_only", "currency_code", "enum_options")
FIELD |= {"created_by": one("user", "users", "created_by")}
VALUE: Shape = FIELD | plain(
    "display_value", "text_value", "number_value", "enum_value", "multi_enum_values", "date_value", "people_value", "html_text_value"
)

TASK: Shape = BASE | plain("resource_subtype", "completed", "completed_at", "created_at", "modified_at", "due_on", "due_at", "start_on")
TASK |= plain("start_at", "notes", "html_notes", "permalink_url", "external", "approval_status")
TASK |= {
    "actual_time_minutes": constant(None),
    "assignee_status": constant("upcoming"),
    "is_rendered_as_separator": constant(False),
    "assignee": one("user", "users", "assignee"),
    "completed_by": one("user", "users", "completed_by"),
    "created_by": one("user", "users", "created_by"),
    "workspace": one("workspace", "workspaces", "workspace"),
    "parent": one("task", "tasks", "parent"),
    "followers": many("user", "users", "followers"),
    "tags": many("tag", "tags", "tags"),
    "dependencies": many("task", "tasks", "dependencies"),
    "dependents": many("task", "tasks", "dependents"),
    "num_subtasks": lambda state, task: len(state.subtasks_of.get(task["gid"], ())),
    "projects": _projects,
    "memberships": _homes,
    "custom_fields": _task_fields,
}
LIKES: Shape = {
    "hearted": constant(False), "liked": constant(False), "num_hearts": constant(0), "num_likes": constant(0),
    "hearts": constant([]), "likes": constant([]),
}  # fmt: skip
TASK |= LIKES

PROJECT: Shape = BASE | plain("archived", "color", "icon", "completed", "completed_at", "created_at", "modified_at", "default_view")
PROJECT |= plain("due_on", "start_on", "notes", "html_notes", "privacy_setting", "permalink_url", "default_access_level")
PROJECT |= plain("minimum_access_level_for_customization", "minimum_access_level_for_sharing")
PROJECT |= {
    "due_date": lambda _state, project: project["due_on"],
    "public": lambda _state, project: project["privacy_setting"] == "public_to_workspace",
    "current_status": constant(None),
    "current_status_update": _current_status,
    "owner": one("user", "users", "owner"),
    "team": one("team", "teams", "team"),
    "workspace": one("workspace", "workspaces", "workspace"),
    "completed_by": constant(None),
    "members": _members,
    "followers": many("user", "users", "followers"),
    "custom_fields": _project_fields,
    "custom_field_settings": many("custom_field_setting", "settings_of_fields", "custom_field_settings"),
}

SHAPES: dict[str, Shape] = {
    "user": BASE | plain("email", "photo") | {"workspaces": many("workspace", "workspaces", "workspaces")},
    "workspace": BASE | plain("is_organization", "email_domains"),
    "team": BASE | plain("description", "permalink_url", "visibility") | {"organization": one("workspace", "workspaces", "workspace")},
    "tag": BASE | plain("color", "notes", "created_at", "permalink_url") | {"workspace": one("workspace", "workspaces", "workspace")},
    "project": PROJECT,
    "section": BASE | plain("created_at") | {"project": one("project", "projects", "project")},
    "task": TASK,
    "home": {"project": _home_project, "section": _home_section},
    "field_value": VALUE,
    "custom_field": FIELD,
    "custom_field_setting": plain("resource_type", "is_important")
    | {
        "project": one("project", "projects", "project"),
        "parent": one("project", "projects", "project"),
        "custom_field": one("custom_field", "custom_fields", "custom_field"),
    },
    "enum_option": BASE | plain("enabled", "color"),
    "membership": plain("resource_type", "resource_subtype", "access_level") | {"parent": _parent, "member": _member},
    "project_membership": plain("resource_type", "access_level", "write_access")
    | {"parent": _parent, "member": _member, "project": _parent, "user": _member},
    "story": plain("resource_type", "resource_subtype", "created_at", "text", "html_text", "type", "is_pinned", "is_editable", "is_edited")
    | plain("sticker_name", "source")
    | {"created_by": one("user", "users", "created_by"), "target": one("task", "tasks", "task"), "task": one("task", "tasks", "task")}
    | LIKES,
    "status_update": plain("resource_type", "resource_subtype", "title", "text", "html_text", "status_type", "created_at", "modified_at")
    | {"author": one("user", "users", "author"), "created_by": one("user", "users", "author"), "parent": _parent}
    | LIKES,
    "webhook": plain("resource_type", "active", "target", "created_at", "filters", "delivery_retry_count", "next_attempt_after")
    | plain("last_success_at", "last_failure_at", "last_failure_content", "failure_deletion_timestamp")
    | {"resource": _watched},
    "attachment": BASE
    | plain("resource_subtype", "created_at", "download_url", "permanent_url", "view_url", "host", "size", "connected_to_app")
    | {"parent": _parent},
}

OPT_IN: dict[str, set[str]] = {
    "task": {"html_notes", "dependencies", "dependents", "num_subtasks", "external", "created_by", "completed_by", "approval_status"}
    | {"is_rendered_as_separator"},
    "project": {"html_notes", "completed_by"},
    "story": {"html_text", "is_edited", "sticker_name", "task"},
    "status_update": {"html_text"},
    "custom_field": {"currency_code"},
}
FULL: dict[str, Tree] = {kind: {name: None for name in shape if name not in OPT_IN.get(kind, ())} for kind, shape in SHAPES.items()}
COMPACT: dict[str, Tree] = {kind: dict.fromkeys(n for n in ("resource_type", "name") if n in shape) for kind, shape in SHAPES.items()}
COMPACT |= {kind: FULL[kind] for kind in ("home", "field_value", "membership", "enum_option")}
COMPACT["task"] = dict.fromkeys(("resource_type", "name", "resource_subtype"))
COMPACT["story"] = dict.fromkeys(("resource_type", "created_at", "created_by", "resource_subtype", "text", "type"))
COMPACT["status_update"] = dict.fromkeys(("resource_type", "title", "resource_subtype"))
COMPACT["webhook"] = dict.fromkeys(("resource_type", "active", "resource", "target"))
COMPACT["attachment"] = dict.fromkeys(("resource_type", "name", "resource_subtype"))
COMPACT["custom_field"] = FULL["custom_field"]
COMPACT["custom_field_setting"] = FULL["custom_field_setting"]
COMPACT["project_membership"] = dict.fromkeys(("resource_type", "access_level", "parent", "member"))
BARE: Tree = {"resource_type": None}
WHOLE = ("home", "field_value", "enum_option", "custom_field")


def show(state: State, kind: str, record: Record, tree: Tree) -> Record:
    """The record with the fields of `tree` that it has, and its gid."""
    shape = SHAPES[kind]
    out: Record = {"gid": record["gid"]} if "gid" in record else {}
    for name, below in tree.items():
        if name not in shape:
            continue
        getter = shape[name]
        if getter is not None:
            out[name] = _inner(state, getter(state, record), below)
        elif name in record:
            out[name] = _inner(state, record[name], below)
    return out


def _inner(state: State, found: Any, below: Tree | None) -> Any:
    if isinstance(found, Ref):
        return show(state, found.kind, found.record, _depth(found.kind, below))
    if isinstance(found, list):
        return [_inner(state, each, below) for each in found]
    if below and isinstance(found, dict):
        return {name: each for name, each in found.items() if name in below or name == "gid"}
    return found


def _depth(kind: str, below: Tree | None) -> Tree:
    """None: nobody chose (compact). Empty: the reference itself was asked for (its gid and type, or all of an embedded value)."""
    if below is None:
        return COMPACT[kind]
    return below or (FULL[kind] if kind in WHOLE else BARE)
