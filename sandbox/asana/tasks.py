"""Tasks: made, changed, listed, deleted. `create` and `change` serve the API, batches and people alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sandbox.asana import dates, stories, values
from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import SITE, Record, Refused, State

SUBTYPES = frozenset({"default_task", "milestone", "approval", "custom"})
APPROVALS = frozenset({"pending", "approved", "rejected", "changes_requested"})
PROJECTS_MOST = 20
EXTERNAL_MOST = {"gid": 1024, "data": 32_768}
TOLD = ("name", "assignee", "completed", "due_on", "due_at", "start_on", "start_at", "notes", "custom_fields", "approval_status")


def create(state: State, data: Record, by: str, *, external: bool = True) -> Record:
    """A new task from the body of a request. `external`: whether this token may set `external`."""
    homes, parent = _homes(state, data, by), None
    if data.get("parent") is not None:
        parent = state.task(data["parent"], by, "parent")["gid"]
    if not homes and parent is None and data.get("workspace") is None:
        raise Refused(400, "workspace: You should specify one of workspace, parent, projects")
    if data.get("workspace") not in (None, state.workspace):
        raise Refused(404, f"workspace: Unknown object: {data['workspace']}")
    blank = _blank(state, by, homes, parent)
    task = blank | _checked(state, data, blank, by, external=external)
    task["followers"] = values.people(state, data.get("followers") or [], by, "followers")
    task["tags"] = [_tag(state, gid) for gid in values.gids(data.get("tags") or [], "tags")]
    return _enter(state, task, by)


def _blank(state: State, by: str, homes: list[Record], parent: str | None) -> Record:
    now, gid = state.now(), state.new_gid()
    return {
        "gid": gid, "resource_type": "task", "resource_subtype": "default_task", "name": "", "notes": "", "html_notes": "<body></body>",
        "completed": False, "completed_at": None, "completed_by": None, "created_at": now, "created_by": by, "modified_at": now,
        "due_on": None, "due_at": None, "start_on": None, "start_at": None, "assignee": None, "workspace": state.workspace,
        "parent": parent, "followers": [], "tags": [], "memberships": homes, "dependencies": {}, "dependents": {}, "custom_fields": {},
        "permalink_url": f"{SITE}/1/{state.workspace}/task/{gid}",
    }  # fmt: skip


def _enter(state: State, task: Record, by: str) -> Record:
    gid = task["gid"]
    state.tasks[gid] = task
    for home in task["memberships"]:
        rows = state.tasks_in[home["section"]]
        rows.insert(0 if state.settings.new_tasks == "top" else len(rows), gid)
        state.happened("task", task, "added", by, parent=("project", home["project"]))
        state.happened("task", task, "added", by, parent=("section", home["section"]))
    if task["parent"] is not None:
        state.subtasks_of[task["parent"]].append(gid)
        state.happened("task", task, "added", by, parent=("task", task["parent"]))
    if task.get("external"):
        state.externals[task["external"]["gid"]].append(gid)
    return task


def _homes(state: State, data: Record, by: str) -> list[Record]:
    """Where a task begins: its projects, each with a section. A section named in `memberships` wins over the project's first."""
    chosen: dict[str, str] = dict.fromkeys(values.gids(data.get("projects") or [], "projects"), "")
    for home in data.get("memberships") or []:
        if not isinstance(home, dict) or not isinstance(home.get("project"), str):
            raise Refused(400, "memberships: Each needs a project")
        chosen[home["project"]] = home.get("section") or ""
    if len(chosen) > PROJECTS_MOST:
        raise Refused(400, f"projects: A task can be in at most {PROJECTS_MOST} projects")
    return [home_in(state, project, section, by) for project, section in chosen.items()]


def home_in(state: State, project: str, section: str, by: str) -> Record:
    """A place in a project: the section named, else the first."""
    state.project(project, by, "projects")
    if section and state.section(section, by)["project"] != project:
        raise Refused(400, f"section: {section} is not in project {project}")
    return {"project": project, "section": section or state.sections_of[project][0]}


