"""No sync takes place although one was due: whoever lives beside the runs tells of it, once, and the next sync says that it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import StateError
from engine.schedule import Schedule
from flows.endpoints import Endpoints
from flows.overdue import schedules
from flows.settings import Settings
from flows.watch import look, watch
from hub.app import create_app
from state import Store
from state.leases import READER, Leases
from tests.flows.files import RULES
from tests.flows.told import ALERTS, CHANNELS, Telling

FIVE = [Schedule(every="5 minutes")]
Database = Callable[[], str]


def world(path: Path, *, rules: str = RULES + CHANNELS + ALERTS, **more: Any) -> Telling:
    return Telling(path, rules=rules, **more)


async def seen(here: Telling, since: datetime, beats: Sequence[Schedule] = FIVE) -> int:
    return await look(Settings(here.folder, here.state, here.env), here.loaded, beats, since, here.runtime())


async def test_that_no_sync_takes_place_is_told_once_and_that_it_is_over_too(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    counts = []
    for _ in range(30):
        here.clock.move(minutes=1)
        counts.append(await seen(here, begun))
    assert counts.index(1) == 20  # five minutes, a quarter of an hour, and a moment
    assert sum(counts) == 1
    (text,) = here.ops
    assert text.startswith(
        "No sync of salesforce since 2026-03-02 09:20 UTC; one was expected every 5 minutes, by 2026-03-02 09:40 UTC at the latest."
    )
    await here.sync(minutes=1)
    assert len(here.ops) == 2
    assert here.ops[1].startswith("Over, after 10 min: No sync of salesforce since")
    here.clock.move(minutes=10)
    assert await seen(here, begun) == 0


async def test_what_lasts_is_told_again_after_a_day(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    for _ in range(26):
        here.clock.move(hours=1)
        await seen(here, begun)
    assert len(here.ops) == 2


async def test_after_a_start_there_is_time_for_a_first_sync(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    here.clock.move(hours=60)
    begun = here.clock()
    here.clock.move(minutes=19)
    assert await seen(here, begun) == 0
    here.clock.move(minutes=2)
    assert await seen(here, begun) == 1


async def test_who_starts_anew_does_not_take_it_for_over(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    here.clock.move(hours=2)
    assert await seen(here, begun) == 1
    for minutes in (0, 30):
        assert await seen(here, here.clock() - timedelta(minutes=minutes)) == 0
    assert len(here.ops) == 1


async def test_another_that_is_overdue_does_not_end_it(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    here.clock.move(hours=2)
    assert await seen(here, begun) == 1
    configuration = here.loaded.configuration
    rules = configuration.rules.model_copy(update={"sources": ["salesforce", "zoho"]})
    loaded = replace(here.loaded, configuration=replace(configuration, rules=rules))
    where, beats = Settings(here.folder, here.state, here.env), [*FIVE, Schedule(every="1 minute", sources=["zoho"])]
    assert await look(where, loaded, beats, here.clock() - timedelta(minutes=18), here.runtime()) == 1
    assert here.ops[1].startswith("No sync of zoho yet; ")


async def test_one_schedule_that_stopped_is_told_of_its_sources_alone(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    here.clock.move(hours=2)
    assert await seen(here, begun, [Schedule(every="1 day"), Schedule(every="5 minutes", sources=["zoho"])]) == 0
    assert await seen(here, begun, [Schedule(every="1 day"), Schedule(every="5 minutes", sources=["salesforce"])]) == 1


async def test_a_sync_that_never_took_place_is_overdue_too(tmp_path: Path) -> None:
    here = world(tmp_path)
    assert await seen(here, here.clock() - timedelta(hours=1)) == 0  # there is no state to note it in
    assert not here.state.exists()
    here.store().close()
    assert await seen(here, here.clock() - timedelta(hours=1)) == 1
    assert here.ops[0].startswith("No sync of salesforce yet; ")


async def test_without_a_schedule_nothing_is_overdue(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    here.clock.move(hours=60)
    assert await seen(here, begun, []) == 0
    assert await seen(here, begun, [Schedule(every="5 minutes", sources=["zoho"])]) == 0
    rules = here.loaded.configuration.rules
    assert (schedules(rules, minutes=0), schedules(rules, minutes=7)) == ([], [Schedule(every="7 minutes")])


async def test_a_run_that_looks_at_some_records_is_no_sync(tmp_path: Path) -> None:
    here = world(tmp_path)
    (deal,) = await here.begin()
    begun = here.clock()
    await here.sync(minutes=25, only=(f"salesforce:deal:{deal}",))
    assert await seen(here, begun) == 1
    await here.sync(minutes=5, only=(f"salesforce:deal:{deal}",))
    assert len(here.ops) == 1


async def test_a_sync_that_fails_took_place(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    here.crm.fault("", "error_before", times=-1, status=401)
    for _ in range(10):
        await here.sync(minutes=5)
    assert await seen(here, begun) == 0


async def test_while_a_run_is_under_way_nothing_is_overdue(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    here.clock.move(hours=2)
    with here.store():
        assert await seen(here, begun) == 0
    assert await seen(here, begun) == 1


async def test_on_a_server_too(tmp_path: Path, fresh_state: Database) -> None:
    here = world(tmp_path)
    here.state = fresh_state()
    await here.sync()
    begun = here.clock()
    here.clock.move(hours=2)
    with here.store() as store:
        leases = Leases(store, "somebody")
        held = leases.claim([READER], here.clock())
        assert await seen(here, begun) == 0
        leases.release(held)
    assert await seen(here, begun) == 1
    await here.sync()
    assert len(here.ops) == 2


async def test_long_gaps_of_cron_are_none(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    weekly = [Schedule(cron="0 7 * * mon", jitter_seconds=600)]  # today is Monday, past seven
    here.clock.now = datetime.fromisoformat("2026-03-09T07:24:00Z")
    assert await seen(here, begun, weekly) == 0
    here.clock.move(minutes=2)
    assert await seen(here, begun, weekly) == 1
    assert "as cron says (0 7 * * mon, UTC)" in here.ops[0].replace("`", "")


async def test_a_channel_that_was_away_is_told_later_without_a_run(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    begun = here.clock()
    here.clock.move(hours=1)
    here.mouth.fault("POST /dingtalk", "error_before", status=503)
    assert await seen(here, begun) == 1
    assert here.ops == []
    here.clock.move(minutes=5)
    assert await seen(here, begun) == 0
    assert len(here.ops) == 1


async def reached(there: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if there():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to that")


async def watched(here: Telling, until: datetime) -> None:
    """Watch as a hub does; time passes as it looks."""
    task = asyncio.create_task(watch(Settings(here.folder, here.state, here.env), here.loaded, FIVE, here.runtime()))
    await reached(lambda: here.clock() >= until)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_watch_goes_on_until_it_is_ended(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    await watched(here, here.clock() + timedelta(minutes=40))
    assert len(here.ops) == 1


async def test_the_watch_outlives_what_goes_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = world(tmp_path)
    await here.sync()
    until, failed = here.clock() + timedelta(minutes=40), list[str]()

    def fails(place: Any, **more: Any) -> Store:
        if len(failed) < 2:
            failed.append("")
            raise [OSError("the disk"), StateError("is full")][len(failed) - 1]
        return Store(place, **more)

    monkeypatch.setattr("flows.watch.Store", fails)
    await watched(here, until)
    assert (len(failed), len(here.ops)) == (2, 1)


async def test_a_machine_that_slept_has_time_for_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = world(tmp_path)
    await here.sync()
    slept: list[bool] = []

    def sleeps(place: Any, **more: Any) -> Store:
        if not slept:
            slept.append(True)
            here.clock.move(hours=8)
        return Store(place, **more)

    monkeypatch.setattr("flows.watch.Store", sleeps)
    await watched(here, here.clock() + timedelta(hours=8, minutes=15))
    assert here.ops == []


async def test_the_hub_watches_as_long_as_it_lives(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.sync()
    where = Settings(here.folder, here.state, here.env, "https://hub.example.com")
    app = create_app(where, here.loaded, Endpoints("s" * 40, where.hub_url), systems={}, runtime=here.runtime(), every=5)
    told: list[str] = []
    end = asyncio.Event()

    async def receive() -> Any:
        if told:
            await end.wait()
        return {}

    async def send(message: Any) -> None:
        told.append(message["type"])

    living = asyncio.ensure_future(app({"type": "lifespan"}, receive, send))
    await reached(lambda: bool(here.ops))
    end.set()
    await living
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert here.ops[0].startswith("No sync of salesforce since")
