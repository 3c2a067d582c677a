"""What a real Redmine does that a client would not guess, and what becomes of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connectors.base import AuthError, ConfigError, Conflict, Create, Gone, Publish, Rejected, Remote, Update
from connectors.redmine import Connection, FieldMap, RedmineTarget
from connectors.redmine.text import identifier
from tests.conformance.target import (
    FIRST,
    LAST,
    ROOT,
    begin,
    comment,
    held,
    make,
    one,
    project,
    section,
    status,
    task,
    waiting,
)
from tests.real.redmine import Redmine
from tests.real.redmine_rig import FIELDS, RedmineTool

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("redmine")]
WRONG = "f" * 40
ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def tool(redmine: Redmine) -> RedmineTool:
    return RedmineTool(redmine)


def strange(tool: RedmineTool) -> RedmineTarget:
    """With a key that Redmine does not know."""
    tool.key = WRONG
    return tool.target()


def issue(tool: RedmineTool, id_: str) -> dict[str, Any]:
    return dict(tool.person("GET", f"/issues/{id_}.json?include=children,relations").json()["issue"])


# A wrong key is not refused: it reads as a stranger, who is shown empty lists


async def test_redmine_answers_a_wrong_key_with_an_empty_list(tool: RedmineTool) -> None:
    async with tool.target() as target:
        await make(target, task("a", await begin(target)))
    assert tool.person("GET", "/issues.json", key=WRONG).json()["total_count"] == 0


async def test_a_wrong_key_is_told_and_not_taken_for_an_empty_tool(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, Publish(inside, project()))
        cursor = (await target.changes(None)).cursor
    async with strange(tool) as target:
        for asked in (
            target.find([task("a", inside)]),
            target.find([Create(project("crm:deal:8/onboarding"), "n")]),
            target.children(inside),
            target.changes(cursor),
            target.changes(None),
            target.progress([inside]),
            target.people([ANN]),
            target.write([task("a", inside)]),
        ):
            with pytest.raises(AuthError):
                await asked


async def test_a_wrong_key_makes_nothing_and_says_what_to_check(tool: RedmineTool) -> None:
    async with strange(tool) as target:
        with pytest.raises(AuthError, match="REST interface"):
            await target.check()
    assert tool.count("project") == 0


# Projects: an identifier is given once


async def test_a_second_creation_gives_the_first_project_and_a_late_one_is_refused(tool: RedmineTool) -> None:
    async with tool.target() as target:
        tool.trouble("late", "project")
        await one(target, Create(project(), "n1"))
        first = await begin(target, nonce="n2")
        assert await begin(target, nonce="n3") == first
        await tool.settle()
    assert (first, tool.count("project")) == (identifier(ROOT), 1)


async def test_an_archived_project_is_found_though_redmine_shows_nothing_of_it(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside))
        tool.person("PUT", f"/projects/{inside}/archive.json")
        (found,) = await target.find([Create(project(), "n2")])
        assert isinstance(found, Remote)
        assert found.id == inside
        assert await begin(target, nonce="n3") == inside
        outcome = await one(target, Update(made.id, "task", {"name": "x"}))
        assert isinstance(outcome, Rejected)
        assert not isinstance(outcome, Gone)
        assert "archived" in outcome.message
        assert await target.progress([inside]) == []
        assert identifier(ROOT) not in (await target.changes(None)).projects


async def test_a_closed_project_takes_no_task_and_says_so(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        tool.person("PUT", f"/projects/{inside}/close.json")
        assert isinstance(await one(target, task("a", inside)), Rejected)
        (progress,) = await target.progress([inside])
    assert progress.completed


async def test_closing_a_project_moves_no_time_stamp_and_is_noticed_once(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        cursor = (await target.changes(None)).cursor
        tool.person("PUT", f"/projects/{inside}/close.json")
        closed = await target.changes(cursor)
        quiet = await target.changes(closed.cursor)
        tool.person("PUT", f"/projects/{inside}/reopen.json")
        opened = await target.changes(quiet.cursor)
    assert [one.projects for one in (closed, quiet, opened)] == [{inside}, frozenset(), {inside}]


async def test_a_number_given_again_to_another_project_is_not_taken_for_ours(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        ((number,),) = tool.rows("SELECT id FROM projects")
        tool.delete("project", inside)
        tool.change("UPDATE sqlite_sequence SET seq = ? WHERE name = 'projects'", number - 1)
        tool.person("POST", "/projects.json", {"project": {"name": "Theirs", "identifier": "theirs"}})
        assert tool.rows("SELECT id, identifier FROM projects") == [(number, "theirs")]
        assert await target.read("project", [inside]) == [None]
        assert isinstance(await one(target, Update(inside, "project", {"name": "Ours"})), Gone)
        assert await target.progress([inside]) == []


async def test_owner_and_followers_become_members_and_nobody_loses_a_role(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, task("a", inside, assignee=ANN))
        shown = Publish(inside, project(owner=ANN, followers=(BOB,)))
        await make(target, shown)
        await make(target, Update(inside, "project", {"owner": BOB}))
        there = await held(target, "project", inside)
    rows = tool.person("GET", f"/projects/{inside}/memberships.json").json()["memberships"]
    assert {row["user"]["name"]: {role["name"] for role in row["roles"]} for row in rows} == {
        "Ann Lee": {"Manager", "Developer"},
        "Bob Lee": {"Manager", "Developer"},
    }
    assert target.same("project", "owner", BOB, there["owner"])
    assert not target.same("project", "owner", "joann@example.com", there["owner"])


# People


async def test_who_gets_or_follows_a_task_becomes_a_member_first(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside, assignee=ANN, followers=(BOB,)))
        there = await held(target, "task", made.id)
    assert there["assignee"] == ANN
    assert BOB in there["followers"]
    assert tool.person("GET", f"/issues/{made.id}.json", key=tool.server.ann_key).json()["issue"]["subject"] == "Task a"


async def test_a_member_whose_role_gets_no_tasks_is_given_one_that_does(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        tool.person("POST", f"/projects/{inside}/memberships.json", {"membership": {"user_id": tool.server.users["ann"], "role_ids": [5]}})
        tool.change("UPDATE roles SET assignable = 0 WHERE id = 5")
        try:
            (made,) = await make(target, task("a", inside, assignee=ANN))
            assert (await held(target, "task", made.id))["assignee"] == ANN
        finally:
            tool.change("UPDATE roles SET assignable = 1 WHERE id = 5")


async def test_somebody_locked_since_they_were_looked_up_does_not_cost_the_task(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, task("a", inside, assignee=BOB))
        tool.person("PUT", f"/users/{tool.server.users['bob']}.json", {"user": {"status": 3}})
        try:
            (made,) = await make(target, task("b", inside, assignee=BOB))
        finally:
            tool.person("PUT", f"/users/{tool.server.users['bob']}.json", {"user": {"status": 1}})
        there = await held(target, "task", made.id)
        assert target.same("task", "assignee", BOB, there["assignee"])
        assert target.unknown_people == {BOB}


async def test_only_the_whole_address_counts(tool: RedmineTool) -> None:
    """Redmine's look-up finds joann@… when asked for ann@…, and both for example.com."""
    async with tool.target() as target:
        assert await target.people([ANN, "Joann@Example.com", "example.com", "ann"]) == {ANN, "Joann@Example.com"}


