"""What happened in Odoo: which projects were touched, by the time stamps of their records, and how far they are.

A stamp is the moment a transaction began, cut to the second, so each look goes back a little and knows what it has seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2s
from typing import Any

from connectors.base import Changed, Progress
from connectors.odoo.rpc import Row, Rpc
from connectors.odoo.target.shapes import STATUSES
from connectors.odoo.target.values import Days
from engine.model import ProjectStatus

_VERSION = 1
_DONE = frozenset({"1_done", "1_canceled"})
# What is watched, the field that leads to the project, and what tells one state of a record from the next within a second.
_WATCHED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "project.project": ("id", ("write_date", "active", "last_update_status", "date", "name")),
    "project.task": ("project_id", ("write_date", "active", "state", "stage_id", "parent_id", "project_id", "date_deadline", "name")),
    "project.update": ("project_id", ("write_date", "status", "project_id")),
}


async def changes(rpc: Rpc, cursor: str | None, overlap: timedelta) -> Changed:
    """Projects touched since `cursor`. Every one may have changed when there is none, or when the database was put back to an earlier day."""
    then = _read(cursor)
    newest = await _newest(rpc)
    if then is None or newest < _before(then["until"], overlap):
        seen = {name for name, _ in await _rows(rpc, newest, overlap)}
        return Changed(frozenset(), _cursor(newest, seen), complete=False)
    rows = await _rows(rpc, then["until"], overlap)
    known = set(then["seen"])
    projects = {project for name, project in rows if name not in known and project}
    since = _before(newest, overlap)
    return Changed(frozenset(projects), _cursor(newest, {name for name, _ in rows if name.partition("|")[0] >= since}))


async def _newest(rpc: Rpc) -> str:
    stamps = [await rpc.search_read(model, [], ["write_date"], order="write_date desc", limit=1) for model in _WATCHED]
    return max((str(row["write_date"]) for rows in stamps for row in rows), default="1970-01-01 00:00:00")


async def _rows(rpc: Rpc, until: str, overlap: timedelta) -> list[tuple[str, str]]:
    """What a look sees: a name for each record's state, which begins with its stamp, and the project it is part of."""
    since = ["write_date", ">=", _before(until, overlap)]
    found: list[tuple[str, str]] = []
    for model, (home, fields) in _WATCHED.items():
        for row in await rpc.search_read(model, [since], list(fields)):
            found.append((_name(model, row), str(row[home] or "")))
    return found


def _name(model: str, row: Row) -> str:
    digest = blake2s(json.dumps([model, sorted(row.items())], default=str).encode(), digest_size=9).hexdigest()
    return f"{row['write_date']}|{digest}"


def _before(stamp: str, overlap: timedelta) -> str:
    return str(datetime.fromisoformat(stamp) - overlap)


def _cursor(until: str, seen: Iterable[str]) -> str:
    return json.dumps({"version": _VERSION, "until": until, "seen": sorted(seen)})


def _read(cursor: str | None) -> dict[str, Any] | None:
    try:
        then = json.loads(cursor or "")
    except ValueError:
        return None
    return then if isinstance(then, dict) and then.get("version") == _VERSION else None


async def progress(rpc: Rpc, days: Days, projects: Sequence[str]) -> list[Progress]:
    """Counts of top-level tasks, in two calls. Archived tasks do not count, but those that are archived with their project do."""
    ids = list(map(int, projects))
    heads = await rpc.search_read("project.project", [["id", "in", ids]], ["active", "date", "last_update_status"])
    tasks = await rpc.search_read("project.task", [["project_id", "in", ids], ["parent_id", "=", False]], ["project_id", "state", "active"])
    by_id = {str(head["id"]): head for head in heads}
    return [
        _one(days, by_id[project], [task for task in tasks if str(task["project_id"]) == project])
        for project in projects
        if project in by_id
    ]


def _one(days: Days, head: Row, tasks: Sequence[Row]) -> Progress:
    counted = [task for task in tasks if task["active"] or not head["active"]]
    status: ProjectStatus | None = STATUSES.get(str(head["last_update_status"]))  # type: ignore[assignment]
    done = sum(task["state"] in _DONE for task in counted)
    return Progress(str(head["id"]), done, len(counted), status, status == "complete", days.day(head["date"]), archived=not head["active"])
