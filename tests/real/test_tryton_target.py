"""Tryton's projects, on a real server: what every target promises, and what is Tryton's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from connectors.base import Ambiguous, AuthError, ConfigError, Gone, Publish, Rejected, Remote, Runtime, Update
from connectors.tryton import Connection, TrytonTarget
from connectors.tryton.errors import Denied
from connectors.tryton.rpc import Rpc
from tests.conformance.target import LAST, ROOT, Rig, TargetConformance, assert_same, begin, held, make, project, section, task, waiting
from tests.real.tryton import Line, Person, Tryton
from tests.real.tryton_target import TrytonTool, rig

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("tryton")]


@pytest.fixture(scope="module")
def person(tryton: Tryton) -> Iterator[Person]:
    somebody = tryton.person("plan")
    somebody.log_in()
    yield somebody
    somebody.close()


@pytest.fixture(scope="module")
def line() -> Line:
    return Line()


class TestTryton(TargetConformance):
    examples = 15
    exempt: ClassVar[Mapping[str, str]] = {
        "test_nobody_sees_a_project_before_it_is_published": "Tryton hides no project: `provisional` is false, and it is seen from the beginning",
        "test_a_forgotten_story_is_told": "Tryton forgets nothing: test_an_older_database_put_back_is_told has what could happen",
        "test_two_tasks_with_one_key_are_a_conflict": "a number is unique: test_a_second_creation_of_a_key_gives_the_first has what happens instead",
    }

    @pytest.fixture(autouse=True)
    def _server(self, tryton: Tryton, line: Line, person: Person) -> None:
        self._parts = (tryton, line, person)

    def rig(self) -> Rig:
        return rig(*self._parts)


class TestOwnTraps:
    """What Tryton does that no other tool does."""

    @pytest.fixture(autouse=True)
    def _server(self, tryton: Tryton, line: Line, person: Person) -> None:
        self.server, self.person = tryton, person
        rigged = rig(tryton, line, person)
        assert isinstance(rigged.tool, TrytonTool)
        self.tool, self.target = rigged.tool, rigged.target

    async def test_a_second_creation_of_a_key_gives_the_first(self) -> None:
        async with self.target() as target:
            inside = await begin(target)
            assert await begin(target, nonce="n-second") == inside
            first, second = await make(target, task("a", inside), task("b", inside))
            again = await make(target, task("b", inside), section("s", "Plan", inside), task("a", inside))
        assert [again[0].id, again[2].id] == [second.id, first.id]
        assert (self.tool.count("project"), self.tool.count("section"), self.tool.count("task")) == (1, 1, 2)

    async def test_a_creation_that_arrives_late_beside_a_second_one_makes_nothing(self) -> None:
        async with self.target() as target:
            inside = await begin(target)
            self.tool.trouble("late", "task")
            (lost,) = await target.write([task("a", inside)])
            (made,) = await make(target, task("a", inside))
            await self.tool.settle()
            (found,) = await target.find([task("a", inside)])
        assert isinstance(lost, Ambiguous)
        assert isinstance(found, Remote)
        assert found.id == made.id
        assert self.tool.count("task") == 1

    async def test_four_at_once_make_one(self) -> None:
        async with self.target() as target:
            inside = await begin(target)

        async def one_more() -> str:
            async with self.target() as target:
                (made,) = await make(target, task("a", inside))
                return made.id

        assert len(set(await asyncio.gather(*(one_more() for _ in range(4))))) == 1
        assert self.tool.count("task") == 1

    async def test_tryton_takes_a_circle_and_we_refuse_it(self) -> None:
        async with self.target() as target:
            inside = await begin(target)
            a, b, c = await make(target, task("a", inside), task("b", inside), task("c", inside))
            await make(target, waiting("w1", inside, b.id, [a.id]), waiting("w2", inside, c.id, [b.id]))
            (refused,) = await target.write([waiting("w3", inside, a.id, [c.id])])
        assert isinstance(refused, Rejected)
        assert "circle" in refused.message
        assert self.tool.waits_for(a.id) == set()
        # The server itself would have taken it. Whatever is written to one of them afterwards, it never answers again.
        assert "result" in self.person.ask("model.project.work.write", [int(a.id)], {"predecessors": [["add", [int(c.id)]]]})

    async def test_tasks_of_different_sections_may_wait_for_each_other(self) -> None:
        async with self.target() as target:
            inside = await begin(target)
            plan, build = await make(target, section("plan", "Plan", inside), section("build", "Build", inside))
            a, b = await make(target, task("a", inside, build.id), task("b", inside, plan.id))
            await make(target, waiting("w", inside, a.id, [b.id]))
            (progress,) = await target.progress([inside])
        assert self.tool.waits_for(a.id) == {b.id}
        assert (self.tool.where(a.id), self.tool.where(b.id)) == ((inside, "Build"), (inside, "Plan"))
        assert (progress.done, progress.total) == (0, 2)

    async def test_a_task_and_one_below_another_task_cannot_wait_for_each_other(self) -> None:
        async with self.target() as target:
            inside = await begin(target)
            a, b = await make(target, task("a", inside), task("b", inside))
            (below,) = await make(target, task("c", inside, under=a))
            (refused,) = await target.write([waiting("w", inside, b.id, [below.id])])
        assert isinstance(refused, Rejected)
        assert "Predecessors" in refused.message

    async def test_what_is_wrong_with_a_call_comes_with_status_200_and_is_never_repeated(self) -> None:
        connection = Connection(url=self.server.url, database="plan", login=self.server.login, password=self.server.password)
        rpc = Rpc(connection, Runtime(clock=self.tool.clock, sleep=self.tool.clock.sleep, transport=self.tool.line))
        await rpc.open()
        await rpc.context()
        (work,) = await rpc.call("project.work.create", [{"name": "x", "type": "task"}])
        for method, args in (("project.work.write", ([work], {"nope": 1})), ("project.nope.search", ([],)), ("project.work.nope", ([],))):
            before = len(self.tool.line.sent)
            with pytest.raises(Rejected) as caught:
                await rpc.call(method, *args)
            assert len(self.tool.line.sent) == before + 1
            assert "nope" in caught.value.message or isinstance(caught.value, Denied)
        with pytest.raises(Gone):
            await rpc.call("project.work.write", [999_999], {"name": "x"})
        await rpc.close()

    async def test_a_password_that_is_wrong_is_an_auth_error(self) -> None:
        connection = Connection(url=self.server.url, database="plan", login=self.server.login, password="no-such-password")
        async with TrytonTarget(connection, fields={}) as target:
            with pytest.raises(AuthError) as caught:
                await target.check()
        assert "login" in caught.value.message
        assert "no-such-password" not in str(caught.value)

    async def test_a_database_that_is_not_there_is_named(self) -> None:
        connection = Connection(url=self.server.url, database="nope", login=self.server.login, password=self.server.password)
        async with TrytonTarget(connection, fields={}) as target:
            with pytest.raises(ConfigError) as caught:
                await target.check()
        assert caught.value.problems[0].path == ("connection", "database")

    async def test_an_older_database_put_back_is_told(self) -> None:
        async with self.target() as target:
            await begin(target)
            cursor = (await target.changes(None)).cursor
            assert (await target.changes(cursor)).complete
            self.tool.forget()
            again = await target.changes(cursor)
            assert not again.complete
            assert (await target.changes(again.cursor)).complete

    async def test_a_deleted_task_may_have_been_of_any_project(self) -> None:
        async with self.target() as target:
            inside = await begin(target)
            made = await make(target, task("a", inside), task("b", inside))
            cursor = (await target.changes(None)).cursor
            self.tool.delete("task", made[0].id)
            changed = await target.changes(cursor)
            assert not changed.complete
            assert (await target.changes(changed.cursor)).complete
            (progress,) = await target.progress([inside])
        assert progress.total == 1

    async def test_a_published_project_that_a_person_changed_is_theirs_when_it_is_published_again(self) -> None:
        async with self.target() as target:
            inside = await begin(target)
            await make(target, Publish(inside, project(notes="final")))
            self.tool.edit("project", inside, "notes", "Mine")
            await make(target, Publish(inside, project(notes="final"), again=True))
            assert (await held(target, "project", inside))["notes"] == "Mine"
            other = await begin(target, project(ROOT + "-2"), "n2")
            await make(target, Publish(other, project(ROOT + "-2", notes="final"), again=True))
            assert (await held(target, "project", other))["notes"] == "final"

    async def test_several_assignees_are_a_persons_doing(self) -> None:
        who = self.server.employee
        async with self.target() as target:
            (made,) = await make(target, task("a", await begin(target), assignee=who))
            (party,) = self.person.call("model.party.party.create", [{"name": "Bob"}])
            (bob,) = self.person.call("model.company.employee.create", [{"party": party, "company": 1}])
            self.person.call(
                "model.project.work.write", [int(made.id)], {"allocations": [["create", [{"employee": bob, "percentage": 50.0}]]]}
            )
            there = (await held(target, "task", made.id))["assignee"]
            self.person.call("model.company.employee.delete", [bob])
        assert not target.same("task", "assignee", who, there)

    async def test_custom_fields_are_fields_of_tryton(self) -> None:
        tool = TrytonTool(self.server, self.tool.line, self.person, fields={"effort": "effort_duration", "client": "party"})
        async with tool.target() as target:
            assert "custom" in target.traits.fields["task"]
            inside = await begin(target)
            (made,) = await make(target, task("a", inside, custom={"effort": Decimal("7.5"), "client": "1"}))
            there = (await held(target, "task", made.id))["custom"]
            assert target.same("task", "custom.effort", Decimal("7.5"), there["effort"])
            assert not target.same("task", "custom.effort", 8, there["effort"])
            assert target.same("task", "custom.client", "1", there["client"])
            (refused,) = await target.write([task("b", inside, custom={"effort": "long"})])
            assert isinstance(refused, Rejected)
            assert refused.field == "effort"

    async def test_custom_values_without_a_field_are_lines_of_the_comment(self) -> None:
        tool = TrytonTool(self.server, self.tool.line, self.person, fields={"value": "comment.Deal value", "tier": "comment.Tier"})
        async with tool.target() as target:
            assert "lines" in target.traits.instead["project.custom"]
            inside = await begin(target)
            written: dict[str, Any] = {"notes": "as *agreed*", "custom": {"value": Decimal("12500.00"), "tier": "vip"}}
            (made,) = await make(target, task("a", inside, **written))
            assert_same(target, "task", written, await held(target, "task", made.id))
            await make(target, Update(made.id, "task", {"custom": {"tier": "key"}}))
            await make(target, Update(made.id, "task", {"notes": "anew"}))
            there = await held(target, "task", made.id)
            assert_same(target, "task", {"notes": "anew", "custom": {"value": Decimal(12500), "tier": "key"}}, there)
            assert not target.same("task", "custom.tier", "vip", there["custom"]["tier"])
            tool.edit("task", made.id, "notes", "anew\n\nDeal value: 13000\nTier: key")
            there = await held(target, "task", made.id)
        assert target.same("task", "notes", "anew", there["notes"])
        assert not target.same("task", "custom.value", Decimal(12500), there["custom"]["value"])

    async def test_check_holds_the_mapping_against_the_server(self) -> None:
        tool = TrytonTool(self.server, self.tool.line, self.person, fields={"effort": "effort_durations", "kids": "children"})
        async with tool.target() as target:
            with pytest.raises(ConfigError) as caught:
                await target.check()
        assert [problem.path for problem in caught.value.problems] == [
            ("fields", "effort", "custom_field"),
            ("fields", "kids", "custom_field"),
        ]
        assert "effort_duration" in caught.value.problems[0].hint

    async def test_it_describes_itself(self) -> None:
        async with self.target() as target:
            told = await target.describe()
        kinds = {one.kind: {field.path: field.type for field in one.fields} for one in told.objects}
        assert kinds["task"]["effort_duration"] == "timedelta"
        assert {stage.name for stage in told.stages} == {"Open", "Done"}
        assert [(member.name, member.email) for member in told.people] == [("Ann", self.server.employee)]


class TestWithoutPlanning:
    """A server without the module project_plan."""

    @pytest.fixture
    def tool(self, tryton: Tryton, line: Line) -> Iterator[TrytonTool]:
        line.faults.clear()
        somebody = tryton.person("crm")
        somebody.log_in()
        yield TrytonTool(tryton, line, somebody, planning=False)
        somebody.close()

    async def test_it_holds_no_dates_and_says_so(self, tool: TrytonTool) -> None:
        async with tool.target() as target:
            assert "dependency" not in target.traits.kinds
            assert target.traits.fields["task"] == {"name", "notes"}
            inside = await begin(target)
            (column,) = await make(target, section("plan", "Plan", inside))
            (made,) = await make(target, task("a", inside, column.id, notes="as *agreed*", due_on=LAST, assignee=tool.known))
            await make(target, Publish(inside, project()))
            assert_same(target, "task", {"name": "Task a", "notes": "as *agreed*"}, await held(target, "task", made.id))
            tool.finish(made.id)
            (progress,) = await target.progress([inside])
        assert (progress.done, progress.total) == (1, 1)

    async def test_planning_that_is_not_there_is_found_by_the_check(self, tool: TrytonTool) -> None:
        connection = Connection(url=tool.server.url, database="crm", login=tool.server.login, password=tool.server.password, planning=True)
        async with TrytonTarget(connection, fields={}) as target:
            with pytest.raises(ConfigError) as caught:
                await target.check()
        assert [problem.path for problem in caught.value.problems] == [("connection", "planning")]
