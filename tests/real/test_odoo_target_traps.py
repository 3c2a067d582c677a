"""What Odoo does that a target must be ready for, tried on a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.base import ConfigError, Create, Gone, Publish, Rejected, Remote, Target, Update
from connectors.odoo import FieldMap
from tests.conformance.target import (
    FIRST,
    LAST,
    ROOT,
    assert_same,
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
from tests.real.odoo import Odoo
from tests.real.odoo_project import OdooTool, prepare

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]

EVERYTHING = {"active_test": False}


@pytest.fixture
def tool(odoo: Odoo) -> OdooTool:
    prepare(odoo)
    return OdooTool(odoo)


async def published(target: Target, **fields: Any) -> str:
    inside = await begin(target)
    await make(target, Publish(inside, project(**fields)))
    return inside


def row(tool: OdooTool, model: str, id: str, *fields: str) -> Mapping[str, Any]:
    (found,) = tool.call(model, "read", ids=[int(id)], fields=list(fields), load="")
    return dict(found)


# Made once


async def test_four_who_make_one_task_at_once_make_one(tool: OdooTool) -> None:
    targets = [tool.target() for _ in range(4)]
    for target in targets:
        await target.__aenter__()
    inside = await begin(targets[0])
    made = await asyncio.gather(*(one(target, task("a", inside)) for target in targets))
    for target in targets:
        await target.__aexit__(None, None, None)
    assert all(isinstance(outcome, Remote) for outcome in made), made
    assert len({outcome.id for outcome in made if isinstance(outcome, Remote)}) == 1
    assert tool.count("task") == 1


async def test_a_creation_that_arrives_late_changes_nothing_a_person_wrote_since(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        create = task("a", inside, notes="ours")
        tool.trouble("late", "task")
        await one(target, create)
        (made,) = await make(target, create)
        tool.edit("task", made.id, "name", "Mine")
        tool.edit("task", made.id, "notes", "Mine, too")
        await tool.settle()
        there = await held(target, "task", made.id)
    assert (there["name"], there["notes"]) == ("Mine", "Mine, too")
    assert tool.count("task") == 1


async def test_a_task_moved_to_another_project_is_made_no_second_time(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside, other = await begin(target), await begin(target, project(ROOT + "-2"), "n2")
        (made,) = await make(target, task("a", inside))
        tool.call("project.task", "write", ids=[int(made.id)], vals={"project_id": int(other)})
        (again,) = await make(target, task("a", inside))
    assert again.id == made.id
    assert tool.count("task") == 1


async def test_a_task_with_the_number_of_its_project_has_sub_tasks_all_the_same(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        tool.sql("SELECT setval('project_task_id_seq', %s, false)", int(inside))
        (above,) = await make(target, task("a", inside))
        (below,) = await make(target, task("b", inside, under=above))
    assert above.id == inside
    assert row(tool, "project.task", below.id, "parent_id")["parent_id"] == int(above.id)


async def test_a_key_stays_ours_when_a_person_exports_the_record(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside))
        more = {"module": "__export__", "name": "project_task_1_ab12", "model": "project.task", "res_id": int(made.id)}
        tool.call("ir.model.data", "create", vals_list=[more])
        (found,) = await target.find([task("a", inside)])
        (read,) = await target.read("task", [made.id])
    assert isinstance(found, Remote)
    assert (found.id, read and read.key) == (made.id, f"{ROOT}/a")


async def test_what_a_person_deleted_is_gone_and_found_no_more(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        (made,) = await make(target, task("a", inside))
        tool.delete("task", made.id)
        assert await target.find([task("a", inside)]) == [None]
        assert await target.read("task", [made.id]) == [None]
        for update in ({"notes": "x"}, {"name": "x"}, {"followers": ()}):
            assert isinstance(await one(target, Update(made.id, "task", update)), Gone)
        tool.delete("project", inside)
        (found,) = await target.find([task("b", inside)])
        assert isinstance(found, Gone)


async def test_archived_records_are_seen_and_kept_up(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        made = await make(target, task("a", inside), task("b", inside))
        tool.call("project.task", "write", ids=[int(made[0].id)], vals={"active": False})
        (found,) = await target.find([task("a", inside)])
        await make(target, Update(made[0].id, "task", {"name": "Renamed"}))
        assert isinstance(found, Remote)
        assert (await held(target, "task", made[0].id))["name"] == "Renamed"
        (progress,) = await target.progress([inside])
        assert progress.total == 1
        tool.call("project.project", "write", ids=[int(inside)], vals={"active": False})
        assert isinstance((await target.find([Create(project(), "n9")]))[0], Remote)
        assert len(await target.children(inside)) == 2
    assert row(tool, "project.task", made[0].id, "active")["active"] is False


# Refusals


async def test_a_row_that_is_refused_costs_the_others_nothing(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (column,) = await make(target, section("plan", "Plan", inside))
        creates = [
            task("a", inside, column.id),
            task("bad", inside, "987654"),
            task("c", inside, column.id),
            task("worse", "987654", column.id),
        ]
        outcomes = await target.write(creates)
        assert [type(outcome) for outcome in outcomes] == [Remote, Rejected, Remote, Rejected]
        assert "Odoo refused it" in str(outcomes[1])
        assert isinstance(outcomes[1], Rejected)
        assert outcomes[1].field == "stage_id"
    assert tool.count("task") == 2


async def test_a_wrong_request_is_a_500_that_is_not_repeated(tool: OdooTool) -> None:
    tool.settings["start_field"] = "x_nowhere"
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside))
        before = len(tool.wire.sent)
        outcome = await one(target, Update(made.id, "task", {"start_on": FIRST}))
        assert isinstance(outcome, Rejected)
        writes = [request for request in tool.wire.sent[before:] if request.url.path.endswith("/write")]
        assert len(writes) == 1
        with pytest.raises(ConfigError) as caught:
            await target.check()
    assert [problem.path for problem in caught.value.problems] == [("connection", "start_field")]


async def test_tasks_that_wait_for_each_other_are_refused(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        first, second = await make(target, task("a", inside), task("b", inside))
        await make(target, waiting("w", inside, second.id, [first.id]))
        outcome = await one(target, waiting("v", inside, first.id, [second.id]))
    assert isinstance(outcome, Rejected)
    assert not isinstance(outcome, Gone)
    assert "depend on each other" in outcome.message
    assert tool.waits_for(first.id) == set()


# What Odoo sets by itself


async def test_waiting_is_odoos_own_and_is_released_by_it(tool: OdooTool) -> None:
    def states() -> list[str]:
        return [row(tool, "project.task", remote.id, "state")["state"] for remote in made]

    async with tool.target() as target:
        inside = await published(target)
        made = await make(target, task("a", inside), task("b", inside))
        await make(target, waiting("w", inside, made[1].id, [made[0].id]))
        await make(target, Update(made[1].id, "task", {"notes": "still waiting"}))
        waits = states()
        tool.finish(made[0].id)
        (progress,) = await target.progress([inside])
    assert waits == ["01_in_progress", "04_waiting_normal"]
    assert states() == ["1_done", "01_in_progress"]
    assert (progress.done, progress.total) == (1, 2)


async def test_nobody_is_written_to_about_a_project_that_is_not_there_yet(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, task("a", inside, assignee=tool.known, followers=(tool.known,)))
        assert tool.sql(
            "SELECT count(*) FROM mail_notification n JOIN mail_message m ON m.id = n.mail_message_id WHERE m.model LIKE 'project.%%'"
        )[0] == (0,)
        assert tool.sql("SELECT count(*) FROM mail_mail") == [(0,)]


async def test_what_is_added_later_is_as_visible_as_its_project(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await begin(target)
        (early,) = await make(target, task("a", inside))
        hidden = row(tool, "project.task", early.id, "active")["active"]
        await make(target, Publish(inside, project()))
        (late,) = await make(target, task("b", inside))
    assert hidden is False
    assert [row(tool, "project.task", remote.id, "active")["active"] for remote in (early, late)] == [True, True]


async def test_a_publication_that_is_repeated_leaves_what_people_did_since(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        tool.edit("project", inside, "name", "Mine")
        tool.call("project.project", "write", ids=[int(inside)], vals={"active": False})
        await make(target, Publish(inside, project(), again=True))
    assert row(tool, "project.project", inside, "name", "active", "privacy_visibility") == {
        "id": int(inside),
        "name": "Mine",
        "active": False,
        "privacy_visibility": "employees",
    }


# Days, texts, people, fields


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Los_Angeles", "Pacific/Auckland", "UTC"])
async def test_a_due_date_is_the_day_meant_and_another_hour_of_it_no_edit(tool: OdooTool, zone: str) -> None:
    tool.settings["zone"] = zone
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target), due_on=LAST))
        moment = str(row(tool, "project.task", made.id, "date_deadline")["date_deadline"])
        assert (await held(target, "task", made.id))["due_on"] == LAST
        sooner = moment.replace(moment[14:], "00:00")
        tool.call("project.task", "write", ids=[int(made.id)], vals={"date_deadline": sooner})
        assert (await held(target, "task", made.id))["due_on"] == LAST


async def test_a_start_may_be_a_moment(tool: OdooTool) -> None:
    (model,) = tool.call("ir.model", "search", domain=[["model", "=", "project.task"]])
    if not tool.call("ir.model.fields", "search_count", domain=[["name", "=", "x_begin"]]):
        own = {"model_id": model, "name": "x_begin", "ttype": "datetime", "field_description": "Begin"}
        tool.call("ir.model.fields", "create", vals_list=[own])
    tool.settings |= {"start_field": "x_begin", "zone": "America/Los_Angeles", "due_time": "08:00"}
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target), start_on=FIRST, due_on=FIRST))
        there = await held(target, "task", made.id)
        await make(target, Update(made.id, "task", {"start_on": None}))
        assert (await held(target, "task", made.id))["start_on"] is None
    assert (there["start_on"], there["due_on"]) == (FIRST, FIRST)


async def test_without_a_field_for_it_tasks_have_no_start_and_say_so(tool: OdooTool) -> None:
    tool.settings["start_field"] = ""
    async with tool.target() as target:
        assert "start_on" not in target.traits.fields["task"]
        (made,) = await make(target, task("a", await begin(target), due_on=LAST))
        assert "start_on" not in await held(target, "task", made.id)


async def test_one_day_of_a_project_stands_for_both_and_both_stay_a_pair(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await published(target, due_on=LAST)
        span = [(await held(target, "project", inside))[name] for name in ("start_on", "due_on")]
        await make(target, Update(inside, "project", {"start_on": FIRST}))
        wider = [(await held(target, "project", inside))[name] for name in ("start_on", "due_on")]
        refused = await one(target, Update(inside, "project", {"due_on": date(2026, 2, 1)}))
    assert span == [LAST, LAST]
    assert wider == [FIRST, LAST]
    assert isinstance(refused, Rejected)


RICH = """# Why

