"""Much that is left to do does not hold up what is new: a run has its share of time, and whoever waits goes on with the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from connectors.base import Runtime, StateHeld
from flows import turn
from state import Store
from tests.flows.world import START, World

MANY = 100
LATE = "Late onboarding"


async def behind(path: Path) -> tuple[World, str]:
    """A world whose tool takes a tenth of a second for each request, after a run for many deals that another run waited for; and one more deal."""
    world = World(path)
    late = world.deal("Late")
    deals = [world.deal(f"Deal {number}") for number in range(MANY)]
    await world.quiet()
    for deal in deals:
        world.win(deal)
    world.awaited, world.hook = True, lambda request: world.clock.move(seconds=0.1 * (request.url.host == "asana.test"))
    run = await world.sync(force=True)
    assert run.result == "waiting"
    assert len(world.shown()) < MANY
    return world, late


async def finished(world: World) -> None:
    world.awaited = False
    await world.quiet()
    assert sorted(world.shown()) == sorted([*(f"Deal {number} onboarding" for number in range(MANY)), LATE])


async def test_a_run_goes_on_to_the_end_as_long_as_nobody_waits(tmp_path: Path) -> None:
    world, _ = await behind(tmp_path)
    world.awaited = False
    assert (await world.sync()).result == "done"
    assert len(world.shown()) == MANY


async def test_what_was_decided_last_is_made_first_and_all_of_it_once(tmp_path: Path) -> None:
    world, late = await behind(tmp_path)
    world.win(late)
    assert (await world.sync()).result == "waiting"
    assert LATE in world.shown()
    assert len(world.shown()) < MANY
    await finished(world)


async def test_the_crm_is_read_before_all_that_is_left_is_done(tmp_path: Path) -> None:
    world, late = await behind(tmp_path)
    world.awaited = False
    world.win(late)
    left: list[int] = []
    slow = world.hook

    def look(request: httpx.Request) -> None:
        assert slow is not None
        slow(request)
        if request.url.path.endswith("queryAll"):
            left.append(MANY - len(world.shown()))

    world.hook = look
    await world.sync()
    assert left[0] > 0
    await finished(world)


@pytest.mark.parametrize("trouble", ["down", "refused"])
async def test_no_crm_that_is_down_and_no_refused_plan_holds_up_what_is_left(tmp_path: Path, trouble: str) -> None:
    world, _ = await behind(tmp_path)
    world.awaited = False
    if trouble == "down":
        world.crm.fault("/services/data", "error_before", status=400, times=-1)
    else:
        for number in range(11):
            world.win(world.deal(f"Other {number}"))
    assert (await world.sync()).result == ("failed" if trouble == "down" else "refused")
    assert len(world.shown()) == MANY


# the queue beside a state file


def test_who_has_the_state_sees_whether_somebody_waits_for_it(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    with Store(state, now=START):
        is_awaited = turn.awaited(state)
        assert not is_awaited()
        waiting = subprocess.Popen([sys.executable, "-c", _WAIT, str(state)], stdout=subprocess.PIPE)  # noqa: S603 - ourselves
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == b"waiting\n"
        assert is_awaited()
        os.kill(waiting.pid, signal.SIGKILL)
        waiting.wait()
        waiting.stdout.close()
        assert not is_awaited()


_WAIT = """
import sys, time
from pathlib import Path
from flows.turn import _queue
from state.lock import queued
with queued(_queue(Path(sys.argv[1]))):
    print("waiting", flush=True)
    time.sleep(60)
"""


async def test_who_waits_gets_the_state_or_is_told_who_has_it(tmp_path: Path) -> None:
    state, now = tmp_path / "state.db", START

    async def sleep(_seconds: float) -> None:
        nonlocal now
        now += timedelta(minutes=5)

    with Store(state, now=START), pytest.raises(StateHeld, match="in use by process"):
        await turn.take(state, Runtime(clock=lambda: now, sleep=sleep))
    assert not turn.awaited(state)()
    (await turn.take(state, Runtime())).close()


def test_on_a_server_nobody_waits() -> None:
    assert not turn.awaited("postgresql://localhost/handoff")()
