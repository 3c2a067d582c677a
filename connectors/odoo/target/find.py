"""Looking for what lost creates made: by external id, comments by their text. A listing shows at once what was committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import Conflict, Create, Gone, Remote
from connectors.odoo.errors import SYSTEM
from connectors.odoo.rpc import Row, Rpc
from connectors.odoo.target.fields import MODELS
from connectors.odoo.target.keys import external_id, externals
from connectors.odoo.target.shapes import Shapes
from connectors.odoo.target.text import markup, normal
from engine.model import ItemKind

Found = Remote | Conflict | Gone | None


class Finder:
    """One listing answers all creates of a kind."""

    def __init__(self, rpc: Rpc, shapes: Shapes) -> None:
        self._rpc = rpc
        self._shapes = shapes

    async def find(self, creates: Sequence[Create]) -> list[Found]:
        found: dict[int, Found] = {}
        for kind in {create.item.kind for create in creates}:
            ours = {at: create for at, create in enumerate(creates) if create.item.kind == kind}
            found |= dict(zip(ours, await self._of(kind, list(ours.values())), strict=True))
        gone = await self._gone({create.project for at, create in enumerate(creates) if found[at] is None and create.project})
        nowhere = Gone("the project it would be in is not there any more", system=SYSTEM)
        return [nowhere if found[at] is None and create.project in gone else found[at] for at, create in enumerate(creates)]

    async def _gone(self, projects: set[str]) -> set[str]:
        if not projects:
            return set()
        rows = await self._rpc.search_read("project.project", [["id", "in", list(map(int, projects))]], ["id"])
        return projects - {str(row["id"]) for row in rows}

    async def _of(self, kind: ItemKind, creates: Sequence[Create]) -> list[Found]:
        if kind == "comment":
            return await self._comments(creates)
        if kind == "dependency":
            return await self._dependencies(creates)
        inside = sorted({int(create.project or create.parent) for create in creates}) if kind != "project" else []
        scope = {"section": "project_ids", "task": "project_id", "status": "project_id"}
        rows = await self._rpc.search_read(MODELS[kind], [[scope[kind], "in", inside]] if inside else [], ["id"])
        known = {external: id for id, external in (await externals(self._rpc, MODELS[kind], (row["id"] for row in rows))).items()}
        return [self._found(kind, create, known.get(external_id(create.item.key))) for create in creates]

    def _found(self, kind: ItemKind, create: Create, id: int | None) -> Found:
        return Remote(str(id), kind, self._shapes.url(kind, {"id": id}), create.item.key) if id else None

    async def _comments(self, creates: Sequence[Create]) -> list[Found]:
        """Equal texts are one text: which of two equal comments is ours makes no difference."""
        tasks = sorted({int(create.parent) for create in creates})
        inside: list[Any] = [["model", "=", "project.task"], ["res_id", "in", tasks], ["message_type", "=", "comment"]]
        rows = await self._rpc.search_read("mail.message", inside, ["body", "res_id"], order="id")
        said = {(row["res_id"], normal(str(row["body"] or ""))): str(row["id"]) for row in reversed(rows)}
        wanted = [said.get((int(create.parent), normal(markup(create.item.fields.get("text"))))) for create in creates]
        return [Remote(id, "comment") if id else None for id in wanted]

    async def _dependencies(self, creates: Sequence[Create]) -> list[Found]:
        tasks = sorted({int(create.parent) for create in creates})
        rows: list[Row] = await self._rpc.search_read("project.task", [["id", "in", tasks]], ["depend_on_ids"])
        waits: Mapping[str, set[str]] = {str(row["id"]): set(map(str, row["depend_on_ids"])) for row in rows}
        return [
            Remote(create.parent, "dependency")
            if waits.get(create.parent, set()).issuperset(create.depends_on) and create.parent in waits
            else None
            for create in creates
        ]