async def test_nobody_is_written_as_such(tool: RedmineTool) -> None:
    """Redmine takes null for no change."""
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target), assignee=ANN, due_on=LAST))
        assert (await held(target, "task", made.id))["assignee"] == ANN
        await make(target, Update(made.id, "task", {"assignee": None, "due_on": None}))
        there = await held(target, "task", made.id)
    assert (there["assignee"], there["due_on"]) == (None, None)


# Values that Redmine drops without a word


async def test_what_redmine_drops_while_it_says_done_is_refused_by_name(tool: RedmineTool) -> None:
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target)))
        tool.change("UPDATE trackers SET fields_bits = fields_bits | 32 WHERE id = 1")  # without a due date
        try:
            outcome = await one(target, Update(made.id, "task", {"name": "New", "due_on": LAST}))
        finally:
            tool.change("UPDATE trackers SET fields_bits = fields_bits & ~32 WHERE id = 1")
    assert isinstance(outcome, Rejected)
    assert outcome.field == "due_date"
    assert "kept due_date as before" in outcome.message


async def test_a_custom_field_that_the_project_lacks_is_given_to_it_first(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, task("a", inside))
    tool.fields = {**FIELDS, "elsewhere": FieldMap(custom_field="Elsewhere")}
    async with tool.target() as target:
        (made,) = await make(target, task("b", inside, custom={"elsewhere": "kept"}))
        assert (await held(target, "task", made.id))["custom"]["elsewhere"] == "kept"


