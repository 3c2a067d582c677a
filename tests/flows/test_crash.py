"""Wherever a run dies, the next ones bring about exactly what an undisturbed one would have: everything, once, and nothing half-done in sight."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.flows.world import Crash, Death, World
from tests.machine.search import NIGHTLY

Scenario = Callable[[Path], Any]


async def before_birth(path: Path) -> World:
    """A deal was won, and no run has seen it yet."""
    world = World(path)
    deal = world.deal(AccountId=world.account())
    world.line(deal, "one")
    await world.sync()
    world.clock.move(minutes=1)
    world.win(deal)
    return world


async def before_change(path: Path) -> World:
    """A project stands, and the deal behind it has changed in every way that follows."""
    world = await before_birth(path)
    await world.quiet()
    deal = next(iter(world.org.rows("Opportunity")))["Id"]
    world.change(deal, Name="Bigger deal", Amount=9000, NextStep="Call")
    world.line(deal, "two")
    return world


def picture(world: World) -> dict[str, Any]:
    """All that must come out alike, whatever happened on the way."""
    deal = next(iter(world.org.rows("Opportunity")))
    return {
        "shown": world.shown(),
        "tasks": world.tasks(),
        "comments": world.comments(f"Kick off {deal['Name']}"),
        "notes": world.board.projects[world.projects()[0]]["notes"],
        "links": sorted(len(task["dependencies"]) for task in world._tasks(world.projects()[0])),
        "told": (deal["Handoff_Status__c"], deal["Handoff_Progress__c"], deal["Handoff_Key__c"]),
        "left": world.outbox(),
    }


async def undisturbed(scenario: Scenario, path: Path) -> tuple[dict[str, Any], list[str]]:
    world = await scenario(path)
    world.death = Death()
    await world.sync()
    steps = list(world.death.steps)
    await world.quiet()
    return picture(world), steps


async def die(world: World, at: int) -> None:
    world.death = Death(at)
    with pytest.raises(Crash):
        await world.sync()
    world.death = Death()


async def leave(world: World, at: int) -> None:
    """As on a second Ctrl-C: the task of the run is cancelled."""
    run = asyncio.ensure_future(world.sync())
    world.death = Death()
    world.death.step = lambda what: _cancel_at(world.death, at, run, what)  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await run
    world.death = Death()


def _cancel_at(death: Death, at: int, run: asyncio.Future[Any], what: str) -> None:
    death.steps.append(what)
    if len(death.steps) == at:
        run.cancel()


async def stop(world: World, at: int) -> None:
    """As on a first Ctrl-C: what is in flight ends, nothing new begins."""
    world.death.step = lambda what: _stop_at(world, at, what)  # type: ignore[method-assign]
    await world.sync()
    world.death, world.stop.asked = Death(), False


def _stop_at(world: World, at: int, what: str) -> None:
    world.death.steps.append(what)
    world.stop.asked = world.stop.asked or len(world.death.steps) == at


def moments(steps: list[str], end: Callable[..., Any]) -> list[tuple[int, str]]:
    """Each step with its number; by day every third, others for each way to end."""
    all_of_them = list(enumerate(steps, 1))
    return all_of_them if NIGHTLY else all_of_them[[die, leave, stop].index(end) :: 3]


@pytest.mark.parametrize("scenario", [before_birth, before_change])
@pytest.mark.parametrize("end", [die, leave, stop])
async def test_a_run_that_ends_anywhere_is_made_good_by_the_next(scenario: Scenario, end: Callable[..., Any], tmp_path: Path) -> None:
    wanted, steps = await undisturbed(scenario, tmp_path / "undisturbed")
    wrong = []
    for at, step in moments(steps, end):
        world = await scenario(tmp_path / str(at))
        await end(world, at)
        await world.quiet()
        if picture(world) != wanted:
            wrong.append((at, step, picture(world)))
    assert not wrong, (wanted, wrong)


@pytest.mark.parametrize("end", [die, leave])
async def test_a_first_contact_that_ends_anywhere_creates_nothing_and_loses_nothing(end: Callable[..., Any], tmp_path: Path) -> None:
    async def fresh(path: Path) -> World:
        world = World(path)
        world.deal("Old", stage="Closed Won")
        world.deal("New")
        return world

    probe = await fresh(tmp_path / "probe")
    await probe.sync()
    steps = list(probe.death.steps)
    for at, step in moments(steps, end):
        world = await fresh(tmp_path / str(at))
        await end(world, at)
        await world.quiet()
        world.win(next(row["Id"] for row in world.org.rows("Opportunity") if row["Name"] == "New"))
        await world.quiet()
        assert world.shown() == ["New onboarding"], step
