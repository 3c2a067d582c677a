"""What happened in Tryton: which projects were touched, and how far they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.base import Changed, Locate, Progress
from connectors.tryton.rpc import Domain, Row, Rpc
from connectors.tryton.text import is_section
from connectors.tryton.works import DATES, WORK

_LOG = "ir.model.log"
_PAGE = 1000
_DELETED: Domain = [["resource", "like", f"{WORK},%"], ["event", "=", "delete"]]


async def progress(rpc: Rpc, projects: Sequence[str], *, planning: bool) -> list[Progress]:
    """Counts of the tasks right below each project; sections are none. Two calls for all projects together."""
    ids = [int(project) for project in projects]
    due = DATES["due_on"] if planning else "progress"
    heads = {row["id"]: row for row in await rpc.rows(WORK, [["id", "in", ids]], ("progress", due))}
    tasks = await rpc.rows(WORK, [["parent", "in", ids], ["type", "=", "task"]], ("parent", "progress", "number"))
    found = []
    for project in projects:
        if head := heads.get(int(project)):
            own = [_is_done(row) for row in tasks if row["parent"] == head["id"] and not is_section(row["number"])]
            day = head[due] if planning and isinstance(head[due], date) else None
            found.append(Progress(project, sum(own), len(own), completed=_is_done(head), due_on=day))
    return found


def _is_done(row: Row) -> bool:
    return Decimal(str(row["progress"] or 0)) >= 1


async def changes(rpc: Rpc, cursor: str | None, locate: Locate, lookback: timedelta) -> Changed:
    """Projects whose works were made or changed since `cursor`, or deleted.

    What was looked at before is known by id and time, so that looking back for late commits finds nothing twice. A position that cannot be
    read, or that lies ahead of all there is (an older database was put back), says that every project may have changed.
    """
    position = _parsed(cursor)
    newest = await _newest(rpc, WORK, [])
    if position is None or datetime.fromisoformat(position["at"]) > newest:
        fresh = {"at": newest.isoformat(), "seen": await _seen(rpc, newest - lookback)}
        return Changed(frozenset(), _text(fresh), complete=False)
    start = datetime.fromisoformat(position["at"]) - lookback
    works, gone = await _since(rpc, WORK, [], start), await _since(rpc, _LOG, _DELETED, start)
    known = set(position["seen"])
    projects, lost = await _homes(
        rpc, [row for row in works if _token(row) not in known], bool([r for r in gone if _token(r, "d") not in known])
    )
    moment = max([row["last_modified_at"] for row in works], default=datetime.fromisoformat(position["at"]))
    floor = moment - lookback
    seen = [_token(row, sign) for rows, sign in ((works, ""), (gone, "d")) for row in rows if row["last_modified_at"] >= floor]
    del locate
    return Changed(projects, _text({"at": moment.isoformat(), "seen": seen}), complete=not lost)


async def _homes(rpc: Rpc, works: Sequence[Row], lost: bool) -> tuple[frozenset[str], bool]:
    """The projects on the way from each work to the top. A deleted work does not say where it was."""
    above = {int(id) for row in works for id in str(row["path"] or row["id"]).strip("/").split("/")}
    rows = await rpc.rows(WORK, [["id", "in", sorted(above)], ["type", "=", "project"]], ()) if above else []
    return frozenset(str(row["id"]) for row in rows), lost


async def _newest(rpc: Rpc, model: str, domain: Domain) -> datetime:
    rows = await rpc.rows(model, domain, ("last_modified_at",), order=[["last_modified_at", "DESC"]], limit=1)
    return rows[0]["last_modified_at"] if rows else datetime(2000, 1, 1, tzinfo=UTC)


async def _seen(rpc: Rpc, start: datetime) -> list[str]:
    works, gone = await _since(rpc, WORK, [], start), await _since(rpc, _LOG, _DELETED, start)
    return [*map(_token, works), *(_token(row, "d") for row in gone)]


async def _since(rpc: Rpc, model: str, domain: Domain, start: datetime) -> list[Row]:
    """All rows from that time on, in pages that cannot miss any: each starts behind the last row of the one before."""
    fields = ("last_modified_at", "path") if model == WORK else ("last_modified_at",)
    order, rows = [["last_modified_at", "ASC"], ["id", "ASC"]], list[Row]()
    behind: Domain = ["last_modified_at", ">=", start]
    while True:
        page = await rpc.rows(model, [*domain, behind], fields, order=order, limit=_PAGE)
        rows += page
        if len(page) < _PAGE:
            return rows
        last = page[-1]
        behind = [
            "OR",
            ["last_modified_at", ">", last["last_modified_at"]],
            [["last_modified_at", "=", last["last_modified_at"]], ["id", ">", last["id"]]],
        ]


def _token(row: Row, sign: str = "") -> str:
    return f"{sign}{row['id']}@{row['last_modified_at'].isoformat()}"


def _text(position: dict[str, Any]) -> str:
    return json.dumps({"v": 1, **position}, separators=(",", ":"))


def _parsed(cursor: str | None) -> dict[str, Any] | None:
    try:
        position = json.loads(cursor or "")
        datetime.fromisoformat(position["at"])
        return {"at": position["at"], "seen": list(position["seen"])}
    except (ValueError, KeyError, TypeError):
        return None