async def test_a_custom_field_that_the_tracker_lacks_is_refused_before_anything_is_made(tool: RedmineTool) -> None:
    tool.given["tracker"] = "Feature"
    async with tool.target() as target:
        inside = await begin(target)
        outcome = await one(target, task("a", inside, custom={"bugs": "lost"}))
    assert isinstance(outcome, Rejected)
    assert "tracker" in outcome.message
    assert tool.count("task") == 0


async def test_custom_values_are_read_as_they_were_written(tool: RedmineTool) -> None:
    written = {"tier": "vip", "value": Decimal("1250.5"), "sponsor": BOB, "regions": ["APAC", "EMEA"], "signed": date(2026, 3, 1)}
    written |= {"seats": 12, "approved": True, "remarks": "one\n\ntwo & *three*", "page": "https://crm.test/deal/7?a=b&c"}
    changed = {"tier": "standard", "value": Decimal(7), "sponsor": None, "regions": [], "signed": None}
    changed |= {"seats": Decimal(0), "approved": False, "remarks": None, "page": ""}
    async with tool.target() as target:
        inside = await begin(target, project(custom={"customer": "Acme & Söhne", "region": "EMEA"}))
        tool.person("POST", f"/projects/{inside}/memberships.json", {"membership": {"user_id": tool.server.users["bob"], "role_ids": [4]}})
        (made,) = await make(target, task("a", inside, custom=written))
        assert not any(target.same("task", f"custom.{name}", value, written[name]) for name, value in changed.items())
        there = (await held(target, "task", made.id))["custom"]
        assert {name for name, value in written.items() if not target.same("task", f"custom.{name}", value, there[name])} == set()
        await make(target, Update(made.id, "task", {"custom": changed}))
        there = (await held(target, "task", made.id))["custom"]
        assert {name for name, value in changed.items() if not target.same("task", f"custom.{name}", value, there[name])} == set()
        top = (await held(target, "project", inside))["custom"]
    assert top == {"customer": "Acme & Söhne", "region": "EMEA", "value": None}


# Dates that move by themselves


async def test_a_task_without_a_start_gets_none(tool: RedmineTool) -> None:
    """Redmine's own default is today."""
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target)))
    assert issue(tool, made.id)["start_date"] is None


