"""Sections are columns. Each of ours has its key for a description; those a project is born with make room for the first of ours."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from connectors.base import ConnectorError, Create, Gone, Rejected, Remote, Transient, Update
from connectors.http import Effect
from connectors.kanboard.projects import Head, gone
from connectors.kanboard.rpc import Api, Call, Json, create, is_error, read, update, whole
from connectors.kanboard.shapes import Shapes, mark, mark_of
from connectors.kanboard.text import LONGEST_COLUMN, line, title

Outcome = Remote | ConnectorError


class Columns:
    def __init__(self, api: Api, shapes: Shapes) -> None:
        self._api = api
        self._shapes = shapes
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def make(self, head: Head, creates: Sequence[Create]) -> list[Outcome]:
        """In the order given. After an outcome that is not final the rest is not tried: made later, they still come in order."""
        async with self._locks[head.id]:
            outcomes: list[Outcome] = []
            stop: ConnectorError | None = None
            for one in creates:
                outcome = stop or await self._outcome(head, one)
                outcomes.append(outcome)
                if stop is None and isinstance(outcome, ConnectorError) and not isinstance(outcome, Rejected):
                    stop = Transient("not tried: the section before it is not there yet", system=self._api.http.system)
            return outcomes

    async def find(self, creates: Sequence[Create]) -> list[Remote | Gone | None]:
        """All in one project, by the key a column carries."""
        columns = whole(await self._api.one(read("getColumns", project_id=int(creates[0].project))))
        return [self._match(one, columns) for one in creates]

    async def change(self, change: Update) -> Outcome:
        column = await self._api.one(read("getColumn", column_id=int(change.id)))
        if not column or not mark_of(column):
            return gone(f"column {change.id}")
        name = title(str(change.fields["name"]), LONGEST_COLUMN)
        kept = {"task_limit": column["task_limit"], "description": column["description"]}
        if await self._api.one(update("updateColumn", column_id=column["id"], title=name, **kept)) is not True:
            return Rejected(f"Kanboard did not call the column {name!r}; another column of the project may have that name", field="name")
        return self._shapes.section(column)

    async def _outcome(self, head: Head, one: Create) -> Outcome:
        try:
            return await self._one(head, one)
        except ConnectorError as error:
            return error

    async def _one(self, head: Head, one: Create) -> Outcome:
        columns = await self._api.one(read("getColumns", project_id=head.id)) or []
        if there := self._match(one, columns):
            return there
        born = [] if head.published else [column for column in columns if not mark_of(column)]
        replies = await self._api.run(_calls(head.id, one, born))
        made = replies[-1]
        if is_error(made):
            raise made
        if not made:
            return await self._refused(head, one)
        return self._remote(one, born[0]["id"] if born else made)

    async def _refused(self, head: Head, one: Create) -> Outcome:
        """Names are unique in a project: a column of somebody else that has this one is it."""
        name = line(str(one.item.fields["name"]), LONGEST_COLUMN)
        for column in await self._api.one(read("getColumns", project_id=head.id)) or ():
            if line(str(column["title"])) == name and mark_of(column) in ("", one.item.key):
                return self._remote(one, column["id"])
        return Rejected(f"Kanboard did not make the column {name!r}; another section of the project may have that name", field="name")

    def _match(self, one: Create, columns: Sequence[Json]) -> Remote | None:
        found = next((column for column in columns if mark_of(column) == one.item.key), None)
        return self._remote(one, found["id"]) if found else None

    def _remote(self, one: Create, id: int) -> Remote:
        return Remote(str(id), "section", self._shapes.address("section", one.project), one.item.key)


def _calls(project: int, one: Create, born: Sequence[Json]) -> list[Call]:
    """One request. All but the first of the columns a project is born with go before that one gets its name, which may be one of theirs."""
    name, description = title(str(one.item.fields["name"]), LONGEST_COLUMN), mark(one.item.key)
    if not born:
        return [create("addColumn", project_id=project, title=name, description=description)]
    first, *others = born
    # Whether a section is there whose answer was lost is settled as for any other, though this one is renamed.
    adopt = Call("updateColumn", {"column_id": first["id"], "title": name, "description": description}, Effect.CREATE)
    return [*(update("removeColumn", column_id=column["id"]) for column in others), adopt]
