"""Dependencies: relations between tasks, of which Redmine holds one for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from connectors.http import Effect
from connectors.redmine.api import Api
from connectors.redmine.errors import Invalid

WAITS = ("blocks", "precedes")


async def wait_for(api: Api, task: str, others: Sequence[str], relation: Literal["blocks", "precedes"]) -> None:
    """Let `task` wait for the others. Safe to repeat."""
    for other in others:
        before = await _dates(api, task) if relation == "precedes" else None
        data = {"issue_to_id": int(task), "relation_type": relation}
        try:
            await api.post(f"/issues/{other}/relations.json", "relation", data, effect=Effect.REPEATABLE)
        except Invalid:
            if other not in await waits_for(api, task):
                raise  # another relation of the two, a circle, a task and its own sub-task
        if before is not None:
            await _put_back(api, task, before)


async def waits_for(api: Api, task: str) -> set[str]:
    """The tasks it waits for."""
    rows = await api.get(f"/issues/{task}/relations.json", "relations")
    return {str(row["issue_id"]) for row in rows if row["relation_type"] in WAITS and str(row["issue_to_id"]) == task}


async def _dates(api: Api, task: str) -> dict[str, Any]:
    row = await api.get(f"/issues/{task}.json", "issue")
    return {name: row.get(name) for name in ("start_date", "due_date")}


async def _put_back(api: Api, task: str, before: dict[str, Any]) -> None:
    """`precedes` moves a task right behind the other one. One that was to begin later is put back; one that began too early stays moved."""
    start = (await _dates(api, task))["start_date"]
    if before["start_date"] and start and start < before["start_date"]:
        await api.put(f"/issues/{task}.json", "issue", before)
