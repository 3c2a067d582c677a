"""Redmine's side of the conformance suite: the real server, emptied for each test, driven as a person would, with faults on the wire."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import httpx

from connectors.base import Runtime
from connectors.redmine import Connection, FieldMap, RedmineTarget
from engine.model import ItemKind
from tests.conformance.source import Clock
from tests.conformance.target import Trouble
from tests.real.redmine import Redmine
from tests.real.wire import Fault, Wire

FIELDS = {
    "tier": FieldMap(custom_field="Customer tier", values={"vip": "VIP", "key": "Key account", "standard": "Standard"}),
    "value": FieldMap(custom_field="Value"),
    "bugs": FieldMap(custom_field="For bugs"),
    "sponsor": FieldMap(custom_field="Sponsor"),
    "regions": FieldMap(custom_field="Regions"),
    "signed": FieldMap(custom_field="Signed"),
    "seats": FieldMap(custom_field="Seats"),
    "approved": FieldMap(custom_field="Approved"),
    "remarks": FieldMap(custom_field="Remarks"),
    "page": FieldMap(custom_field="Page"),
    "customer": FieldMap(custom_field="Customer"),
    "region": FieldMap(custom_field="Region"),
}
_FILLED = (
    "projects", "projects_trackers", "custom_fields_projects", "enabled_modules", "members", "member_roles", "versions", "issues", "journals",
    "journal_details", "issue_relations", "watchers", "custom_values", "news", "comments",
)  # fmt: skip
_ROUTES: Mapping[ItemKind, str] = {
    "project": r"(POST /projects|PUT /projects/[\w-]+)\.json ",
    "section": r"(POST /projects/[\w-]+/versions|PUT /versions/\d+)\.json ",
    "task": r"(POST /issues|PUT /issues/\d+)\.json (?!.*\"notes\")",
    "dependency": r"POST /issues/\d+/relations\.json",
    "comment": r"PUT /issues/\d+\.json .*\"notes\"|PUT /journals/",
    "status": r"POST /projects/[\w-]+/news\.json|PUT /news/",
}
_KEEPS: Mapping[str, str] = {
    "name": "subject",
    "notes": "description",
    "due_on": "due_date",
    "start_on": "start_date",
    "assignee": "assigned_to_id",
}
_VISIBLE = "SELECT name FROM projects AS p WHERE is_public OR EXISTS (SELECT 1 FROM members WHERE project_id = p.id) ORDER BY id"


class Watched(Wire):
    """Notes after each request which projects people other than administrators can see."""

    def __init__(self, tool: RedmineTool) -> None:
        super().__init__()
        self._tool = tool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        finally:
            self._tool.look()


class RedmineTool:
    known = "ann@example.com"
    unknown = "nobody@elsewhere.test"

    def __init__(self, server: Redmine, fields: Mapping[str, FieldMap] = FIELDS, **connection: Any) -> None:
        self.server = server
        self.clock = Clock()
        self.wire = Watched(self)
        self.key = server.key
        self.fields = fields
        self.given = {"milestone_tracker": "Milestone", "privacy": "public", **connection}
        self.seen: list[str] = []
        self._empty()

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.key, self.server.key)

    def target(self) -> RedmineTarget:
        connection = Connection(base_url=self.server.url, api_key=self.key, **self.given)
        runtime = Runtime(clock=self.clock, sleep=self.clock.sleep, transport=self.wire, timeout=60)
        return RedmineTarget(connection, fields=self.fields, runtime=runtime)

    # what is there, read out of the database behind the server's back

    def rows(self, statement: str, *values: Any) -> list[Any]:
        with sqlite3.connect(self.server.database, timeout=20) as database:
            return database.execute(statement, values).fetchall()

    def change(self, statement: str, *values: Any) -> None:
        """What no request of a person could bring about."""
        with sqlite3.connect(self.server.database, timeout=20) as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(statement, values)

    def multiply(self, task: str, times: int) -> None:
        """As many copies of a task, at once."""
        columns = ", ".join(name for _, name, *_ in self.rows("PRAGMA table_info(issues)") if name != "id")
        count = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times})"  # noqa: S608
        self.change(f"{count} INSERT INTO issues ({columns}) SELECT {columns} FROM issues, n WHERE id = ?", task)  # noqa: S608

    def _empty(self) -> None:
        with sqlite3.connect(self.server.database, timeout=20) as database:
            database.execute("PRAGMA synchronous = OFF")
            for table in _FILLED:
                database.execute(f"DELETE FROM {table}")  # noqa: S608
            database.execute("UPDATE tokens SET value = ? WHERE action = 'api' AND user_id = 1", (self.server.key,))

    def look(self) -> None:
        self.seen += [name for (name,) in self.rows(_VISIBLE) if name not in self.seen]

    def count(self, kind: ItemKind) -> int:
        table = {"project": "projects", "section": "versions", "task": "issues", "comment": "journals WHERE notes <> ''", "status": "news"}[
            kind
        ]
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608

    def visible(self) -> list[str]:
        return self.seen

    def sections(self, project: str) -> list[str]:
        statement = "SELECT v.name FROM versions v JOIN projects p ON p.id = v.project_id WHERE p.identifier = ? ORDER BY v.id"
        return [name for (name,) in self.rows(statement, project)]

    def where(self, task: str) -> tuple[str, str]:
        home = "issues i JOIN projects p ON p.id = i.project_id LEFT JOIN versions v ON v.id = i.fixed_version_id"
        ((project, section),) = self.rows(f"SELECT p.identifier, v.name FROM {home} WHERE i.id = ?", task)  # noqa: S608
        return project, section

    def waits_for(self, task: str) -> set[str]:
        return {str(id_) for (id_,) in self.rows("SELECT issue_from_id FROM issue_relations WHERE issue_to_id = ?", task)}

    # what happens there

    def trouble(self, what: Trouble, kind: ItemKind, *, times: int = 1) -> None:
        route = re.compile(_ROUTES[kind])
        self.wire.faults = [one for one in self.wire.faults if getattr(one, "kind", "") != kind]
        fault = Fault(lambda request: bool(route.match(f"{request.method} {request.url.path} {request.content.decode()}")), what, times)
        fault.kind = kind  # type: ignore[attr-defined]
        self.wire.faults.append(fault)

    def unplug(self) -> None:
        self.wire.cut = True

    def revoke(self) -> None:
        self.key = "0" * 40

    def forget(self) -> None:
        raise NotImplementedError("Redmine's time stamps reach back to the beginning")

    async def settle(self) -> None:
        await self.wire.settle()
        self.look()

    def person(self, method: str, path: str, data: Any = None, *, key: str = "") -> httpx.Response:
        """A request of somebody who is an administrator, too."""
        headers = {"X-Redmine-API-Key": key or self.server.person_key}
        answer = httpx.request(method, f"{self.server.url}{path}", json=data, headers=headers, timeout=60, verify=False)  # noqa: S501 - no encryption on loopback
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer

    def edit(self, kind: ItemKind, id: str, field: str, value: Any) -> None:
        changed = {_KEEPS[field]: value.isoformat() if isinstance(value, date) else value or ""}
        self.person("PUT", f"/issues/{id}.json", {"issue": changed})

    def finish(self, task: str) -> None:
        """Close it; what is under it first, because Redmine closes no task before its sub-tasks."""
        for row in self.person("GET", f"/issues/{task}.json?include=children").json()["issue"].get("children", []):
            self.finish(str(row["id"]))
        self.person("PUT", f"/issues/{task}.json", {"issue": {"status_id": 5}})
        assert self.rows("SELECT status_id FROM issues WHERE id = ?", task) == [(5,)]

    def delete(self, kind: ItemKind, id: str) -> None:
        if kind == "task":
            self.person("DELETE", f"/issues/{id}.json")
        else:
            self._remove(id)

    def _remove(self, project: str) -> None:
        """Redmine deletes a project in the background, later: so it is taken out here."""
        with sqlite3.connect(self.server.database, timeout=20) as database:
            ((id_,),) = database.execute("SELECT id FROM projects WHERE identifier = ?", (project,)).fetchall()
            for table in ("enabled_modules", "projects_trackers", "custom_fields_projects", "members", "issues"):
                database.execute(f"DELETE FROM {table} WHERE project_id = ?", (id_,))  # noqa: S608
            database.execute("DELETE FROM projects WHERE id = ?", (id_,))

    def sent(self, method: str, path: str) -> Sequence[httpx.Request]:
        return [one for one in self.wire.sent if one.method == method and re.fullmatch(path, one.url.path)]
