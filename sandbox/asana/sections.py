"""Sections: the columns of a project, in order."""

from __future__ import annotations

from typing import Any

from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import Record, Refused, State


def create(state: State, project: str, name: str, by: str) -> Record:
    """A section at the end of a project."""
    made = {"name": name, "project": project, "created_at": state.now()}
    section = {"gid": state.new_gid(), "resource_type": "section", **made}
    state.sections[section["gid"]] = section
    state.sections_of[project].append(section["gid"])
    state.happened("section", section, "added", by, parent=("project", project))
    return section


def place(rows: list[str], gid: str, before: Any, after: Any, field: str, *, otherwise: int) -> None:
    """Move `gid` within `rows`, before or after another; `otherwise` is its index when neither is named."""
    if before is not None and after is not None:
        raise Refused(400, f"{field}: At most one of before and after may be specified")
    anchor = before if before is not None else after
    if anchor == gid:
        raise Refused(400, f"{field}: Cannot be placed relative to itself")
    if anchor is not None and anchor not in rows:
        raise Refused(400, f"{field}: {anchor} is not in the same place")
    if gid in rows:
        rows.remove(gid)
    index = otherwise if anchor is None else rows.index(anchor) + (after is not None)
    rows.insert(len(rows) if index < 0 else index, gid)


def _name(call: Call) -> str:
    name = call.need("name")
    if not isinstance(name, str) or not name.strip():
        raise Refused(400, "name: Missing input")
    return name


@route("POST", "/projects/{}/sections")
def post_section(call: Call) -> Done:
    project, name = call.state.project(call.ids[0], call.by), _name(call)
    rows = call.state.sections_of[project["gid"]]
    before, after = call.data.get("insert_before"), call.data.get("insert_after")
    if {before, after} - {None, *rows} or (before and after):
        raise Refused(400, "insert_before, insert_after: One section of the same project is expected")
    section = create(call.state, project["gid"], name, call.by)
    place(rows, section["gid"], before, after, "insert_before", otherwise=-1)
    return call.created("section", section)


@route("GET", "/projects/{}/sections")
def get_sections(call: Call) -> Done:
    project = call.state.project(call.ids[0], call.by)
    return call.listed("section", (call.state.sections[gid] for gid in call.state.sections_of[project["gid"]]))


@route("GET", "/sections/{}")
def get_section(call: Call) -> Done:
    return call.found("section", call.state.section(call.ids[0], call.by))


@route("PUT", "/sections/{}")
def put_section(call: Call) -> Done:
    section = call.state.section(call.ids[0], call.by)
    if "name" in call.data:
        section["name"] = _name(call)
        call.state.happened("section", section, "changed", call.by, change={"field": "name", "action": "changed"})
    return call.found("section", section)


@route("DELETE", "/sections/{}")
def delete_section(call: Call) -> Done:
    state, section = call.state, call.state.section(call.ids[0], call.by)
    if state.tasks_in.get(section["gid"]):
        raise Refused(400, "section: Cannot delete a section that is not empty")
    if len(state.sections_of[section["project"]]) == 1:
        raise Refused(400, "section: Cannot delete the last section of a project")
    state.sections_of[section["project"]].remove(section["gid"])
    del state.sections[section["gid"]]
    state.happened("section", section, "deleted", call.by, parent=("project", section["project"]))
    return empty()


@route("POST", "/projects/{}/sections/insert")
def insert_section(call: Call) -> Done:
    project = call.state.project(call.ids[0], call.by)
    gid, before, after = call.need("section"), call.data.get("before_section"), call.data.get("after_section")
    rows = call.state.sections_of[project["gid"]]
    if gid not in rows:
        raise Refused(400, f"section: {gid} is not in project {project['gid']}")
    if before is None and after is None:
        raise Refused(400, "before_section: One of before_section, after_section is required")
    place(rows, gid, before, after, "section", otherwise=-1)
    return empty()


@route("POST", "/sections/{}/addTask")
def add_task(call: Call) -> Done:
    """Into this section, at the top unless told where; out of the project's other sections."""
    section = call.state.section(call.ids[0], call.by)
    task = call.state.task(call.need("task"), call.by)
    put_in(call.state, task, section, call.data, call.by, otherwise=0)
    return empty()


def put_in(state: State, task: Record, section: Record, data: Record, by: str, *, otherwise: int) -> None:
    """The task's place in the section's project becomes this section."""
    before, after, rows = data.get("insert_before"), data.get("insert_after"), state.tasks_in[section["gid"]]
    if {before, after} - {None, *rows}:
        raise Refused(400, "insert_before, insert_after: The task must be in the same section")
    place(rows, task["gid"], before, after, "task", otherwise=otherwise)
    home = next((home for home in task["memberships"] if home["project"] == section["project"]), None)
    if home is None:
        task["memberships"].append({"project": section["project"], "section": section["gid"]})
        state.happened("task", task, "added", by, parent=("project", section["project"]))
    elif home["section"] != section["gid"]:
        state.tasks_in[home["section"]].remove(task["gid"])
        home["section"] = section["gid"]
    task["modified_at"] = state.now()
    state.happened("task", task, "added", by, parent=("section", section["gid"]))
