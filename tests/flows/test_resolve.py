"""A person's word on parked work, and projects that grow after they were made."""

from __future__ import annotations

from pathlib import Path

from state import Outbox
from tests.flows.files import ONBOARDING
from tests.flows.test_apply import BATCH, TASKS, deal_of, won
from tests.flows.world import World


async def refused(path: Path) -> World:
    """Every task of the project was refused once; from now on the tool takes them."""
    world = await won(path)
    faults = [world.tool.fault(route, "error_before", status=400, times=-1) for route in (BATCH, TASKS)]
    assert (await world.sync()).result == "with errors"
    for fault in faults:
        world.tool.faults.remove(fault)
    return world


def decide(world: World, **ways: str) -> None:
    """`kickoff="dismiss"`; everything not named is tried again."""
    with world.store() as store, store.transaction():
        outbox = Outbox(store)
        for intent in outbox.parked():
            slot = intent.key.rsplit("/", 1)[1]
            if ways.get(slot) == "dismiss":
                outbox.dismiss(intent.seq, world.clock())
            else:
                outbox.retry(intent.seq, world.clock())


async def test_what_is_retried_completes_the_project(tmp_path: Path) -> None:
    world = await refused(tmp_path)
    decide(world)
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]
    assert world.tasks()["Kick off Big deal"] == 1
    assert world.outbox()["parked"] == 0


async def test_a_dismissed_task_takes_its_sub_tasks_with_it_and_holds_nothing_up(tmp_path: Path) -> None:
    world = await refused(tmp_path)
    decide(world, kickoff="dismiss")
    runs = await world.quiet()
    assert world.shown() == ["Big deal onboarding"]
    assert world.tasks() == {"Scope": 1, "Done": 1, "Deliver line 0": 1}
    assert world.outbox() == {"open": 0, "in_doubt": 0, "parked": 0, "projects": 1, "published": 1}
    assert not world.task("Scope").get("dependencies"), "nothing waits for what was given up"
    assert all(not run.errors for run in runs)


async def test_a_line_sold_later_gets_its_task_and_is_waited_for(tmp_path: Path) -> None:
    waiting = ONBOARDING.replace("after: [scope]\nkeep", "after: [line]\nkeep").replace(
        "due: after scope\n        after: [scope]", "after: [line]"
    )
    world = await won(tmp_path, files={"mappings/blueprints/onboarding.yaml": waiting})
    await world.quiet()
    first = world.task("Deliver line 0")["gid"]
    assert set(world.task("Done")["dependencies"]) == {first}
    world.clock.move(minutes=30)
    world.line(deal_of(world), "late line")
    await world.quiet()
    second = world.task("Deliver late line")["gid"]
    assert set(world.task("Done")["dependencies"]) == {first, second}
    assert world.tasks()["Deliver line 0"] == 1
    assert world.shown() == ["Big deal onboarding"]
