"""A project is finished when it has been complete for a week and the CRM knows; polling goes on, and sees it taken up again."""

from __future__ import annotations

from pathlib import Path

from flows.finished import finished
from tests.flows.world import World


def found(here: World) -> list[str]:
    with here.store() as store:
        return [link.remote_id for link in finished(store, here.clock())]


async def completed(here: World) -> tuple[str, str]:
    """Two projects people see, the first of which is complete since now."""
    deals = [here.deal("One"), here.deal("Two")]
    await here.sync()
    for deal in deals:
        here.win(deal)
    await here.quiet()
    first, second = here.projects()
    for task in here.board.tasks_of(first):
        here.board.complete_task(task["gid"], by=here.person)
    return first, second


async def test_what_is_complete_for_a_week_is_finished_until_it_is_taken_up_again(tmp_path: Path) -> None:
    here = World(tmp_path)
    first, _ = await completed(here)
    await here.sync()
    here.clock.move(days=6, hours=23)
    assert found(here) == []
    await here.sync()
    here.clock.move(hours=1)
    assert found(here) == [first]
    here.board.reopen_task(next(iter(here.board.tasks_of(first)))["gid"], by=here.person)
    await here.sync()
    assert found(here) == []
    here.clock.move(days=8)
    assert found(here) == []


async def test_what_the_crm_was_not_told_is_not_finished(tmp_path: Path) -> None:
    here = World(tmp_path)
    first, _ = await completed(here)
    here.crm.fault("PATCH .*", "error_before", times=-1, status=503)
    await here.sync()
    here.clock.move(days=8)
    assert found(here) == []
    here.crm.faults.clear()
    await here.sync()
    assert found(here) == [first]


async def test_a_task_that_came_since_is_not_done(tmp_path: Path) -> None:
    here = World(tmp_path)
    first, _ = await completed(here)
    await here.sync()
    here.clock.move(days=8)
    here.board.add_task(first, "One more thing", by=here.person)
    await here.sync()
    assert found(here) == []
