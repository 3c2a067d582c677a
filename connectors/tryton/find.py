"""Looking for what lost creates made. A search sees what is committed at once; works are found by their number, notes by their text."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.base import Conflict, Create, Gone, Remote
from connectors.tryton.errors import SYSTEM
from connectors.tryton.rpc import Rpc
from connectors.tryton.text import normal, number
from connectors.tryton.works import NOTE, WORK, note

Found = Remote | Conflict | Gone | None


async def find(rpc: Rpc, creates: Sequence[Create]) -> list[Found]:
    """In the order of the creates, in at most four calls."""
    works = {_number(create) for create in creates if create.item.kind in ("project", "section", "task")}
    resources = {_resource(create) for create in creates if create.item.kind in ("comment", "status")}
    waiting = {int(create.parent) for create in creates if create.item.kind == "dependency"}
    homes = {int(id) for create in creates for id in (create.project, create.parent) if id}
    by_number = {row["number"]: row["id"] for row in await rpc.rows(WORK, [["number", "in", sorted(works)]], ("number",))} if works else {}
    notes = await rpc.rows(NOTE, [["resource", "in", sorted(resources)]], ("resource", "message")) if resources else []
    texts = {(row["resource"], normal(row["message"] or "")): row["id"] for row in notes}
    waits = (
        {row["id"]: set(row["predecessors"]) for row in await rpc.rows(WORK, [["id", "in", sorted(waiting)]], ("predecessors",))}
        if waiting
        else {}
    )
    there = {row["id"] for row in await rpc.rows(WORK, [["id", "in", sorted(homes)]], ())} if homes else set()

    def one(create: Create) -> Found:
        kind = create.item.kind
        match kind:
            case "dependency":
                found = int(create.parent) if {int(other) for other in create.depends_on} <= waits.get(int(create.parent), set()) else None
            case "comment" | "status":
                found = texts.get((_resource(create), normal(note(create.item))))
            case _:
                found = by_number.get(_number(create))
        if found is not None:
            url = rpc.connection.address(WORK, found) if kind in ("project", "section", "task") else ""
            return Remote(str(found), kind, url, create.item.key)
        lost = [id for id in (create.project, create.parent) if id and int(id) not in there]
        return Gone(f"the work {lost[0]} it would be in is not there any more", system=SYSTEM) if lost else None

    return [one(create) for create in creates]


def _number(create: Create) -> str:
    return number(create.item.key, section=create.item.kind == "section")


def _resource(create: Create) -> str:
    return f"{WORK},{int(create.parent or create.project)}"
