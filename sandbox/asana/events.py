"""Event streams: what happened to a resource, or in the workspace, since a sync token was given."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, timedelta
from typing import Any

from sandbox.asana.routes import Call, Done, route
from sandbox.asana.state import Event, Record, Refused, State

TOKEN_LIFE = timedelta(hours=24)
RESOURCE_MOST = 100
WORKSPACE_MOST = 1000
STALE = (
    "Sync token invalid or too old. If you are attempting to keep resources in sync, you must fetch the full dataset "
    "for this query now and use the new sync token for the next sync."
)


def _token(state: State, resource: str, index: int) -> str:
    text = f"{state.random.getrandbits(128):032x}:{len(state.syncs)}"
    state.syncs[text] = (resource, index, state.clock())
    return text


def _since(call: Call, resource: str) -> int:
    """The index the token stands for. Raises Refused (412) with a fresh token when there is none to go by."""
    state, sync = call.state, call.query.get("sync", "")
    kept = state.syncs.get(sync)
    if kept is None or kept[0] != resource or state.clock() - kept[2] > TOKEN_LIFE:
        raise Refused(412, STALE, extra={"sync": _token(state, resource, len(state.events))})
    return kept[1]


def _answer(call: Call, resource: str, indexes: list[int], since: int, most: int) -> Done:
    """A page of what this user may see of them, and the token for what follows."""
    more = len(indexes) > most
    page = indexes[:most]
    following = page[-1] + 1 if more else max(len(call.state.events), since)
    seen = [call.state.events[index] for index in page if _visible(call, call.state.events[index])]
    data = [_shown(call.state, event) for event in seen]
    return Done(200, {"data": data, "sync": _token(call.state, resource, following), "has_more": more})


@route("GET", "/events")
def get_events(call: Call) -> Done:
    resource = call.query.get("resource", "")
    if resource in call.state.tasks:
        call.state.task(resource, call.by, "resource")
    else:
        call.state.project(resource, call.by, "resource")
    since = _since(call, resource)
    stream = call.state.streams.get(resource, [])
    return _answer(call, resource, stream[bisect_left(stream, since) :], since, RESOURCE_MOST)


@route("GET", "/workspaces/{}/events")
def get_workspace_events(call: Call) -> Done:
    resource = call.ids[0]
    if resource not in call.state.workspaces:
        raise Refused(404, f"workspace: Unknown object: {resource}")
    since = _since(call, resource)
    return _answer(call, resource, list(range(since, len(call.state.events))), since, WORKSPACE_MOST)


def _visible(call: Call, event: Event) -> bool:
    """Deleted things are told to everybody; the rest to those who see a project or task it reaches."""
    state = call.state
    projects = [state.projects[gid] for gid in event.reaches if gid in state.projects]
    tasks = [state.tasks[gid] for gid in event.reaches if gid in state.tasks]
    if not projects and not tasks:
        return True
    return any(state.sees(call.by, project) for project in projects) or any(state.sees_task(call.by, task) for task in tasks)


def _shown(state: State, event: Event) -> Record:
    at = event.at.astimezone(UTC)
    shown: dict[str, Any] = {
        "user": {"gid": event.user, "resource_type": "user", "name": state.users[event.user]["name"]},
        "created_at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        "type": event.kind,
        "action": event.action,
        "resource": _named(state, event.kind, event.gid) | ({"resource_subtype": event.subtype} if event.subtype else {}),
        "parent": _named(state, *event.parent) if event.parent else None,
    }
    return shown | ({"change": event.change} if event.change else {})


def _named(state: State, kind: str, gid: str) -> Record:
    tables = {"task": state.tasks, "project": state.projects, "section": state.sections, "workspace": state.workspaces}
    record = tables.get(kind, {}).get(gid, {})
    return {"gid": gid, "resource_type": kind} | ({"name": record["name"]} if "name" in record else {})