def _tag(state: State, gid: str) -> str:
    if gid not in state.tags:
        raise Refused(404, f"tags: Unknown object: {gid}")
    return gid


def fields_of(state: State, task: Record) -> set[str]:
    """The custom fields a task has by the projects it is in."""
    settings = (gid for home in task["memberships"] for gid in state.projects[home["project"]]["custom_field_settings"])
    return {state.settings_of_fields[gid]["custom_field"] for gid in settings}


def _checked(state: State, data: Record, held: Record, by: str, *, external: bool) -> Record:
    """The changes a body asks for, as they will be held. Raises Refused and changes nothing."""
    new = values.simple(data, {"name": str, "completed": bool})
    new |= values.one_of(data, "resource_subtype", SUBTYPES) | values.one_of(data, "approval_status", APPROVALS)
    new |= values.texts(data, "task", "notes", "html_notes") | dates.task_dates(data, held)
    if {**held, **new}["resource_subtype"] == "milestone" and {**held, **new}["start_on"]:
        raise Refused(400, "start_on: A milestone cannot have a start date")
    if "assignee" in data:
        new["assignee"] = None if data["assignee"] is None else state.user(data["assignee"], by, "assignee")
    if data.get("custom_fields"):
        new["custom_fields"] = held["custom_fields"] | values.custom_fields(state, data, fields_of(state, held), by)
    if "external" in data:
        new["external"] = _external(state, data["external"], held, allowed=external)
    return new | _completion(state, new, held, by)


def _completion(state: State, new: Record, held: Record, by: str) -> Record:
    if "approval_status" in new:
        new["completed"] = new["approval_status"] != "pending"
    if new.get("completed", held["completed"]) == held["completed"]:
        return {}
    return {"completed_at": state.now() if new["completed"] else None, "completed_by": by if new["completed"] else None}


def _external(state: State, given: Any, held: Record, *, allowed: bool) -> Record | None:
    if not allowed:
        raise Refused(403, "external: This field needs an OAuth token")
    if given is None:
        return None
    if not isinstance(given, dict) or any(not isinstance(given.get(name, ""), str) for name in EXTERNAL_MOST):
        raise Refused(400, "external: An object with the strings gid and data is expected")
    for name, most in EXTERNAL_MOST.items():
        if len(given.get(name, "")) > most:
            raise Refused(400, f"external: {name} is longer than {most} characters")
    if state.settings.external_unique and set(state.externals.get(given.get("gid", ""), ())) - {held["gid"]}:
        raise Refused(400, f"external: The gid {given['gid']} is taken")
    return {"gid": given.get("gid", ""), "data": given.get("data", "")}


def change(state: State, task: Record, data: Record, by: str, *, external: bool = True) -> Record:
    """Change the named fields of a task, and tell the streams which."""
    new = _checked(state, data, task, by, external=external)
    changed = [name for name in new if new[name] != task.get(name)]
    if "external" in changed and task.get("external"):
        state.externals[task["external"]["gid"]].remove(task["gid"])
    if "external" in changed and new["external"]:
        state.externals[new["external"]["gid"]].append(task["gid"])
    task.update(new)
    for name in changed:
        if name in TOLD:
            _tell(state, task, name, by)
    if changed:
        task["modified_at"] = state.now()
    return task


def _tell(state: State, task: Record, name: str, by: str) -> None:
    state.happened("task", task, "changed", by, change={"field": name, "action": "changed"})
    stories.system(state, task, name, by)


