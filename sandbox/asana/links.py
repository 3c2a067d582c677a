"""What ties tasks to each other and to the rest: dependencies, parents, projects, tags, followers, attachments."""

from __future__ import annotations

from typing import Literal

from sandbox.asana import sections, values
from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import Record, Refused, State
from sandbox.asana.tasks import PROJECTS_MOST, home_in

LINKS_MOST = 30
Side = Literal["dependencies", "dependents"]
OTHER: dict[Side, Side] = {"dependencies": "dependents", "dependents": "dependencies"}


def _paid(call: Call) -> None:
    if call.state.settings.plan == "free":
        raise Refused(402, "Dependencies are only available to premium users.")


def link(state: State, task: Record, others: list[Record], side: Side, by: str) -> None:
    """Add to one side, and the mirror image to the others. Raises Refused before anything changes."""
    new = [other for other in others if other["gid"] not in task[side]]
    if any(other is task or _reaches(state, other, task, side) for other in new):
        raise Refused(400, f"{side}: This would make a cycle of dependencies")
    for each, more in [(task, len(new)), *((other, 1) for other in new)]:
        if len(each["dependencies"]) + len(each["dependents"]) + more > LINKS_MOST:
            raise Refused(400, f"{side}: A task can have at most {LINKS_MOST} dependents and dependencies combined")
    for other in new:
        task[side][other["gid"]] = None
        other[OTHER[side]][task["gid"]] = None
    if new:
        state.happened("task", task, "changed", by, change={"field": side, "action": "added"})


def _reaches(state: State, start: Record, goal: Record, side: Side) -> bool:
    """Whether `goal` is found by following `side` from `start`."""
    seen, ahead = {start["gid"]}, [start]
    while ahead:
        for gid in ahead.pop()[side]:
            if gid == goal["gid"]:
                return True
            if gid not in seen:
                seen.add(gid)
                ahead.append(state.tasks[gid])
    return False


def _sides(call: Call, side: Side) -> tuple[Record, list[Record]]:
    _paid(call)
    task = call.state.task(call.ids[0], call.by)
    return task, [call.state.task(gid, call.by, side) for gid in values.gids(call.need(side), side)]


def _add(call: Call, side: Side) -> Done:
    link(call.state, *_sides(call, side), side, call.by)
    return empty()


def _remove(call: Call, side: Side) -> Done:
    task, others = _sides(call, side)
    for other in others:
        task[side].pop(other["gid"], None)
        other[OTHER[side]].pop(task["gid"], None)
    return empty()


def _list(call: Call, side: Side) -> Done:
    _paid(call)
    task = call.state.task(call.ids[0], call.by)
    return call.listed("task", (call.state.tasks[gid] for gid in task[side]))


@route("POST", "/tasks/{}/addDependencies")
def add_dependencies(call: Call) -> Done:
    return _add(call, "dependencies")


@route("POST", "/tasks/{}/addDependents")
def add_dependents(call: Call) -> Done:
    return _add(call, "dependents")


@route("POST", "/tasks/{}/removeDependencies")
def remove_dependencies(call: Call) -> Done:
    return _remove(call, "dependencies")


@route("POST", "/tasks/{}/removeDependents")
def remove_dependents(call: Call) -> Done:
    return _remove(call, "dependents")


@route("GET", "/tasks/{}/dependencies")
def get_dependencies(call: Call) -> Done:
    return _list(call, "dependencies")


@route("GET", "/tasks/{}/dependents")
def get_dependents(call: Call) -> Done:
    return _list(call, "dependents")


@route("POST", "/tasks/{}/setParent")
def set_parent(call: Call) -> Done:
    state, task = call.state, call.state.task(call.ids[0], call.by)
    if "parent" not in call.data:
        raise Refused(400, "parent: Missing input")
    parent = None if call.data["parent"] is None else state.task(call.data["parent"], call.by, "parent")
    if parent is not None and _descends(state, parent, task):
        raise Refused(400, "parent: A task cannot be below itself")
    before, after = call.data.get("insert_before"), call.data.get("insert_after")
    siblings = [] if parent is None else state.subtasks_of[parent["gid"]]
    if {before, after} - {None, *siblings}:
        raise Refused(400, "insert_before, insert_after: The task must be a subtask of the same parent")
    if task["parent"] is not None:
        state.subtasks_of[task["parent"]].remove(task["gid"])
    task["parent"] = None if parent is None else parent["gid"]
    if parent is not None:
        sections.place(siblings, task["gid"], before, after, "parent", otherwise=-1)
    state.happened("task", task, "changed", call.by, change={"field": "parent", "action": "changed"})
    return call.found("task", task)


def _descends(state: State, task: Record, above: Record) -> bool:
    line: Record | None = task
    while line is not None and line is not above:
        line = state.tasks.get(line["parent"] or "")
    return line is not None


@route("POST", "/tasks/{}/addProject")
def add_project(call: Call) -> Done:
    """Into the project, at the end (of the section named) unless told where; `insert_after: null` is the start."""
    state, task, data = call.state, call.state.task(call.ids[0], call.by), call.data
    project, section = call.need("project"), data.get("section") or ""
    state.project(project, call.by)
    if len({project, *(home["project"] for home in task["memberships"])}) > PROJECTS_MOST:
        raise Refused(400, f"project: A task can be in at most {PROJECTS_MOST} projects")
    anchor = data.get("insert_before") or data.get("insert_after")
    if anchor and not section:
        section = next((home["section"] for home in state.task(anchor, call.by)["memberships"] if home["project"] == project), "")
    first = "insert_after" in data and data["insert_after"] is None
    if not section:
        section = state.sections_of[project][0 if first else -1]
    home = home_in(state, project, section, call.by)
    sections.put_in(state, task, state.sections[home["section"]], data, call.by, otherwise=0 if first else -1)
    return empty()


@route("POST", "/tasks/{}/removeProject")
def remove_project(call: Call) -> Done:
    state, task = call.state, call.state.task(call.ids[0], call.by)
    project = call.need("project")
    home = next((home for home in task["memberships"] if home["project"] == project), None)
    if home is None:
        raise Refused(400, f"project: {project} is not a project of this task")
    state.happened("task", task, "removed", call.by, parent=("project", project))
    state.tasks_in[home["section"]].remove(task["gid"])
    task["memberships"].remove(home)
    return empty()


@route("POST", "/tasks/{}/addFollowers")
def add_followers(call: Call) -> Done:
    task = call.state.task(call.ids[0], call.by)
    new = values.people(call.state, call.need("followers"), call.by, "followers")
    task["followers"].extend(user for user in new if user not in task["followers"])
    return call.found("task", task)


@route("POST", "/tasks/{}/removeFollowers")
def remove_followers(call: Call) -> Done:
    task = call.state.task(call.ids[0], call.by)
    gone = values.people(call.state, call.need("followers"), call.by, "followers")
    task["followers"] = [user for user in task["followers"] if user not in gone]
    return call.found("task", task)


@route("POST", "/tasks/{}/addTag")
def add_tag(call: Call) -> Done:
    task, tag = call.state.task(call.ids[0], call.by), call.need("tag")
    if tag not in call.state.tags:
        raise Refused(404, f"tag: Unknown object: {tag}")
    if tag not in task["tags"]:
        task["tags"].append(tag)
    return empty()


@route("POST", "/tasks/{}/removeTag")
def remove_tag(call: Call) -> Done:
    task, tag = call.state.task(call.ids[0], call.by), call.need("tag")
    task["tags"] = [each for each in task["tags"] if each != tag]
    return empty()
