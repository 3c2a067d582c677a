"""What every target must do, whatever project tool is behind it. A subclass gives `rig()`: a fresh tool and a way to connect to it.

A test that does not apply is named in `exempt` with the reason; nothing else is skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar, Literal, Protocol

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.base import (
    Ambiguous,
    AuthError,
    Conflict,
    ConnectorError,
    Create,
    Gone,
    Publish,
    RateLimited,
    Rejected,
    Remote,
    Target,
    Transient,
    Update,
    Write,
)
from engine.model import Item, ItemKind

Trouble = Literal[
    "lost",  # done, and no answer
    "broken",  # not done, a server error
    "broken_after",  # done, then a server error
    "garbled",  # done, and the answer cannot be read
    "late",  # no answer; done when the tool settles
    "busy",  # not done, too many requests
]
ROOT = "crm:deal:7/onboarding"
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 20)
NASTY = (
    'Ann\'s "best" <b>deal</b> & co',
    "line\nbreak\r\nand\ttab",
    "🚀 launch 👩‍👩‍👧",
    "مشروع العميل",
    "客户上线",
    "]]> <!-- x --> &amp;",
    "a\x07b",
)
_names = st.text(min_size=1, max_size=80).filter(lambda text: bool(text.strip()) and text.strip().isprintable())
_texts = st.text(max_size=400)


class Tool(Protocol):
    """The other side, driven in neutral words. `known` and `unknown` are e-mails; `secrets` must never be seen.

    `visible` are all names under which people could ever see a project. `where` is the project and the name of the section a task stands in.
    """

    known: str
    unknown: str

    @property
    def secrets(self) -> tuple[str, ...]: ...
    def trouble(self, what: Trouble, kind: ItemKind, *, times: int = 1) -> None: ...
    def unplug(self) -> None: ...
    def revoke(self) -> None: ...
    def forget(self) -> None: ...
    async def settle(self) -> None: ...
    def count(self, kind: ItemKind) -> int: ...
    def visible(self) -> list[str]: ...
    def sections(self, project: str) -> list[str]: ...
    def where(self, task: str) -> tuple[str, str]: ...
    def waits_for(self, task: str) -> set[str]: ...
    def edit(self, kind: ItemKind, id: str, field: str, value: Any) -> None: ...
    def finish(self, task: str) -> None: ...
    def delete(self, kind: ItemKind, id: str) -> None: ...


@dataclass
class Rig:
    tool: Tool
    target: Callable[[], Target]


# What is written. Keys are derived from a slot, nonces from a number.


def project(key: str = ROOT, **fields: Any) -> Item:
    return Item(key, "project", {"name": "Onboard Acme", "notes": "Sold by **Ann**", **fields}, key)


def section(slot: str, name: str, inside: str, *, key: str = ROOT) -> Create:
    return Create(Item(f"{key}/{slot}", "section", {"name": name}, key, key), f"n-{slot}", project=inside, parent=inside)


def task(slot: str, inside: str, column: str = "", *, under: Remote | None = None, key: str = ROOT, **fields: Any) -> Create:
    """Ids of one kind may be those of another: only the key tells whether a task is under the project or under a task."""
    item = Item(f"{key}/{slot}", "task", {"name": f"Task {slot}", **fields}, key, under.key if under else key)
    return Create(item, f"n-{slot}", project=inside, parent=under.id if under else inside, section=column)


def comment(slot: str, text: str, inside: str, on: str) -> Create:
    return Create(Item(f"{ROOT}/{slot}", "comment", {"text": text}, ROOT), f"n-{slot}", project=inside, parent=on)


def status(slot: str, inside: str, title: str = "Won") -> Create:
    fields = {"status": "on_track", "title": title, "text": "All is well"}
    return Create(Item(f"{ROOT}/{slot}", "status", fields, ROOT, ROOT), f"n-{slot}", project=inside, parent=inside)


def waiting(slot: str, inside: str, who: str, on: Sequence[str]) -> Create:
    return Create(Item(f"{ROOT}/{slot}", "dependency", {}, ROOT), f"n-{slot}", project=inside, parent=who, depends_on=tuple(on))


async def make(target: Target, *writes: Write) -> list[Remote]:
    """All of them made, in batches the target can carry."""
    made: list[Remote] = []
    for at in range(0, len(writes), target.traits.batch):
        for outcome in await target.write(writes[at : at + target.traits.batch]):
            assert isinstance(outcome, Remote), outcome
            made.append(outcome)
    return made


async def begin(target: Target, item: Item | None = None, nonce: str = "n-first") -> str:
    """A project, not published yet; its id."""
    (made,) = await make(target, Create(item or project(), nonce))
    return made.id


async def one(target: Target, write: Write) -> Remote | ConnectorError:
    (outcome,) = await target.write([write])
    return outcome


async def held(target: Target, kind: ItemKind, id: str) -> Mapping[str, Any]:
    (remote,) = await target.read(kind, [id])
    assert remote is not None
    return remote.fields


def assert_same(target: Target, kind: ItemKind, written: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Every field the tool says it holds."""
    fields = target.traits.fields.get(kind, frozenset(written))
    held = {name: value for name, value in written.items() if name in fields}
    differing = {name: (value, there.get(name)) for name, value in held.items() if not target.same(kind, name, value, there.get(name))}
    assert not differing


