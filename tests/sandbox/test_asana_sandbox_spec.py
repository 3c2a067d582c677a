"""The public description of the API judges the stand-in of Asana: whole records, every kind of them, and requests of every sort."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.asana.routes import ROUTES
from sandbox.web import Reply, Request
from tests.asana_spec import check_reply, check_request, find_operation, need_spec
from tests.sandbox.asana_rig import Rig, at_birth, request


async def _life(rig: Rig) -> None:
    """One project's life, touching every kind of record with all its fields."""
    world = rig.world
    team, ana = world.add_team("Delivery"), world.add_user("Ana", "ana@example.com")
    tier = world.add_custom_field("Tier", "enum", ["Gold", "Silver"])
    fields = {kind: world.add_custom_field(kind.title(), kind, ["a", "b"] if kind == "multi_enum" else ()) for kind in
              ("text", "number", "date", "people", "multi_enum")}  # fmt: skip
    project = await rig.project(privacy_setting="private", notes="context", start_on="2026-03-02", due_on="2026-04-01", color="light-teal")
    for field in (tier, *fields.values()):
        await rig.made(f"/projects/{project}/addCustomFieldSetting", custom_field=field)
    gold = world.custom_fields[tier]["enum_options"][0]["gid"]
    values: dict[str, Any] = {tier: gold, fields["text"]: "x", fields["number"]: 3, fields["date"]: {"date": "2026-03-09"}}
    values |= {fields["people"]: [ana], fields["multi_enum"]: [world.custom_fields[fields["multi_enum"]]["enum_options"][1]["gid"]]}
    section = (await rig.made(f"/projects/{project}/sections", name="Plan"))["gid"]
    task = await rig.task(project, **at_birth(project, section), assignee=ana, custom_fields=values, start_on="2026-03-02",
                          due_on="2026-03-03", followers=[ana], html_notes="<body><h1>x</h1></body>")  # fmt: skip
    approval = await rig.task(project, name="Sign-off", resource_subtype="approval", approval_status="pending")
    child = (await rig.made(f"/tasks/{task}/subtasks", name="child"))["gid"]
    tag = (await rig.made("/tags", name="vip", workspace=world.workspace))["gid"]
    await rig.made(f"/tasks/{task}/addTag", tag=tag)
    await rig.made(f"/tasks/{approval}/addDependencies", dependencies=[task])
    await rig.made(f"/tasks/{task}/addFollowers", followers=["me"])
    await rig.made(f"/tasks/{task}/stories", html_text="<body><em>hello</em></body>")
    await rig.made("/status_updates", parent=project, title="Week 1", text="fine", status_type="on_track")
    await rig.made("/memberships", parent=project, member=team, access_level="editor")
    await rig.made(f"/projects/{project}/addMembers", members=ana)
    await rig.ask("PUT", f"/tasks/{task}", {"completed": True})
    await rig.ask("PUT", f"/projects/{project}", {"name": "Acme", "privacy_setting": "public_to_workspace", "owner": ana})
    await _read_all(rig, project=project, task=task, approval=approval, child=child, team=team, tag=tag)


async def _read_all(rig: Rig, **gid: str) -> None:
    opted = "html_notes,dependencies.name,dependents.name,num_subtasks,created_by.name,completed_by.name,approval_status,custom_fields"
    for name in ("task", "approval", "child"):
        await rig.ask("GET", f"/tasks/{gid[name]}")
        await rig.ask("GET", f"/tasks/{gid[name]}", opt_fields=opted)
    workspace, story = rig.world.workspace, next(iter(rig.world.stories))
    membership, section = next(iter(rig.world.memberships)), next(iter(rig.world.sections))
    paths = ["/workspaces", f"/workspaces/{workspace}", "/users", "/users/me", f"/workspaces/{workspace}/users", f"/tags/{gid['tag']}"]
    paths += [f"/workspaces/{workspace}/users/me", f"/workspaces/{workspace}/teams", f"/teams/{gid['team']}"]
    paths += [f"/projects/{gid['project']}{end}" for end in ("", "/tasks", "/sections", "/custom_field_settings", "/project_memberships")]
    paths += [f"/tasks/{gid['task']}{end}" for end in ("/stories", "/subtasks", "/dependencies", "/dependents", "/projects")]
    paths += [f"/stories/{story}", f"/memberships/{membership}", f"/sections/{section}", f"/sections/{section}/tasks", "/projects"]
    paths += [f"/workspaces/{workspace}/{end}" for end in ("tags", "custom_fields", "projects")] + [f"/teams/{gid['team']}/users"]
    paths += [f"/custom_fields/{field}" for field in rig.world.custom_fields]
    paths += [f"/status_updates/{status}" for status in rig.world.status_updates]
    for path in paths:
        seen = await rig.ask("GET", path)
        assert seen.status == 200, (path, seen.body)
    assert await rig.names("/users/me/teams", organization=workspace) == ["Delivery"]
    for query in ({"parent": gid["project"]}, {"member": gid["team"], "resource_subtype": "project_membership"}):
        assert (await rig.ask("GET", "/memberships", limit=1, **query)).status == 200


async def test_every_request_and_reply_of_a_projects_life_is_as_described() -> None:
    need_spec()
    rig = Rig()
    book: list[tuple[Request, Reply]] = []
    rig.box.recorder = lambda asked, reply: book.append((asked, reply))
    await _life(rig)
    assert len(book) > 60
    for asked, reply in book:
        check_request(asked)
        check_reply(asked, reply)


@pytest.mark.parametrize("key", sorted(ROUTES), ids=" ".join)
def test_every_route_is_an_operation_of_the_real_service(key: tuple[str, ...]) -> None:
    need_spec()
    method, *parts = key
    assert find_operation(method.lower(), "/api/1.0/" + "/".join("1" if part == "{}" else part for part in parts)) is not None


@pytest.mark.parametrize(
    "asked",
    [
        request("POST", "/tasks", "t", {"name": 3}),
        request("POST", "/tasks", "t", {"nmae": "x"}),
        request("POST", "/projects", "t", {"color": "mauve"}),
        request("GET", "/tasks", "t", query={"limit": 500}),
        request("GET", "/tasks", "t", query={"projct": "1"}),
        request("GET", "/nowhere", "t"),
        Request("POST", "/api/1.0/tasks", {}, {"content-type": "application/json"}, b'{"name": "x"}'),
        request("POST", "/batch", "t", {"actions": [{"method": "post", "relative_path": "/tasks", "data": {"nmae": "x"}}]}),
        request("POST", "/batch", "t", {"actions": [{"method": "get", "relative_path": "/tasks?project=1"}]}),
    ],
    ids=lambda asked: f"{asked.method} {asked.path} {asked.body.decode()[:60]}",
)
def test_a_request_the_service_would_not_know_is_caught(asked: Request) -> None:
    need_spec()
    with pytest.raises(AssertionError):
        check_request(asked)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"data": {"gid": "1", "name": 7}}),
        (200, {"data": {"gid": "1", "completed": "yes"}}),
        (200, {"data": {"gid": "1", "resource_subtype": "chore"}}),
        (418, {"errors": []}),
    ],
)
def test_a_reply_the_service_would_not_give_is_caught(status: int, body: dict[str, Any]) -> None:
    need_spec()
    reply = Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=UTF-8"})
    with pytest.raises(AssertionError):
        check_reply(request("GET", "/tasks/1", "t"), reply)
