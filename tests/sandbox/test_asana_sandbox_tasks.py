"""What the stand-in of Asana accepts and refuses of a task."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.asana_rig import Rig, at_birth


async def test_a_task_needs_a_workspace_a_project_or_a_parent() -> None:
    rig = Rig()
    refused = await rig.ask("POST", "/tasks", {"name": "nowhere to be"})
    assert (refused.status, "one of workspace" in refused.words) == (400, True)
    assert (await rig.ask("POST", "/tasks", {"name": "loose", "workspace": rig.world.workspace})).status == 201


async def test_a_created_task_is_answered_whole_with_201_and_its_location() -> None:
    rig = Rig()
    project = await rig.project()
    seen = await rig.ask("POST", "/tasks", {"name": "Kick-off", "projects": [project], "assignee": "handoff@example.com"})
    assert seen.status == 201
    assert seen.headers["Location"] == f"https://app.asana.com/api/1.0/tasks/{seen.data['gid']}"
    assert seen.data["assignee"]["name"] == "Handoff"
    assert seen.data["memberships"][0]["section"]["name"] == "Untitled section"
    assert not {"html_notes", "dependencies", "external", "num_subtasks"} & set(seen.data)


async def test_a_task_is_born_in_the_section_its_membership_names() -> None:
    rig = Rig()
    project = await rig.project()
    later = (await rig.made(f"/projects/{project}/sections", name="Later"))["gid"]
    await rig.task(project, **at_birth(project, later))
    assert await rig.names(f"/sections/{later}/tasks") == ["Kick-off"]
    assert await rig.names("/tasks", section=later) == ["Kick-off"]


async def test_a_section_of_another_project_is_refused_and_nothing_is_made() -> None:
    rig = Rig()
    project, other = await rig.project(), await rig.project()
    foreign = rig.world.sections_of[other][0]
    assert (await rig.ask("POST", "/tasks", {"name": "x", **at_birth(project, foreign)})).status == 400
    assert rig.world.tasks == {}


@pytest.mark.parametrize(
    ("dates", "status"),
    [
        ({"due_on": "2026-03-10"}, 201),
        ({"start_on": "2026-03-09", "due_on": "2026-03-10"}, 201),
        ({"start_at": "2026-03-09T08:00:00Z", "due_at": "2026-03-10T08:00:00Z"}, 201),
        ({"start_on": "2026-03-09"}, 400),
        ({"start_on": "2026-03-11", "due_on": "2026-03-10"}, 400),
        ({"start_at": "2026-03-09T08:00:00Z", "due_on": "2026-03-10"}, 400),
        ({"due_on": "2026-03-10", "due_at": "2026-03-10T08:00:00Z"}, 400),
        ({"due_on": "10.03.2026"}, 400),
        ({"due_on": "2026-02-30"}, 400),
        ({"due_at": "2026-03-10"}, 400),
        ({"start_on": "2026-03-09", "due_on": "2026-03-10", "resource_subtype": "milestone"}, 400),
        ({"due_on": "2026-03-10", "resource_subtype": "milestone"}, 201),
    ],
)
async def test_start_and_due_keep_their_rules(dates: dict[str, str], status: int) -> None:
    rig = Rig()
    assert (await rig.ask("POST", "/tasks", {"name": "x", "workspace": rig.world.workspace, **dates})).status == status
    assert len(rig.world.tasks) == (status == 201)


async def test_a_start_is_only_changed_together_with_a_due_date() -> None:
    rig = Rig()
    task = await rig.task(await rig.project(), start_on="2026-03-09", due_on="2026-03-10")
    assert (await rig.ask("PUT", f"/tasks/{task}", {"start_on": None})).status == 400
    assert (await rig.ask("PUT", f"/tasks/{task}", {"due_on": None})).status == 400
    both = await rig.ask("PUT", f"/tasks/{task}", {"start_on": None, "due_on": "2026-03-12"})
    assert (both.data["start_on"], both.data["due_on"]) == (None, "2026-03-12")


async def test_a_change_touches_only_the_named_fields() -> None:
    rig = Rig()
    task = await rig.task(await rig.project(), notes="context", due_on="2026-03-10")
    rig.clock.move(minutes=1)
    seen = await rig.ask("PUT", f"/tasks/{task}", {"name": "Kick-off call"})
    assert (seen.data["name"], seen.data["notes"], seen.data["due_on"]) == ("Kick-off call", "context", "2026-03-10")
    assert seen.data["modified_at"] > seen.data["created_at"]


@pytest.mark.parametrize("field", ["assignee", "followers"])
async def test_an_unknown_person_is_refused(field: str) -> None:
    rig = Rig()
    project = await rig.project()
    value: Any = "nobody@example.com" if field == "assignee" else ["nobody@example.com"]
    refused = await rig.ask("POST", "/tasks", {"name": "x", "projects": [project], field: value})
    assert (refused.status, field in refused.words) == (400, True)
    assert list(rig.world.tasks_of(project)) == []


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<body>a &amp; b</body>", "a & b"),
        ("<body><h1>Who</h1><strong>Acme</strong> 株式会社<hr/><ul><li>one</li><li>two</li></ul></body>", "Who\nAcme 株式会社\none\ntwo"),
        ('<body><a href="https://crm.example.com/6?x=1&amp;y=2">the deal</a></body>', "the deal"),
    ],
)
async def test_rich_text_is_kept_and_its_plain_text_with_it(html: str, text: str) -> None:
    rig = Rig()
    task = await rig.task(await rig.project(), html_notes=html)
    seen = await rig.ask("GET", f"/tasks/{task}", opt_fields="notes,html_notes")
    assert (seen.data["notes"], seen.data["html_notes"]) == (text, html)


@pytest.mark.parametrize(
    "html",
    [
        "no root",
        "<body>open",
        "<body></body><body></body>",
        "<body>a & b</body>",
        "<body>&nbsp;</body>",
        "<body><p>paragraph</p></body>",
        "<body><strong>a</em></body>",
        "<body><H1>loud</H1></body>",
        '<body><strong class="x">a</strong></body>',
        '<body><strong href="x">a</strong></body>',
        '<body><a onclick="x">a</a></body>',
        "<body><body>a</body></body>",
        "<strong>a</strong>",
        "<body><a href=x>a</a></body>",
        "<body><li>alone</li></body>",
        "<body><table><tr><td>x</td></tr></table></body>",
        "<body>bell \x07</body>",
        '<!DOCTYPE body [<!ENTITY x "y">]><body>&x;</body>',
    ],
)
async def test_rich_text_that_asana_does_not_know_is_refused(html: str) -> None:
    rig = Rig()
    refused = await rig.ask("POST", "/tasks", {"name": "x", "workspace": rig.world.workspace, "html_notes": html})
    assert (refused.status, refused.words.startswith("html_notes: XML is invalid")) == (400, True)


async def test_headings_belong_to_tasks_only() -> None:
    rig = Rig()
    project = await rig.project()
    task = await rig.task(project, html_notes="<body><h2>Fine</h2></body>")
    assert (await rig.ask("PUT", f"/projects/{project}", {"html_notes": "<body><h2>No</h2></body>"})).status == 400
    assert (await rig.ask("POST", f"/tasks/{task}/stories", {"html_text": "<body><h2>No</h2></body>"})).status == 400


async def test_plain_notes_are_rich_text_too() -> None:
    rig = Rig()
    task = await rig.task(await rig.project(), notes="1 < 2 & so on")
    seen = await rig.ask("GET", f"/tasks/{task}", opt_fields="html_notes")
    assert seen.data["html_notes"] == "<body>1 &lt; 2 &amp; so on</body>"


async def test_a_subtask_is_below_its_parent_and_in_no_project() -> None:
    rig = Rig()
    project = await rig.project()
    parent = await rig.task(project)
    child = (await rig.made("/tasks", name="Send invite", parent=parent))["gid"]
    await rig.made(f"/tasks/{parent}/subtasks", name="Book room")
    assert await rig.names(f"/tasks/{parent}/subtasks") == ["Send invite", "Book room"]
    assert await rig.names(f"/projects/{project}/tasks") == ["Kick-off"]
    assert (await rig.ask("GET", f"/tasks/{parent}", opt_fields="num_subtasks")).data["num_subtasks"] == 2
    assert (await rig.ask("GET", f"/tasks/{child}")).data["parent"]["gid"] == parent


async def test_a_task_cannot_become_its_own_ancestor() -> None:
    rig = Rig()
    parent = await rig.task(await rig.project())
    child = (await rig.made("/tasks", name="child", parent=parent))["gid"]
    assert (await rig.ask("POST", f"/tasks/{parent}/setParent", {"parent": child})).status == 400
    assert (await rig.ask("POST", f"/tasks/{child}/setParent", {"parent": None})).data["parent"] is None


async def test_a_deleted_task_is_not_found_and_takes_its_subtasks_along() -> None:
    rig = Rig()
    parent = await rig.task(await rig.project())
    child = (await rig.made("/tasks", name="child", parent=parent))["gid"]
    assert (await rig.ask("DELETE", f"/tasks/{parent}")).data == {}
    assert [(await rig.ask("GET", f"/tasks/{gid}")).status for gid in (parent, child)] == [404, 404]
    assert (await rig.ask("DELETE", f"/tasks/{parent}")).status == 404


async def test_a_task_lives_in_twenty_projects_at_most() -> None:
    rig = Rig()
    projects = [await rig.project() for _ in range(21)]
    assert (await rig.ask("POST", "/tasks", {"name": "x", "projects": projects})).status == 400
    task = (await rig.made("/tasks", name="x", projects=projects[:20]))["gid"]
    assert (await rig.ask("POST", f"/tasks/{task}/addProject", {"project": projects[20]})).status == 400
    assert len((await rig.ask("GET", f"/tasks/{task}/projects")).data) == 20


async def test_adding_dependencies_again_changes_nothing() -> None:
    rig = Rig()
    project = await rig.project()
    first, second = await rig.task(project, name="first"), await rig.task(project, name="second")
    for _ in range(2):
        assert (await rig.ask("POST", f"/tasks/{second}/addDependencies", {"dependencies": [first]})).data == {}
    assert await rig.names(f"/tasks/{second}/dependencies") == ["first"]
    assert await rig.names(f"/tasks/{first}/dependents") == ["second"]


async def test_a_cycle_of_dependencies_is_refused() -> None:
    rig = Rig()
    project = await rig.project()
    a, b, c = [await rig.task(project, name=name) for name in "abc"]
    await rig.made(f"/tasks/{b}/addDependencies", dependencies=[a])
    await rig.made(f"/tasks/{c}/addDependencies", dependencies=[b])
    assert (await rig.ask("POST", f"/tasks/{a}/addDependencies", {"dependencies": [c]})).status == 400
    assert (await rig.ask("POST", f"/tasks/{a}/addDependencies", {"dependencies": [a]})).status == 400
    assert (await rig.ask("POST", f"/tasks/{c}/addDependents", {"dependents": [a]})).status == 400
    assert rig.world.tasks[a]["dependencies"] == {}


async def test_thirty_dependencies_and_dependents_together_are_the_most() -> None:
    rig = Rig()
    project = await rig.project()
    tasks = [await rig.task(project) for _ in range(32)]
    await rig.made(f"/tasks/{tasks[0]}/addDependencies", dependencies=tasks[1:30])
    await rig.made(f"/tasks/{tasks[0]}/addDependents", dependents=[tasks[30]])
    refused = await rig.ask("POST", f"/tasks/{tasks[0]}/addDependencies", {"dependencies": [tasks[31]]})
    assert (refused.status, "at most 30" in refused.words) == (400, True)
    assert (await rig.ask("POST", f"/tasks/{tasks[31]}/addDependencies", {"dependencies": [tasks[0]]})).status == 400


async def test_dependencies_cost_a_plan() -> None:
    rig = Rig(plan="free")
    project = await rig.project()
    first, second = await rig.task(project), await rig.task(project)
    assert (await rig.ask("POST", f"/tasks/{second}/addDependencies", {"dependencies": [first]})).status == 402


async def test_a_task_enters_a_section_at_the_top_and_a_project_at_the_end() -> None:
    rig = Rig(new_tasks="bottom")
    project = await rig.project()
    section = rig.world.sections_of[project][0]
    for name in "ab":
        await rig.task(project, name=name)
    for name, path, data in [("top", f"/sections/{section}/addTask", {}), ("end", "", {"project": project})]:
        gid = (await rig.made("/tasks", name=name, workspace=rig.world.workspace))["gid"]
        await rig.ask("POST", path or f"/tasks/{gid}/addProject", data or {"task": gid})
    assert await rig.names(f"/projects/{project}/tasks") == ["top", "a", "b", "end"]
    start = (await rig.made("/tasks", name="start", workspace=rig.world.workspace))["gid"]
    await rig.made(f"/tasks/{start}/addProject", project=project, section=section, insert_after=None)
    assert (await rig.names(f"/projects/{project}/tasks"))[0] == "start"


async def test_completing_says_when_and_by_whom() -> None:
    rig = Rig()
    project = await rig.project()
    task = await rig.task(project)
    ana = rig.world.add_user("Ana", "ana@example.com")
    rig.world.complete_task(task, by=ana)
    seen = (await rig.ask("GET", f"/tasks/{task}", opt_fields="completed,completed_at,completed_by.name")).data
    assert seen == {"gid": task, "completed": True, "completed_at": "2026-03-02T09:00:00.000Z", "completed_by": {"gid": ana, "name": "Ana"}}
    assert await rig.names("/tasks", project=project, completed_since="now") == []


async def test_modified_since_leaves_older_tasks_out() -> None:
    rig = Rig()
    project = await rig.project()
    await rig.task(project, name="old")
    rig.clock.move(minutes=5)
    await rig.task(project, name="new")
    assert await rig.names("/tasks", project=project, modified_since="2026-03-02T09:01:00Z") == ["new"]


async def test_comments_carry_their_author_and_stand_beside_system_stories() -> None:
    rig = Rig()
    task = await rig.task(await rig.project())
    ana = rig.world.add_user("Ana", "ana@example.com")
    rig.world.comment(task, "on my way", by=ana)
    rig.world.complete_task(task, by=ana)
    await rig.made(f"/tasks/{task}/stories", html_text="<body>all <strong>set</strong></body>")
    rows = (await rig.ask("GET", f"/tasks/{task}/stories")).data
    assert [(row["resource_subtype"], row["text"], row["created_by"]["name"]) for row in rows] == [
        ("comment_added", "on my way", "Ana"),
        ("marked_complete", "Ana marked complete", "Ana"),
        ("comment_added", "all set", "Handoff"),
    ]
    assert (await rig.ask("DELETE", f"/stories/{rows[0]['gid']}")).status == 403
    assert (await rig.ask("DELETE", f"/stories/{rows[2]['gid']}")).status == 200


async def test_external_needs_oauth_and_finds_its_task_again() -> None:
    rig = Rig()
    body = {"name": "x", "workspace": rig.world.workspace, "external": {"gid": "crm:6/kick off", "data": "{}"}}
    assert (await rig.ask("POST", "/tasks", body)).status == 403
    oauth = rig.world.add_token("oauth")
    gid = (await rig.ask("POST", "/tasks", body, token=oauth)).data["gid"]
    path = "/tasks/external:crm:6%2Fkick%20off"
    assert (await rig.ask("GET", path, token=oauth, opt_fields="external")).data == {
        "gid": gid,
        "external": {"gid": "crm:6/kick off", "data": "{}"},
    }
    assert "external" not in (await rig.ask("GET", f"/tasks/{gid}", opt_fields="name,external")).data


@pytest.mark.parametrize(("unique", "status"), [(False, 201), (True, 400)])
async def test_whether_an_external_gid_is_unique_is_a_switch(unique: bool, status: int) -> None:
    rig = Rig(external="any", external_unique=unique)
    body = {"name": "x", "workspace": rig.world.workspace, "external": {"gid": "k", "data": ""}}
    assert [(await rig.ask("POST", "/tasks", body)).status for _ in range(2)] == [201, status]


async def test_links_hang_on_a_task() -> None:
    rig = Rig()
    task = await rig.task(await rig.project())
    made = await rig.ask(
        "POST", "/attachments", {"parent": task, "resource_subtype": "external", "name": "Deal", "url": "https://x.example"}
    )
    assert (made.status, made.data["view_url"]) == (200, "https://x.example")
    assert await rig.names("/attachments", parent=task) == ["Deal"]
    assert (await rig.ask("DELETE", f"/attachments/{made.data['gid']}")).status == 200
    assert await rig.names("/attachments", parent=task) == []
