"""What is said about a task (stories), about a project (status updates), and what hangs on them (attachments)."""

from __future__ import annotations

from sandbox.asana import values
from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import Record, Refused, State

STATUS_TYPES = frozenset({"on_track", "at_risk", "off_track", "on_hold", "complete", "dropped"})
WORDS = {"completed": "marked_complete", "assignee": "assigned", "due_on": "due_date_changed", "name": "name_changed"}


def comment(state: State, task: Record, data: Record, by: str) -> Record:
    """A comment on a task; its author is whoever asks."""
    said = values.texts(data, "story", "text", "html_text")
    if not said.get("text"):
        raise Refused(400, "text: Missing input")
    story = _story(state, task, "comment_added", by) | said | {"type": "comment", "is_editable": True}
    story["is_pinned"] = bool(data.get("is_pinned", False))
    return _tell(state, task, story, by)


def system(state: State, task: Record, field: str, by: str) -> None:
    """The line Asana itself writes under a task when some of its fields change."""
    if field in WORDS:
        subtype = "marked_incomplete" if field == "completed" and not task["completed"] else WORDS[field]
        text = f"{state.users[by]['name']} {subtype.replace('_', ' ')}"
        said = {"text": text, "html_text": f"<body>{text}</body>", "type": "system", "is_editable": False, "is_pinned": False}
        _tell(state, task, _story(state, task, subtype, by) | said, by)


def _story(state: State, task: Record, subtype: str, by: str) -> Record:
    made = {"created_at": state.now(), "created_by": by, "task": task["gid"], "is_edited": False, "source": "api"}
    return {"gid": state.new_gid(), "resource_type": "story", "resource_subtype": subtype, **made}


def _tell(state: State, task: Record, story: Record, by: str) -> Record:
    state.stories[story["gid"]] = story
    state.stories_of[task["gid"]].append(story["gid"])
    task["modified_at"] = story["created_at"]
    state.happened("story", story, "added", by, parent=("task", task["gid"]))
    return story


def _find(call: Call) -> Record:
    story = call.state.stories.get(call.ids[0])
    if story is None:
        raise Refused(404, f"story: Unknown object: {call.ids[0]}")
    call.state.task(story["task"], call.by, "story")
    return story


@route("POST", "/tasks/{}/stories")
def post_story(call: Call) -> Done:
    return call.created("story", comment(call.state, call.state.task(call.ids[0], call.by), call.data, call.by))


@route("GET", "/tasks/{}/stories")
def get_stories(call: Call) -> Done:
    task = call.state.task(call.ids[0], call.by)
    return call.listed("story", (call.state.stories[gid] for gid in call.state.stories_of.get(task["gid"], ())))


@route("GET", "/stories/{}")
def get_story(call: Call) -> Done:
    return call.found("story", _find(call))


@route("PUT", "/stories/{}")
def put_story(call: Call) -> Done:
    story = _own(call)
    new = values.texts(call.data, "story", "text", "html_text") | values.simple(call.data, {"is_pinned": bool})
    story.update(new, is_edited=True)
    call.state.happened("story", story, "changed", call.by, change={"field": "text", "action": "changed"})
    return call.found("story", story)


@route("DELETE", "/stories/{}")
def delete_story(call: Call) -> Done:
    story = _own(call)
    call.state.happened("story", story, "deleted", call.by)
    call.state.stories_of[story["task"]].remove(story["gid"])
    del call.state.stories[story["gid"]]
    return empty()


def _own(call: Call) -> Record:
    story = _find(call)
    if story["type"] != "comment" or story["created_by"] != call.by:
        raise Refused(403, "story: Only the author of a comment may do this")
    return story


@route("POST", "/status_updates")
def post_status(call: Call) -> Done:
    project = call.state.project(call.need("parent"), call.by, "parent")
    new = {"title": call.data.get("title", "")} | values.texts(call.data, "story", "text", "html_text")
    if "text" not in new:
        raise Refused(400, "text: Missing input")
    call.need("status_type")
    new |= values.one_of(call.data, "status_type", STATUS_TYPES)
    now, gid = call.state.now(), call.state.new_gid()
    kind = {"gid": gid, "resource_type": "status_update", "resource_subtype": "project_status_update"}
    status = kind | new | {"parent": project["gid"], "author": call.by, "created_at": now, "modified_at": now}
    call.state.status_updates[gid] = status
    call.state.statuses_of[project["gid"]].append(gid)
    call.state.happened("status_update", status, "added", call.by, parent=("project", project["gid"]))
    return call.created("status_update", status)


@route("GET", "/status_updates")
def get_statuses(call: Call) -> Done:
    if "parent" not in call.query:
        raise Refused(400, "parent: Missing input")
    project = call.state.project(call.query["parent"], call.by, "parent")
    newest_first = reversed(call.state.statuses_of.get(project["gid"], []))
    return call.listed("status_update", (call.state.status_updates[gid] for gid in newest_first))


@route("GET", "/status_updates/{}")
def get_status(call: Call) -> Done:
    return call.found("status_update", _status(call))


@route("DELETE", "/status_updates/{}")
def delete_status(call: Call) -> Done:
    status = _status(call)
    call.state.statuses_of[status["parent"]].remove(status["gid"])
    del call.state.status_updates[status["gid"]]
    call.state.happened("status_update", status, "deleted", call.by)
    return empty()


def _status(call: Call) -> Record:
    status = call.state.status_updates.get(call.ids[0])
    if status is None:
        raise Refused(404, f"status_update: Unknown object: {call.ids[0]}")
    call.state.project(status["parent"], call.by)
    return status