They bought **two** *things*, ~~three~~, see [the deal](https://crm.example/deal?a=1&b=2):

- one
- two
  1. first
  2. second

> "quoted" <script>alert(1)</script>

| Product | Count |
|:--|--:|
| A & B | 2 |

`code` and

```
more  code
```
"""


async def test_rich_notes_come_back_the_same_and_an_editors_wrapping_is_no_edit(tool: OdooTool) -> None:
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target), notes=RICH))
        there = await held(target, "task", made.id)
        assert target.same("task", "notes", RICH, there["notes"])
        html = str(row(tool, "project.task", made.id, "description")["description"])
        assert "<script" not in html
        wrapped = html.replace("<p>", '<p class="o_p" style="margin-bottom: 0px;"><span>').replace("</p>", "</span></p>\n")
        tool.call("project.task", "write", ids=[int(made.id)], vals={"description": f'<div data-oe-version="2.0">{wrapped}</div>'})
        assert target.same("task", "notes", RICH, (await held(target, "task", made.id))["notes"])
        tool.call("project.task", "write", ids=[int(made.id)], vals={"description": html.replace("two", "ten")})
        assert not target.same("task", "notes", RICH, (await held(target, "task", made.id))["notes"])


_PIECES = [
    "# ",
    "- ",
    "1. ",
    "> ",
    "**",
    "*",
    "~~",
    "`",
    "```\n",
    "\n",
    "\n\n",
    "| a | b |\n|--|--|\n| c | d |\n",
    "[x](http://a.b/?q=1&r=2)",
    "<b>",
    "&amp;",
]
_PIECES += [
    "&",
    "<",
    "text",
    " ",
    "  \n",
    "---\n",
    "http://x.y/z",
    "a@b.cc",
    "\\",
    "\t",
    "é",
    "👩‍👩‍👧",
    "![i](http://a/b.png)",
    "    code\n",
    "\u2028",
    "\xa0",
    "\x85",
]
_texts = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))


async def test_whatever_is_in_texts_comes_back_the_same(tool: OdooTool) -> None:
    async def round_trip(texts: list[str]) -> None:
        prepare(tool.odoo)
        fresh = OdooTool(tool.odoo)
        async with fresh.target() as target:
            inside = await begin(target)
            made = await make(target, *(task(f"t{at}", inside, name=text, notes=text) for at, text in enumerate(texts)))
            for text, there in zip(texts, await target.read("task", [remote.id for remote in made]), strict=True):
                assert there
                assert_same(target, "task", {"name": text, "notes": text}, there.fields)

    @settings(max_examples=3, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(_texts, min_size=50, max_size=80))
    def check(texts: list[str]) -> None:
        asyncio.run(round_trip(texts))

    await asyncio.to_thread(check)


async def test_a_user_without_an_e_mail_is_known_by_the_login(tool: OdooTool) -> None:
    if not tool.call("res.users", "search_count", domain=[["login", "=", "Bob@Example.com"]]):
        tool.call("res.users", "create", vals_list=[{"name": "Bob", "login": "Bob@Example.com"}])
    wanted: dict[str, Any] = {"assignee": "bob@example.com", "followers": ("ANN@example.com", "bob@example.com")}
    async with tool.target() as target:
        assert await target.people(["bob@example.com", tool.unknown, "ann"]) == {"bob@example.com", "ann"}
        (made,) = await make(target, task("a", await begin(target), **wanted))
        assert_same(target, "task", wanted, await held(target, "task", made.id))
    async with tool.target() as target:
        (read,) = await target.read("task", [made.id])
        assert read
        await target.people(["ann"])
        assert target.same("task", "assignee", "bob@example.com", read.fields["assignee"])
        assert target.same("task", "assignee", "ann", tool.known)


async def test_somebody_who_joins_an_assignee_is_an_edit(tool: OdooTool) -> None:
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target), assignee=tool.known))
        tool.call("project.task", "write", ids=[int(made.id)], vals={"user_ids": [[4, 2]]})
        assert not target.same("task", "assignee", tool.known, (await held(target, "task", made.id))["assignee"])


async def test_fields_of_ones_own_go_to_projects_and_tasks_and_come_back(tool: OdooTool) -> None:
    wanted = {"region": "EMEA", "value": Decimal("1234.5")}
    async with tool.target() as target:
        inside = await published(target, custom=wanted)
        (made,) = await make(target, task("a", inside, custom={**wanted, "region": "americas"}))
        assert row(tool, "project.project", inside, "x_region", "x_value")["x_region"] == "eu"
        for kind, id, value in (("project", inside, "EMEA"), ("task", made.id, "us")):
            there = (await held(target, kind, id))["custom"]  # type: ignore[arg-type]
            assert target.same("task", "custom.region", value, there["region"])
            assert target.same("task", "custom.value", Decimal("1234.50"), there["value"])
        await make(target, Update(made.id, "task", {"custom": {"value": None}}))
        assert target.same("task", "custom.value", None, (await held(target, "task", made.id))["custom"]["value"])
        for wrong in ({"region": "Mars"}, {"value": "a lot"}, {"nowhere": 1}):
            assert isinstance(await one(target, Update(made.id, "task", {"custom": wrong})), Rejected)


async def test_fields_that_are_not_there_are_named_at_their_place(tool: OdooTool) -> None:
    tool.fields = {
        "a": FieldMap(custom_field="x_nowhere"),
        "b": FieldMap(custom_field="x_region", values={"vip": "Mars"}),
        "c": FieldMap(custom_field="partner_id"),
    }
    async with tool.target() as target:
        with pytest.raises(ConfigError) as caught:
            await target.check()
    assert [problem.path for problem in caught.value.problems] == [
        ("fields", "a", "custom_field"),
        ("fields", "b", "values", "vip"),
        ("fields", "c", "custom_field"),
    ]


async def test_a_milestone_is_one_of_odoos_and_follows_its_task(tool: OdooTool) -> None:
    def stones() -> list[tuple[Any, ...]]:
        return tool.sql("SELECT name, deadline, project_id FROM project_milestone ORDER BY id")

    async with tool.target() as target:
        inside = await published(target)
        (made,) = await make(target, task("a", inside, name="Go live", due_on=LAST, milestone=True))
        assert stones() == [("Go live", LAST, int(inside))]
        (below,) = await make(target, task("b", inside, under=made))
        assert (await held(target, "task", below.id))["milestone"] is False  # Odoo hands a milestone down to sub-tasks
        await make(target, Update(made.id, "task", {"name": "Live", "due_on": date(2026, 4, 2)}))
        assert stones() == [("Live", date(2026, 4, 2), int(inside))]
        await make(target, Update(made.id, "task", {"milestone": False}))
        assert (await held(target, "task", made.id))["milestone"] is False
        await make(target, Update(made.id, "task", {"milestone": True}))
        assert (await held(target, "task", made.id))["milestone"] is True
    assert len(stones()) == 1


# What happened


async def test_a_second_change_within_a_second_is_seen_and_then_it_is_quiet(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        made = await make(target, task("a", inside), task("b", inside))
        cursor = (await target.changes(None)).cursor
        seen = []
        for remote in made:
            tool.finish(remote.id)
            tool.sql("UPDATE project_task SET write_date = (SELECT max(write_date) FROM project_project)")
            changed = await target.changes(cursor)
            cursor = changed.cursor
            seen.append(changed.projects)
        quiet = await target.changes(cursor)
    assert seen == [{inside}, {inside}]
    assert (quiet.projects, quiet.complete) == (frozenset(), True)


async def test_a_late_commit_behind_the_cursor_is_seen(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        (made,) = await make(target, task("a", inside))
        cursor = (await target.changes(None)).cursor
        tool.finish(made.id)
        tool.sql("UPDATE project_task SET write_date = write_date - interval '90 seconds'")
        assert (await target.changes(cursor)).projects == {inside}


async def test_a_database_put_back_to_yesterday_is_told(tool: OdooTool) -> None:
    async with tool.target() as target:
        await published(target)
        cursor = (await target.changes(None)).cursor
        assert (await target.changes(cursor)).complete
        tool.forget()
        again = await target.changes(cursor)
        assert not again.complete
        after = await target.changes(again.cursor)
    assert (after.projects, after.complete) == (frozenset(), True)


async def test_a_status_shows_on_the_project_and_completes_it(tool: OdooTool) -> None:
    async with tool.target() as target:
        inside = await published(target)
        await make(target, status("s", inside))
        done = status("d", inside)
        await make(
            target,
            Create(
                done.item.__class__(done.item.key, "status", {**done.item.fields, "status": "complete"}, ROOT, ROOT), "n", inside, inside
            ),
        )
        (progress,) = await target.progress([inside])
    assert (progress.status, progress.completed) == ("complete", True)


async def test_names_show_in_every_language_and_a_rename_in_ours_is_seen(tool: OdooTool) -> None:
    def names(id: str) -> list[str]:
        reads = [
            tool.call("project.project", "read", ids=[int(id)], fields=["name"], context={"lang": lang})
            for lang in ("en_US", "de_DE", "fr_FR")
        ]
        return [rows[0]["name"] for rows in reads]

    for code in ("de_DE", "fr_FR"):
        languages = tool.call("res.lang", "search", domain=[["code", "=", code]], context=EVERYTHING)
        tool.call("res.lang", "write", ids=languages, vals={"active": True})
    tool.settings["language"] = "de_DE"
    async with tool.target() as target:
        inside = await published(target)
        assert names(inside) == ["Onboard Acme"] * 3
        await make(target, Update(inside, "project", {"name": "Renamed"}))
        assert names(inside) == ["Renamed"] * 3
        tool.call("project.project", "write", ids=[int(inside)], vals={"name": "Umbenannt"}, context={"lang": "de_DE"})
        assert (await held(target, "project", inside))["name"] == "Umbenannt"
        await make(target, Update(inside, "project", {"name": "Ours"}))
        assert (await held(target, "project", inside))["name"] == "Ours"


# Who we are, and which protocol


@pytest.fixture
def manager(tool: OdooTool) -> OdooTool:
    """The same tool, reached by somebody who may do no more than lead projects."""
    if not tool.call("res.users", "search_count", domain=[["login", "=", "integration"]]):
        (group,) = tool.call(
            "ir.model.data", "search_read", domain=[["module", "=", "project"], ["name", "=", "group_project_manager"]], fields=["res_id"]
        )
        (base,) = tool.call(
            "ir.model.data", "search_read", domain=[["module", "=", "base"], ["name", "=", "group_user"]], fields=["res_id"]
        )
        groups = [[6, 0, [group["res_id"], base["res_id"]]]]
        tool.call(
            "res.users",
            "create",
            vals_list=[{"name": "Integration", "login": "integration", "password": "integration1", "group_ids": groups}],
        )
    tool.settings |= {"protocol": "jsonrpc", "login": "integration"}
    tool.key = "integration1"
    return tool


async def test_the_role_of_a_project_administrator_is_enough_and_json_rpc_does_the_same(manager: OdooTool) -> None:
    tool = manager
    async with tool.target() as target:
        assert "integration" in (await target.check()).identity
        inside = await begin(target)
        (column,) = await make(target, section("plan", "Plan", inside))
        fields: dict[str, Any] = {
            "notes": RICH,
            "start_on": FIRST,
            "due_on": LAST,
            "assignee": tool.known,
            "milestone": True,
            "custom": {"region": "EMEA"},
        }
        above, other = await make(target, task("a", inside, column.id, **fields), task("b", inside))
        said, told = comment("c", "Say *hello*", inside, above.id), status("s", inside)
        await make(target, waiting("w", inside, other.id, [above.id]), said, told, task("d", inside, under=above))
        creates = [Create(project(), "n-first"), section("plan", "Plan", inside), task("a", inside), said, told]
        assert all(isinstance(found, Remote) for found in await target.find(creates))
        await make(target, Publish(inside, project(owner=tool.known)))
        assert_same(target, "task", fields, await held(target, "task", above.id))
        assert [child.key for child in await target.children(inside)] == [f"{ROOT}/{slot}" for slot in ("plan", "a", "b", "d")]
        cursor = (await target.changes(None)).cursor
        await make(target, Update(above.id, "task", {"name": "Renamed"}))
        assert (await target.changes(cursor)).projects == {inside}
        assert [progress.total for progress in await target.progress([inside])] == [2]
        described = await target.describe()
    assert {each.kind for each in described.objects} == {"project", "task"}
    assert tool.visible() == ["Onboard Acme"]


async def test_dependencies_that_are_off_are_told_before_the_first_project(manager: OdooTool) -> None:
    def id_of(module: str, name: str) -> int:
        domain = [["module", "=", module], ["name", "=", name]]
        return int(manager.call("ir.model.data", "search_read", domain=domain, fields=["res_id"])[0]["res_id"])

    group = id_of("project", "group_project_task_dependencies")
    manager.call("res.groups", "write", ids=[id_of("base", "group_user")], vals={"implied_ids": [[3, group]]})
    manager.call("res.groups", "write", ids=[group], vals={"user_ids": [[5]]})
    async with manager.target() as target:
        with pytest.raises(ConfigError) as caught:
            await target.check()
        assert "switch on Task Dependencies" in str(caught.value)
        manager.call("project.project", "create", vals_list=[{"name": "Theirs", "allow_task_dependencies": True}])
        assert (await target.check()).identity
        await published(target)


async def test_somebody_who_may_make_no_project_is_told(manager: OdooTool) -> None:
    reader = "integration2"
    if not manager.call("res.users", "search_count", domain=[["login", "=", reader]]):
        (group,) = manager.call(
            "ir.model.data", "search_read", domain=[["module", "=", "project"], ["name", "=", "group_project_user"]], fields=["res_id"]
        )
        user = {"name": "Reader", "login": reader, "password": reader, "group_ids": [[4, group["res_id"]]]}
        manager.call("res.users", "create", vals_list=[user])
    manager.settings["login"] = manager.key = reader
    async with manager.target() as target:
        (warning,) = (await target.check()).warnings
        outcome = await one(target, Create(project(), "n"))
    assert "may not create projects" in warning
    assert isinstance(outcome, Rejected)


async def test_it_describes_its_fields_stages_and_people(tool: OdooTool) -> None:
    async with tool.target() as target:
        await make(target, section("plan", "Plan", await begin(target)))
        described = await target.describe()
    fields = {field.path: field for field in next(each for each in described.objects if each.kind == "project").fields}
    assert fields["x_region"].choices == {"eu": "Europe", "us": "Americas"}
    assert fields["x_region"].custom
    assert "Plan" in [stage.name for stage in described.stages]
    assert "Ann@example.com" in [member.email for member in described.people]


async def test_a_quiet_look_is_cheap(tool: OdooTool) -> None:
    async with tool.target() as target:
        await published(target)
        cursor = (await target.changes(None)).cursor
        before = target.calls
        await target.changes(cursor)
        assert target.calls - before <= 6
        assert len(json.dumps(cursor)) < 2000
