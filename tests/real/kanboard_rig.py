"""A real Kanboard driven in neutral words, by the hand of somebody else than the connector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import httpx

from connectors.base import Runtime
from connectors.kanboard import Connection, FieldMap, KanboardTarget
from engine.model import ItemKind
from tests.conformance.source import Clock
from tests.conformance.target import Trouble
from tests.real.kanboard import Kanboard
from tests.real.wire import Wire

METHODS: Mapping[ItemKind, frozenset[str]] = {
    "project": frozenset({"createProject", "updateProject"}),
    "section": frozenset({"addColumn", "updateColumn"}),
    "task": frozenset({"createTask", "updateTask"}),
    "dependency": frozenset({"createTaskLink"}),
    "comment": frozenset({"createComment", "updateComment"}),
}


def called(request: httpx.Request) -> list[str]:
    """The procedures a request asks for, in order."""
    body = json.loads(request.content)
    return [call["method"] for call in (body if isinstance(body, list) else [body])]


class KanboardTool:
    """See `tests.conformance.target.Tool`."""

    unknown = "nobody@elsewhere.test"

    def __init__(self, server: Kanboard, fields: Mapping[str, FieldMap] | None = None, **connection: Any) -> None:
        server.wipe()
        self.server = server
        self.known = server.known
        self.token = server.token
        self.secrets: tuple[str, ...] = (server.token,)
        self.wire = Wire()
        self.clock = Clock(datetime.now(UTC))
        self.fields = fields or {}
        self.connection = connection

    def target(self) -> KanboardTarget:
        given = {"url": self.server.url, "token": self.token, **self.connection}
        runtime = Runtime(clock=self.clock, sleep=self.clock.sleep, transport=self.wire)
        return KanboardTarget(Connection(**given), fields=self.fields, runtime=runtime)

    # what goes wrong

    def trouble(self, what: Trouble, kind: ItemKind, *, times: int = 1) -> None:
        self.wire.faults = []
        self.wire.fault(lambda request: not METHODS[kind].isdisjoint(called(request)), what, times=times)

    def unplug(self) -> None:
        self.wire.cut = True

    def revoke(self) -> None:
        self.token = "a-token-of-somebody-else"
        self.secrets = (self.server.token, self.token)

    def forget(self) -> None:
        raise NotImplementedError("a Kanboard forgets nothing")

    async def settle(self) -> None:
        await self.wire.settle()

    # what is there

    def count(self, kind: ItemKind) -> int:
        counts = {
            "project": "select count(*) from projects",
            "section": "select count(*) from columns where description like 'handoff:%'",
            "task": "select count(*) from tasks",
            "comment": "select count(*) from comments",
        }
        return int(self.server.rows(counts[kind])[0][0])

    def visible(self) -> list[str]:
        return [row["name"] for row in self.server.rows("select distinct name from seen order by rowid")]

    def sections(self, project: str) -> list[str]:
        return [column["title"] for column in self.server.call("getColumns", project_id=int(project))]

    def where(self, task: str) -> tuple[str, str]:
        row = self.server.call("getTask", task_id=int(task))
        return str(row["project_id"]), self.server.call("getColumn", column_id=row["column_id"])["title"]

    def waits_for(self, task: str) -> set[str]:
        links = self.server.call("getAllTaskLinks", task_id=int(task))
        assert len({link["task_id"] for link in links}) == len(links)
        return {str(link["task_id"]) for link in links if link["label"] == "is blocked by"}

    # what people do

    def edit(self, kind: ItemKind, id: str, field: str, value: Any) -> None:
        """As a person would. One who takes a task from whom it is for, before its project is published, takes away the note of it."""
        if field == "assignee":
            user = next((row["id"] for row in self.server.call("getAllUsers") if value and row["email"] == value), 0)
            changed: dict[str, Any] = {"owner_id": user, "recurrence_factor": 0}
        else:
            theirs = {"name": "title", "notes": "description", "due_on": "date_due", "start_on": "date_started"}[field]
            changed = {theirs: f"{value.isoformat()} 23:15" if isinstance(value, date) else value}
        assert self.server.call("updateTask", id=int(id), **changed) is True

    def finish(self, task: str) -> None:
        assert self.server.call("closeTask", task_id=int(task)) is True

    def delete(self, kind: ItemKind, id: str) -> None:
        if kind == "task":
            assert self.server.call("removeTask", task_id=int(id)) is True
        else:
            assert self.server.call("removeProject", project_id=int(id)) is True
