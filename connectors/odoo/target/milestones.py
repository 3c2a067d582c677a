"""A task that is a milestone belongs to a milestone of Odoo's, with its name and its day: that is what Odoo shows on the project's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import ConnectorError, Create, Update
from connectors.http import Effect
from connectors.odoo.rpc import Rpc
from connectors.odoo.target.keys import externals, key_of, milestone_id
from connectors.odoo.target.load import Draft, Loader
from connectors.odoo.target.text import title
from connectors.odoo.target.values import Days, Ref

_MODEL = "project.milestone"


class Milestones:
    def __init__(self, rpc: Rpc, loader: Loader, days: Days) -> None:
        self._rpc = rpc
        self._loader = loader
        self._days = days

    async def of_creates(self, creates: Sequence[Create]) -> Mapping[int, int | ConnectorError]:
        """For each create that is a milestone, by its place: the id of its milestone, made where it is not there."""
        wanted = {at: create for at, create in enumerate(creates) if create.item.fields.get("milestone")}
        drafts = [_draft(create.item.key, create.project, create.item.fields) for create in wanted.values()]
        return dict(zip(wanted, await self._make(drafts), strict=True)) if drafts else {}

    async def of_update(self, update: Update) -> dict[str, Any]:
        """What the task's own update must set besides. A milestone of ours takes the task's new name and day."""
        if update.kind != "task" or not update.fields.keys() & {"milestone", "name", "due_on"}:
            return {}
        found = await self._rpc.search_read(
            "project.task", [["id", "=", int(update.id)]], ["name", "date_deadline", "project_id", "milestone_id"]
        )
        if not found:
            return {}
        key = key_of((await externals(self._rpc, "project.task", [found[0]["id"]])).get(found[0]["id"], ""))
        held = {"name": found[0]["name"], "due_on": self._days.day(found[0]["date_deadline"])}
        fields = {**held, **update.fields}
        if fields.get("milestone") and key:
            (made,) = await self._make([_draft(key, str(found[0]["project_id"]), fields)])
            if isinstance(made, ConnectorError):
                raise made
            await self._keep(made, fields)
            return {"milestone_id": Ref(made)}
        if fields.get("milestone") is False:
            return {"milestone_id": Ref(0)}
        stone = found[0]["milestone_id"]
        if stone and key and (await externals(self._rpc, _MODEL, [stone])).get(stone) == milestone_id(key):
            await self._keep(stone, fields)
        return {}

    async def _keep(self, stone: int, fields: Mapping[str, Any]) -> None:
        await self._rpc.call(_MODEL, "write", effect=Effect.UPDATE, ids=[stone], vals=_values(fields))

    async def _make(self, drafts: Sequence[Draft]) -> list[int | ConnectorError]:
        return await self._loader.load(_MODEL, drafts, effect=Effect.REPEATABLE)


def _values(fields: Mapping[str, Any]) -> dict[str, Any]:
    due = fields.get("due_on")
    return {"name": title(fields.get("name")), "deadline": due.isoformat() if due else False}


def _draft(key: str, project: str, fields: Mapping[str, Any]) -> Draft:
    values = _values(fields)
    return Draft(milestone_id(key), {"name": values["name"], "deadline": values["deadline"] or None, "project_id": Ref(int(project))})