class TargetConformance:
    """`examples` is how many texts are made up; fewer where each costs a real server's time."""

    exempt: ClassVar[Mapping[str, str]] = {}
    examples: ClassVar[int] = 40

    def rig(self) -> Rig:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _exempted(self, request: pytest.FixtureRequest) -> None:
        if reason := self.exempt.get(request.node.originalname or request.node.name):
            pytest.skip(reason)

    def test_exemptions_are_real_tests_with_reasons(self) -> None:
        assert all(hasattr(self, name) and reason.strip() for name, reason in self.exempt.items())

    # Checking

    async def test_check_says_who_we_are(self) -> None:
        async with self.rig().target() as target:
            assert (await target.check()).identity

    async def test_a_refused_token_is_an_auth_error_that_says_what_to_do(self) -> None:
        rig = self.rig()
        rig.tool.revoke()
        async with rig.target() as target:
            with pytest.raises(AuthError) as caught:
                await target.check()
            with pytest.raises(AuthError):
                await target.write([Create(project(), "n1")])
        assert len(caught.value.message) > 30

    # Made once, found by key

    async def test_what_was_made_is_found_by_its_key(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            creates, made = await self._one_of_each(target)
        async with rig.target() as target:
            found = await target.find(creates)
        assert [one.id for one in found if isinstance(one, Remote)] == [remote.id for remote in made]

    async def test_what_was_never_made_is_not_found(self) -> None:
        async with self.rig().target() as target:
            creates, _ = await self._one_of_each(target)
            others = [
                replace(create, nonce="n-other", item=replace(create.item, key=create.item.key + "-other", fields=_others(create)))
                for create in creates
            ]
            assert await target.find(others) == [None] * len(others)

    async def test_a_created_object_comes_with_its_address(self) -> None:
        async with self.rig().target() as target:
            inside = await begin(target)
            (made,) = await make(target, task("a", inside))
            (top,) = await make(target, Create(project(ROOT + "-2"), "n2"))
        assert made.url
        assert top.url
        assert made.url != top.url

    async def test_two_published_projects_with_one_key_are_a_conflict_that_names_them(self) -> None:
        """Unless the tool keeps a key unique: then the second is the first."""
        async with self.rig().target() as target:
            ids = [await begin(target, nonce=nonce) for nonce in ("n1", "n2")]
            await make(target, *(Publish(id, project()) for id in ids))
            (found,) = await target.find([Create(project(), "n3")])
        if "project" in target.traits.unique:
            assert isinstance(found, Remote)
            assert ids == [found.id] * 2
        else:
            assert isinstance(found, Conflict)
            assert len(found.theirs) == 2

    async def test_two_tasks_with_one_key_are_a_conflict(self) -> None:
        """Unless the tool keeps a key unique: then the second is the first."""
        async with self.rig().target() as target:
            twice = task("a", await begin(target))
            ids = [(await make(target, twice))[0].id for _ in range(2)]
            (found,) = await target.find([twice])
        if "task" in target.traits.unique:
            assert isinstance(found, Remote)
            assert ids == [found.id] * 2
        else:
            assert isinstance(found, Conflict)

    async def test_look_ups_see_past_the_first_page(self) -> None:
        async with self.rig().target() as target:
            inside = await begin(target)
            creates = [task(f"t{at}", inside) for at in range(130)]
            made = await make(target, *creates)
            found = await target.find([creates[0], creates[-1]])
        assert [one.id for one in found if isinstance(one, Remote)] == [made[0].id, made[-1].id]

    async def _one_of_each(self, target: Target) -> tuple[list[Create], list[Remote]]:
        top = Create(project(), "n-first")
        (inside,) = await make(target, top)
        column = section("plan", "Plan", inside.id)
        (columned,) = await make(target, column)
        upper = task("kickoff", inside.id, columned.id)
        (above,) = await make(target, upper)
        rest = [task("agenda", inside.id, under=above), comment("hello", "Say *hello*", inside.id, above.id), status("now", inside.id)]
        rest = [create for create in rest if create.item.kind in target.traits.kinds]
        return [top, column, upper, *rest], [inside, columned, above, *await make(target, *rest)]

    # Lost answers

    @pytest.mark.parametrize("what", ["lost", "broken_after", "garbled"])
    async def test_a_create_whose_answer_is_lost_is_ambiguous_and_there_once(self, what: Trouble) -> None:
        kinds: tuple[ItemKind, ...] = ("project", "section", "task", "comment", "status")
        for kind in kinds:
            rig = self.rig()
            async with rig.target() as target:
                if kind not in target.traits.kinds:
                    continue
                create = await self._ready(target, kind)
                before = rig.tool.count(kind)
                rig.tool.trouble(what, kind)
                assert isinstance(await one(target, create), Ambiguous)
                (found,) = await target.find([create])
            assert isinstance(found, Remote), kind
            assert rig.tool.count(kind) == before + 1, kind

    async def _ready(self, target: Target, kind: ItemKind) -> Create:
        """A create of this kind, with all it needs in place."""
        if kind == "project":
            return Create(project(), "n1")
        inside = await begin(target)
        await make(target, section("plan", "Plan", inside))
        made = await make(target, task("a", inside)) if kind == "comment" else []
        match kind:
            case "section":
                return section("build", "Build", inside)
            case "comment":
                return comment("c", "Well done", inside, made[0].id)
            case "status":
                return status("s", inside)
        return task("b", inside)

    async def test_a_server_error_on_a_create_is_ambiguous(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            rig.tool.trouble("broken", "project")
            assert isinstance(await one(target, Create(project(), "n1")), Ambiguous)
            assert await target.find([Create(project(), "n1")]) == [None]
        assert rig.tool.count("project") == 0

    async def test_an_address_nobody_listens_at_is_transient_and_nothing_is_made(self) -> None:
        rig = self.rig()
        rig.tool.unplug()
        async with rig.target() as target:
            outcome = await one(target, Create(project(), "n1"))
        assert isinstance(outcome, Transient)
        assert not isinstance(outcome, Ambiguous)
        assert rig.tool.count("project") == 0

    async def test_a_lost_batch_leaves_each_of_its_creates_in_doubt(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            creates = [task(f"t{at}", inside) for at in range(min(5, target.traits.batch))]
            rig.tool.trouble("lost", "task", times=-1)  # however many requests it takes
            outcomes = await target.write(creates)
            found = await target.find(creates)
        assert [type(outcome) for outcome in outcomes] == [Ambiguous] * len(creates)
        assert all(isinstance(one, Remote) for one in found)

    async def test_an_update_whose_answer_is_lost_is_transient_and_may_be_repeated(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            (made,) = await make(target, task("a", await begin(target)))
            update = Update(made.id, "task", {"name": "Renamed"})
            rig.tool.trouble("lost", "task", times=-1)
            assert isinstance(await one(target, update), Transient)
            assert (await held(target, "task", made.id))["name"] == "Renamed"

    async def test_a_lost_dependency_is_transient_and_its_repetition_harmless(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            first, second = await make(target, task("a", inside), task("b", inside))
            wait = waiting("w", inside, second.id, [first.id])
            rig.tool.trouble("lost", "dependency", times=-1)
            assert isinstance(await one(target, wait), Transient)
        rig.tool.trouble("lost", "dependency", times=0)
        async with rig.target() as target:
            await make(target, wait)
            await make(target, wait)
        assert rig.tool.waits_for(second.id) == {first.id}

    async def test_a_late_commit_is_not_found_at_first_and_adopted_later(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            create = Create(project(), "n1")
            rig.tool.trouble("late", "project")
            assert isinstance(await one(target, create), Ambiguous)
            assert await target.find([create]) == [None]
            await rig.tool.settle()
            (found,) = await target.find([create])
        assert isinstance(found, Remote)

    async def test_a_late_commit_beside_a_second_attempt_stays_out_of_sight_and_is_swept(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            rig.tool.trouble("late", "project")
            assert isinstance(await one(target, Create(project(), "n1")), Ambiguous)
            second = await begin(target, nonce="n2")
            await rig.tool.settle()
            (found,) = await target.find([Create(project(), "n2")])
            assert isinstance(found, Remote)
            assert found.id == second
            await make(target, Publish(second, project()))
            (found,) = await target.find([Create(project(), "n2")])
            assert isinstance(found, Remote)
            assert found.id == second
            swept = await target.sweep(["n1"])
            assert await target.sweep(["n1"]) == []
        assert len(swept) == ("project" not in target.traits.unique)
        assert second not in swept
        assert rig.tool.count("project") == 1 + len(swept)  # put away, not deleted
        assert rig.tool.visible() == ["Onboard Acme"]

    # Refusals

    async def test_too_many_requests_say_when_to_come_back_and_nothing_is_made(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            rig.tool.trouble("busy", "project", times=-1)
            outcome = await one(target, Create(project(), "n1"))
        assert isinstance(outcome, RateLimited)
        assert outcome.retry_after > 0
        assert rig.tool.count("project") == 0

    async def test_a_busy_moment_is_waited_out(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            rig.tool.trouble("busy", "task")
            await make(target, *(task(f"t{at}", inside) for at in range(min(3, target.traits.batch))))
        assert rig.tool.count("task") == min(3, target.traits.batch)

    async def test_each_write_of_a_batch_has_its_own_outcome(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            bad = task("bad", inside, start_on=LAST, due_on=FIRST)
            outcomes = await target.write([task("a", inside), bad, task("b", inside)])
            assert isinstance(outcomes[1], Rejected)
            assert len(outcomes[1].message) > 20
            assert [isinstance(outcome, Remote) for outcome in outcomes] == [True, False, True]
            first, last = outcomes[0], outcomes[2]
            assert isinstance(first, Remote)
            assert isinstance(last, Remote)
            assert (await held(target, "task", first.id))["name"] == "Task a"
            assert (await held(target, "task", last.id))["name"] == "Task b"
        assert rig.tool.count("task") == 2

    async def test_what_is_gone_is_gone(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            made = await make(target, *(task(slot, inside) for inside in [await begin(target)] for slot in "ab"))
            rig.tool.delete("task", made[0].id)
            assert isinstance(await one(target, Update(made[0].id, "task", {"name": "x"})), Gone)
            first, second = await target.read("task", [remote.id for remote in made])
        assert first is None
        assert second is not None

    async def test_errors_hold_no_secret(self) -> None:
        told = ""
        spoils: list[Callable[[Tool], None]] = [lambda tool: tool.revoke(), lambda tool: tool.unplug()]
        troubles: tuple[Trouble, ...] = ("lost", "garbled", "broken")
        spoils += [lambda tool, what=what: tool.trouble(what, "project") for what in troubles]  # type: ignore[misc]
        for spoil in spoils:
            rig = self.rig()
            spoil(rig.tool)
            try:
                async with rig.target() as target:
                    error: BaseException | None = _error(await one(target, Create(project(), "n1")))
            except ConnectorError as raised:
                error = raised
            assert error is not None
            while error is not None:
                told += f"{error} {error!r} "
                error = error.__cause__ or error.__context__
        assert not [secret for secret in rig.tool.secrets if secret in told]

    # What is written is what is held

    async def test_names_survive_whatever_is_in_them(self) -> None:
        await self._survives("name", _names)

    async def test_notes_survive_whatever_is_in_them(self) -> None:
        await self._survives("notes", _texts)

    async def _survives(self, field: str, texts: st.SearchStrategy[str]) -> None:
        async def round_trip(text: str) -> None:
            rig, fields = self.rig(), dict[str, Any]({field: text})
            async with rig.target() as target:
                inside = await begin(target)
                (made,) = await make(target, task("a", inside, **fields))
                assert_same(target, "task", fields, await held(target, "task", made.id))
                (found,) = await target.find([task("a", inside)])
                assert isinstance(found, Remote)

        @settings(max_examples=self.examples, deadline=None, database=None)
        @example("x" * 200)
        @example(NASTY[0])
        @example(NASTY[1])
        @example(NASTY[5])
        @given(texts)
        def check(text: str) -> None:
            asyncio.run(round_trip(text))

        await asyncio.to_thread(check)

    async def test_nasty_names_are_kept_and_not_merely_alike(self) -> None:
        async with self.rig().target() as target:
            inside = await begin(target)
            made = await make(target, *(task(f"t{at}", inside, name=name, notes=name) for at, name in enumerate(NASTY)))
            there = [str((await held(target, "task", remote.id))["name"]) for remote in made]
        assert [_letters(name) for name in there] == [_letters(name) for name in NASTY]

    async def test_long_notes_are_kept_whole(self) -> None:
        notes = "\n\n".join(f"Paragraph {at} of a long story about a customer & what they bought" for at in range(480))[:32_000]
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            (made,) = await make(target, task("a", inside, notes=notes))
            there = await held(target, "task", made.id)
            assert_same(target, "task", {"notes": notes}, there)
            rig.tool.edit("task", made.id, "notes", notes[:-400])
            assert not target.same("task", "notes", notes, (await held(target, "task", made.id))["notes"])

    async def test_dates_people_and_milestones_survive(self) -> None:
        rig = self.rig()
        who = rig.tool.known
        plain: dict[str, Any] = {
            "name": "Build",
            "start_on": FIRST,
            "due_on": LAST,
            "assignee": who,
            "followers": (who,),
            "milestone": False,
        }
        stone: dict[str, Any] = {"name": "Done", "due_on": LAST, "milestone": True}
        top: dict[str, Any] = {
            "name": "Onboard",
            "notes": "# Why\n\n- big",
            "start_on": FIRST,
            "due_on": LAST,
            "owner": who,
            "followers": (who,),
        }
        async with rig.target() as target:
            inside = await begin(target)
            made = await make(target, task("a", inside, **plain), task("b", inside, **stone))
            await make(target, Publish(inside, project(**top)))
            assert_same(target, "task", plain, await held(target, "task", made[0].id))
            assert_same(target, "task", stone, await held(target, "task", made[1].id))
            assert_same(target, "project", top, await held(target, "project", inside))

    async def test_an_edit_by_a_person_shows(self) -> None:
        rig = self.rig()
        edits = {"name": "Mine", "notes": "Rewritten", "due_on": date(2026, 4, 1), "assignee": None}
        written: dict[str, Any] = {"name": "Build", "notes": "- one\n- two", "start_on": FIRST, "due_on": LAST, "assignee": rig.tool.known}
        async with rig.target() as target:
            (made,) = await make(target, task("a", await begin(target), **written))
            for field, value in edits.items():
                rig.tool.edit("task", made.id, field, value)
            there = await held(target, "task", made.id)
            assert not [field for field in edits if target.same("task", field, written[field], there.get(field))]
            assert target.same("task", "start_on", FIRST, there["start_on"])

    async def test_an_update_sets_its_fields_and_leaves_the_others(self) -> None:
        async with self.rig().target() as target:
            written: dict[str, Any] = {"name": "Build", "notes": "as agreed", "start_on": FIRST, "due_on": LAST}
            inside = await begin(target)
            create = task("a", inside, **written)
            (made,) = await make(target, create)
            for _ in range(2):
                await make(target, Update(made.id, "task", {"notes": "as **changed**", "start_on": date(2026, 3, 5)}))
            there = await held(target, "task", made.id)
            assert_same(target, "task", {**written, "notes": "as **changed**", "start_on": date(2026, 3, 5)}, there)
            (found,) = await target.find([create])
        assert isinstance(found, Remote)
        assert found.id == made.id

    async def test_an_update_by_another_run_keeps_the_key(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            create = task("a", await begin(target), notes="first")
            (made,) = await make(target, create)
        async with rig.target() as target:
            await make(target, Update(made.id, "task", {"notes": "second"}))
            (found,) = await target.find([create])
        assert isinstance(found, Remote)

    async def test_somebody_unknown_does_not_lose_the_task(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            fields: dict[str, Any] = {"assignee": rig.tool.unknown, "followers": (rig.tool.unknown, rig.tool.known)}
            (made,) = await make(target, task("a", inside, **fields))
            there = await held(target, "task", made.id)
            assert_same(target, "task", {**fields, "name": "Task a"}, there)
        assert not there["assignee"]

    # Structure

    async def test_a_task_stands_in_its_project_and_section(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            await make(target, section("plan", "Plan", inside))
            (build,) = await make(target, section("build", "Build", inside))
            (made,) = await make(target, task("a", inside, build.id))
        assert rig.tool.where(made.id) == (inside, "Build")

    async def test_sections_stand_in_the_order_given_with_none_besides(self) -> None:
        rig = self.rig()
        names = ["Plan", "Build", "Test", "Ship", "Learn"]
        async with rig.target() as target:
            inside = await begin(target)
            await make(target, *(section(name, name, inside) for name in names))
        assert rig.tool.sections(inside) == names

    async def test_sections_keep_their_order_when_an_answer_is_lost(self) -> None:
        rig = self.rig()
        names = ["Plan", "Build", "Test"]
        for lost in (0, 1):
            async with rig.target() as target:
                inside = await begin(target, project(f"{ROOT}-{lost}"), f"n{lost}")
                creates = [section(name, name, inside, key=f"{ROOT}-{lost}") for name in names]
                await make(target, *creates[:lost])
                rig.tool.trouble("lost", "section")
                outcomes = await target.write(creates[lost:])
                assert [isinstance(outcome, Remote) for outcome in outcomes] == [False] * len(outcomes)
                open_ = [create for create, found in zip(creates, await target.find(creates), strict=True) if found is None]
            async with rig.target() as target:
                await make(target, *open_)
            assert rig.tool.sections(inside) == names

    async def test_children_are_all_that_is_in_a_project(self) -> None:
        async with self.rig().target() as target:
            _, made = await self._one_of_each(target)
            there = await target.children(made[0].id)
        kinds = {one.id: one.kind for one in there}
        assert kinds == {made[1].id: "section", made[2].id: "task", made[3].id: "task"}
        assert [one.key for one in there if one.kind == "task"] == [f"{ROOT}/kickoff", f"{ROOT}/agenda"]

    # Publishing

    async def test_nobody_sees_a_project_before_it_is_published(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            await make(target, section("plan", "Plan", inside))
            await make(target, task("a", inside))
            assert rig.tool.visible() == []
            await make(target, Publish(inside, project()))
        assert rig.tool.visible() == ["Onboard Acme"]

    async def test_publishing_twice_is_publishing_once(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            shown = Publish(inside, project(owner=rig.tool.known, followers=(rig.tool.known,)))
            await make(target, shown)
            once = await held(target, "project", inside)
            (again,) = await make(target, shown)
            assert await held(target, "project", inside) == once
        assert again.url
        assert rig.tool.visible() == ["Onboard Acme"]

    async def test_a_publication_whose_answer_is_lost_is_transient(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            rig.tool.trouble("lost", "project", times=-1)
            assert isinstance(await one(target, Publish(inside, project())), Transient)
        rig.tool.trouble("lost", "project", times=0)
        async with rig.target() as target:
            await make(target, Publish(inside, project()))
        assert rig.tool.visible() == ["Onboard Acme"]

    # What happens there

    async def test_the_first_look_at_changes_says_that_all_may_have_changed(self) -> None:
        async with self.rig().target() as target:
            assert not (await target.changes(None)).complete

    async def test_a_finished_task_names_its_project_and_counts(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            other = await begin(target, project(ROOT + "-2"), "n2")
            made = await make(target, task("a", inside), task("b", inside), task("c", inside, due_on=LAST))
            await make(target, task("d", inside, under=made[0]))
            cursor = (await target.changes(None)).cursor
            rig.tool.finish(made[0].id)
            changed = await target.changes(cursor)
            assert changed.complete
            assert inside in changed.projects
            assert other not in changed.projects
            quiet = await target.changes(changed.cursor)
            assert (quiet.projects, quiet.complete) == (frozenset(), True)
            (progress,) = await target.progress([inside])
        assert (progress.done, progress.total, progress.completed) == (1, 3, False)

    async def test_a_finished_sub_task_names_its_project(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            (upper,) = await make(target, task("a", inside))
            (lower,) = await make(target, task("b", inside, under=upper))
            cursor = (await target.changes(None)).cursor
            rig.tool.finish(lower.id)
            assert inside in (await target.changes(cursor)).projects

    async def test_a_forgotten_story_is_told(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            cursor = (await target.changes(None)).cursor
            rig.tool.forget()
            again = await target.changes(cursor)
            assert not again.complete
            assert (await target.changes(again.cursor)).complete

    async def test_progress_counts_past_the_first_page_and_omits_what_is_gone(self) -> None:
        rig = self.rig()
        async with rig.target() as target:
            inside = await begin(target)
            gone = await begin(target, project(ROOT + "-2"), "n2")
            made = await make(target, *(task(f"t{at}", inside) for at in range(120)))
            rig.tool.finish(made[0].id)
            rig.tool.delete("project", gone)
            progress = await target.progress([gone, inside])
        assert [(one.project, one.done, one.total) for one in progress] == [(inside, 1, 120)]


def _error(outcome: Remote | ConnectorError) -> ConnectorError | None:
    return outcome if isinstance(outcome, ConnectorError) else None


def _others(create: Create) -> dict[str, Any]:
    return {name: f"{value} otherwise" if name in ("name", "text", "title") else value for name, value in create.item.fields.items()}


def _letters(text: str) -> str:
    """What remains of a text whatever was done to its white space and control characters."""
    return "".join(text.replace("\x07", "").split())
