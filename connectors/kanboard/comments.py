"""Comments on tasks. The key is a comment's reference, which only a look at each single comment shows."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.base import ConnectorError, Create, Gone, Rejected, Remote, Update
from connectors.kanboard.connection import Connection
from connectors.kanboard.projects import gone
from connectors.kanboard.rpc import Api, Call, create, is_error, read, update, whole
from connectors.kanboard.shapes import comment
from connectors.kanboard.tasks import Tasks
from connectors.kanboard.text import body, reference

Outcome = Remote | ConnectorError


class Comments:
    def __init__(self, api: Api, connection: Connection, tasks: Tasks) -> None:
        self._api = api
        self._tasks = tasks
        self._author = 0 if connection.is_application else None

    async def make(self, creates: Sequence[Create]) -> list[Outcome]:
        rows = await self._tasks.rows([one.parent for one in creates])
        author = await self._me()
        made = await self._api.run([_creation(one, author) for one in creates if one.parent in rows])
        replies = iter(made)
        return [self._outcome(one, next(replies)) if one.parent in rows else gone(f"task {one.parent}") for one in creates]

    async def find(self, creates: Sequence[Create]) -> list[Remote | Gone | None]:
        tasks = await self._tasks.rows([one.parent for one in creates])
        listed = await self._api.run([read("getAllComments", task_id=int(id)) for id in tasks])
        ids = [row["id"] for rows in listed for row in whole(rows) or ()]
        held = [whole(reply) for reply in await self._api.run([read("getComment", comment_id=id) for id in ids])]
        found = {(str(row["task_id"]), row["reference"]): comment(row) for row in held if row and row["reference"]}
        return [found.get((one.parent, reference(one.item.key))) if one.parent in tasks else gone(f"task {one.parent}") for one in creates]

    async def read(self, ids: Sequence[str]) -> list[Remote | None]:
        replies = await self._api.run([read("getComment", comment_id=int(id)) for id in ids])
        rows = [None if isinstance(reply, Rejected) else whole(reply) for reply in replies]
        return [comment(row) if row and row["reference"] else None for row in rows]

    async def change(self, change: Update) -> Outcome:
        (held,) = await self.read([change.id])
        if held is None:
            return gone(f"comment {change.id}")
        if await self._api.one(update("updateComment", id=int(change.id), content=body(str(change.fields["text"])))) is not True:
            return Rejected(f"Kanboard did not change comment {change.id}; only its author may, and it needs a text", field="text")
        return held

    def _outcome(self, one: Create, made: object) -> Outcome:
        if is_error(made):
            return made
        if not made:
            return Rejected(f"Kanboard did not take the comment {one.item.key}; a comment needs a text", field="text")
        return Remote(str(made), "comment", "", one.item.key)

    async def _me(self) -> int:
        """Who comments: the token's user, or nobody in particular with the application's token."""
        if self._author is None:
            self._author = int((await self._api.one(read("getMe")))["id"])
        return self._author


def _creation(one: Create, author: int) -> Call:
    text = body(str(one.item.fields.get("text") or ""))
    return create("createComment", task_id=int(one.parent), user_id=author, content=text, reference=reference(one.item.key))
