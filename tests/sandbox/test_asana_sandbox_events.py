"""Event streams and searches of the stand-in of Asana."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.asana_rig import Rig


async def _fresh(rig: Rig, path: str, **query: str) -> str:
    first = await rig.ask("GET", path, **query)
    assert first.status == 412
    return str(first.body["sync"])


def _told(seen: Any) -> list[tuple[str, str, str | None]]:
    return [(event["resource"]["resource_type"], event["action"], event.get("change", {}).get("field")) for event in seen.data]


async def test_the_first_call_gives_a_token_and_the_next_what_happened_since() -> None:
    rig = Rig()
    project = await rig.project()
    task = await rig.task(project)
    sync = await _fresh(rig, "/events", resource=project)
    ana = rig.world.add_user("Ana", "ana@example.com")
    rig.world.complete_task(task, by=ana)
    seen = await rig.ask("GET", "/events", resource=project, sync=sync)
    assert ("task", "changed", "completed") in _told(seen)
    assert {event["user"]["name"] for event in seen.data} == {"Ana"}
    assert seen.body["has_more"] is False
    assert (await rig.ask("GET", "/events", resource=project, sync=seen.body["sync"])).data == []


async def test_a_project_hears_of_its_tasks_subtasks_and_comments_only() -> None:
    rig = Rig()
    project, other = await rig.project(), await rig.project()
    task, foreign = await rig.task(project), await rig.task(other)
    child = (await rig.made("/tasks", name="child", parent=task))["gid"]
    sync = await _fresh(rig, "/events", resource=project)
    rig.world.edit_task(child, {"name": "renamed"}, by=rig.world.bot)
    rig.world.comment(child, "hello", by=rig.world.bot)
    rig.world.comment(foreign, "elsewhere", by=rig.world.bot)
    seen = await rig.ask("GET", "/events", resource=project, sync=sync)
    assert ("task", "changed", "name") in _told(seen)
    stories = [event for event in seen.data if event["resource"]["resource_subtype"] == "comment_added"]
    assert [(event["action"], event["parent"]["gid"]) for event in stories] == [("added", child)]


async def test_the_workspace_hears_of_everything_its_reader_may_see() -> None:
    rig = Rig()
    ana = rig.world.add_token(user=rig.world.add_user("Ana", "ana@example.com"))
    path = f"/workspaces/{rig.world.workspace}/events"
    syncs = [(token, (await rig.ask("GET", path, token=token)).body["sync"]) for token in (rig.world.token, ana)]
    await rig.task(await rig.project(privacy_setting="private"))
    counts = [len((await rig.ask("GET", path, token=token, sync=sync)).data) for token, sync in syncs]
    assert counts[0] > 0
    assert counts[1] == 0


async def test_a_deleted_task_is_told_to_its_project() -> None:
    rig = Rig()
    project = await rig.project()
    task = await rig.task(project)
    sync = await _fresh(rig, "/events", resource=project)
    rig.world.delete_task(task, by=rig.world.bot)
    assert ("task", "deleted", None) in _told(await rig.ask("GET", "/events", resource=project, sync=sync))


@pytest.mark.parametrize(("path", "most"), [("/events", 100), ("/workspaces/{}/events", 1000)])
async def test_a_token_carries_so_many_events_and_says_that_there_are_more(path: str, most: int) -> None:
    rig = Rig()
    project = await rig.project()
    task = await rig.task(project)
    path, query = path.format(rig.world.workspace), {} if "{" in path else {"resource": project}
    sync = await _fresh(rig, path, **query)
    for number in range(most + 5):
        rig.world.comment(task, str(number), by=rig.world.bot)
    first = await rig.ask("GET", path, sync=sync, **query)
    assert (len(first.data), first.body["has_more"]) == (most, True)
    second = await rig.ask("GET", path, sync=first.body["sync"], **query)
    assert (len(second.data), second.body["has_more"]) == (5, False)
    assert {event["resource"]["gid"] for event in first.data}.isdisjoint(event["resource"]["gid"] for event in second.data)


async def test_a_token_dies_after_a_day_and_belongs_to_one_resource() -> None:
    rig = Rig()
    project, other = await rig.project(), await rig.project()
    sync = await _fresh(rig, "/events", resource=project)
    assert (await rig.ask("GET", "/events", resource=other, sync=sync)).status == 412
    rig.clock.move(hours=25)
    stale = await rig.ask("GET", "/events", resource=project, sync=sync)
    assert (stale.status, (await rig.ask("GET", "/events", resource=project, sync=stale.body["sync"])).status) == (412, 200)


async def test_tokens_can_be_expired_at_will() -> None:
    rig = Rig()
    project = await rig.project()
    sync = await _fresh(rig, "/events", resource=project)
    rig.world.expire_sync_tokens()
    assert (await rig.ask("GET", "/events", resource=project, sync=sync)).status == 412


async def test_searches_hear_of_a_project_only_after_a_while() -> None:
    rig = Rig()
    await rig.project(name="handoff 7c1f")
    paths = {f"/workspaces/{rig.world.workspace}/{path}": query for path, query in (
        ("projects/search", {"text": "7c1f"}),
        ("typeahead", {"resource_type": "project", "query": "7c1f"}),
    )}  # fmt: skip
    for wait, expected in ((29, []), (1, ["handoff 7c1f"])):
        rig.clock.move(seconds=wait)
        for path, query in paths.items():
            assert await rig.names(path, **query) == expected
    assert await rig.names("/projects") == ["handoff 7c1f"]


async def test_search_is_paid_and_has_a_limit_of_its_own() -> None:
    free, paid = Rig(plan="free"), Rig()
    assert (await free.ask("GET", f"/workspaces/{free.world.workspace}/tasks/search", text="x")).status == 402
    statuses = [(await paid.ask("GET", f"/workspaces/{paid.world.workspace}/tasks/search", text="x")).status for _ in range(61)]
    assert statuses == [200] * 60 + [429]


async def test_a_task_is_found_by_the_text_in_a_custom_field() -> None:
    rig = Rig(search_lag=0)
    field, project = rig.world.add_custom_field("Key", "text"), await rig.project()
    await rig.made(f"/projects/{project}/addCustomFieldSetting", custom_field=field)
    await rig.task(project, name="found", custom_fields={field: "deal-6"})
    await rig.task(project, name="other")
    query = {f"custom_fields.{field}.value": "deal-6"}
    assert await rig.names(f"/workspaces/{rig.world.workspace}/tasks/search", **query) == ["found"]
