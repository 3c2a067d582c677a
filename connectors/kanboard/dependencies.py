"""Dependencies are links between tasks. Kanboard takes any, circles and a task that waits for itself included; those are refused here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.base import ConnectorError, Create, Gone, Rejected, Remote
from connectors.kanboard.connection import Connection
from connectors.kanboard.projects import gone
from connectors.kanboard.rpc import Api, again, read, whole
from connectors.kanboard.shapes import Shapes
from connectors.kanboard.site import Site
from connectors.kanboard.tasks import Tasks

Outcome = Remote | ConnectorError


class Dependencies:
    def __init__(self, api: Api, connection: Connection, site: Site, shapes: Shapes, tasks: Tasks) -> None:
        self._api = api
        self._label = connection.waits_for
        self._site = site
        self._shapes = shapes
        self._tasks = tasks

    async def make(self, creates: Sequence[Create]) -> list[Outcome]:
        rows = await self._tasks.rows([id for one in creates for id in (one.parent, *one.depends_on)])
        waits: dict[str, set[str]] = {}
        return [await self._one(one, frozenset(rows), waits) for one in creates]

    async def find(self, creates: Sequence[Create]) -> list[Remote | Gone | None]:
        waits = await self._waits([one.parent for one in creates])
        return [self._remote(one) if waits[one.parent].issuperset(one.depends_on) else None for one in creates]

    async def _one(self, one: Create, there: frozenset[str], waits: dict[str, set[str]]) -> Outcome:
        missing = [id for id in (one.parent, *one.depends_on) if id not in there]
        if missing:
            return gone(f"task {missing[0]}, which {one.item.key} links,")
        try:
            if await self._reaches(one.depends_on, one.parent, waits):
                return Rejected(f"task {one.parent} would wait for itself, in a circle; take one of the links away", field="depends_on")
            return await self._linked(one, waits)
        except ConnectorError as error:
            return error

    async def _linked(self, one: Create, waits: dict[str, set[str]]) -> Outcome:
        known = waits.setdefault(one.parent, (await self._waits([one.parent]))[one.parent])
        wanted = [id for id in one.depends_on if id not in known]
        ends = [{"task_id": int(one.parent), "opposite_task_id": int(id)} for id in wanted]
        replies = await self._api.run([again("createTaskLink", **end, link_id=self._site.link(self._label)) for end in ends])
        for reply in replies:
            whole(reply)
        if not all(replies):  # a duplicate is refused, and is what was wanted
            known |= (await self._waits([one.parent]))[one.parent]
            if not known.issuperset(wanted):
                return Rejected(f"Kanboard did not link task {one.parent} to {', '.join(wanted)}, and does not say why")
        known |= set(wanted)
        return self._remote(one)

    async def _reaches(self, start: Sequence[str], goal: str, waits: dict[str, set[str]]) -> bool:
        """Whether `goal` is among these or what they wait for, however far."""
        seen: set[str] = set()
        ahead = set(start)
        while ahead and goal not in ahead:
            seen |= ahead
            if asked := sorted(ahead - waits.keys()):
                waits |= await self._waits(asked)
            ahead = set().union(*(waits[id] for id in ahead)) - seen
        return goal in ahead

    async def _waits(self, ids: Sequence[str]) -> Mapping[str, set[str]]:
        """What each of these waits for."""
        wanted = list(dict.fromkeys(ids))
        replies = await self._api.run([read("getAllTaskLinks", task_id=int(id)) for id in wanted])
        return {
            id: {str(row["task_id"]) for row in whole(reply) or () if row["label"] == self._label}
            for id, reply in zip(wanted, replies, strict=True)
        }

    def _remote(self, one: Create) -> Remote:
        return Remote(one.parent, "dependency", self._shapes.address("task", one.parent), one.item.key)
