"""Webhooks of the stand-in of Asana: the handshake, what is told, how it is signed, and what becomes of a target that does not answer."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sandbox.web import Reply, Request, Sandbox, serve
from tests.asana_spec import check_request
from tests.sandbox.asana_rig import Rig, request
from tests.sandbox.receiver import Receiver, shake

FULL = "active,target,resource.name,filters,created_at,delivery_retry_count,next_attempt_after,last_success_at,last_failure_at"
FULL += ",last_failure_content,failure_deletion_timestamp"


class Watched:
    """A project with a webhook that shook hands."""

    def __init__(self, rig: Rig, hub: Receiver, project: str, made: Any) -> None:
        self.rig, self.hub, self.project = rig, hub, project
        self.gid, self.secret = made.data["gid"], made.body["X-Hook-Secret"]

    async def told(self) -> list[list[dict[str, Any]]]:
        """The events of each delivery since the last look."""
        self.hub.got.clear()
        await self.rig.app.sender.deliver()
        return [json.loads(request.body)["events"] for request in self.hub.got]

    async def state(self) -> dict[str, Any]:
        seen = await self.rig.ask("GET", f"/webhooks/{self.gid}", opt_fields=FULL)
        return dict(seen.data) if seen.status == 200 else {}


@asynccontextmanager
async def watched(**how: Any) -> AsyncIterator[Watched]:
    rig, hub = Rig(), Receiver(shake)
    project = await rig.project()
    async with serve(Sandbox(hub)) as address:
        asked = {"resource": project, "target": f"{address}/hooks/{project}", **how}
        made = await rig.ask("POST", "/webhooks", asked)
        assert made.status == 201, made.body
        yield Watched(rig, hub, project, made)


async def test_the_handshake_takes_place_while_the_webhook_is_made() -> None:
    async with watched() as it:
        [shaken] = it.hub.got
        assert (shaken.method, shaken.path, shaken.headers["x-hook-secret"]) == ("POST", f"/hooks/{it.project}", it.secret)
        assert len(it.secret) == 64
        assert await it.told() == [[]]  # the first heartbeat
        state = await it.state()
        assert (state["active"], state["resource"]["gid"], state["delivery_retry_count"]) == (True, it.project, 0)


@pytest.mark.parametrize("answer", [Reply(200), Reply(500), Reply(200, headers={"X-Hook-Secret": "another"})])
async def test_a_target_that_does_not_shake_hands_gets_no_webhook(answer: Reply) -> None:
    rig, hub = Rig(), Receiver(answer)
    async with serve(Sandbox(hub)) as address:
        seen = await rig.ask("POST", "/webhooks", {"resource": await rig.project(), "target": address})
    assert (seen.status, len(hub.got), rig.world.webhooks) == (400, 1, {})


async def test_what_happens_in_the_project_is_told_signed_and_compact() -> None:
    async with watched() as it:
        await it.told()
        ana = it.rig.world.add_user("Ana", "ana@example.com")
        task = it.rig.world.add_task(it.project, "Kick off", by=ana)
        other = await it.rig.project()
        it.rig.world.add_task(other, "Elsewhere", by=ana)
        it.rig.world.complete_task(task, by=ana)
        [events] = await it.told()
        assert {(each["resource"]["resource_type"], each["action"]) for each in events} >= {("task", "added"), ("task", "changed")}
        assert "Kick off" not in it.hub.got[0].body.decode()
        assert {each["resource"]["gid"] for each in events if each["resource"]["resource_type"] == "task"} == {task}
        signed = hmac.new(it.secret.encode(), it.hub.got[0].body, "sha256").hexdigest()
        assert it.hub.got[0].headers["x-hook-signature"] == signed
        assert await it.told() == []


async def test_only_what_passes_a_filter_is_told() -> None:
    filters = [{"resource_type": "task", "action": "changed", "fields": ["completed"]}, {"resource_type": "task", "action": "deleted"}]
    async with watched(filters=filters) as it:
        await it.told()
        task = it.rig.world.add_task(it.project, "Kick off", by=it.rig.world.bot)
        it.rig.world.edit_task(task, {"name": "Other"}, it.rig.world.bot)
        assert await it.told() == []
        it.rig.world.complete_task(task, by=it.rig.world.bot)
        it.rig.world.delete_task(task, by=it.rig.world.bot)
        [events] = await it.told()
        assert [(each["action"], each.get("change", {}).get("field")) for each in events] == [("changed", "completed"), ("deleted", None)]


async def test_a_heart_beats_every_eight_hours() -> None:
    async with watched() as it:
        await it.told()
        it.rig.clock.move(hours=7, minutes=59)
        assert await it.told() == []
        it.rig.clock.move(minutes=1)
        assert await it.told() == [[]]


async def test_a_target_that_fails_is_tried_again_later_and_later_and_then_recovers() -> None:
    async with watched() as it:
        await it.told()
        it.hub.answer = Reply(500, b"broken")
        it.rig.world.add_task(it.project, "x", by=it.rig.world.bot)
        await it.told()
        state = await it.state()
        assert (state["delivery_retry_count"], state["last_failure_content"]) == (1, "500 broken")
        assert state["next_attempt_after"] == "2026-03-02T09:00:05.000Z"
        assert state["failure_deletion_timestamp"] == "2026-03-03T09:00:00.000Z"
        assert await it.told() == []
        it.rig.clock.move(seconds=5)
        assert len(await it.told()) == 1
        it.rig.clock.move(seconds=5)
        assert await it.told() == []
        it.hub.answer = shake
        it.rig.clock.move(seconds=5)
        assert len(await it.told()) == 1
        state = await it.state()
        assert (state["delivery_retry_count"], state.get("failure_deletion_timestamp")) == (0, None)


async def test_after_a_day_without_success_it_is_gone() -> None:
    async with watched() as it:
        await it.told()
        it.hub.answer = Reply(500)
        it.rig.world.add_task(it.project, "x", by=it.rig.world.bot)
        for _ in range(40):
            await it.told()
            it.rig.clock.move(hours=1)
            if it.rig.clock.now.day == 3 and it.rig.clock.now.hour < 9:
                assert await it.state()
        assert await it.state() == {}
        assert it.rig.world.webhooks == {}


async def test_the_same_again_is_refused_and_found_by_listing() -> None:
    async with watched() as it:
        target = (await it.state())["target"]
        again = await it.rig.ask("POST", "/webhooks", {"resource": it.project, "target": target})
        assert (again.status, again.words, len(it.hub.got)) == (403, "Duplicated webhook", 1)
        listed = await it.rig.ask("GET", "/webhooks", workspace=it.rig.world.workspace, resource=it.project, limit=100, opt_fields=FULL)
        assert [hook["gid"] for hook in listed.data] == [it.gid]
        ana = it.rig.world.add_user("Ana", "ana@example.com")
        hers = await it.rig.ask("GET", "/webhooks", workspace=it.rig.world.workspace, token=it.rig.world.add_token(user=ana))
        assert hers.data == []
        assert (await it.rig.ask("PUT", f"/webhooks/{it.gid}", {"filters": [{"action": "added"}]})).data["filters"] == [{"action": "added"}]
        assert [(await it.rig.ask("DELETE", f"/webhooks/{it.gid}")).status for _ in range(2)] == [200, 404]


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"target": "not a url"}, 400, "target"),
        ({"target": None}, 400, "target"),
        ({"resource": "1"}, 404, "resource"),
        ({"filters": [{"action": "added", "fields": ["name"]}]}, 400, "fields"),
        ({"filters": [{"action": "renamed"}]}, 400, "action"),
        ({"resource": "workspace"}, 400, "filters"),
    ],
)
async def test_what_cannot_be_watched_is_refused_before_any_handshake(asked: dict[str, Any], status: int, words: str) -> None:
    rig = Rig()
    data = {"resource": await rig.project(), "target": "https://hub.example.com/in", **asked}
    data["resource"] = rig.world.workspace if data["resource"] == "workspace" else data["resource"]
    seen = await rig.ask("POST", "/webhooks", data)
    assert (seen.status, words in seen.words) == (status, True)


async def test_the_real_service_does_not_call_this_machine() -> None:
    rig = Rig(local_targets=False)
    seen = await rig.ask("POST", "/webhooks", {"resource": await rig.project(), "target": "http://localhost:8080/in"})
    assert seen.status == 403


async def test_served_over_tcp_it_tells_by_itself() -> None:
    async with watched() as it, serve(it.rig.box):
        await it.hub.wait(2)  # the handshake, the heartbeat
        it.rig.world.add_task(it.project, "x", by=it.rig.world.bot)
        await it.hub.wait(3)
    assert json.loads(it.hub.got[2].body)["events"][0]["action"] == "added"


def test_what_is_asked_here_is_what_the_service_describes() -> None:
    filters = [{"resource_type": "task", "action": "changed", "fields": ["completed"]}]
    asked: list[Request] = [
        request("POST", "/webhooks", "t", {"resource": "1", "target": "https://hub.example.com/in", "filters": filters}),
        request("GET", "/webhooks", "t", query={"workspace": "1", "resource": "2", "limit": 100, "opt_fields": FULL}),
        request("DELETE", "/webhooks/1", "t"),
    ]
    for each in asked:
        check_request(each)
