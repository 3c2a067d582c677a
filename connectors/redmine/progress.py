"""What happened in Redmine: which projects were touched, and how far they are."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from connectors.base import Changed, Gone, Locate, Progress, Rejected
from connectors.redmine.api import PAGE, Api, Json
from connectors.redmine.errors import Forbidden

_CLOSED = 5
_VERSION = 1
_BEGINNING = "1970-01-01T00:00:00Z"
_TOP = {"subproject_id": "!*", "parent_id": "!*", "limit": "1"}


async def progress(api: Api, projects: Sequence[str]) -> list[Progress]:
    """Counts of top-level tasks, three calls a project. Archived projects show nothing and count as gone."""
    found = await asyncio.gather(*(_one(api, id_) for id_ in projects))
    return [one for one in found if one is not None]


async def _one(api: Api, id_: str) -> Progress | None:
    try:
        row = await api.get(f"/projects/{id_}.json", "project")
        total, done = await asyncio.gather(_count(api, id_, "*"), _count(api, id_, "closed"))
    except (Gone, Forbidden):
        return None
    return Progress(id_, done, total, completed=row["status"] == _CLOSED)


async def _count(api: Api, project: str, status: str) -> int:
    found = int(await api.get(f"/projects/{project}/issues.json", "total_count", status_id=status, **_TOP))
    if not found and status == "*":
        await api.confirm()  # a refused key is shown no task
    return found


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to when changes were seen, the tasks seen since (id → digest), and the projects that were closed then."""

    since: str = _BEGINNING
    seen: Mapping[str, str] = field(default_factory=dict)
    closed: frozenset[int] = frozenset()

    def text(self) -> str:
        return json.dumps({"v": _VERSION, "since": self.since, "seen": dict(self.seen), "closed": sorted(self.closed)})


def cursor_in(text: str | None) -> Cursor | None:
    """The cursor a text holds; None when it is another version's or none at all."""
    try:
        data = json.loads(text or "")
        if data["v"] == _VERSION:
            return Cursor(data["since"], data["seen"], frozenset(data["closed"]))
    except (ValueError, KeyError, TypeError):
        pass
    return None


async def changes(api: Api, text: str | None, locate: Locate, *, lookback: timedelta) -> Changed:
    """Projects with tasks that were written since, late ones included, and projects closed or opened again. Closing moves no time stamp."""
    cursor = cursor_in(text)
    closed = frozenset(row["id"] for row in await api.every("/projects.json", "projects", status=str(_CLOSED)))
    rows = await _since(api, cursor.since if cursor else await _latest(api, lookback))
    since = max(cursor.since if cursor else _BEGINNING, _before(max((row["updated_on"] for row in rows), default=_BEGINNING), lookback))
    digests = {str(row["id"]): _digest(row) for row in rows}
    recent = {str(row["id"]): digests[str(row["id"])] for row in rows if row["updated_on"] >= since}
    following = Cursor(since, recent, closed).text()
    if cursor is None:
        return Changed(frozenset(), following, complete=False)
    fresh = [row for row in rows if cursor.seen.get(str(row["id"])) != digests[str(row["id"])]]
    return Changed(await _homes(api, fresh, cursor.closed ^ closed, locate), following)


async def _latest(api: Api, lookback: timedelta) -> str:
    """A little before the newest change."""
    rows = await api.get("/issues.json", "issues", status_id="*", sort="updated_on:desc", limit="1")
    return _before(rows[0]["updated_on"], lookback) if rows else _BEGINNING


async def _since(api: Api, since: str) -> list[Json]:
    """Every task written at or after that second. Pages go on from the last time stamp: what is written meanwhile moves to the end."""
    rows: dict[int, Json] = {}
    offset = 0
    while True:
        query = {"status_id": "*", "sort": "updated_on:asc,id:asc", "updated_on": f">={since}", "limit": str(PAGE), "offset": str(offset)}
        page = await api.get("/issues.json", "issues", **query)
        rows |= {row["id"]: row for row in page}
        if len(page) < PAGE:
            if not rows:
                await api.confirm()
            return list(rows.values())
        last = page[-1]["updated_on"]
        since, offset = (last, 0) if last > since else (since, offset + PAGE)


async def _homes(api: Api, rows: Sequence[Json], projects: Iterable[int], locate: Locate) -> frozenset[str]:
    """Identifiers of the projects that tasks are in, besides those given by their numbers."""
    known = locate([str(row["id"]) for row in rows])
    numbers = sorted({row["project"]["id"] for row in rows if str(row["id"]) not in known}.union(projects))
    found = await asyncio.gather(*(_identifier(api, number) for number in numbers))
    return frozenset(known.values()).union(filter(None, found))


async def _identifier(api: Api, number: int) -> str:
    """Empty for a project that is gone or archived."""
    try:
        return str((await api.get(f"/projects/{number}.json", "project"))["identifier"])
    except Rejected:
        return ""


def _digest(row: Json) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _before(stamp: str, lookback: timedelta) -> str:
    moment = datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC)
    return max(_BEGINNING, (moment - lookback).strftime("%Y-%m-%dT%H:%M:%SZ")) if stamp > _BEGINNING else _BEGINNING
