"""The other side of the Odoo target's tests: a real server's projects, emptied for each test, edited as its web pages do, looked at with SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
import psycopg

from connectors.base import Runtime
from connectors.odoo import Connection, FieldMap, OdooTarget
from engine.model import ItemKind
from tests.conformance.source import Clock
from tests.conformance.target import Trouble
from tests.real.odoo import Odoo
from tests.real.wire import Wire

ROUTES: Mapping[ItemKind, tuple[str, bytes]] = {
    "project": (r"project\.project/(load|write)", b""),
    "section": (r"project\.task\.type/(load|write)", b""),
    "task": (r"project\.task/(load|write)", b""),
    "dependency": (r"project\.task/write", b"depend_on_ids"),
    "comment": (r"project\.task/message_post", b""),
    "status": (r"project\.update/load", b""),
}
TABLES: Mapping[ItemKind, str] = {
    "project": "project_project",
    "section": "project_task_type WHERE user_id IS NULL",
    "task": "project_task",
    "comment": "mail_message WHERE model = 'project.task' AND message_type = 'comment'",
    "status": "project_update",
}
# All that tests make. Stages that belong to a person, and what the installation brought along, stay.
WIPE = """
    DELETE FROM task_dependencies_rel;
    UPDATE project_project SET last_update_id = NULL;
    DELETE FROM project_update; DELETE FROM project_task; DELETE FROM project_milestone;
    DELETE FROM project_task_type WHERE user_id IS NULL; DELETE FROM project_project;
    DELETE FROM ir_model_data WHERE module IN ('handoff', '__export__');
    DELETE FROM mail_message WHERE model LIKE 'project.%'; DELETE FROM mail_followers WHERE res_model LIKE 'project.%';
"""
ZONE = "Asia/Shanghai"


class OdooTool:
    known = "ann@example.com"
    unknown = "nobody@elsewhere.test"

    def __init__(self, odoo: Odoo, **settings: Any) -> None:
        self.odoo = odoo
        self.wire = Wire()
        self.clock = Clock()
        self.key = odoo.key
        self.secrets: tuple[str, ...] = (odoo.key,)
        self.settings = {"protocol": "json2", "zone": ZONE, "start_field": "x_start", **settings}
        self.fields = {"region": FieldMap(custom_field="x_region", values={"EMEA": "Europe"}), "value": FieldMap(custom_field="x_value")}
        self.sql(WIPE)

    def target(self) -> OdooTarget:
        given = {"url": self.odoo.url, "key": self.key, "database": self.odoo.database, **self.settings}
        runtime = Runtime(clock=self.clock, sleep=self.clock.sleep, transport=self.wire)
        return OdooTarget(Connection(**given), fields=self.fields, runtime=runtime)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.odoo.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def call(self, model: str, method: str, **named: Any) -> Any:
        headers = {"Authorization": f"bearer {self.odoo.key}"}
        answer = httpx.post(f"{self.odoo.url}/json/2/{model}/{method}", json=named, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text[:600]
        return answer.json()

    def trouble(self, what: Trouble, kind: ItemKind, *, times: int = 1) -> None:
        path, word = ROUTES[kind]
        name = f"{kind} {path}"

        def match(request: httpx.Request) -> bool:
            return bool(re.search(path, request.url.path)) and word in request.content

        match.__name__ = name
        self.wire.faults = [fault for fault in self.wire.faults if getattr(fault.match, "__name__", "") != name]
        self.wire.fault(match, what, times=times)

    def unplug(self) -> None:
        self.wire.cut = True

    def revoke(self) -> None:
        self.key = "0123456789abcdef" * 2 + "01234567"
        self.secrets = (self.odoo.key, self.key)

    def forget(self) -> None:
        """The database is put back to yesterday."""
        for table in ("project_project", "project_task", "project_update"):
            self.sql(f"UPDATE {table} SET write_date = write_date - interval '1 day'")  # noqa: S608 - our own words

    async def settle(self) -> None:
        await self.wire.settle()

    def count(self, kind: ItemKind) -> int:
        return int(self.sql(f"SELECT count(*) FROM {TABLES[kind]}")[0][0])  # noqa: S608 - our own words

    def visible(self) -> list[str]:
        """Names of projects, or of tasks in projects that are out of sight, that a page without filters shows."""
        projects = self.sql("SELECT name->>'en_US' FROM project_project WHERE active ORDER BY id")
        strays = self.sql("SELECT t.name FROM project_task t JOIN project_project p ON p.id = t.project_id WHERE t.active AND NOT p.active")
        return [name for (name,) in [*projects, *strays]]

    def sections(self, project: str) -> list[str]:
        ask = {"domain": [["project_ids", "in", [int(project)]]], "fields": ["name"], "order": "sequence, id"}
        return [row["name"] for row in self.call("project.task.type", "search_read", **ask)]

    def where(self, task: str) -> tuple[str, str]:
        (row,) = self.call("project.task", "read", ids=[int(task)], fields=["project_id", "stage_id"])
        return str(row["project_id"][0]), row["stage_id"][1]

    def waits_for(self, task: str) -> set[str]:
        rows = self.sql("SELECT depends_on_id FROM task_dependencies_rel WHERE task_id = %s", int(task))
        assert len(set(rows)) == len(rows)
        return {str(id) for (id,) in rows}

    def edit(self, kind: ItemKind, id: str, field: str, value: Any) -> None:
        edits: Mapping[str, Callable[[], dict[str, Any]]] = {
            "name": lambda: {"name": value},
            "notes": lambda: {"description": "".join(f"<p>{part}</p>" for part in str(value).replace("&", "&amp;").split("\n\n"))},
            "due_on": lambda: {"date_deadline": f"{value.isoformat()} 03:30:00"},
            "assignee": lambda: {"user_ids": [[5]]},
        }
        self.call("project.task" if kind == "task" else "project.project", "write", ids=[int(id)], vals=edits[field]())

    def finish(self, task: str) -> None:
        self.call("project.task", "write", ids=[int(task)], vals={"state": "1_done"})

    def delete(self, kind: ItemKind, id: str) -> None:
        ids = [int(id)]
        if kind == "project" and (
            tasks := self.call("project.task", "search", domain=[["project_id", "in", ids]], context={"active_test": False})
        ):
            self.call("project.task", "unlink", ids=tasks)
        self.call("project.task" if kind == "task" else "project.project", "unlink", ids=ids)


def prepare(odoo: Odoo) -> None:
    """A colleague, and fields of our own on projects and tasks."""
    tool = OdooTool(odoo)
    if tool.call("res.users", "search_count", domain=[["login", "=", "ann"]]):
        return
    tool.call("res.users", "create", vals_list=[{"name": "Ann", "login": "ann", "email": "Ann@example.com"}])
    for model in ("project.project", "project.task"):
        (model_id,) = tool.call("ir.model", "search", domain=[["model", "=", model]])
        choices = [[0, 0, {"value": "eu", "name": "Europe"}], [0, 0, {"value": "us", "name": "Americas"}]]
        own: Iterable[dict[str, Any]] = (
            {"name": "x_region", "ttype": "selection", "field_description": "Region", "selection_ids": choices},
            {"name": "x_value", "ttype": "float", "field_description": "Deal value"},
            {"name": "x_start", "ttype": "date", "field_description": "Start"},
        )
        tool.call("ir.model.fields", "create", vals_list=[{"model_id": model_id, **each} for each in own])
