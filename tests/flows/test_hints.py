"""What pushes tell is read again, once, and forgotten only when what it led to is committed. Polling goes on and counts what no push told."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from state.inbox import Inbox
from tests.flows.files import RULES
from tests.flows.world import Crash, Death, World

PUSHED = ("salesforce",)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def known(world: World, *names: str) -> list[str]:
    deals = [world.deal(name) for name in names]
    await world.quiet()
    return deals


async def test_a_hint_leads_to_the_project_at_once_and_polling_finds_nothing_left(world: World) -> None:
    (deal,) = await known(world, "Big deal")
    world.win(deal)
    world.tell(deal)
    run = await world.sync(minutes=0.1, pushed=PUSHED)
    assert (run.result, world.shown()) == ("done", ["Big deal onboarding"])
    assert world.hints() == []
    assert (await world.sync()).result == "nothing to do"
    assert world.missed() == 0


async def test_ten_thousand_events_on_one_deal_cause_one_more_read(world: World) -> None:
    (deal,) = await known(world, "Big deal")
    world.win(deal)
    for _ in range(100):
        world.tell(*[deal] * 100)
    before = world.cursor()
    read = (await world.sync(minutes=0.1, pushed=PUSHED)).counts["read"]
    assert (read, world.cursor(), world.hints()) == (1, before, [])


async def test_only_what_was_told_is_read(world: World) -> None:
    told, other = await known(world, "Told", "Other")
    world.tell(other)
    await world.sync(pushed=PUSHED)
    world.win(told)
    world.win(other)
    world.tell(told)
    await world.sync(minutes=0.1, pushed=PUSHED)
    assert world.shown() == ["Told onboarding"]
    run = await world.sync()
    assert world.shown() == ["Told onboarding", "Other onboarding"]
    assert (run.counts["missed by push"], world.missed()) == (1, 1)


async def test_many_changes_are_looked_up_in_the_inbox_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deals = await known(world, *map(str, range(5)))
    world.tell("another")
    await world.sync(pushed=PUSHED)
    for deal in deals:
        world.change(deal, Description="edited")
    looks: list[str] = []
    look = Inbox.known

    def known_by(inbox: Inbox, system: str, kind: str, ids: Iterable[str]) -> set[str]:
        looks.append(kind)
        return look(inbox, system, kind, ids)

    monkeypatch.setattr(Inbox, "known", known_by)
    assert (await world.sync()).counts["missed by push"] == 5
    assert looks == ["deal"]


async def test_a_change_too_young_for_its_push_is_not_missed(world: World) -> None:
    told, other = await known(world, "Told", "Other")
    world.tell(told)
    world.clock.move(minutes=30)
    world.win(other)
    assert (await world.sync(minutes=0.4)).counts["missed by push"] == 0
    assert world.missed() == 0


async def test_a_hint_is_trusted_for_nothing_but_its_name(world: World) -> None:
    (deal,) = await known(world, "Open still")
    world.tell(deal, "006000000000999AAA", "junk")
    run = await world.sync(minutes=0.1, pushed=PUSHED)
    assert (run.result, world.shown(), world.hints()) == ("nothing to do", [], [])


async def test_a_hint_stays_while_its_crm_is_away(world: World) -> None:
    (deal,) = await known(world, "Big deal")
    world.win(deal)
    world.tell(deal)
    fault = world.crm.fault("/query|/sobjects|/composite", "error_before", status=503, times=-1)
    assert (await world.sync(minutes=0.1, pushed=PUSHED)).result == "failed"
    assert [told.hint.id for told in world.hints()] == [deal]
    fault.times = fault.struck
    assert (await world.sync(minutes=0.1, pushed=PUSHED)).result == "done"
    assert world.shown() == ["Big deal onboarding"]


async def test_a_hint_that_comes_while_its_record_is_read_stays(world: World) -> None:
    (deal,) = await known(world, "Big deal")
    world.win(deal)
    world.tell(deal)

    def again(request: object) -> None:
        if "/query" in str(getattr(request, "url", "")):
            world.hook = None
            world.tell(deal)

    world.hook = again
    await world.sync(minutes=0.1, pushed=PUSHED)
    assert [told.count for told in world.hints()] == [2]
    assert (await world.sync(minutes=0.1, pushed=PUSHED)).result == "nothing to do"
    assert world.hints() == []


async def test_polling_follows_hints_too_where_nobody_else_does(world: World) -> None:
    (deal,) = await known(world, "Big deal")
    world.win(deal)
    world.tell(deal)
    await world.sync()
    assert (world.shown(), world.hints(), world.missed()) == (["Big deal onboarding"], [], 0)


async def test_a_plan_above_its_limits_is_refused_once_and_left_to_polling(world: World) -> None:
    world.configure({"rules.yaml": RULES.replace("projects_per_run: 10", "projects_per_run: 0")})
    (deal,) = await known(world, "Big deal")
    world.win(deal)
    world.tell(deal)
    assert (await world.sync(minutes=0.1, pushed=PUSHED)).result == "refused"
    assert world.hints() == []
    assert (await world.sync()).result == "refused"
    assert world.shown() == []


async def test_a_hint_before_the_first_contact_makes_nothing_of_history(world: World) -> None:
    deal = world.deal("Old", stage="Closed Won")
    world.tell(deal)
    await world.sync(minutes=0.1, pushed=PUSHED)
    assert (world.shown(), world.hints()) == ([], [])


async def test_a_tool_that_tells_of_itself_has_its_progress_followed(world: World) -> None:
    (deal,) = await known(world, "Big deal")
    world.win(deal)
    await world.quiet()
    world.board.complete_task(world.task("Scope")["gid"], world.person)
    world.tell("", kind="tool", system="asana")
    run = await world.sync(minutes=0.1, pushed=PUSHED)
    assert (run.counts["written back"], world.hints()) == (1, [])


async def test_dying_anywhere_neither_loses_nor_doubles_what_a_push_told(tmp_path: Path) -> None:
    async def play(at: int) -> tuple[World, int]:
        world = World(tmp_path / str(at))
        (deal,) = await known(world, "Big deal")
        world.win(deal)
        world.tell(deal)
        world.death = Death(at)
        with suppress(Crash):
            await world.sync(minutes=0.1, pushed=PUSHED)
        return world, len(world.death.steps)

    _, steps = await play(0)
    assert steps > 20
    for at in range(1, steps + 1, 3):
        world, _ = await play(at)
        world.death = Death()
        for _ in range(6):
            await world.sync(minutes=1, pushed=PUSHED)
        assert world.shown() == ["Big deal onboarding"], at
        assert world.hints() == []
