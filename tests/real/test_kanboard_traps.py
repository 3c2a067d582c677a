"""What Kanboard does that one would not expect, each over a real server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from urllib.error import HTTPError
from zoneinfo import ZoneInfo

import pytest

from connectors.base import Ambiguous, Conflict, ConnectorError, Create, Gone, Publish, Rejected, Remote, Transient, Update, Write
from connectors.kanboard import FieldMap, KanboardTarget
from tests.conformance.target import FIRST, LAST, ROOT, assert_same, begin, comment, held, make, one, project, section, task, waiting
from tests.real.kanboard import Kanboard
from tests.real.kanboard_rig import KanboardTool, called

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("kanboard")]


@pytest.fixture
def tool(kanboard: Kanboard) -> KanboardTool:
    return KanboardTool(kanboard, {"region": FieldMap(custom_field="region", values={"emea": "EMEA"})}, members=(kanboard.known,))


async def published(target: KanboardTarget, **fields: Any) -> str:
    inside = await begin(target)
    await make(target, Publish(inside, project(**fields)))
    return inside


def people(tool: KanboardTool, project: str) -> set[str]:
    """The logins of a project's members."""
    rows = tool.server.rows("select username from users join project_has_users on user_id = users.id where project_id = ?", int(project))
    return {row["username"] for row in rows}


def person(tool: KanboardTool, name: str, **more: Any) -> int:
    user = tool.server.call("createUser", username=name, password="secret-of-" + name, name=name, email=f"{name}@example.com", **more)
    assert user
    return int(user)


