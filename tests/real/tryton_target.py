"""Tryton's projects driven in neutral words, and targets connected to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx

from connectors.base import Runtime
from connectors.tryton import Connection, FieldMap, TrytonTarget
from connectors.tryton.text import is_section
from engine.model import ItemKind
from tests.conformance.source import Clock
from tests.conformance.target import Rig, Trouble
from tests.real.tryton import PASSWORD, Line, Person, Tryton

_WORK, _NOTE = "project.work", "ir.note"
_OLDER = "UPDATE project_work SET create_date = datetime(create_date, '-1 day'), write_date = datetime(write_date, '-1 day')"
_FIELDS = {"name": "name", "notes": "comment", "start_on": "constraint_start_date", "due_on": "constraint_finish_date"}


class TrytonTool:
    unknown = "nobody@elsewhere.test"
    secrets: tuple[str, ...] = (PASSWORD,)

    def __init__(self, server: Tryton, line: Line, person: Person, *, planning: bool = True, fields: dict[str, str] | None = None) -> None:
        self.server, self.line, self.person = server, line, person
        self.known = server.employee
        self.planning = planning
        self.database = "plan" if planning else "crm"
        self.fields = {name: FieldMap(custom_field=field) for name, field in (fields or {}).items()}
        self.clock = Clock()
        self.password = PASSWORD
        server.wipe(self.database)

    def target(self) -> TrytonTarget:
        connection = Connection(
            url=self.server.url, database=self.database, login=self.server.login, password=self.password, planning=self.planning
        )
        runtime = Runtime(clock=self.clock, sleep=self.clock.sleep, transport=self.line)
        return TrytonTarget(connection, fields=self.fields, runtime=runtime)

    # the wire

    def trouble(self, what: Trouble, kind: ItemKind, *, times: int = 1) -> None:
        self.line.faults.clear()
        self.line.fault(self._concerns(kind), what, times=times)

    def _concerns(self, kind: ItemKind) -> Callable[[httpx.Request], bool]:
        def matches(request: httpx.Request) -> bool:
            call = json.loads(request.content)
            name, params = call["method"].removeprefix("model."), call["params"]
            if kind in ("comment", "status"):
                return bool(name == f"{_NOTE}.create")
            if kind == "dependency":
                return bool(name == f"{_WORK}.write" and "predecessors" in params[1])
            if name == f"{_WORK}.create":
                return kind in [_kind(values) for values in params[0]]
            return bool(name == f"{_WORK}.write" and "predecessors" not in params[1]) and kind in [
                _kind(row) for row in self._works(params[0])
            ]

        return matches

    def unplug(self) -> None:
        self.line.cut = True

    def revoke(self) -> None:
        self.line.sessions.clear()
        self.password = "another-secret-password"
        self.secrets = (PASSWORD, self.password)
        with self.server.sql(self.database) as connection:
            connection.execute("DELETE FROM ir_session")

    def forget(self) -> None:
        """An older database is put back."""
        with self.server.sql(self.database) as connection:
            connection.execute(_OLDER)

    async def settle(self) -> None:
        await self.line.settle()

    # what is there

    def _works(self, ids: list[int] | None = None) -> list[dict[str, Any]]:
        domain = [["id", "in", ids]] if ids is not None else []
        fields = ["type", "number", "name", "parent", "sequence", "progress", *(["predecessors"] if self.planning else [])]
        found: list[dict[str, Any]] = self.person.call(
            f"model.{_WORK}.search_read", domain, 0, None, [["sequence", "ASC"], ["id", "ASC"]], fields
        )
        return found

    def count(self, kind: ItemKind) -> int:
        if kind in ("comment", "status"):
            rows = self.person.call(f"model.{_NOTE}.search_read", [], 0, None, None, ["resource"])
            projects = {f"{_WORK},{row['id']}" for row in self._works() if row["type"] == "project"}
            return len([row for row in rows if (row["resource"] in projects) == (kind == "status")])
        return len([row for row in self._works() if _kind(row) == kind])

    def visible(self) -> list[str]:
        return [row["name"] for row in self._works() if row["type"] == "project"]

    def sections(self, project: str) -> list[str]:
        return [row["name"] for row in self._works() if row["parent"] == int(project) and is_section(row["number"])]

    def where(self, task: str) -> tuple[str, str]:
        """The section is the nearest one above, as the list shows it."""
        (own,) = self._works([int(task)])
        above = ""
        for row in self._works():
            if row["id"] == own["id"]:
                break
            if row["parent"] == own["parent"] and is_section(row["number"]):
                above = row["name"]
        return str(own["parent"]), above

    def waits_for(self, task: str) -> set[str]:
        (row,) = self._works([int(task)])
        assert len(row["predecessors"]) == len(set(row["predecessors"]))
        return {str(other) for other in row["predecessors"]}

    # what people do

    def edit(self, kind: ItemKind, id: str, field: str, value: Any) -> None:
        if field == "assignee":
            (row,) = self.person.call(f"model.{_WORK}.read", [int(id)], ["allocations"])
            self.person.call(f"model.{_WORK}.write", [int(id)], {"allocations": [["delete", row["allocations"]]]})
        else:
            self.person.call(f"model.{_WORK}.write", [int(id)], {_FIELDS[field]: value if isinstance(value, str | date) else None})

    def finish(self, task: str) -> None:
        """Tryton finishes a task only when all below it are."""
        below = [row["id"] for row in self._works() if row["parent"] == int(task)]
        for id in [*below, int(task)]:
            self.person.call(f"model.{_WORK}.write", [id], {"progress": 1.0, "status": self._done()})

    def _done(self) -> int:
        return int(self.person.call("model.project.work.status.search", [["progress", "=", 1.0]], 0, 1, None)[0])

    def delete(self, kind: ItemKind, id: str) -> None:
        self.person.call(f"model.{_WORK}.delete", [int(id)])


def _kind(values: dict[str, Any]) -> ItemKind:
    return "project" if values["type"] == "project" else "section" if is_section(values.get("number")) else "task"


def rig(server: Tryton, line: Line, person: Person) -> Rig:
    line.reset()
    tool = TrytonTool(server, line, person)
    return Rig(tool, tool.target)
