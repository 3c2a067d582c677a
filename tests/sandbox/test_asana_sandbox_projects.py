"""Projects, sections, sharing and custom fields in the stand-in of Asana."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.asana_rig import Rig


async def test_a_fresh_project_holds_one_section_that_can_be_renamed() -> None:
    rig = Rig()
    project = await rig.project()
    sections = (await rig.ask("GET", f"/projects/{project}/sections")).data
    assert [section["name"] for section in sections] == ["Untitled section"]
    assert (await rig.ask("PUT", f"/sections/{sections[0]['gid']}", {"name": "Kick-off"})).data["name"] == "Kick-off"


async def test_sections_keep_their_order_and_can_be_moved() -> None:
    rig = Rig()
    project = await rig.project()
    gids = [(await rig.made(f"/projects/{project}/sections", name=name))["gid"] for name in "ab"]
    await rig.made(f"/projects/{project}/sections", name="first", insert_before=rig.world.sections_of[project][0])
    assert await rig.names(f"/projects/{project}/sections") == ["first", "Untitled section", "a", "b"]
    await rig.made(f"/projects/{project}/sections/insert", section=gids[1], before_section=gids[0])
    assert await rig.names(f"/projects/{project}/sections") == ["first", "Untitled section", "b", "a"]
    assert (await rig.ask("POST", f"/projects/{project}/sections/insert", {"section": gids[1]})).status == 400


async def test_only_an_empty_section_that_is_not_the_last_can_be_deleted() -> None:
    rig = Rig()
    project = await rig.project()
    first = rig.world.sections_of[project][0]
    assert "last section" in (await rig.ask("DELETE", f"/sections/{first}")).words
    second = (await rig.made(f"/projects/{project}/sections", name="b"))["gid"]
    task = await rig.task(project)
    assert "not empty" in (await rig.ask("DELETE", f"/sections/{first}")).words
    await rig.made(f"/sections/{second}/addTask", task=task)
    assert (await rig.ask("DELETE", f"/sections/{first}")).status == 200
    assert await rig.names(f"/projects/{project}/sections") == ["b"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"start_on": "2026-03-09", "due_on": "2026-03-10"}, 201),
        ({"start_on": "2026-03-09"}, 400),
        ({"start_on": "2026-03-10", "due_on": "2026-03-10"}, 400),
        ({"privacy_setting": "secret"}, 400),
        ({"default_view": "kanban"}, 400),
        ({"color": "mauve"}, 400),
        ({"color": "light-green"}, 201),
        ({"name": 7}, 400),
        ({"owner": "nobody@example.com"}, 400),
        ({"workspace": "1"}, 404),
        ({"workspace": None}, 400),
        ({"team": "1"}, 404),
        ({"html_notes": "<body><h1>x</h1></body>"}, 400),
    ],
)
async def test_a_project_is_made_only_from_what_asana_knows(data: dict[str, Any], status: int) -> None:
    rig = Rig()
    assert (await rig.ask("POST", "/projects", {"name": "x", "workspace": rig.world.workspace, **data})).status == status
    assert len(rig.world.projects) == (status == 201)


async def test_two_projects_may_have_one_name() -> None:
    rig = Rig()
    assert await rig.project(name="Acme") != await rig.project(name="Acme")


async def test_a_private_project_exists_only_for_those_it_is_shared_with() -> None:
    rig = Rig()
    ana = rig.world.add_token(user=rig.world.add_user("Ana", "ana@example.com"))
    project = await rig.project(privacy_setting="private")
    task = await rig.task(project)
    paths = (f"/projects/{project}", f"/projects/{project}/tasks", f"/tasks/{task}", f"/sections/{rig.world.sections_of[project][0]}")
    assert [(await rig.ask("GET", path, token=ana)).status for path in paths] == [404] * 4
    assert (await rig.ask("GET", "/projects", token=ana)).data == []
    await rig.made("/memberships", parent=project, member="ana@example.com", access_level="editor")
    assert [(await rig.ask("GET", path, token=ana)).status for path in paths] == [200] * 4


async def test_a_guest_sees_no_public_project_that_is_not_shared() -> None:
    rig = Rig()
    guest = rig.world.add_token(user=rig.world.add_user("Gil", "gil@partner.example", guest=True))
    project = await rig.project(privacy_setting="public_to_workspace")
    assert (await rig.ask("GET", f"/projects/{project}", token=guest)).status == 404


async def test_sharing_with_a_team_shows_the_project_to_its_members() -> None:
    rig = Rig()
    ana = rig.world.add_user("Ana", "ana@example.com")
    team = rig.world.add_team("Delivery", members=[ana])
    project = await rig.project(privacy_setting="private")
    membership = await rig.made("/memberships", parent=project, member=team)
    token = rig.world.add_token(user=ana)
    assert await rig.names("/projects", token=token) == ["Onboarding"]
    assert await rig.names(f"/teams/{team}/projects") == ["Onboarding"]
    rows = (await rig.ask("GET", "/memberships", member=team, resource_subtype="project_membership")).data
    assert [(row["parent"]["gid"], row["member"]["gid"]) for row in rows] == [(project, team)]
    assert (await rig.ask("DELETE", f"/memberships/{membership['gid']}")).status == 200
    assert await rig.names("/projects", token=token) == []


async def test_sharing_twice_is_sharing_once() -> None:
    rig = Rig()
    team, project = rig.world.add_team("Delivery"), await rig.project()
    gids = {(await rig.made("/memberships", parent=project, member=team))["gid"] for _ in range(2)}
    assert len(gids) == 1
    assert len((await rig.ask("GET", "/memberships", parent=project)).data) == 2


async def test_visible_history_remembers_every_project_people_ever_saw() -> None:
    rig = Rig()
    hidden = await rig.project(name="handoff 1f", privacy_setting="private")
    assert rig.world.visible_history == []
    for _ in range(2):
        await rig.ask("PUT", f"/projects/{hidden}", {"name": "Acme", "privacy_setting": "public_to_workspace"})
    shown = await rig.project(name="Acme")
    await rig.ask("DELETE", f"/projects/{shown}")
    assert rig.world.visible_history == [(rig.clock(), hidden, "Acme"), (rig.clock(), shown, "Acme")]


async def test_a_private_project_with_a_second_member_or_another_owner_was_visible() -> None:
    rig = Rig()
    rig.world.add_user("Ana", "ana@example.com")
    shared = await rig.project(name="shared", privacy_setting="private")
    await rig.made("/memberships", parent=shared, member="ana@example.com")
    await rig.project(name="owned", privacy_setting="private", owner="ana@example.com")
    assert [name for _, _, name in rig.world.visible_history] == ["shared", "owned"]


async def test_archived_projects_stay_readable_and_are_filtered() -> None:
    rig = Rig()
    old = await rig.project(name="old")
    await rig.project(name="new")
    await rig.ask("PUT", f"/projects/{old}", {"archived": True})
    assert await rig.names("/projects", workspace=rig.world.workspace, archived="false") == ["new"]
    assert await rig.names("/projects", archived="true") == ["old"]
    assert await rig.names(f"/workspaces/{rig.world.workspace}/projects") == ["old", "new"]
    assert (await rig.ask("GET", f"/projects/{old}")).data["archived"] is True


async def test_a_deleted_project_is_gone_with_the_tasks_that_live_nowhere_else() -> None:
    rig = Rig()
    project, other = await rig.project(), await rig.project()
    only, both = await rig.task(project), await rig.task(project, projects=[project, other])
    await rig.ask("DELETE", f"/projects/{project}")
    paths = (f"/projects/{project}", f"/tasks/{only}", f"/tasks/{both}")
    assert [(await rig.ask("GET", path)).status for path in paths] == [404, 404, 200]


async def test_task_counts_come_only_when_asked_for() -> None:
    rig = Rig()
    project = await rig.project()
    done = await rig.task(project)
    await rig.task(project, resource_subtype="milestone")
    await rig.ask("PUT", f"/tasks/{done}", {"completed": True})
    assert (await rig.ask("GET", f"/projects/{project}/task_counts")).data == {}
    counts = await rig.ask("GET", f"/projects/{project}/task_counts", opt_fields="num_tasks,num_completed_tasks,num_milestones")
    assert counts.data == {"num_tasks": 2, "num_completed_tasks": 1, "num_milestones": 1}


async def test_a_custom_field_is_set_only_where_its_project_has_it() -> None:
    rig = Rig()
    field, project = rig.world.add_custom_field("Tier", "text"), await rig.project()
    body = {"name": "x", "projects": [project], "custom_fields": {field: "gold"}}
    assert "is not on given object" in (await rig.ask("POST", "/tasks", body)).words
    for _ in range(2):
        await rig.made(f"/projects/{project}/addCustomFieldSetting", custom_field=field)
    assert [row["name"] for row in (await rig.ask("POST", "/tasks", body)).data["custom_fields"]] == ["Tier"]
    settings = (await rig.ask("GET", f"/projects/{project}/custom_field_settings")).data
    assert [setting["custom_field"]["gid"] for setting in settings] == [field]
    seen = await rig.ask("PUT", f"/projects/{project}", {"custom_fields": {field: "whole project"}})
    assert seen.data["custom_fields"][0]["text_value"] == "whole project"


async def _with_field(rig: Rig, kind: str, **about: Any) -> tuple[str, str]:
    field, project = rig.world.add_custom_field("Field", kind, **about), await rig.project()
    await rig.made(f"/projects/{project}/addCustomFieldSetting", custom_field=field)
    return field, await rig.task(project)


@pytest.mark.parametrize(
    ("kind", "good", "key", "held", "bad"),
    [
        ("text", "gold", "text_value", "gold", 7),
        ("text", "x" * 1024, "text_value", "x" * 1024, "x" * 1025),
        ("number", 12.345, "number_value", 12.35, "12"),
        ("date", {"date": "2026-03-09"}, "date_value", {"date": "2026-03-09", "date_time": None}, "2026-03-09"),
    ],
)
async def test_a_value_must_fit_the_type_of_its_field(kind: str, good: Any, key: str, held: Any, bad: Any) -> None:
    rig = Rig()
    field, task = await _with_field(rig, kind)
    seen = await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: good}})
    assert seen.data["custom_fields"][0][key] == held
    assert (await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: bad}})).status == 400
    cleared = await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: None}})
    assert (cleared.data["custom_fields"][0][key], cleared.data["custom_fields"][0]["display_value"]) == (None, None)


async def test_dates_in_custom_fields_may_be_strings_instead() -> None:
    rig = Rig(date_fields="string")
    field, task = await _with_field(rig, "date")
    assert (await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: {"date": "2026-03-09"}}})).status == 400
    seen = await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: "2026-03-09"}})
    assert seen.data["custom_fields"][0]["date_value"]["date"] == "2026-03-09"


async def test_a_choice_is_one_of_the_enabled_options_by_gid() -> None:
    rig = Rig()
    field, task = await _with_field(rig, "enum", options=["Gold", "Silver"])
    gold, silver = (option["gid"] for option in rig.world.custom_fields[field]["enum_options"])
    seen = await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: gold}})
    assert (seen.data["custom_fields"][0]["enum_value"]["name"], seen.data["custom_fields"][0]["display_value"]) == ("Gold", "Gold")
    assert (await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: "Gold"}})).status == 400
    await rig.ask("PUT", f"/enum_options/{silver}", {"enabled": False})
    assert (await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: silver}})).status == 400


async def test_a_locked_field_is_forbidden_and_a_disabled_one_can_only_be_cleared() -> None:
    rig = Rig()
    locked, task = await _with_field(rig, "text", locked=True)
    assert (await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {locked: "x"}})).status == 403
    rig.world.custom_fields[locked].update(locked=False, enabled=False)
    assert (await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {locked: "x"}})).status == 400
    assert (await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {locked: None}})).status == 200


async def test_people_and_several_choices_replace_the_whole_set() -> None:
    rig = Rig()
    field, project = rig.world.add_custom_field("Areas", "multi_enum", ["EMEA", "APAC"]), await rig.project()
    crew = rig.world.add_custom_field("Crew", "people")
    for each in (field, crew):
        await rig.made(f"/projects/{project}/addCustomFieldSetting", custom_field=each)
    gids = [option["gid"] for option in rig.world.custom_fields[field]["enum_options"]]
    task = await rig.task(project, custom_fields={field: gids, crew: ["me"]})
    seen = await rig.ask("PUT", f"/tasks/{task}", {"custom_fields": {field: gids[1:]}})
    shown = [row["display_value"] for row in seen.data["custom_fields"]]
    assert shown == ["APAC", "Handoff"]


async def test_the_name_of_a_custom_field_is_unique() -> None:
    rig = Rig()
    body = {"name": "Tier", "resource_subtype": "enum", "workspace": rig.world.workspace, "enum_options": [{"name": "Gold"}]}
    field = await rig.made("/custom_fields", **body)
    assert (await rig.ask("POST", "/custom_fields", body)).status == 403
    await rig.made(f"/custom_fields/{field['gid']}/enum_options", name="Silver")
    listed = (await rig.ask("GET", f"/workspaces/{rig.world.workspace}/custom_fields")).data
    assert [option["name"] for option in listed[0]["enum_options"]] == ["Gold", "Silver"]


async def test_status_updates_are_listed_newest_first_and_never_changed() -> None:
    rig = Rig()
    project = await rig.project()
    for title, kind in (("Week 1", "on_track"), ("Week 2", "at_risk")):
        made = await rig.made("/status_updates", parent=project, title=title, text="so far", status_type=kind)
    assert [row["title"] for row in (await rig.ask("GET", "/status_updates", parent=project)).data] == ["Week 2", "Week 1"]
    assert (await rig.ask("GET", f"/projects/{project}")).data["current_status_update"]["title"] == "Week 2"
    assert (await rig.ask("PUT", f"/status_updates/{made['gid']}", {"title": "x"})).status == 404
    assert (await rig.ask("POST", "/status_updates", {"parent": project, "text": "x", "status_type": "fine"})).status == 400


async def test_the_teams_of_a_person_are_asked_for_by_organization() -> None:
    rig = Rig()
    rig.world.add_team("Delivery")
    assert (await rig.ask("GET", "/users/me/teams")).status == 400
    assert await rig.names("/users/me/teams", organization=rig.world.workspace) == ["Delivery"]


async def test_people_are_found_by_gid_email_and_me() -> None:
    rig = Rig()
    ana = rig.world.add_user("Ana", "ana@example.com")
    for name in (ana, "ana@example.com", "Ana@Example.com"):
        assert (await rig.ask("GET", f"/users/{name}")).data["gid"] == ana
    assert (await rig.ask("GET", "/users/me")).data["email"] == "handoff@example.com"
    assert (await rig.ask("GET", "/users/nobody@example.com")).status == 404
    assert await rig.names(f"/workspaces/{rig.world.workspace}/users") == ["Ana", "Handoff"]


async def test_sharing_with_a_team_the_old_way_works_and_says_that_it_is_old() -> None:
    rig = Rig()
    team = rig.world.add_team("Delivery")
    seen = await rig.ask("POST", "/projects", {"name": "x", "workspace": rig.world.workspace, "team": team})
    assert (seen.data["team"]["name"], "affected=true" in seen.headers["Asana-Change"]) == ("Delivery", True)
    assert "Asana-Change" in (await rig.ask("GET", "/projects", team=team)).headers
    assert "Asana-Change" not in (await rig.ask("GET", "/projects")).headers
