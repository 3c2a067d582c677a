"""What happened in Asana: which projects were touched, and how far they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from connectors.asana.batch import Action, Api, Json, get, whole
from connectors.asana.errors import StaleSync
from connectors.base import Changed, ConnectorError, Gone, Locate, Progress, Rejected
from connectors.http import Effect
from engine.model import ProjectStatus

_STATUSES: dict[str, ProjectStatus] = {
    "on_track": "on_track",
    "at_risk": "at_risk",
    "off_track": "off_track",
    "on_hold": "on_hold",
    "complete": "complete",
    "dropped": "dropped",
}
_PROJECT = ("archived", "completed", "due_on", "current_status_update.status_type")
_HOME = {"task": ("projects", "parent"), "section": ("project",), "story": ("target",), "status_update": ("parent",)}
_PATH = {"task": "/tasks", "section": "/sections", "story": "/stories", "status_update": "/status_updates"}
_DEEPEST = 8
Thing = tuple[str, str]  # resource type, gid


async def progress(api: Api, projects: Sequence[str]) -> list[Progress]:
    """Counts of top-level tasks. Two calls a project, and one more for every further hundred tasks."""
    heads = await api.run([get(f"/projects/{gid}", _PROJECT) for gid in projects])
    pages = await api.run([get(f"/projects/{gid}/tasks", ("completed",), limit=100) for gid in projects])
    found = [await _one(api, *row) for row in zip(projects, heads, pages, strict=True)]
    return [one for one in found if one is not None]


async def _one(api: Api, gid: str, head: Json | ConnectorError, page: Json | ConnectorError) -> Progress | None:
    if isinstance(head, Gone) or isinstance(page, Gone):
        return None
    project, first = whole(head)["data"], whole(page)
    tasks = await api.every(f"/projects/{gid}/tasks", ("completed",)) if first.get("next_page") else first["data"]
    status = _STATUSES.get((project.get("current_status_update") or {}).get("status_type") or "")
    due = date.fromisoformat(project["due_on"]) if project.get("due_on") else None
    done, completed = sum(bool(task.get("completed")) for task in tasks), bool(project.get("completed"))
    return Progress(gid, done, len(tasks), status, completed, due, bool(project.get("archived")))


async def changes(api: Api, workspace: str, cursor: str | None, locate: Locate) -> Changed:
    """Projects touched since `cursor`. Asana is asked only about what `locate` does not know.

    Where Asana's memory or plan does not reach, every project may have changed.
    """
    events: list[Json] = []
    while True:
        try:
            page = await api.one(Action("GET", f"/workspaces/{workspace}/events", Effect.READ, {"sync": cursor} if cursor else {}))
        except StaleSync as stale:
            return Changed(frozenset(), stale.sync, complete=False)
        except Rejected:
            return Changed(frozenset(), "", complete=False)
        events += page["data"]
        cursor = str(page.get("sync") or cursor or "")
        if not page.get("has_more"):
            break
    projects, lost = await _homes(api, events, locate)
    return Changed(projects, cursor, complete=not lost)


async def _homes(api: Api, events: Sequence[Json], locate: Locate) -> tuple[frozenset[str], bool]:
    """The projects that events belong to, and whether one of them could not be told."""
    projects: set[str] = set()
    open_, seen, lost = set[Thing](), set[Thing](), False
    for event in events:
        resource, parent = _thing(event.get("resource")), _thing(event.get("parent"))
        _sort([thing for thing in (resource,) if thing and thing[0] == "project"], projects, open_)
        _sort([thing for thing in (parent or resource,) if thing], projects, open_)
    for _ in range(_DEEPEST):
        asked = sorted(open_ - seen)
        if not asked:
            break
        seen |= open_
        open_ = set()
        known = locate([gid for _, gid in asked])
        projects.update(known.values())
        asked = [(kind, gid) for kind, gid in asked if gid not in known]
        replies = await api.run([get(f"{_PATH[kind]}/{gid}", _ask(kind)) for kind, gid in asked])
        for (kind, _), reply in zip(asked, replies, strict=True):
            if isinstance(reply, Rejected):
                lost = lost or kind == "task"  # gone: nobody can say in which project it was
            elif isinstance(reply, ConnectorError):
                raise reply
            else:
                _sort(_parents(kind, reply["data"]), projects, open_)
    return frozenset(projects), lost


def _ask(kind: str) -> tuple[str, ...]:
    return tuple(f"{field}.{part}" for field in _HOME[kind] for part in ("gid", "resource_type"))


def _parents(kind: str, row: Json) -> Iterable[Thing]:
    """A task is at home in its projects; only a sub-task without any is at home where its parent is."""
    for field in _HOME[kind]:
        value: Any = row.get(field)
        things = [thing for one in (value if isinstance(value, list) else [value]) if (thing := _thing(one, _GUESS.get(field, "")))]
        if things:
            return things
    return ()


_GUESS = {"projects": "project", "project": "project", "parent": "task", "target": "task"}


def _thing(value: Any, guess: str = "") -> Thing | None:
    return (str(value.get("resource_type") or guess), str(value["gid"])) if isinstance(value, dict) and value.get("gid") else None


def _sort(things: Iterable[Thing], projects: set[str], open_: set[Thing]) -> None:
    for kind, gid in things:
        if kind == "project":
            projects.add(gid)
        elif kind in _HOME:
            open_.add((kind, gid))