def delete(state: State, task: Record, by: str) -> None:
    """Into the trash, sub-tasks too: gone for every call."""
    for child in list(state.subtasks_of.pop(task["gid"], ())):
        delete(state, state.tasks[child], by)
    state.happened("task", task, "deleted", by)
    for home in task["memberships"]:
        state.tasks_in[home["section"]].remove(task["gid"])
    if task["parent"] is not None and task["gid"] in state.subtasks_of.get(task["parent"], ()):
        state.subtasks_of[task["parent"]].remove(task["gid"])
    if task.get("external"):
        state.externals[task["external"]["gid"]].remove(task["gid"])
    for other in task["dependencies"]:
        state.tasks[other]["dependents"].pop(task["gid"], None)
    for other in task["dependents"]:
        state.tasks[other]["dependencies"].pop(task["gid"], None)
    del state.tasks[task["gid"]]


def _may_external(call: Call) -> bool:
    return call.token.kind == "oauth" or call.state.settings.external == "any"


@route("POST", "/tasks")
def post_task(call: Call) -> Done:
    return call.created("task", create(call.state, call.data, call.by, external=_may_external(call)))


@route("POST", "/tasks/{}/subtasks")
def post_subtask(call: Call) -> Done:
    data = {**call.data, "parent": call.ids[0]}
    return call.created("task", create(call.state, data, call.by, external=_may_external(call)))


@route("GET", "/tasks/{}")
def get_task(call: Call) -> Done:
    return call.found("task", call.state.task(call.ids[0], call.by))


@route("PUT", "/tasks/{}")
def put_task(call: Call) -> Done:
    task = call.state.task(call.ids[0], call.by)
    return call.found("task", change(call.state, task, call.data, call.by, external=_may_external(call)))


@route("DELETE", "/tasks/{}")
def delete_task(call: Call) -> Done:
    delete(call.state, call.state.task(call.ids[0], call.by), call.by)
    return empty()


@route("GET", "/tasks")
def get_tasks(call: Call) -> Done:
    query, state = call.query, call.state
    rows: Iterable[Record]
    if "section" in query:
        rows = _in_section(state, state.section(query["section"], call.by)["gid"])
    elif "project" in query:
        rows = state.tasks_of(state.project(query["project"], call.by)["gid"])
    elif "assignee" in query and "workspace" in query:
        assignee = state.user(query["assignee"], call.by, "assignee")
        rows = (task for task in state.tasks.values() if task["assignee"] == assignee and state.sees_task(call.by, task))
    else:
        raise Refused(400, "You must specify exactly one of project, tag, section, user task list, or assignee + workspace")
    return call.listed("task", _filtered(rows, query))


@route("GET", "/projects/{}/tasks")
def get_tasks_of_project(call: Call) -> Done:
    project = call.state.project(call.ids[0], call.by)
    return call.listed("task", _filtered(call.state.tasks_of(project["gid"]), call.query))


@route("GET", "/sections/{}/tasks")
def get_tasks_of_section(call: Call) -> Done:
    section = call.state.section(call.ids[0], call.by)
    return call.listed("task", _filtered(_in_section(call.state, section["gid"]), call.query))


@route("GET", "/tasks/{}/subtasks")
def get_subtasks(call: Call) -> Done:
    task = call.state.task(call.ids[0], call.by)
    return call.listed("task", (call.state.tasks[gid] for gid in call.state.subtasks_of.get(task["gid"], ())))


@route("GET", "/tasks/{}/projects")
def get_projects_of_task(call: Call) -> Done:
    task = call.state.task(call.ids[0], call.by)
    return call.listed("project", (call.state.projects[home["project"]] for home in task["memberships"]))


def _in_section(state: State, section: str) -> Iterable[Record]:
    return (state.tasks[gid] for gid in state.tasks_in[section])


def _filtered(rows: Iterable[Record], query: dict[str, str]) -> Iterable[Record]:
    if "completed_since" in query:
        since = query["completed_since"]
        rows = (row for row in rows if not row["completed"] or (since != "now" and _since(row, "completed_at", since)))
    if "modified_since" in query:
        rows = (row for row in rows if _since(row, "modified_at", query["modified_since"]))
    return rows


def _since(row: Record, name: str, since: str) -> bool:
    return datetime.fromisoformat(row[name]) >= dates.instant(since, "since")
