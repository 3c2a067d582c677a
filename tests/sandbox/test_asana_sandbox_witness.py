"""The official client, as it is published, drives the stand-in of Asana over TCP: a judge that was not written for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asana
import pytest
from asana.rest import ApiException

from sandbox.web import serve
from tests.sandbox.asana_rig import Rig

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:asana.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


async def with_client(rig: Rig, act: Callable[[asana.ApiClient], Any]) -> Any:
    """What `act` gives, run in a thread with a client that is pointed at the stand-in."""
    async with serve(rig.box) as url:
        return await asyncio.to_thread(_run, url, rig.world.token, act)


def _run(url: str, token: str, act: Callable[[asana.ApiClient], Any]) -> Any:
    configuration = asana.Configuration()
    configuration.access_token, configuration.host = token, url
    configuration.retry_strategy = False
    client = asana.ApiClient(configuration)
    try:
        return act(client)
    finally:
        client.pool.close()
        client.rest_client.pool_manager.clear()


async def test_a_project_is_built_and_read_back() -> None:
    rig = Rig(new_tasks="bottom")

    def act(client: asana.ApiClient) -> tuple[Any, ...]:
        body = {"data": {"name": "Acme", "workspace": rig.world.workspace, "privacy_setting": "private"}}
        project = asana.ProjectsApi(client).create_project(body, {"opt_fields": "name,owner.email"})
        tasks = asana.TasksApi(client)
        made = [tasks.create_task({"data": {"name": name, "projects": [project["gid"]], "due_on": "2026-03-10"}}, {}) for name in "abc"]
        tasks.add_dependencies_for_task({"data": {"dependencies": [made[0]["gid"]]}}, made[1]["gid"])
        tasks.update_task({"data": {"completed": True}}, made[0]["gid"], {})
        asana.StoriesApi(client).create_story_for_task({"data": {"text": "hello"}}, made[0]["gid"], {})
        waiting = [task["name"] for task in tasks.get_dependencies_for_task(made[1]["gid"], {})]
        open_ = [task["name"] for task in tasks.get_tasks({"project": project["gid"], "completed_since": "now", "limit": 1})]
        return project, waiting, open_

    project, waiting, left = await with_client(rig, act)
    assert (project["name"], project["owner"]["email"]) == ("Acme", "handoff@example.com")
    assert (waiting, left) == (["a"], ["b", "c"])
    assert [story["text"] for story in rig.world.stories.values()] == ["Handoff marked complete", "hello"]


async def test_calls_that_leak_their_body_into_the_query_work_all_the_same() -> None:
    rig = Rig()
    field = rig.world.add_custom_field("Tier", "enum", ["Gold"])
    team = rig.world.add_team("Delivery")

    def act(client: asana.ApiClient) -> None:
        body = {"data": {"name": "Acme", "workspace": rig.world.workspace}}
        project = asana.ProjectsApi(client).create_project(body, {})["gid"]
        task = asana.TasksApi(client).create_task({"data": {"name": "a", "projects": [project]}}, {})["gid"]
        sections = asana.SectionsApi(client)
        section = sections.create_section_for_project(project, {"body": {"data": {"name": "Plan"}}})["gid"]
        sections.update_section(section, {"body": {"data": {"name": "Plan & go"}}})
        sections.add_task_for_section(section, {"body": {"data": {"task": task}}})
        asana.MembershipsApi(client).create_membership({"body": {"data": {"parent": project, "member": team}}})
        option = {"body": {"data": {"name": "Silver"}}}
        asana.CustomFieldsApi(client).create_enum_option_for_custom_field(field, option)

    await with_client(rig, act)
    placed = {rig.world.sections[gid]["name"]: len(rows) for gid, rows in rig.world.tasks_in.items()}
    assert placed == {"Untitled section": 0, "Plan & go": 1}
    assert [option["name"] for option in rig.world.custom_fields[field]["enum_options"]] == ["Gold", "Silver"]
    assert team in {membership["member"] for membership in rig.world.memberships.values()}


async def test_a_batch_is_sent_once_its_result_is_read() -> None:
    rig = Rig()
    project = rig.world.add_project("Acme")
    actions = [{"method": "post", "relative_path": "/tasks", "data": {"name": f"t{n}", "projects": [project]}} for n in range(3)]
    actions.append({"method": "get", "relative_path": "/tasks/1"})

    def act(client: asana.ApiClient) -> list[Any]:
        return list(asana.BatchAPIApi(client).create_batch_request({"data": {"actions": actions}}, {}))

    results = await with_client(rig, act)
    assert [result["status_code"] for result in results] == [201, 201, 201, 404]


async def test_paging_through_projects_finds_each_once() -> None:
    rig = Rig()
    gids = [rig.world.add_project(f"p{n}") for n in range(205)]

    def act(client: asana.ApiClient) -> list[str]:
        return [project["gid"] for project in asana.ProjectsApi(client).get_projects({"workspace": rig.world.workspace})]

    assert await with_client(rig, act) == gids


async def test_a_refusal_arrives_as_the_clients_own_error() -> None:
    rig = Rig()

    def act(client: asana.ApiClient) -> ApiException:
        with pytest.raises(ApiException) as caught:
            asana.TasksApi(client).create_task({"data": {"name": "x", "workspace": rig.world.workspace, "start_on": "2026-03-09"}}, {})
        return caught.value

    refusal = await with_client(rig, act)
    assert (refusal.status, b"due_on" in refusal.body) == (400, True)


async def test_a_task_is_found_by_its_external_id() -> None:
    rig = Rig(external="any")

    def act(client: asana.ApiClient) -> list[str]:
        external = {"gid": "crm:1/x", "data": "{}"}
        made = asana.TasksApi(client).create_task({"data": {"name": "x", "workspace": rig.world.workspace, "external": external}}, {})
        return [made["gid"], asana.TasksApi(client).get_task("external:crm:1/x", {})["gid"]]

    made, found = await with_client(rig, act)
    assert made == found


async def test_a_link_is_attached_by_a_form() -> None:
    rig = Rig()
    task = await rig.task(rig.world.add_project("Acme"))

    def act(client: asana.ApiClient) -> Any:
        link = {"parent": task, "resource_subtype": "external", "name": "The deal", "url": "https://crm.example.com/6"}
        return asana.AttachmentsApi(client).create_attachment_for_object(link)

    assert (await with_client(rig, act))["name"] == "The deal"


async def test_status_updates_users_and_searches_are_served() -> None:
    rig = Rig(search_lag=0)
    project = rig.world.add_project("Acme")

    def act(client: asana.ApiClient) -> tuple[Any, ...]:
        status = {"data": {"parent": project, "title": "W1", "text": "fine", "status_type": "on_track"}}
        asana.StatusUpdatesApi(client).create_status_for_object(status, {})
        users = [user["name"] for user in asana.UsersApi(client).get_users_for_workspace(rig.world.workspace, {})]
        found = asana.TypeaheadApi(client).typeahead_for_workspace(rig.world.workspace, "project", {"query": "acm"})
        return users, [row["name"] for row in found], asana.UsersApi(client).get_user("me", {})["email"]

    assert await with_client(rig, act) == (["Handoff"], ["Acme"], "handoff@example.com")
    assert [status["title"] for status in rig.world.status_updates.values()] == ["W1"]
