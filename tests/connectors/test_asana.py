"""The Asana target where it goes beyond what every target promises: cost, custom fields, people, sharing, checking, and Asana's own refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx
from pydantic import ValidationError

from connectors.asana import AsanaTarget, Connection, FieldMap
from connectors.base import (
    Ambiguous,
    AuthError,
    ConfigError,
    ConnectorError,
    Create,
    Publish,
    RateLimited,
    Rejected,
    Remote,
    Runtime,
    Transient,
    Update,
    Write,
)
from tests.asana_spec import check_request
from tests.conformance.target import FIRST, LAST, ROOT, begin, comment, held, make, one, project, section, task, waiting
from tests.conformance.test_asana import AsanaTool

API = "https://asana.example/api/1.0"


def fielded(*, date_fields: str = "object", **connection: Any) -> AsanaTool:
    """A workspace with a custom field of every kind we write."""
    fields = {
        "tier": FieldMap(custom_field="Tier", values={"vip": "Gold"}),
        "amount": FieldMap(custom_field="Amount"),
        "region": FieldMap(custom_field="Regions"),
        "signed": FieldMap(custom_field="Signed on"),
        "deal": FieldMap(custom_field="Deal"),
        "seller": FieldMap(custom_field="Seller"),
    }
    tool = AsanaTool(connection, fields, date_fields=date_fields)
    for name, kind, options in (
        ("Tier", "enum", ["Gold", "Silver"]),
        ("Amount", "number", []),
        ("Regions", "multi_enum", ["EMEA", "APAC"]),
        ("Signed on", "date", []),
        ("Deal", "text", []),
        ("Seller", "people", []),
    ):
        tool.world.add_custom_field(name, kind, options)
    return tool


CUSTOM = {
    "tier": "vip",
    "amount": Decimal("12500.5"),
    "region": ["APAC", "EMEA"],
    "signed": date(2026, 2, 3),
    "deal": "Grüße & <more>",
    "seller": [AsanaTool.known],
}


# Cost


async def test_a_project_costs_one_call_an_object_and_little_besides() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        sections = await make(target, *(section(f"s{at}", f"Phase {at}", inside) for at in range(4)))
        tasks = await make(target, *(task(f"t{at}", inside, sections[at % 4].id) for at in range(25)))
        await make(target, *(waiting(f"w{at}", inside, tasks[at].id, [tasks[at - 1].id]) for at in range(1, 11)))
        await make(target, Publish(inside, project()))
    assert tool.app.counts["writes"] == 1 + 4 + 25 + 10 + 1
    assert tool.app.counts["reads"] == 1  # the section a project is born with
    assert tool.app.counts["requests"] == 1 + (1 + 4) + 3 + 1 + 1


async def test_publishing_to_a_team_and_followers_costs_three_calls() -> None:
    tool = AsanaTool()
    tool.given["team"] = tool.world.add_team("Delivery")
    async with tool.target() as target:
        inside = await begin(target)
        await target.people([tool.known])
        before = tool.app.counts["writes"]
        await make(target, Publish(inside, project(followers=(tool.known,))))
    assert tool.app.counts["writes"] - before == 3


async def test_a_free_plan_is_kept_to_without_a_single_refusal() -> None:
    tool = AsanaTool({"per_minute": 150}, per_minute=150)
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, *(task(f"t{at}", inside) for at in range(200)))
    assert tool.app.counts["rejected"] == 0
    assert tool.count("task") == 200


# Custom fields


async def test_custom_values_are_held_and_read_back_in_our_words() -> None:
    tool = fielded()
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside, custom=CUSTOM))
        await make(target, Publish(inside, project(custom=CUSTOM)))
        for kind, id in (("task", made.id), ("project", inside)):
            there = await held(target, kind, id)  # type: ignore[arg-type]
            assert set(there["custom"]) == set(CUSTOM)
            assert all(target.same("task", f"custom.{name}", value, there["custom"][name]) for name, value in CUSTOM.items())
            assert target.same("task", "custom", CUSTOM, there["custom"])
        tool.world.edit_task(made.id, {"custom_fields": {_gid(tool, "Deal"): "Mine"}}, tool.ann)
        there = await held(target, "task", made.id)
        assert not target.same("task", "custom.deal", CUSTOM["deal"], there["custom"]["deal"])
        assert there["custom"]["tier"] == "vip"


def _gid(tool: AsanaTool, name: str) -> str:
    return next(gid for gid, row in tool.world.custom_fields.items() if row["name"] == name)


async def test_a_field_is_attached_once_to_a_project_whoever_needs_it() -> None:
    tool = fielded()
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, *(task(f"t{at}", inside, custom={"deal": "x"}) for at in range(12)))
    async with tool.target() as target:
        await make(target, task("later", inside, custom={"deal": "y", "tier": "Silver"}))
    assert tool.app.calls["POST /projects/{}/addCustomFieldSetting"] == 2
    assert tool.app.calls["GET /projects/{}/custom_field_settings"] == 1  # by the second run; the first made the project itself


async def test_an_update_attaches_the_field_it_needs() -> None:
    tool = fielded()
    async with tool.target() as target:
        (made,) = await make(target, task("a", await begin(target)))
    async with tool.target() as target:
        await make(target, Update(made.id, "task", {"custom": {"deal": "new"}}))
        assert (await held(target, "task", made.id))["custom"]["deal"] == "new"


@pytest.mark.parametrize(
    ("custom", "says"),
    [
        ({"tier": "Golden"}, "did you mean 'Gold'"),
        ({"amount": "much"}, "Amount"),
        ({"signed": "soon"}, "Signed on"),
        ({"teir": "vip"}, "did you mean 'tier'"),
    ],
)
async def test_a_value_the_field_cannot_hold_is_rejected_by_name_and_the_rest_goes_on(custom: Mapping[str, Any], says: str) -> None:
    tool = fielded()
    async with tool.target() as target:
        inside = await begin(target)
        refused, made = await target.write([task("a", inside, custom=custom), task("b", inside)])
    assert isinstance(refused, Rejected)
    assert says in refused.message
    assert refused.field == next(iter(custom))
    assert isinstance(made, Remote)
    assert tool.count("task") == 1


@pytest.mark.parametrize("form", ["object", "string"])
async def test_dates_are_written_in_the_form_the_connection_names(form: str) -> None:
    tool = fielded(date_fields=form, date_field_form=form)
    async with tool.target() as target:
        await make(target, task("a", await begin(target), custom={"signed": date(2026, 2, 3)}))
    assert tool.count("task") == 1
    sent = json.loads(tool.sent[-1].body)["data"]["custom_fields"][_gid(tool, "Signed on")]
    assert sent == ({"date": "2026-02-03"} if form == "object" else "2026-02-03")


async def test_a_locked_field_is_rejected_not_an_auth_error() -> None:
    tool = AsanaTool(fields={"deal": FieldMap(custom_field="Deal")})
    tool.world.add_custom_field("Deal", "text", locked=True)
    async with tool.target() as target:
        outcome = await one(target, task("a", await begin(target), custom={"deal": "x"}))
    assert isinstance(outcome, Rejected)


# People


async def test_people_nobody_knows_are_told_and_looked_up_once() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        for slot in "abc":
            await make(target, task(slot, inside, assignee=tool.unknown, followers=(tool.known,)))
        assert target.unknown_people == {tool.unknown}
        assert await target.people([tool.known, tool.unknown]) == {tool.known}
    assert tool.app.calls["GET /users/{}"] == 2


async def test_somebody_asana_refuses_after_all_does_not_lose_the_task() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        await target.people([tool.known])
        tool.world.by_email.clear()  # they leave between the look-up and the write
        (made,) = await make(target, task("a", inside, assignee=tool.known))
        assert (await held(target, "task", made.id))["assignee"] is None
        assert target.unknown_people == {tool.known}


# Sections


async def test_the_section_a_project_is_born_with_is_taken_over_once() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, section("a", "Plan", inside))
    async with tool.target() as target:
        await make(target, section("b", "Build", inside))
    assert tool.sections(inside) == ["Plan", "Build"]


async def test_a_taking_over_that_failed_is_tried_again() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        tool.trouble("broken", "section")
        plan = section("a", "Plan", inside)
        assert isinstance(await one(target, plan), Ambiguous)
        assert await target.find([plan]) == [None]
        await make(target, plan)
    assert tool.sections(inside) == ["Plan"]


async def test_two_batches_of_sections_at_once_keep_to_one_default() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        first, second = await begin(target), await begin(target, project(ROOT + "-2"), "n2")
        both = [section(f"{slot}{inside}", slot, inside) for slot in ("A", "B") for inside in (first, second)]
        await make(target, *both)
    assert tool.sections(first) == tool.sections(second) == ["A", "B"]


# Refusals of Asana's own


async def test_more_than_thirty_dependencies_are_rejected_in_asanas_words() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        tasks = await make(target, *(task(f"t{at}", inside) for at in range(32)))
        outcome = await one(target, waiting("w", inside, tasks[0].id, [remote.id for remote in tasks[1:]]))
    assert isinstance(outcome, Rejected)
    assert "30" in outcome.message


async def test_what_the_plan_lacks_is_rejected_with_words_about_the_plan() -> None:
    tool = AsanaTool(plan="free")
    async with tool.target() as target:
        inside = await begin(target)
        first, second = await make(target, task("a", inside), task("b", inside))
        outcome = await one(target, waiting("w", inside, second.id, [first.id]))
    assert isinstance(outcome, Rejected)
    assert "plan" in outcome.message


async def test_a_milestone_and_a_task_without_an_end_go_without_a_start() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        made = await make(target, task("a", inside, start_on=FIRST), task("b", inside, start_on=FIRST, due_on=LAST, milestone=True))
        for remote in made:
            assert "start_on" not in await held(target, "task", remote.id)


async def test_a_project_that_starts_and_ends_on_one_day_is_published() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, Publish(inside, project(start_on=FIRST, due_on=FIRST)))
        assert (await held(target, "project", inside))["due_on"] == FIRST


async def test_a_comment_is_not_taken_for_a_persons_other_words() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside))
        tool.world.comment(made.id, "Well done, all", tool.ann)
        assert await target.find([comment("c", "Well done", inside, made.id)]) == [None]


async def test_what_asana_notes_by_itself_is_no_comment() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside))
        tool.finish(made.id)
        (noted,) = [str(row["text"]) for row in tool.world.stories.values()]
        assert await target.find([comment("c", noted, inside, made.id)]) == [None]


# Sharing


async def test_the_provisional_project_says_nothing_of_the_customer() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        await begin(target, project(name="Onboard Acme", notes="Acme pays 1m", owner=tool.known))
    (made,) = tool.world.projects.values()
    assert made["name"] == "handoff n-first"
    assert "Acme" not in json.dumps(made)
    assert made["privacy_setting"] == "private"
    assert tool.world.visible_history == []


async def test_a_private_project_is_shared_with_team_and_members_only() -> None:
    tool = AsanaTool({"privacy": "private", "members": [AsanaTool.known, AsanaTool.unknown]})
    team = tool.given["team"] = tool.world.add_team("Delivery", members=[])
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, Publish(inside, project()))
        await make(target, Publish(inside, project()))
    assert tool.world.projects[inside]["privacy_setting"] == "private"
    assert set(tool.world.members_of[inside]) == {tool.world.bot, tool.ann, team}


async def test_a_member_who_is_there_already_may_be_refused_and_others_may_not() -> None:
    tool = AsanaTool({"members": [AsanaTool.known]})
    async with tool.target() as target:
        inside = await begin(target)
        tool.box.fault(r"POST \S*/memberships$", "error_before", times=-1, status=403)
        assert isinstance(await one(target, Publish(inside, project())), Rejected)
        tool.box.faults.clear()
        await make(target, Publish(inside, project()))
        tool.box.fault(r"POST \S*/memberships$", "error_before", times=-1, status=403)
        await make(target, Publish(inside, project()))


async def test_only_the_attempts_named_are_swept() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        given_up, open_ = await begin(target, nonce="n1"), await begin(target, project(ROOT + "-2"), "n11")
        assert await target.sweep(["n1", "n-never"]) == [given_up]
        assert await target.find([Create(project(), "n3")]) == [None]
    assert tool.world.projects[given_up]["archived"]
    assert not tool.world.projects[open_]["archived"]


# Checking


async def test_check_names_all_that_is_wrong_with_the_mapping_and_where() -> None:
    fields = {"tier": FieldMap(custom_field="Teir"), "region": FieldMap(custom_field="Region", values={"europe": "EMAE"})}
    tool = AsanaTool({"team": "42", "key": "custom_field", "key_field": "Handoff key"}, fields)
    tool.world.add_custom_field("Tier", "text")
    tool.world.add_custom_field("Region", "enum", ["EMEA"])
    async with tool.target() as target:
        with pytest.raises(ConfigError) as caught:
            await target.check()
    problems = {problem.path: problem for problem in caught.value.problems}
    assert set(problems) == {
        ("connection", "team"),
        ("connection", "key_field"),
        ("fields", "tier", "custom_field"),
        ("fields", "region", "values", "europe"),
    }
    assert "Tier" in problems["fields", "tier", "custom_field"].hint
    assert "EMEA" in problems["fields", "region", "values", "europe"].hint


async def test_check_names_the_workspaces_the_token_does_see() -> None:
    tool = AsanaTool({"workspace": "42"})
    async with tool.target() as target:
        with pytest.raises(ConfigError) as caught:
            await target.check()
    (problem,) = caught.value.problems
    assert problem.path == ("connection", "workspace")
    assert tool.world.workspace in problem.hint


async def test_check_warns_of_members_nobody_knows_and_of_projects_nobody_would_see() -> None:
    async with AsanaTool({"members": [AsanaTool.unknown]}).target() as target:
        report = await target.check()
    assert AsanaTool.unknown in report.warnings[0]
    async with AsanaTool({"privacy": "private"}).target() as target:
        assert "private" in (await target.check()).warnings[0]


@pytest.mark.parametrize(
    "wrong", [{"key": "external"}, {"key": "custom_field"}, {"sharing": "team"}, {"tokn": "x"}, {"per_minute": 0}, {"workspace": ""}]
)
def test_a_connection_that_does_not_fit_together_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Connection.model_validate({"token": "t", "workspace": "1", **wrong})


def test_every_setting_is_explained_and_the_token_is_not_shown() -> None:
    for model in (Connection, FieldMap):
        assert all(field.description for field in model.model_fields.values())
    assert "hush" not in repr(Connection.model_validate({"token": "hush", "workspace": "1"}))


# What single answers mean


async def answered(answer: httpx.Response | Exception, act: Callable[[AsanaTarget], Any]) -> Any:
    connection = Connection.model_validate({"token": "t", "workspace": "1", "base_url": API})
    sleeps: list[float] = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)

    with respx.mock(assert_all_called=True) as router:
        router.route(url__startswith=API).mock(side_effect=answer if isinstance(answer, Exception) else [answer])
        runtime = Runtime(sleep=sleep, transport=httpx.MockTransport(router.async_handler))
        async with AsanaTarget(connection, fields={}, runtime=runtime) as target:
            return await act(target), target


def said(status: int, *errors: Mapping[str, str], headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, json={"errors": list(errors)}, headers=dict(headers or {}))


@pytest.mark.parametrize(
    ("answer", "kind", "field", "words"),
    [
        (said(400, {"message": "due_on: Not a valid date"}), Rejected, "due_on", "Not a valid date"),
        (said(400, {"message": "Missing input: name"}), Rejected, "name", "Missing input"),
        (said(403, {"message": "You do not have access to this custom field"}), Rejected, "custom_fields", "access"),
        (said(403, {"message": "forbidden_scopes: projects:write"}), AuthError, "", "scope"),
        (said(402, {"message": "Payment Required"}), Rejected, "", "plan"),
        (said(451, {"message": "Blocked"}), Rejected, "", "Blocked"),
        (said(409, {"message": "odd"}), Ambiguous, "", "odd"),
        (said(500, {"message": "Server Error", "phrase": "6 sad squid"}), Ambiguous, "", "6 sad squid"),
        (said(408), Ambiguous, "", "408"),
        (httpx.Response(302), Ambiguous, "", "302"),
        (httpx.Response(201, text="<html>"), Ambiguous, "", "201"),
        (httpx.Response(201, json={"dat": {}}), Ambiguous, "", "201"),
        (httpx.Response(201, json={"data": {"name": "x"}}), Ambiguous, "", "201"),
        (httpx.Response(201, json={"data": None}), Ambiguous, "", "201"),
        (httpx.ReadTimeout("slow"), Ambiguous, "", "ReadTimeout"),
        (httpx.ConnectTimeout("slow"), Transient, "", "asana.example"),
    ],
)
async def test_an_answer_to_a_create_means(answer: httpx.Response | Exception, kind: type[ConnectorError], field: str, words: str) -> None:
    async def act(target: AsanaTarget) -> Any:
        try:
            return await one(target, Create(project(), "n1"))
        except AuthError as error:
            return error

    outcome, _ = await answered(answer, act)
    assert isinstance(outcome, kind)
    assert getattr(outcome, "field", "") == field
    assert words in outcome.message


async def test_a_long_wait_is_not_slept_through_but_handed_on() -> None:
    outcome, _ = await answered(said(429, headers={"Retry-After": "1800"}), lambda target: one(target, Create(project(), "n1")))
    assert isinstance(outcome, RateLimited)
    assert outcome.retry_after == 1800


@pytest.mark.parametrize("rows", [[], [{"status_code": 201, "body": {"data": {"gid": "1"}}}], "what?", [{}, {}], [None, None]])
async def test_a_batch_answer_that_does_not_match_leaves_its_creates_in_doubt(rows: Any) -> None:
    creates = [task("a", "9"), task("b", "9")]
    outcomes, _ = await answered(httpx.Response(200, json={"data": rows}), lambda target: target.write(creates))
    assert [type(outcome) for outcome in outcomes] == [Ambiguous, Ambiguous]


async def test_in_a_lost_batch_only_creates_are_in_doubt() -> None:
    writes: list[Write] = [task("a", "9"), Update("8", "task", {"name": "x"}), waiting("w", "9", "8", ["7"])]
    outcomes, _ = await answered(httpx.ReadError("reset"), lambda target: target.write(writes))
    assert [type(outcome) for outcome in outcomes] == [Ambiguous, Transient, Transient]


async def test_announced_changes_are_kept() -> None:
    header = {"Asana-Change": "name=new_sharing;info=https://example.test;affected=true, name=other;info=x"}
    answer = httpx.Response(201, json={"data": {"gid": "1"}}, headers=header)
    _, target = await answered(answer, lambda target: one(target, Create(project(), "n1")))
    assert set(target.deprecations) == {"new_sharing", "other"}
    assert "affected=true" in target.deprecations["new_sharing"]


async def test_a_page_token_that_dies_on_the_way_is_transient() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        await make(target, *(task(f"t{at}", inside) for at in range(101)))
        tool.box.recorder = lambda request, reply: tool.world.expire_offsets() if "offset" not in request.query else None
        tool.clock.move(seconds=1)
        with pytest.raises(Transient):
            await target.find([task("t0", inside)])


async def test_events_the_plan_does_not_give_mean_that_all_may_have_changed() -> None:
    changed, _ = await answered(said(402, {"message": "Payment Required"}), lambda target: target.changes("abc"))
    assert (changed.projects, changed.complete) == (frozenset(), False)


async def test_a_deleted_task_leaves_no_quiet_gap_in_the_story() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside))
        cursor = (await target.changes(None)).cursor
        tool.delete("task", made.id)
        changed = await target.changes(cursor)
    assert inside in changed.projects or not changed.complete


async def test_objects_we_know_the_project_of_are_not_asked_about() -> None:
    tool = AsanaTool()
    async with tool.target() as target:
        inside = await begin(target)
        (made,) = await make(target, task("a", inside))
        cursor = (await target.changes(None)).cursor
        tool.delete("task", made.id)
        before = target.calls
        changed = await target.changes(cursor, locate=lambda ids: {gid: inside for gid in ids if gid == made.id})
    assert (changed.projects, changed.complete) == (frozenset({inside}), True)
    assert target.calls == before + 1


# The public description


async def test_every_kind_of_request_is_one_the_public_description_allows() -> None:
    tool = fielded(members=[AsanaTool.known])
    tool.given["team"] = tool.world.add_team("Delivery")
    async with tool.target() as target:
        await target.check()
        inside = await begin(target)
        (column,) = await make(target, section("s", "Plan", inside))
        (made,) = await make(target, task("a", inside, column.id, custom=CUSTOM, start_on=FIRST, due_on=LAST))
        (lower,) = await make(target, task("b", inside, under=made))
        writes = [waiting("w", inside, lower.id, [made.id]), comment("c", "Hi", inside, made.id)]
        await make(target, *writes)
        changes = [
            Update(made.id, "task", {"notes": "n", "followers": (tool.known,), "milestone": True}),
            Update(column.id, "section", {"name": "P"}),
        ]
        await make(target, *changes)
        await make(target, Publish(inside, project(owner=tool.known, followers=(tool.known,), custom=CUSTOM)))
        await target.find([Create(project(), "n"), *(create for create in writes if isinstance(create, Create))])
        await target.children(inside)
        await target.changes((await target.changes(None)).cursor)
        await target.progress([inside])
        await target.sweep(["n-first"])
    assert len(tool.sent) > 20
    for request in tool.sent:
        check_request(request)