async def test_the_dates_of_a_parent_are_its_sub_tasks_and_no_edit(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (above,) = await make(target, task("a", inside, start_on=FIRST, due_on=LAST))
        await make(target, task("b", inside, under=above, due_on=date(2026, 4, 1)))
        assert issue(tool, above.id)["due_date"] == "2026-04-01"
        there = await held(target, "task", above.id)
        assert there.keys().isdisjoint({"start_on", "due_on"})
        (again,) = await make(target, Update(above.id, "task", {"name": "Renamed", "due_on": date(2026, 5, 1)}))
        assert (await held(target, "task", again.id))["name"] == "Renamed"
        tree = {one.id: one.fields.get("due_on") for one in await target.children(inside)}
    assert tree == {above.id: None, str(int(above.id) + 1): date(2026, 4, 1)}


async def test_blocks_leaves_dates_alone(tool: RedmineTool) -> None:
    async with tool.target() as target:
        before, after = await dated(target)
        inside = await begin(target)
        await make(target, waiting("w", inside, after.id, [before.id]))
    assert dates(tool, after) == ("2026-03-20", "2026-03-24")


async def test_precedes_moves_what_begins_too_early_and_leaves_what_begins_later(tool: RedmineTool) -> None:
    tool.given["relation"] = "precedes"
    async with tool.target() as target:
        before, later = await dated(target)
        inside = await begin(target)
        (early,) = await make(target, task("early", inside, start_on=FIRST, due_on=FIRST))
        await make(target, waiting("w", inside, later.id, [before.id]), waiting("v", inside, early.id, [before.id]))
        await make(target, waiting("w", inside, later.id, [before.id]))
    assert dates(tool, later) == ("2026-03-20", "2026-03-24")
    assert dates(tool, early) == ("2026-03-05", "2026-03-05")


async def dated(target: RedmineTarget) -> tuple[Remote, Remote]:
    inside = await begin(target)
    before = task("before", inside, start_on=FIRST, due_on=date(2026, 3, 4))
    made = await make(target, before, task("after", inside, start_on=LAST, due_on=date(2026, 3, 24)))
    return made[0], made[1]


def dates(tool: RedmineTool, made: Remote) -> tuple[str, str]:
    row = issue(tool, made.id)
    return row["start_date"], row["due_date"]


# Relations


async def test_a_pair_has_one_relation_a_wrong_one_and_circles_are_refused(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        a, b, c = [(await make(target, task(slot, inside)))[0].id for slot in "abc"]
        await make(target, waiting("ab", inside, b, [a]))
        tool.person("POST", f"/issues/{b}/relations.json", {"relation": {"issue_to_id": int(c), "relation_type": "duplicates"}})
        for refused in (waiting("ba", inside, a, [b]), waiting("bc", inside, c, [b]), waiting("aa", inside, a, [a])):
            assert isinstance(await one(target, refused), Rejected)
        (found,) = await target.find([waiting("ab", inside, b, [a])])
        assert isinstance(found, Remote)
        assert await target.find([waiting("ac", inside, c, [a])]) == [None]


# Sections are versions


async def test_sections_are_there_once_each_whatever_is_lost_and_namesakes_get_numbers(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        creates = [
            section("a", "Plan", inside),
            section("b", "Build", inside),
            section("c", "Plan", inside),
            section("d", "x" * 80, inside),
        ]
        tool.trouble("lost", "section")
        outcomes = await target.write(creates)
        found = await target.find(creates)
        again = [create for create, one in zip(creates, found, strict=True) if one is None]
        await make(target, *again)
        there = await target.find(creates)
    assert sum(isinstance(outcome, Remote) for outcome in outcomes) == 3
    assert len({one.id for one in there if isinstance(one, Remote)}) == 4
    assert sorted(tool.sections(inside)) == sorted(["Plan", "Build", "Plan (2)", "x" * 60])


async def test_a_section_whose_key_is_too_long_for_a_version_is_found_all_the_same(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        creates = [section(slot * 300, "Plan", inside) for slot in "ab"]
        made = await make(target, *creates)
        assert [one.id for one in await target.find(creates) if isinstance(one, Remote)] == [one.id for one in made]
        assert [one.key for one in await target.read("section", [one.id for one in made]) if one] == ["", ""]


async def test_versions_shared_from_elsewhere_and_tasks_of_projects_below_are_not_ours(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside))
        ((number,),) = tool.rows("SELECT id FROM projects")
        shared = {"version": {"name": "Everywhere", "sharing": "system"}}
        tool.person("POST", "/projects.json", {"project": {"name": "Below", "identifier": "below", "parent_id": number}})
        tool.person("POST", "/projects/below/versions.json", shared)
        tool.person("POST", "/issues.json", {"issue": {"project_id": "below", "subject": "Theirs", "tracker_id": 1}})
        assert [one.id for one in await target.children(inside)] == [made.id]
        (progress,) = await target.progress([inside])
    assert (progress.done, progress.total) == (0, 1)


# Looking up


@pytest.mark.parametrize("key", ["description", "custom_field"])
async def test_closed_tasks_are_found_and_counted(tool: RedmineTool, key: str) -> None:
    """Without status_id=* Redmine leaves them out."""
    tool.given |= {"key": key, "key_field": "External ID"}
    async with tool.target() as target:
        inside = await begin(target)
        creates = [task("a", inside), task("b", inside)]
        made = await make(target, *creates)
        tool.finish(made[0].id)
        assert [one.id for one in await target.find(creates) if isinstance(one, Remote)] == [one.id for one in made]
        assert {one.key for one in await target.children(inside)} == {create.item.key for create in creates}


async def test_with_a_custom_field_the_description_is_people_s_alone(tool: RedmineTool) -> None:
    tool.given |= {"key": "custom_field", "key_field": "External ID"}
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside, notes="Just this"))
        await make(target, Update(made.id, "task", {"notes": "Just that"}))
        assert issue(tool, made.id)["description"] == "Just that"
        await make(target, task("a", inside))
        (twice,) = await target.find([task("a", inside)])
    assert isinstance(twice, Conflict)
    assert len(twice.theirs) == 2


async def test_a_subject_is_cut_at_what_redmine_takes(tool: RedmineTool) -> None:
    name = "long " * 80
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target), name=name))
        there = await held(target, "task", made.id)
        assert target.same("task", "name", name, there["name"])
    assert len(there["name"]) in (254, 255)


