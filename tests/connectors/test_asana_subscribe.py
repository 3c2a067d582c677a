"""Asana is asked for webhooks over TCP, and shakes hands with a hub over TCP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.asana import Connection
from connectors.asana.subscribe import subscribe, subscriptions, unsubscribe
from connectors.base import AuthError, Runtime
from connectors.push import PushSettings, Subscription
from sandbox.web import Reply, Sandbox, serve
from tests.asana_spec import check_request, load_spec
from tests.connectors.subscribing import Hub
from tests.sandbox.asana_rig import Rig


class Tool:
    """A workspace and a hub, both served."""

    def __init__(self, rig: Rig, hub: Hub, api: str) -> None:
        self.rig, self.hub, self.world = rig, hub, rig.world
        self._connection = Connection.model_validate(
            {"token": rig.world.token, "workspace": rig.world.workspace, "base_url": f"{api}/api/1.0"}
        )

    async def ask(self, projects: Sequence[str], how: Any = subscribe) -> list[Subscription]:
        runtime = Runtime(clock=self.rig.clock)
        found = await how(self._connection, PushSettings(), self.hub.place, projects, until=self.rig.clock(), runtime=runtime)
        return sorted(found, key=lambda one: projects.index(one.resource))

    async def release(self, projects: Sequence[str]) -> Sequence[str]:
        return await unsubscribe(self._connection, PushSettings(), self.hub.place, projects, runtime=Runtime(clock=self.rig.clock))

    def counts(self) -> dict[str, int]:
        return {name: count for name, count in self.rig.app.calls.items() if "webhooks" in name}


@asynccontextmanager
async def tool(**settings: Any) -> AsyncIterator[Tool]:
    rig, hub = Rig(**settings), Hub("asana")
    if load_spec() is not None:
        rig.box.recorder = lambda asked, _: check_request(asked)
    async with serve(Sandbox(hub)) as hub.url, serve(rig.box) as api:
        yield Tool(rig, hub, api)


async def test_each_project_gets_a_webhook_once_and_its_secret_arrives() -> None:
    async with tool() as it:
        projects = [await it.rig.project(), await it.rig.project()]
        first = await it.ask(projects)
        assert [(one.resource, one.healthy, one.expires_at) for one in first] == [(gid, True, None) for gid in projects]
        assert {hook["resource"]: hook["secret"] for hook in it.world.webhooks.values()} == it.hub.secrets
        assert {hook["target"] for hook in it.world.webhooks.values()} == {(await it.hub.place(gid)).url for gid in projects}
        it.hub.awaited.clear()
        assert await it.ask(projects) == first
        assert it.hub.awaited == []
        assert it.counts() == {"GET /webhooks": 2, "POST /webhooks": 2}
        assert await it.ask(projects, subscriptions) == first


async def test_what_progress_is_made_of_is_told_and_nothing_else() -> None:
    async with tool() as it:
        project = await it.rig.project()
        await it.ask([project])
        await it.hub.wait(2)
        task = it.world.add_task(project, "Kick off", by=it.world.bot)
        await it.hub.wait(3)
        it.world.edit_task(task, {"name": "Other", "due_on": "2026-04-01"}, it.world.bot)
        it.world.comment(task, "hello", it.world.bot)
        it.world.complete_task(task, it.world.bot)
        await it.hub.wait(4)
        assert [event["change"]["field"] for event in it.hub.got[3].json()["events"]] == ["completed"]


async def test_a_webhook_whose_secret_is_lost_is_replaced_and_no_other() -> None:
    async with tool() as it:
        project = await it.rig.project()
        [old] = await it.ask([project])
        elsewhere = await it.rig.ask("POST", "/webhooks", {"resource": project, "target": f"{it.hub.url}/hooks/other/x/{project}"})
        it.hub.awaited.append(project)
        assert elsewhere.status == 201
        it.hub.secrets.clear()
        assert [(one.healthy, "register again" in one.detail) for one in await it.ask([project], subscriptions)] == [(False, True)]
        [new] = await it.ask([project])
        it.hub.lose()
        [newest] = await it.ask([project])
        assert len({old.id, new.id, newest.id}) == 3
        assert list(it.world.webhooks) == [elsewhere.data["gid"], newest.id]
        assert it.hub.secrets == {project: it.world.webhooks[newest.id]["secret"]}


async def test_a_webhook_that_stands_in_the_way_is_found_and_replaced() -> None:
    async with tool() as it:
        project = await it.rig.project()
        await it.ask([project])
        it.hub.secrets.clear()
        hidden, it.world.webhooks = it.world.webhooks, {}
        place = it.hub.place

        async def meanwhile(resource: str = "", *, awaited: bool = False) -> Any:
            if awaited:
                it.world.webhooks.update(hidden)
            return await place(resource, awaited=awaited)

        it.hub.place = meanwhile  # type: ignore[method-assign]
        [found] = await it.ask([project])
        assert (found.healthy, list(it.world.webhooks)) == (True, [found.id])
        assert it.counts()["DELETE /webhooks/{}"] == 1


async def test_a_handshake_that_fails_is_told_of_that_project_alone() -> None:
    async with tool() as it:
        projects = [await it.rig.project(), await it.rig.project()]
        taken = it.hub.answer
        it.hub.answer = lambda request: Reply(502) if projects[0] in request.path else taken(request)  # type: ignore[operator]
        bad, good = await it.ask(projects)
        assert (bad.healthy, "handshake" in bad.detail, good.healthy) == (False, True, True)


async def test_a_handshake_that_somebody_else_answered_is_told() -> None:
    async with tool() as it:
        it.hub.answer = lambda request: Reply(200, headers={"X-Hook-Secret": request.headers["x-hook-secret"]})
        [found] = await it.ask([await it.rig.project()])
        assert (found.healthy, "not here" in found.detail) == (False, True)


async def test_a_project_that_is_gone_is_left_out() -> None:
    async with tool() as it:
        project = await it.rig.project()
        it.world.delete_project(project, by=it.world.bot)
        assert await it.ask([project]) == []


async def test_deliveries_that_fail_are_told_with_what_asana_says() -> None:
    async with tool() as it:
        project = await it.rig.project()
        await it.ask([project])
        await it.hub.wait(2)
        it.hub.answer = Reply(500, b"<html>\n upstream  is away")
        it.rig.clock.move(hours=8)
        await it.hub.wait(3)
        while not it.world.webhooks[next(iter(it.world.webhooks))]["delivery_retry_count"]:
            await it.ask([project], subscriptions)
        [found] = await it.ask([project])
        assert not found.healthy
        assert re.match(r"\d deliveries failed in a row, deleted at 2026-03-03T", found.detail)
        assert "500 <html> upstream is away" in found.detail


async def test_an_answer_that_was_lost_leaves_no_second_webhook() -> None:
    async with tool() as it:
        project = await it.rig.project()
        it.rig.box.fault("POST /api/1.0/webhooks", "reset_after")
        [lost] = await it.ask([project])
        assert (lost.healthy, "not known" in lost.detail) == (False, True)
        [found] = await it.ask([project])
        assert (found.healthy, list(it.world.webhooks)) == (True, [found.id])
        assert it.counts()["POST /webhooks"] == 1


async def test_a_token_that_is_refused_stops_all_of_it() -> None:
    async with tool() as it:
        projects = [await it.rig.project() for _ in range(3)]
        it.world.revoke(it.world.token)
        with pytest.raises(AuthError):
            await it.ask(projects)


async def test_single_projects_are_told_of_no_more_and_nothing_of_anybody_elses_is_touched() -> None:
    async with tool() as it:
        over, kept = [await it.rig.project(), await it.rig.project()]
        await it.ask([over, kept])
        it.hub.awaited.append(over)
        theirs = await it.rig.ask("POST", "/webhooks", {"resource": over, "target": f"{it.hub.url}/hooks/other/x/{over}"})
        assert await it.release([over]) == [over]
        assert {hook["resource"]: gid for gid, hook in it.world.webhooks.items() if gid != theirs.data["gid"]}.keys() == {kept}
        assert theirs.data["gid"] in it.world.webhooks
        assert await it.release([over]) == [over]
        it.rig.box.fault("GET /api/1.0/webhooks", "error_before", times=-1, status=403)
        assert await it.release([kept]) == []
