"""The state over a year: what happened long ago is forgotten, what was made is not, and the file stops growing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from flows import maintenance
from state.approvals import Approvals, Question
from state.codec import stamp
from state.inbox import Arrivals, Inbox
from tests.flows.files import RULES
from tests.flows.world import World

WEEK = 7 * 24 * 60


def rows(world: World, table: str) -> int:
    with world.store() as store:
        return int(store.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name from here


def eldest(world: World) -> str:
    with world.store() as store:
        return str(store.db.execute("SELECT min(at) FROM audit").fetchone()[0])


async def a_week(world: World, deals: list[str], number: int) -> None:
    for deal in deals:
        world.change(deal, NextStep=f"step {number} " + "word " * 40)
    await world.sync(minutes=WEEK)


async def test_a_year_of_changes_leaves_a_quarter_of_history_and_a_file_that_does_not_grow(tmp_path: Path) -> None:
    world = World(tmp_path)
    deals = [world.deal(f"Deal {number}") for number in range(8)]
    await world.sync()
    for deal in deals:
        world.win(deal)
    await world.quiet()
    sizes, counts = [], []
    for number in range(52):
        await a_week(world, deals, number)
        sizes.append(world.state.stat().st_size)
        counts.append((rows(world, "run"), rows(world, "audit"), rows(world, "intent")))
    assert sizes[-1] <= 1.1 * sizes[15], sizes
    assert all(late <= 1.2 * early for late, early in zip(counts[-1], counts[15], strict=True)), (counts[15], counts[-1])
    assert eldest(world) >= stamp(world.clock() - timedelta(days=90 + 7))
    assert (len(world.projects()), rows(world, "link")) == (8, 8 * 9)
    assert (await world.sync()).result == "nothing to do"


async def test_days_to_keep_are_those_of_rules_yaml(tmp_path: Path) -> None:
    world = World(tmp_path, files={"rules.yaml": RULES.replace("timezone: UTC", "timezone: UTC\nretention_days: 10")})
    deal = world.deal()
    await world.sync()
    world.win(deal)
    await world.quiet()
    await world.sync(minutes=9 * 24 * 60)
    assert world.audit(source=f"salesforce:deal:{deal}")
    await world.sync(minutes=2 * 24 * 60)
    assert world.audit(source=f"salesforce:deal:{deal}") == []
    assert (await world.sync()).result == "nothing to do"


async def test_it_looks_once_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.deal()
    await world.sync()
    await world.sync(minutes=100 * 24 * 60)
    monkeypatch.setattr(maintenance, "_forget_questions", lambda *_: pytest.fail("looked again"))
    await world.sync(minutes=23 * 60)
    with pytest.raises(pytest.fail.Exception, match="looked again"):
        await world.sync(minutes=2 * 60)


async def test_what_a_long_time_left_behind_goes_a_little_with_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    for _ in range(8):
        await world.sync()
    monkeypatch.setattr(maintenance, "_BATCH", 1)
    monkeypatch.setattr(maintenance, "_BATCHES", 2)
    left = [rows(world, "run")]
    await world.sync(minutes=100 * 24 * 60)
    for _ in range(5):
        await world.sync()
        left.append(rows(world, "run"))
    assert left[0] == 8
    assert left[-1] == 6  # the six runs since


async def test_on_a_server_too(tmp_path: Path, fresh_state: Callable[[], str]) -> None:
    world = World(tmp_path)
    world.state = fresh_state()
    deal = world.deal()
    await world.sync()
    world.win(deal)
    await world.quiet()
    counts = (await world.sync(minutes=100 * 24 * 60)).counts
    assert counts["forgotten"] > 5
    assert (rows(world, "link"), rows(world, "run")) == (9, 1)


async def test_answered_questions_and_hints_nobody_took_are_forgotten_with_the_rest(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deal()
    await world.sync()
    world.is_pushed = True
    now = world.clock()
    arrived = Arrivals()
    arrived.refuse("salesforce", "signature")
    with closing(world.hub()) as db:
        inbox, approvals = Inbox(db), Approvals(db)
        inbox.store(arrived, now)
        answered = approvals.ask(Question("run", "d1", "A plan", [], {}), now, now + timedelta(days=400))
        approvals.decide(answered.number, "rejected", by="mia", now=now)
        waiting = approvals.ask(Question("run", "d2", "Another", [], {}), now, now + timedelta(days=400))
    world.tell("a-record-of-no-source", system="elsewhere")
    await world.sync(minutes=80 * 24 * 60)
    with closing(world.hub()) as db:
        assert (len(Approvals(db).recent()), len(Inbox(db).refusals()), len(Inbox(db).take(["elsewhere"]))) == (2, 1, 1)
    await world.sync(minutes=20 * 24 * 60)
    with closing(world.hub()) as db:
        assert [one.number for one in Approvals(db).recent()] == [waiting.number]
        assert (Inbox(db).refusals(), Inbox(db).take(["elsewhere"])) == ({}, [])