async def test_a_number_given_again_to_another_task_shows_the_other_s_key(tool: RedmineTool) -> None:
    """As Redmine 5.0 does on SQLite; the engine leaves an object with another key alone."""
    async with tool.target() as target:
        inside = await begin(target)
        (first,) = await make(target, task("a", inside))
        tool.delete("task", first.id)
        tool.change("UPDATE sqlite_sequence SET seq = ? WHERE name = 'issues'", int(first.id) - 1)
        (second,) = await make(target, task("b", inside))
        assert second.id == first.id
        (there,) = await target.read("task", [first.id])
    assert there is not None
    assert there.key == f"{ROOT}/b"


async def test_comments_and_news_are_found_read_and_changed(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (on,) = await make(target, task("a", inside))
        tool.person("PUT", f"/issues/{on.id}.json", {"issue": {"notes": "A person's"}})
        said, told = await make(target, comment("c", "It is *won*", inside, on.id), status("s", inside, title="t" * 80))
        await make(target, Update(said.id, "comment", {"text": "It is **lost**"}), Update(told.id, "status", {"status": "off_track"}))
        note, news = await held(target, "comment", said.id), await held(target, "status", told.id)
        (found,) = await target.find([comment("c", "It is *won*", inside, on.id)])
        assert await target.read("comment", [f"{on.id}-999999"]) == [None]
    assert isinstance(found, Remote)
    assert (found.id, note["text"]) == (said.id, "It is **lost**")
    assert (news["status"], news["text"], news["title"]) == ("off_track", "All is well", "t" * 60)


# Changes


async def test_changes_within_one_second_and_past_a_page_all_come_once(tool: RedmineTool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.redmine.progress.PAGE", 5)  # a hundred rows take Redmine a second to show
    async with tool.target() as target:
        inside, other = await begin(target), await begin(target, project(ROOT + "-2"), "n2")
        (first,) = await make(target, task("first", inside))
        tool.multiply(first.id, 6)
        (last,) = await make(target, task("last", other, key=ROOT + "-2"))
        tool.change("UPDATE issues SET updated_on = '2026-01-01 10:00:00'")
        cursor = (await target.changes(None)).cursor
        assert (await target.changes(cursor)).projects == frozenset()
        tool.change("UPDATE issues SET status_id = 5 WHERE id = ?", last.id)  # the same second, the last of the second page
        changed = await target.changes(cursor)
        assert changed.projects == {other}
        assert (await target.changes(changed.cursor)).projects == frozenset()


async def test_a_change_that_becomes_visible_late_is_seen(tool: RedmineTool) -> None:
    async with tool.target() as target:
        inside, other = await begin(target), await begin(target, project(ROOT + "-2"), "n2")
        (slow,) = await make(target, task("slow", inside))
        (fast,) = await make(target, task("fast", other, key=ROOT + "-2"))
        tool.change("UPDATE issues SET updated_on = '2026-01-01 10:00:00'")
        cursor = (await target.changes(None)).cursor
        tool.change("UPDATE issues SET updated_on = '2026-01-01 10:00:30' WHERE id = ?", fast.id)
        ahead = await target.changes(cursor)
        assert ahead.projects == {other}
        tool.change("UPDATE issues SET updated_on = '2026-01-01 10:00:10' WHERE id = ?", slow.id)  # within a minute, and behind
        assert (await target.changes(ahead.cursor)).projects == {inside}


async def test_a_cursor_that_cannot_be_read_says_that_all_may_have_changed(tool: RedmineTool) -> None:
    async with tool.target() as target:
        for cursor in ("", "rubbish", '{"v": 99}', "[]"):
            assert not (await target.changes(cursor)).complete


# Checking


async def test_check_tells_everything_that_is_wrong_at_once(tool: RedmineTool) -> None:
    tool.given = {"tracker": "Featur", "role": "Developper", "key": "custom_field", "key_field": "Value", "parent": "nowhere"}
    tool.fields = {"tier": FieldMap(custom_field="Customer tier", values={"vip": "Vip"}), "gone": FieldMap(custom_field="Custmer")}
    async with tool.target() as target:
        with pytest.raises(ConfigError) as caught:
            await target.check()
    assert {problem.path for problem in caught.value.problems} == {
        ("connection", "tracker"),
        ("connection", "role"),
        ("connection", "key_field"),
        ("connection", "parent"),
        ("fields", "tier", "values", "vip"),
        ("fields", "gone", "custom_field"),
    }
    assert "did you mean 'Feature'?" in str(caught.value)


async def test_a_key_field_that_is_no_filter_is_told(tool: RedmineTool) -> None:
    """By such a field Redmine filters nothing."""
    tool.given = {"key": "custom_field", "key_field": "For bugs"}
    async with tool.target() as target:
        with pytest.raises(ConfigError, match="not used as a filter"):
            await target.check()


async def test_the_key_of_somebody_who_is_no_administrator_is_told(tool: RedmineTool) -> None:
    tool.key = tool.server.ann_key
    async with tool.target() as target:
        with pytest.raises(ConfigError, match="ann is not an administrator"):
            await target.check()


async def test_an_address_without_redmine_is_told(tool: RedmineTool) -> None:
    connection = Connection(base_url=f"{tool.server.url}/nowhere", api_key=tool.key)
    async with RedmineTarget(connection, fields={}) as target:
        with pytest.raises(ConfigError, match="no Redmine at this address"):
            await target.check()


async def test_redmine_describes_itself(tool: RedmineTool) -> None:
    async with tool.target() as target:
        told = await target.describe()
    fields = {one.name: {field.path: field for field in one.fields} for one in told.objects}
    assert {"name", "assignee", "milestone", "Customer tier", "Sponsor"} <= fields["issue"].keys()
    assert {"owner", "Customer", "Region"} <= fields["project"].keys()
    assert fields["issue"]["Customer tier"].choices == {name: name for name in ("VIP", "Key account", "Standard")}
    assert ("Closed", "issues, closed") in {(stage.name, stage.pipeline) for stage in told.stages}
    assert ("Ann Lee", ANN) in {(one.name, one.email) for one in told.people}
