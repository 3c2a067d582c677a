"""The Asana target keeps what every target promises, over its sandbox; and every request it sends is one the public description allows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from typing import Any

import httpx

from connectors.asana import AsanaTarget, Connection, FieldMap
from connectors.base import Runtime
from engine.model import ItemKind
from sandbox.asana import Asana, projects
from sandbox.web import FaultKind, InProcess, Reply, Request, Sandbox
from tests.asana_spec import check_request, load_spec
from tests.conformance.source import Clock
from tests.conformance.target import Rig, TargetConformance, Trouble

HOST = "http://asana.test"
ROUTES: Mapping[ItemKind, str] = {
    "project": r"(POST|PUT) \S*/projects(/\d+)?$",
    "section": r"(POST \S*/projects/\d+/sections|PUT \S*/sections/\d+)$",
    "task": r"(POST|PUT) \S*/tasks(/\d+)?$|POST \S*/batch$",
    "dependency": r"POST \S*/addDependencies$",
    "comment": r"POST \S*/stories$",
    "status": r"POST \S*/status_updates$",
}
FAULTS: Mapping[Trouble, tuple[FaultKind, int]] = {
    "lost": ("reset_after", 0),
    "broken": ("error_before", 500),
    "broken_after": ("error_after", 502),
    "garbled": ("html_ok", 0),
    "late": ("late", 0),
    "busy": ("error_before", 429),
}


class Line(httpx.AsyncBaseTransport):
    """The wire to the sandbox; nobody answers when it is cut."""

    def __init__(self, box: Sandbox) -> None:
        self.cut = False
        self._inner = InProcess({HOST: box})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut:
            raise httpx.ConnectError("connection refused", request=request)
        return await self._inner.handle_async_request(request)


class AsanaTool:
    known = "ann@example.com"
    unknown = "nobody@elsewhere.test"

    def __init__(self, connection: Mapping[str, Any] | None = None, fields: Mapping[str, FieldMap] | None = None, **settings: Any) -> None:
        self.clock = Clock()
        self.app = Asana(self.clock, **settings)
        self.world = self.app.world
        self.ann = self.world.add_user("Ann", self.known)
        self.box = Sandbox(self.app, sleep=self._until_settled)
        self.box.recorder = self._record
        self.sent: list[Request] = []
        self.line = Line(self.box)
        self.secrets: tuple[str, ...] = (self.world.token,)
        self.fields = dict(fields or {})
        self.given = dict(connection or {})
        self._settled = asyncio.Event()

    def target(self) -> AsanaTarget:
        given = {"token": self.world.token, "workspace": self.world.workspace, "base_url": f"{HOST}/api/1.0", **self.given}
        runtime = Runtime(clock=self.clock, sleep=self.clock.sleep, transport=self.line)
        return AsanaTarget(Connection(**given), fields=self.fields, runtime=runtime)

    def _record(self, request: Request, reply: Reply) -> None:
        self.sent.append(request)
        if load_spec() is not None:
            check_request(request)

    async def _until_settled(self, seconds: float) -> None:
        await self._settled.wait()

    async def settle(self) -> None:
        self._settled.set()
        for _ in range(3):
            await asyncio.sleep(0)

    def trouble(self, what: Trouble, kind: ItemKind, *, times: int = 1) -> None:
        fault, status = FAULTS[what]
        self.box.faults = [one for one in self.box.faults if one.route != ROUTES[kind]]
        self.box.fault(ROUTES[kind], fault, times=times, status=status, seconds=60)

    def unplug(self) -> None:
        self.line.cut = True

    def revoke(self) -> None:
        token, self.world.token = self.world.token, "pat/of-somebody-else"
        self.world.revoke(token)
        self.secrets = (token, self.world.token)

    def forget(self) -> None:
        self.world.expire_sync_tokens()

    def count(self, kind: ItemKind) -> int:
        world = self.world
        made: Mapping[str, list[Any]] = {
            "project": list(world.projects),
            "section": [row for row in world.sections.values() if row["name"] != "Untitled section"],
            "task": list(world.tasks),
            "comment": [row for row in world.stories.values() if row["resource_subtype"] == "comment_added"],
            "status": list(world.status_updates),
        }
        return len(made[kind])

    def visible(self) -> list[str]:
        return [name for _, _, name in self.world.visible_history]

    def sections(self, project: str) -> list[str]:
        return [str(self.world.sections[gid]["name"]) for gid in self.world.sections_of[project]]

    def where(self, task: str) -> tuple[str, str]:
        (home,) = self.world.tasks[task]["memberships"]
        return home["project"], str(self.world.sections[home["section"]]["name"])

    def waits_for(self, task: str) -> set[str]:
        return set(self.world.tasks[task]["dependencies"])

    def edit(self, kind: ItemKind, id: str, field: str, value: Any) -> None:
        data = {field: value.isoformat() if isinstance(value, date) else value}
        (self.world.edit_project if kind == "project" else self.world.edit_task)(id, data, self.ann)

    def finish(self, task: str) -> None:
        self.world.complete_task(task, self.ann)

    def delete(self, kind: ItemKind, id: str) -> None:
        if kind == "task":
            self.world.delete_task(id, self.ann)
        else:
            projects.delete(self.world, self.world.projects[id], self.ann)


class TestAsana(TargetConformance):
    def rig(self) -> Rig:
        tool = AsanaTool()
        return Rig(tool, tool.target)


class TestAsanaByExternalId(TargetConformance):
    """The key in the tasks' external gid, projects shared the older way."""

    def rig(self) -> Rig:
        tool = AsanaTool(external="oauth")
        tool.world.token = tool.world.add_token("oauth")
        tool.secrets = (tool.world.token,)
        tool.given = {"key": "external", "token_kind": "oauth", "sharing": "team", "team": tool.world.add_team("Delivery")}
        return Rig(tool, tool.target)


class TestAsanaByCustomField(TargetConformance):
    def rig(self) -> Rig:
        tool = AsanaTool({"key": "custom_field", "key_field": "Handoff key"})
        tool.world.add_custom_field("Handoff key", "text")
        return Rig(tool, tool.target)
