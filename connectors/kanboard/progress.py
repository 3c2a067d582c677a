"""How far projects are, and which have moved on.

A project's row says when one of its tasks was last made, edited, moved, closed or opened: one listing tells which to look at. Those are
compared by their tasks and what is done, so that neither a time stamp nor the echo of our own writes makes noise. A second holds many changes,
and a write may be stamped before it is seen: whoever was touched in the last minute before the previous look is looked at again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from connectors.base import Changed, Progress, Rejected
from connectors.kanboard.connection import Connection
from connectors.kanboard.rpc import Api, Call, Json, read, whole
from connectors.kanboard.text import is_identifier

_OVERLAP = 60
_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a look ended: the newest stamp, and per project what its row and, if it was looked at, its progress said."""

    newest: int
    rows: Mapping[str, str]
    seen: Mapping[str, str]

    def __str__(self) -> str:
        return json.dumps({"v": _VERSION, "newest": self.newest, "rows": self.rows, "seen": self.seen}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _View:
    """A project as it stands: its row, its tasks, and the ids of those that are part of another."""

    id: str
    row: Json
    tasks: Sequence[Json]
    parts: frozenset[int]

    def progress(self) -> Progress:
        upper = [task for task in self.tasks if task["id"] not in self.parts]
        done = sum(not task["is_active"] for task in upper)
        return Progress(self.id, done, len(upper), None, not self.row["is_active"], _facts(self.row)[1])

    def digest(self) -> str:
        return _digest(sorted((task["id"], task["is_active"], task["id"] in self.parts) for task in self.tasks))


async def progress(api: Api, connection: Connection, projects: Sequence[str]) -> list[Progress]:
    """Counts of the tasks that are not part of another. What is gone is left out."""
    return [view.progress() for view in await _views(api, connection, projects)]


async def changes(api: Api, connection: Connection, cursor: str | None) -> Changed:
    """The projects of ours whose progress is another than at the last look."""
    ours = {str(row["id"]): row for row in await api.one(read("getAllProjects")) or () if is_identifier(row["identifier"])}
    before = _parsed(cursor)
    newest = max([before.newest if before else 0, *(row["last_modified"] for row in ours.values())])
    since = (before.newest if before else newest) - _OVERLAP
    recent = [id for id, row in ours.items() if row["last_modified"] >= since]
    seen = {view.id: view.digest() for view in await _views(api, connection, recent)}
    rows = {id: _digest(_facts(row)) for id, row in ours.items()}
    after = str(_Cursor(newest, rows, seen))
    if before is None:
        return Changed(frozenset(), after, complete=False)
    touched = {id for id, digest in seen.items() if before.seen.get(id) != digest}
    return Changed(frozenset(touched | {id for id, digest in rows.items() if before.rows.get(id) != digest}), after)


async def _views(api: Api, connection: Connection, projects: Sequence[str]) -> list[_View]:
    replies = iter(await api.run([call for id in projects for call in _calls(int(id), connection.part_of)]))
    views: list[_View] = []
    for id in projects:
        row, tasks, parts = next(replies), next(replies), next(replies)
        if not isinstance(row, Rejected) and whole(row) and is_identifier(row["identifier"]):
            views.append(_View(id, row, whole(tasks) or (), frozenset(part["id"] for part in whole(parts) or ())))
    return views


def _calls(id: int, part_of: str) -> tuple[Call, Call, Call]:
    everything, parts = "status:all", f'status:all link:"{part_of}"'
    return (
        read("getProjectById", project_id=id),
        read("searchTasks", project_id=id, query=everything),
        read("searchTasks", project_id=id, query=parts),
    )


def _facts(row: Json) -> tuple[int, date | None]:
    """What a project's own row says of its progress; changing it leaves no stamp."""
    end = str(row["end_date"] or "")
    try:
        return row["is_active"], date.fromisoformat(end) if end else None
    except ValueError:
        return row["is_active"], None


def _digest(value: object) -> str:
    return sha256(repr(value).encode()).hexdigest()[:8]


def _parsed(cursor: str | None) -> _Cursor | None:
    """None for no cursor, or one of another version: everything may have changed."""
    try:
        held = json.loads(cursor or "")
        return _Cursor(int(held["newest"]), held["rows"], held["seen"]) if held["v"] == _VERSION else None
    except (ValueError, KeyError, TypeError):
        return None
