"""What the stand-in of Asana shows of a record, and how it pages."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.asana import Asana
from sandbox.web import Request
from tests.sandbox.asana_rig import Clock, Rig


async def test_lists_are_compact_unless_fields_are_asked_for() -> None:
    rig = Rig()
    project = await rig.project()
    task = await rig.task(project, notes="n", assignee="me")
    compact = (await rig.ask("GET", f"/projects/{project}/tasks")).data
    assert compact == [{"gid": task, "resource_type": "task", "name": "Kick-off", "resource_subtype": "default_task"}]
    asked = (await rig.ask("GET", f"/projects/{project}/tasks", opt_fields="notes,assignee.email")).data
    assert asked == [{"gid": task, "notes": "n", "assignee": {"gid": rig.world.bot, "email": "handoff@example.com"}}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("name", {"name": "Kick-off"}),
        ("this.name", {"name": "Kick-off"}),
        ("nonsense,name", {"name": "Kick-off"}),
        ("(name|notes)", {"name": "Kick-off", "notes": ""}),
        ("assignee", {"assignee": {"gid": "BOT", "resource_type": "user"}}),
        ("(assignee|created_by).name", {"assignee": {"gid": "BOT", "name": "Handoff"}, "created_by": {"gid": "BOT", "name": "Handoff"}}),
        ("assignee.(name|email)", {"assignee": {"gid": "BOT", "name": "Handoff", "email": "handoff@example.com"}}),
        ("memberships.section.name", {"memberships": [{"section": {"gid": "SECTION", "name": "Untitled section"}}]}),
    ],
)
async def test_opt_fields_select_by_paths_and_groups(fields: str, expected: dict[str, Any]) -> None:
    rig = Rig()
    project = await rig.project()
    task = await rig.task(project, assignee="me")
    seen = (await rig.ask("GET", f"/tasks/{task}", opt_fields=fields)).data
    names = {rig.world.bot: "BOT", rig.world.sections_of[project][0]: "SECTION"}
    assert _renamed(seen, names) == {"gid": task, **expected}


def _renamed(data: Any, names: dict[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _renamed(value, names) for key, value in data.items()}
    if isinstance(data, list):
        return [_renamed(value, names) for value in data]
    return names.get(data, data) if isinstance(data, str) else data


async def test_fields_can_be_chosen_on_writes_too() -> None:
    rig = Rig()
    seen = await rig.ask("POST", "/projects", {"name": "x", "workspace": rig.world.workspace}, opt_fields="permalink_url")
    assert set(seen.data) == {"gid", "permalink_url"}


async def test_a_next_page_is_named_only_when_a_limit_was_sent() -> None:
    rig = Rig()
    project = await rig.project()
    for name in "abcde":
        await rig.task(project, name=name)
    assert "next_page" not in (await rig.ask("GET", f"/projects/{project}/tasks")).body
    offset: dict[str, str] = {}
    found: list[str] = []
    for _ in range(3):
        page = await rig.ask("GET", "/tasks", project=project, limit=2, **offset)
        found += [row["name"] for row in page.data]
        offset = {"offset": page.body["next_page"]["offset"]} if page.body["next_page"] else {}
    assert (found, offset) == (["e", "d", "c", "b", "a"], {})


async def test_a_row_that_goes_while_paging_hides_no_other() -> None:
    rig = Rig()
    projects = [await rig.project(name=name) for name in "abcd"]
    page = await rig.ask("GET", "/projects", limit=2)
    await rig.ask("DELETE", f"/projects/{projects[0]}")
    assert await rig.names("/projects", limit=2, offset=page.body["next_page"]["offset"]) == ["c", "d"]


async def test_offsets_are_opaque_and_die() -> None:
    rig = Rig()
    for _ in range(3):
        await rig.project()
    offset = (await rig.ask("GET", "/projects", limit=1)).body["next_page"]["offset"]
    assert (await rig.ask("GET", f"/workspaces/{rig.world.workspace}/projects", limit=1, offset=offset)).status == 400
    assert (await rig.ask("GET", "/projects", limit=1, offset="2")).status == 400
    rig.world.expire_offsets()
    assert (await rig.ask("GET", "/projects", limit=1, offset=offset)).status == 400
    fresh = (await rig.ask("GET", "/projects", limit=1)).body["next_page"]
    rig.clock.move(hours=1)
    assert (await rig.ask("GET", "/projects", limit=1, offset=fresh["offset"])).status == 400


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten"])
async def test_a_limit_lies_between_1_and_100(limit: str) -> None:
    assert (await Rig().ask("GET", "/projects", limit=limit)).status == 400


async def test_a_large_set_is_refused_without_paging() -> None:
    rig = Rig()
    for _ in range(1001):
        rig.world.add_project("x")
    assert "use pagination" in (await rig.ask("GET", "/projects")).words
    assert len((await rig.ask("GET", "/projects", limit=100)).data) == 100


async def test_unknown_query_keys_are_taken_without_a_word() -> None:
    assert (await Rig().ask("GET", "/projects", body="{'data': {}}", nonsense="1")).status == 200


async def test_no_token_a_wrong_one_and_a_revoked_one_are_401() -> None:
    rig = Rig()
    spare = rig.world.add_token()
    rig.world.revoke(spare)
    for token in ("", "wrong", spare):
        refused = await rig.ask("GET", "/users/me", token=token)
        assert (refused.status, refused.words) == (401, "Not Authorized")


async def test_an_unknown_path_is_404() -> None:
    assert (await Rig().ask("GET", "/nowhere")).status == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name": "x"}', b'{"data": []}'])
def test_a_body_without_data_is_refused(body: bytes) -> None:
    app = Asana(Clock())
    headers = {"authorization": f"Bearer {app.world.token}"}
    assert app.handle(Request("POST", "/tasks", {}, headers, body)).status == 400


def test_the_prefix_may_be_left_out() -> None:
    app = Asana(Clock())
    headers = {"authorization": f"Bearer {app.world.token}"}
    replies = [app.handle(Request("GET", path, {}, headers, b"")) for path in ("/users/me", "/api/1.0/users/me")]
    assert (replies[0].status, replies[0].body) == (200, replies[1].body)
