"""An older copy of the state is put back, or the state is lost: what was made since is found again in the tool, never made again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest

from flows.pipeline import Summary, new_run_id, run_work
from flows.session import Session, connect
from state import Continuity, Outbox, Store
from state.schema import KEYS
from state.watermark import Watermark
from tests.flows.files import RULES
from tests.flows.world import START, Crash, Death, World


def copy(world: World) -> Path:
    """The state file as somebody's backup would have it."""
    to: Path = world.state.with_name("backup.db")
    with world.store() as store:  # closing folds the log into the file
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(world.state, to)
    return to


def put_back(world: World, backup: Path) -> None:
    for end in ("-wal", "-shm"):
        world.state.with_name(world.state.name + end).unlink(missing_ok=True)
    shutil.copy(backup, world.state)


def open_deals(world: World, *names: str) -> list[str]:
    return [world.deal(name, AccountId=world.account()) for name in names]


def each_once(world: World, *names: str) -> None:
    assert sorted(world.shown()) == sorted(f"{name} onboarding" for name in names)
    for gid in world.projects():
        assert set(world.tasks(gid).values()) == {1}


async def test_what_was_made_after_a_backup_is_adopted_not_made_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    early, late = open_deals(world, "Early", "Late")
    await world.sync()
    world.win(early)
    await world.quiet()
    backup = copy(world)
    world.win(late)
    await world.quiet()
    made = len(world.board.tasks)
    put_back(world, backup)
    runs = await world.quiet()
    assert "older than its last use" in runs[0].notes[0]
    assert runs[0].counts["adopted"] > 1
    assert not runs[0].counts["created"] - runs[0].counts["adopted"] - runs[0].counts["created dependency"]
    each_once(world, "Early", "Late")
    assert len(world.board.tasks) == made
    assert [row["verdict"] for row in world.audit(limit=1000) if row["verdict"] == "recovery"] == ["recovery"]
    assert not (await world.sync()).notes


async def test_what_was_made_after_a_dump_that_is_read_in_again_is_adopted(fresh_state: Callable[[], str], tmp_path: Path) -> None:
    world = World(tmp_path)
    world.state = fresh_state()
    early, late = open_deals(world, "Early", "Late")
    await world.sync()
    world.win(early)
    await world.quiet()
    with world.store() as store:
        for table in KEYS:
            store.db.execute(f"CREATE TABLE dumped_{table} (LIKE {table} INCLUDING ALL)")
            store.db.execute(f"INSERT INTO dumped_{table} SELECT * FROM {table}")  # noqa: S608 - our own tables
    world.win(late)
    await world.quiet()
    assert not (await world.sync()).notes
    with world.store() as store:
        for table in KEYS:
            store.db.execute(f"DROP TABLE {table} CASCADE")
            store.db.execute(f"ALTER TABLE dumped_{table} RENAME TO {table}")
        for table, column in (("intent", "seq"), ("audit", "id")):
            store.db.count_on(table, column)
    runs = await world.quiet()
    assert "brought here from elsewhere" in runs[0].notes[0]
    assert runs[0].counts["adopted"] > 1
    each_once(world, "Early", "Late")
    assert not (await world.sync()).notes


async def test_what_came_and_went_since_a_backup_is_found_when_it_comes_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    (deal,) = open_deals(world, "Late")
    await world.sync()
    backup = copy(world)
    world.win(deal)
    await world.quiet()
    world.change(deal, StageName="Prospecting")
    await world.quiet()
    put_back(world, backup)
    await world.quiet()
    world.win(deal)
    runs = await world.quiet()
    assert runs[0].counts["adopted"] > 1
    each_once(world, "Late")


async def test_what_a_person_changed_since_the_backup_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    (deal,) = open_deals(world, "Late")
    await world.sync()
    backup = copy(world)
    world.win(deal)
    await world.quiet()
    (gid,) = world.projects()
    world.board.projects[gid]["name"] = "Ours now"
    world.task("Kick off Late")["name"] = "Kick-off, moved"
    put_back(world, backup)
    await world.quiet()
    assert world.board.projects[gid]["name"] == "Ours now"
    assert world.tasks()["Kick-off, moved"] == 1
    assert len(world.projects()) == 1