def row(tool: KanboardTool, task: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = tool.server.call("getTask", task_id=int(task))
    return found


# Once


async def test_a_project_that_is_there_is_taken(tool: KanboardTool) -> None:
    async with tool.target() as target:
        first, second = await begin(target, nonce="n1"), await begin(target, nonce="n2")
    assert first == second
    assert tool.count("project") == 1


async def test_a_task_that_is_there_is_taken(tool: KanboardTool) -> None:
    async with tool.target() as target:
        create = task("a", await begin(target))
        first, second = await make(target, create), await make(target, create)
    assert first == second
    assert tool.count("task") == 1


async def test_a_copied_task_is_a_conflict(tool: KanboardTool) -> None:
    """A person who copies a card copies its reference, too."""
    async with tool.target() as target:
        inside = await begin(target)
        create = task("a", inside)
        (made,) = await make(target, create)
        tool.server.call("createTask", title="Copy", project_id=int(inside), reference=create.item.key)
        (found,) = await target.find([create])
    assert isinstance(found, Conflict)
    assert len(found.theirs) == 2
    assert made.url in found.theirs


async def test_a_key_longer_than_a_reference_is_found_all_the_same(tool: KanboardTool) -> None:
    async with tool.target() as target:
        creates = [task(f"{'x' * 200}-{name}", await begin(target)) for name in "ab"]
        made = await make(target, *creates)
        found = await target.find(creates)
        there = await target.read("task", [remote.id for remote in made])
    assert [one.id for one in found if isinstance(one, Remote)] == [remote.id for remote in made]
    assert [one.key for one in there if one] == ["", ""]


async def test_a_sub_task_whose_link_was_lost_is_completed_by_repeating_it(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (upper,) = await make(target, task("a", inside))
        lower = task("b", inside, under=upper)
        tool.wire.fault(lambda request: "createTaskLink" in called(request), "reset", times=-1)
        assert isinstance(await one(target, lower), Ambiguous)
        assert await target.find([lower]) == [None]
        tool.wire.faults = []
        (made,) = await make(target, lower)
        (found,) = await target.find([lower])
        assert isinstance(found, Remote)
        (progress,) = await target.progress([inside])
    assert made.id == found.id
    assert (tool.count("task"), progress.total) == (2, 1)


async def test_a_task_is_no_part_of_the_task_that_has_the_id_of_its_project(tool: KanboardTool) -> None:
    """Ids count up in each table by itself."""
    async with tool.target() as target:
        inside = await begin(target)
        (upper,) = await make(target, task("a", inside))
        assert upper.id == inside
        lower, other = await make(target, task("b", inside, under=upper), task("c", inside))
        (progress,) = await target.progress([inside])
    assert [link["task_id"] for link in tool.server.call("getAllTaskLinks", task_id=int(lower.id))] == [int(upper.id)]
    assert tool.server.call("getAllTaskLinks", task_id=int(other.id)) == []
    assert progress.total == 2


async def test_somebody_switched_off_is_nobody(tool: KanboardTool) -> None:
    tool.server.call("disableUser", user_id=person(tool, "bob"))
    async with tool.target() as target:
        assert await target.people([tool.known, "bob@example.com"]) == {tool.known}


# Ids are given out again


async def test_a_strangers_task_under_the_id_of_ours_is_never_touched(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        (made,) = await make(target, task("a", inside))
        tool.delete("task", made.id)
        assert str(tool.server.call("createTask", title="Theirs", project_id=int(inside))) == made.id
        assert await target.read("task", [made.id]) == [None]
        writes: list[Write] = [
            Update(made.id, "task", {"name": "Ours"}),
            comment("c", "Hello", inside, made.id),
            task("b", inside, under=made),
            waiting("w", inside, made.id, [made.id]),
        ]
        outcomes = await target.write(writes)
    assert [type(outcome) for outcome in outcomes] == [Gone] * len(writes)
    assert row(tool, made.id)["title"] == "Theirs"
    assert (tool.count("task"), tool.count("comment")) == (1, 0)


async def test_a_task_of_ours_under_the_id_of_another_of_ours_is_told_apart_by_its_key(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (upper,) = await make(target, task("a", inside))
        tool.delete("task", upper.id)
        (other,) = await make(target, task("other", inside))
        assert other.id == upper.id
        assert isinstance(await one(target, task("b", inside, under=upper)), Gone)
        (there,) = await target.read("task", [upper.id])
    assert there is not None
    assert there.key == f"{ROOT}/other"


async def test_a_strangers_project_under_the_id_of_ours_is_never_touched(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        tool.delete("project", inside)
        assert str(tool.server.call("createProject", name="Theirs", identifier="THEIRS")) == inside
        writes: list[Write] = [
            task("a", inside),
            section("plan", "Plan", inside),
            Publish(inside, project()),
            Update(inside, "project", {"name": "Ours"}),
        ]
        outcomes = await target.write(writes)
        assert await target.read("project", [inside]) == [None]
        assert await target.progress([inside]) == []
        assert [type(found) for found in await target.find([task("a", inside), section("plan", "Plan", inside)])] == [Gone, Gone]
    assert [type(outcome) for outcome in outcomes] == [Gone] * len(writes)
    assert tool.server.call("getProjectById", project_id=int(inside))["name"] == "Theirs"
    assert (tool.count("task"), tool.sections(inside)[0], people(tool, inside)) == (0, "Backlog", set())


# People


async def test_nobody_is_a_member_before_publishing_and_then_those_with_tasks_are(tool: KanboardTool) -> None:
    bob = person(tool, "bob")
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside, assignee="bob@example.com"))
        assert (people(tool, inside), row(tool, made.id)["owner_id"]) == (set(), 0)
        assert (await held(target, "task", made.id))["assignee"] == "bob@example.com"
        await make(target, Publish(inside, project(owner=tool.known)))
        assert (await held(target, "task", made.id))["assignee"] == "bob@example.com"
        assert people(tool, inside) == {"ann", "bob"}
        (later,) = await make(target, task("b", inside, assignee="BOB@example.com"))
    rows = [row(tool, remote.id) for remote in (made, later)]
    assert [(one["owner_id"], one["recurrence_factor"]) for one in rows] == [(bob, 0)] * 2


async def test_a_new_assignee_becomes_a_member_first(tool: KanboardTool) -> None:
    person(tool, "bob")
    async with tool.target() as target:
        inside = await published(target)
        made = await make(target, task("a", inside), task("b", inside, assignee="bob@example.com"))
        await make(target, Update(made[0].id, "task", {"assignee": "bob@example.com"}))
        assert [(await held(target, "task", one.id))["assignee"] for one in made] == ["bob@example.com"] * 2
        await make(target, Update(made[0].id, "task", {"assignee": None}))
        assert (await held(target, "task", made[0].id))["assignee"] is None
    assert people(tool, inside) == {"ann", "bob"}


async def test_somebody_switched_off_in_between_does_not_lose_the_task(tool: KanboardTool) -> None:
    bob = person(tool, "bob")
    async with tool.target() as target:
        inside = await published(target)
        await make(target, task("a", inside))
        tool.server.call("disableUser", user_id=bob)
        (made,) = await make(target, task("b", inside, assignee="bob@example.com"))
        assert_same(target, "task", {"assignee": "bob@example.com"}, await held(target, "task", made.id))
    assert "bob@example.com" in target.unknown_people
    assert tool.count("task") == 2


async def test_password_hashes_and_tokens_of_people_go_nowhere(tool: KanboardTool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hashes = [one["password"] for one in tool.server.call("getAllUsers")]
    assert all(hashes)
    async with tool.target() as target:
        report, description = await target.check(), await target.describe()
        inside = await published(target, owner=tool.known)
        outcome = await one(target, task("a", inside, assignee=tool.known, start_on=LAST, due_on=FIRST))
        told = f"{report} {description} {outcome!r} {await target.read('project', [inside])} {vars(target._site)} {caplog.text}"
    assert tool.known in told
    assert not [secret for secret in (*hashes, tool.token) if secret in told]


# Days


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
async def test_days_are_days_where_the_application_is(tool: KanboardTool, zone: str) -> None:
    tool.server.rows(
        "insert or replace into settings (option, value, changed_by, changed_on) values ('application_timezone', ?, 0, 0)", zone
    )
    async with tool.target() as target:
        fields: dict[str, Any] = {"start_on": FIRST, "due_on": LAST}
        (made,) = await make(target, task("a", await begin(target), **fields))
        assert_same(target, "task", fields, await held(target, "task", made.id))
        stored = row(tool, made.id)
        local = [datetime.fromtimestamp(stored[name], ZoneInfo(zone)) for name in ("date_started", "date_due")]
        assert [f"{one:%F %R}" for one in local] == [f"{FIRST} 09:00", f"{LAST} 17:00"]
        tool.edit("task", made.id, "due_on", LAST)  # at another time of that day
        assert_same(target, "task", fields, await held(target, "task", made.id))
        await make(target, Update(made.id, "task", {"start_on": None, "due_on": None}))
        there = await held(target, "task", made.id)
    assert (there["start_on"], there["due_on"]) == (None, None)


# Refusals without a reason


async def test_a_name_of_nought_is_a_name(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside, name="0"))
        await make(target, Publish(inside, project(name="0")))
        assert_same(target, "task", {"name": "0"}, await held(target, "task", made.id))
        assert_same(target, "project", {"name": "0"}, await held(target, "project", inside))


async def test_a_refusal_says_what_was_refused(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        (made,) = await make(target, task("a", inside))
        writes: list[Write] = [
            task("b", inside, name=" "),
            comment("c", "", inside, made.id),
            Update(inside, "project", {"start_on": LAST, "due_on": FIRST}),
            Update(inside, "project", {"custom": {"nowhere": "x"}}),
            replace(task("d", inside), section="99"),
        ]
        outcomes = await target.write(writes)
    assert all(isinstance(outcome, Rejected) and len(outcome.message) > 20 for outcome in outcomes)
    assert (tool.count("task"), tool.count("comment")) == (1, 0)


async def test_a_project_that_is_refused_its_content_is_not_shown(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        assert isinstance(await one(target, Publish(inside, project(start_on=LAST, due_on=FIRST))), Rejected)
    assert (tool.visible(), people(tool, inside)) == ([], set())


async def test_a_task_waits_neither_for_itself_nor_in_a_circle(tool: KanboardTool) -> None:
    """Kanboard takes both."""
    async with tool.target() as target:
        inside = await begin(target)
        a, b, c = await make(target, *(task(slot, inside) for slot in "abc"))
        await make(target, waiting("1", inside, b.id, [a.id]), waiting("2", inside, c.id, [b.id]))
        outcomes = [await one(target, waiting("3", inside, a.id, [c.id])), await one(target, waiting("4", inside, a.id, [a.id]))]
    assert [type(outcome) for outcome in outcomes] == [Rejected, Rejected]
    assert [tool.waits_for(remote.id) for remote in (a, b, c)] == [set(), {a.id}, {b.id}]


# Columns


async def test_sections_may_have_the_names_of_columns_a_project_is_born_with(tool: KanboardTool) -> None:
    names = ["Done", "Ready", "Backlog", "Work in progress", "More"]
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, *(section(name, name, inside) for name in names))
    assert tool.sections(inside) == names


async def test_columns_of_a_birth_that_was_cut_short_go_when_the_project_is_published(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        first = tool.server.call("getColumns", project_id=int(inside))[0]["id"]
        tool.server.call("updateColumn", column_id=first, title="Plan", description=f"handoff:{ROOT}/plan")
        (made,) = await make(target, section("plan", "Plan", inside))
        assert made.id == str(first)
        await make(target, Publish(inside, project()))
    assert tool.sections(inside) == ["Plan"]


async def test_columns_stay_where_a_blueprint_has_no_sections(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
    assert tool.sections(inside) == ["Backlog", "Ready", "Work in progress", "Done"]


async def test_columns_of_people_stay_and_one_of_the_name_is_used(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, section("plan", "Plan", inside))
        await make(target, Publish(inside, project()))
        theirs = tool.server.call("addColumn", project_id=int(inside), title="Review", description="by Ann")
        made = await make(target, section("ship", "Ship", inside), section("review", "Review", inside))
        assert made[1].id == str(theirs)
    assert tool.sections(inside) == ["Plan", "Review", "Ship"]


async def test_renaming_a_column_leaves_its_limit(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        made = await make(target, section("plan", "Plan", inside), section("build", "Build", inside))
        id = int(made[0].id)
        tool.server.call("updateColumn", column_id=id, title="Plan", task_limit=3, description=f"handoff:{ROOT}/plan")
        await make(target, Update(made[0].id, "section", {"name": "Prepare"}))
        taken = await one(target, Update(made[0].id, "section", {"name": "Build"}))
        (found,) = await target.find([section("plan", "Plan", inside)])
    assert isinstance(taken, Rejected)
    assert isinstance(found, Remote)
    assert (tool.sections(inside), tool.server.call("getColumn", column_id=id)["task_limit"]) == (["Prepare", "Build"], 3)


# Publishing


async def test_who_gets_a_task_sees_and_hears_nothing_before_the_project_is_published(tool: KanboardTool) -> None:
    server = tool.server
    server.rows("update users set notifications_enabled = 1, notifications_filter = 1 where username = 'ann'")
    server.rows("insert into user_has_notification_types (user_id, notification_type) select id, 'web' from users where username = 'ann'")
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside, assignee=tool.known))
        assert server.call_as("ann", "getMyProjectsList") == {}
        assert server.call_as("ann", "getMyDashboard") == []
        with pytest.raises(HTTPError, match="403"):
            server.call_as("ann", "getTask", task_id=int(made.id))
        assert server.rows("select * from user_has_unread_notifications") == []
        await make(target, Publish(inside, project()))
    assert server.call_as("ann", "getMyProjectsList") == {inside: "Onboard Acme"}
    assert [one["id"] for one in server.call_as("ann", "getMyDashboard")] == [int(made.id)]
    assert server.rows("select * from user_has_unread_notifications")


async def test_a_publication_cut_short_anywhere_is_completed_by_repeating_it(tool: KanboardTool) -> None:
    writing = {"updateProject", "saveProjectMetadata", "removeColumn", "addProjectUser", "updateTask"}
    person(tool, "bob")
    shown = project(owner=tool.known, custom={"region": "emea"})
    cut = 0
    while True:
        tool.server.wipe()
        person(tool, "bob")
        tool.wire.faults = []
        async with tool.target() as target:
            inside = await begin(target)
            await make(target, section("plan", "Plan", inside))
            tool.server.call("addColumn", project_id=int(inside), title="Left over")
            (made,) = await make(target, task("a", inside, assignee="bob@example.com"))
            tool.wire.fault(lambda request: not writing.isdisjoint(called(request)), "reset", times=-1, skip=cut)
            outcome = await one(target, Publish(inside, shown))
            tool.wire.faults = []
            if isinstance(outcome, Remote):
                break
            assert isinstance(outcome, Transient), outcome
        async with tool.target() as target:
            await make(target, Publish(inside, shown, again=True))
            assert_same(target, "project", shown.fields, await held(target, "project", inside))
            assert (await held(target, "task", made.id))["assignee"] == "bob@example.com"
        assert (tool.visible(), people(tool, inside), tool.sections(inside)) == (["Onboard Acme"], {"ann", "bob"}, ["Plan"])
        cut += 1
    assert cut == 5


async def test_what_people_changed_since_it_was_shown_stays_when_it_is_published_again(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        tool.server.call("updateProject", project_id=int(inside), name="Acme, ours")
        await make(target, Publish(inside, project(), again=True))
        assert (await held(target, "project", inside))["name"] == "Acme, ours"


async def test_custom_fields_are_metadata(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target, custom={"region": "emea"})
        assert tool.server.call("getProjectMetadata", project_id=int(inside))["region"] == "EMEA"
        assert_same(target, "project", {"custom": {"region": "emea"}}, await held(target, "project", inside))
        tool.server.call("saveProjectMetadata", project_id=int(inside), values={"region": "APAC"})
        assert not target.same("project", "custom.region", "emea", (await held(target, "project", inside))["custom"]["region"])


# What happens there


async def test_closed_is_done_and_the_last_column_is_not(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        moved, closed = await make(target, task("a", inside), task("b", inside))
        last = tool.server.call("getColumns", project_id=int(inside))[-1]["id"]
        swimlane = row(tool, moved.id)["swimlane_id"]
        place = {"project_id": int(inside), "column_id": last, "position": 1, "swimlane_id": swimlane}
        assert tool.server.call("moveTaskPosition", task_id=int(moved.id), **place)
        tool.finish(closed.id)
        (progress,) = await target.progress([inside])
    assert (progress.done, progress.total) == (1, 2)


async def test_comments_links_and_edits_without_an_effect_are_quiet(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        a, b = await make(target, task("a", inside), task("b", inside))
        cursor = (await target.changes(None)).cursor
        await make(target, comment("c", "Hello", inside, a.id), waiting("w", inside, b.id, [a.id]))
        tool.server.call("updateTask", id=int(a.id), title="Task a")
        changed = await target.changes(cursor)
    assert (changed.projects, changed.complete) == (frozenset(), True)


async def test_a_task_closed_in_the_second_of_the_last_look_is_noticed(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        made = await make(target, *(task(slot, inside) for slot in "abc"))
        cursor = (await target.changes(None)).cursor
        for remote in made:
            tool.finish(remote.id)
            changed = await target.changes(cursor)
            assert changed.projects == {inside}
            cursor = changed.cursor
        tool.server.rows("update projects set last_modified = last_modified - 1000")  # long ago
        assert (await target.changes(cursor)).projects == frozenset()


async def test_a_project_that_is_closed_or_gets_another_end_is_noticed_and_strangers_are_not(tool: KanboardTool) -> None:
    """Neither leaves a stamp."""
    async with tool.target() as target:
        inside = await published(target)
        theirs = tool.server.call("createProject", name="Theirs")
        cursor = (await target.changes(None)).cursor
        tool.server.call("createTask", title="x", project_id=theirs)
        tool.server.call("updateProject", project_id=int(inside), end_date="2026-04-01")
        changed = await target.changes(cursor)
        assert changed.projects == {inside}
        assert (await target.progress([inside]))[0].due_on == date(2026, 4, 1)
        tool.server.call("disableProject", project_id=int(inside))
        assert (await target.changes(changed.cursor)).projects == {inside}
        assert (await target.progress([inside]))[0].completed


@pytest.mark.parametrize("cursor", ["", "7", "[]", '{"v":0,"newest":1,"rows":{},"seen":{}}', '{"v":1}', "rubbish"])
async def test_a_cursor_of_another_version_is_a_first_look(tool: KanboardTool, cursor: str) -> None:
    async with tool.target() as target:
        changed = await target.changes(cursor)
        assert not changed.complete
        assert (await target.changes(changed.cursor)).complete


async def test_an_update_that_changes_nothing_is_not_sent(tool: KanboardTool) -> None:
    """Kanboard would count it as one."""
    fields: dict[str, Any] = {"name": "Build", "notes": "as agreed", "start_on": FIRST, "due_on": LAST, "milestone": True}
    async with tool.target() as target:
        (made,) = await make(target, task("a", await published(target), assignee=tool.known, **fields))
        tool.wire.sent.clear()
        await make(target, Update(made.id, "task", {**fields, "assignee": tool.known}))
        assert not [request for request in tool.wire.sent if "updateTask" in called(request)]
        await make(target, Update(made.id, "task", {"milestone": False}))
        assert not (await held(target, "task", made.id))["milestone"]


async def test_tags_of_people_stay(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        (made,) = await make(target, task("a", inside, milestone=True))
        tool.server.call("setTaskTags", project_id=int(inside), task_id=int(made.id), tags=["milestone", "mine"])
        await make(target, Update(made.id, "task", {"milestone": False}))
    assert list(tool.server.call("getTaskTags", task_id=int(made.id)).values()) == ["mine"]


async def test_it_tells_what_a_blueprint_can_set_and_who_is_there(tool: KanboardTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        tool.server.call("saveProjectMetadata", project_id=int(inside), values={"budget": "7"})
        found = await target.describe()
    can = dict(target.traits.fields)
    fields = {each.kind: {field.path for field in each.fields} for each in found.objects}
    assert fields.pop("project") == can.pop("project") - {"custom"} | {"region", "budget"}
    assert fields == {kind: names for kind, names in can.items() if kind != "dependency"}
    assert {member.email for member in found.people} == {"", tool.known}


# Rights


async def test_an_administrators_own_token_will_do(tool: KanboardTool) -> None:
    tool.server.rows("update users set api_access_token = 'a-personal-token' where username = 'admin'")
    tool.connection |= {"login": "admin"}
    tool.token = "a-personal-token"
    async with tool.target() as target:
        assert "admin" in (await target.check()).identity
        inside = await begin(target)
        (column,) = await make(target, section("plan", "Plan", inside))
        made = await make(target, *(task(slot, inside, column.id, assignee=tool.known) for slot in "ab"))
        await make(target, Publish(inside, project(owner=tool.known)))
        spoken = comment("c", "Hello", inside, made[0].id)
        await make(target, spoken)
        assert isinstance((await target.find([spoken]))[0], Remote)
        tool.delete("task", made[0].id)
        first, second = await target.read("task", [remote.id for remote in made])
        assert isinstance(await one(target, Update(made[0].id, "task", {"name": "x"})), Gone)
    assert first is None
    assert second is not None
    assert people(tool, inside) == {"admin", "ann"}


async def test_an_administrators_password_will_do(tool: KanboardTool) -> None:
    """It is slow: Kanboard works it out for each call."""
    tool.connection |= {"login": "admin"}
    tool.token = "admin"
    async with tool.target() as target:
        assert "admin" in (await target.check()).identity


async def test_somebody_without_the_rights_is_told_which_token_to_use(tool: KanboardTool) -> None:
    tool.connection |= {"login": "ann"}
    tool.token = tool.server.password
    async with tool.target() as target:
        with pytest.raises(ConnectorError, match="administrator"):
            await target.check()
        outcome = await one(target, Create(project(), "n1"))
    assert isinstance(outcome, Rejected)
    assert "administrator" in outcome.message


async def test_a_kind_of_links_that_is_not_there_is_a_problem_of_the_mapping(tool: KanboardTool) -> None:
    tool.connection |= {"waits_for": "waits for"}
    async with tool.target() as target:
        with pytest.raises(ConnectorError, match="is blocked by") as caught:
            await target.check()
    assert caught.value.problems[0].path == ("connection", "waits_for")  # type: ignore[attr-defined]