@pytest.mark.parametrize("step", range(6, 60, 6))
async def test_a_copy_taken_in_the_middle_of_a_run_may_be_put_back(step: int, tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = open_deals(world, "One", "Two")
    await world.sync()
    for deal in deals:
        world.win(deal)
    world.death = Death(step)
    try:
        await world.sync()
    except Crash:
        world.death = Death()
    backup = copy(world)
    await world.quiet()
    put_back(world, backup)
    runs = await world.quiet()
    assert "may be old" in runs[0].notes[0]
    each_once(world, "One", "Two")


async def test_a_worker_that_is_first_on_an_older_copy_looks_as_well(tmp_path: Path) -> None:
    world = World(tmp_path)
    (deal,) = open_deals(world, "One")
    await world.sync()
    world.win(deal)
    world.death = Death(30)
    with suppress(Crash):
        await world.sync()
    world.death = Death()
    backup = copy(world)
    assert world.outbox()["open"]
    await world.quiet()
    put_back(world, backup)
    summary = await work(world)
    assert "older than its last use" in summary.notes[0]
    assert summary.counts["adopted"] > 1
    await world.quiet()
    each_once(world, "One")


async def work(world: World) -> Summary:
    """A worker, for ten minutes."""
    with world.store() as store:
        async with connect(world.loaded, world.runtime()) as (sources, targets):
            session = Session(world.loaded, store, sources, targets, new_run_id(world.clock()), world.runtime())

            async def end() -> None:
                await world.clock.sleep(600)
                session.stop.asked = True

            summary, _ = await asyncio.gather(run_work(session, every=timedelta(seconds=5)), end())
            return summary


async def test_a_state_brought_from_elsewhere_is_looked_through(tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = open_deals(world, "One", "Two")
    await world.sync()
    world.win(deals[0])
    await world.quiet()
    backup = copy(world)
    world.win(deals[1])
    await world.quiet()
    put_back(world, backup)
    world.state.with_name("state.db.mark").unlink()
    runs = await world.quiet()
    assert "brought here from elsewhere" in runs[0].notes[0]
    each_once(world, "One", "Two")


async def test_a_machine_set_back_with_everything_on_it_is_noticed_by_the_gap(tmp_path: Path) -> None:
    world = World(tmp_path)
    (deal,) = open_deals(world, "One")
    await world.sync()
    backup, mark = copy(world), world.state.with_name("state.db.mark")
    assert not mark.exists()
    world.win(deal)
    await world.quiet()
    put_back(world, backup)
    mark.unlink()
    runs = [await world.sync(minutes=90), *await world.quiet()]
    assert "nothing has run since" in runs[0].notes[0]
    each_once(world, "One")


async def test_when_the_state_is_lost_a_backfill_adopts_what_stands(tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = open_deals(world, "One", "Two")
    await world.sync()
    world.win(deals[0])
    await world.quiet()
    for file in world.state.parent.glob("state.db*"):
        file.unlink()
    world.win(deals[1])
    await world.sync()
    await world.sync(since=date(2026, 1, 1), force=True)
    await world.quiet()
    each_once(world, "One", "Two")


async def test_comments_made_since_the_backup_are_not_made_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    (deal,) = open_deals(world, "One")
    await world.sync()
    world.win(deal)
    await world.quiet()
    backup = copy(world)
    world.change(deal, Amount=70_000)
    await world.quiet()
    world.change(deal, StageName="Prospecting")
    await world.quiet()
    before = world.comments("Kick off One"), world.statuses()
    assert [len(each) for each in before] == [1, 1]
    put_back(world, backup)
    await world.quiet()
    assert (world.comments("Kick off One"), world.statuses()) == before


async def test_a_refused_plan_keeps_the_doubt(tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = open_deals(world, *(f"Deal {n}" for n in range(3)))
    await world.sync()
    backup = copy(world)
    for deal in deals:
        world.win(deal)
    await world.quiet()
    put_back(world, backup)
    world.configure({"rules.yaml": RULES.replace("projects_per_run: 10", "projects_per_run: 1")})
    assert (await world.sync()).result == "refused"
    await world.sync(force=True)
    await world.quiet()
    each_once(world, *(f"Deal {n}" for n in range(3)))


async def test_a_run_for_one_record_leaves_the_others_in_doubt(tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = open_deals(world, "One", "Two")
    await world.sync()
    backup = copy(world)
    for deal in deals:
        world.win(deal)
    await world.quiet()
    put_back(world, backup)
    await world.sync(only=(f"salesforce:deal:{deals[0]}",))
    await world.quiet()
    each_once(world, "One", "Two")


async def test_a_quiet_service_costs_no_look_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = open_deals(world, "One", "Two")
    await world.sync()
    world.win(deals[0])
    await world.quiet()
    world.tool.seen.clear()
    world.win(deals[1])
    await world.sync()
    assert not [route for route in world.tool.seen if route.startswith("GET /api/1.0/workspaces") and route.endswith("/projects")]


async def test_a_project_parked_before_the_backup_and_made_since_is_adopted_on_a_retry(tmp_path: Path) -> None:
    world = World(tmp_path)
    (deal,) = open_deals(world, "One")
    await world.sync()
    world.win(deal)
    world.tool.fault(r"POST /api/1.0/projects$", "error_before", status=402)
    parked = await world.sync()
    assert parked.counts["parked"] == 1
    backup = copy(world)
    _retry(world)
    await world.quiet()
    put_back(world, backup)
    await world.sync()
    _retry(world)
    await world.quiet()
    each_once(world, "One")


def _retry(world: World) -> None:
    with world.store() as store, store.transaction():
        outbox = Outbox(store)
        for intent in outbox.parked():
            outbox.retry(intent.seq, world.clock())


def test_the_mark_is_never_ahead_of_the_state(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", now=START) as store:
        continuity = Continuity(store)
        with store.transaction():
            continuity.sent(START)
        with suppress(RuntimeError), store.transaction():
            continuity.sent(START)
            raise RuntimeError
        with store.transaction():
            store.save_meta("x", "y")
    mark = Watermark(tmp_path / "s.db.mark").read()
    assert mark is not None
    assert mark.count == 1
