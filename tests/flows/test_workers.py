"""Several workers on one store: the work is shared, and whoever comes late or goes away costs time and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base import LeaseLost, Publish, StateError, Target, Write
from flows.apply import Applied, Drain
from flows.pipeline import Options, Summary, accept, gather, run_sync
from flows.planning import commit
from flows.session import Session, connect
from state import Outbox, Store
from state.care import verify
from tests.flows.files import RULES
from tests.flows.world import World

MANY = {"rules.yaml": RULES.replace("projects_per_run: 10", "projects_per_run: 1000")}
PROJECT, BATCH = r"POST /api/1.0/projects$", r"POST /api/1.0/batch$"


class Office:
    """A world, and the state its workers share: a connection each on PostgreSQL, the one open file on SQLite."""

    def __init__(self, world: World, place: Path | str) -> None:
        self.world = world
        self._place = place
        self._shared = Store(place, now=world.clock()) if isinstance(place, Path) else None

    @contextmanager
    def store(self) -> Iterator[Store]:
        if self._shared is not None:
            yield self._shared
        else:
            with Store(self._place, now=self.world.clock()) as opened:
                yield opened

    @asynccontextmanager
    async def session(self, name: str) -> AsyncIterator[Session]:
        world, runtime = self.world, self.world.runtime()
        with self.store() as store:
            async with connect(world.loaded, runtime) as (sources, targets):
                yield Session(world.loaded, store, sources, targets, name, runtime, stop=world.stop)

    async def sync(self, name: str, **options: Any) -> Summary:
        async with self.session(name) as session:
            return await run_sync(session, Options(**options))

    async def decide(self, name: str = "reader") -> None:
        async with self.session(name) as session:
            await accept(session, *await gather(session, Options()), Options())

    async def work(self, name: str, wrap: Callable[[Target], Any] = lambda target: target) -> Applied:
        async with self.session(name) as session:
            return await Drain(session.store, wrap(session.targets["asana"]), run=name, runtime=session.runtime)()

    def close(self) -> None:
        if self._shared is not None:
            self._shared.close()

    def whole(self, deals: int) -> None:
        world = self.world
        assert Counter(world.shown()) == {f"Deal {number} onboarding": 1 for number in range(deals)}
        for project in world.projects():
            assert world.tasks(project).total() == 4
            assert set(world.tasks(project).values()) == {1}
        with self.store() as store:
            assert Outbox(store).counts() == {"open": 0, "in_doubt": 0, "parked": 0, "projects": deals, "published": deals}
            assert verify(store).ok


@pytest.fixture(params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    place = tmp_path / "state.db" if request.param == "sqlite" else request.getfixturevalue("fresh_state")()
    opened = Office(World(tmp_path, files=MANY), place)
    yield opened
    opened.close()


async def decided(office: Office, deals: int) -> list[str]:
    """So many deals were won and decided upon, and nothing is carried out yet."""
    world = office.world
    won = [world.deal(f"Deal {number}", AccountId=world.account()) for number in range(deals)]
    await office.sync("baseline")
    world.clock.move(minutes=20)
    for deal in won:
        world.win(deal)
    world.clock.move(minutes=1)
    await office.decide()
    return won


@asynccontextmanager
async def about_to_decide(office: Office) -> AsyncIterator[Callable[[], None]]:
    """A reader with its plan ready; the call makes it so (T1), at once."""
    async with office.session("another") as session:
        pulled, planned = await gather(session, Options())
        assert planned.actions
        yield lambda: commit(session, pulled, planned)


def at(route: str, strike: Callable[[], object]) -> Callable[[httpx.Request], None]:
    """Just before the first request that looks like this."""
    left = [strike]

    def hook(request: httpx.Request) -> None:
        if left and re.search(route, f"{request.method} {request.url.path}"):
            left.pop()()

    return hook


class Paused:
    """A target at which somebody stands still for as long as `gate` is shut: before the first requests leave, or before their answers are heard."""

    def __init__(self, *, before: bool = False, at: type[Publish] | None = None) -> None:
        self._before, self._at = before, at
        self.reached, self.gate = asyncio.Event(), asyncio.Event()

    def __call__(self, target: Target) -> Paused:
        self._target = target
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    async def _pause(self) -> None:
        self.reached.set()
        await self.gate.wait()

    async def write(self, writes: Sequence[Write]) -> Sequence[Any]:
        here = self._at is None or isinstance(writes[0], self._at)
        if here and self._before:
            await self._pause()
        answers = await self._target.write(writes)
        if here and not self._before:
            await self._pause()
        return answers


# sharing


async def test_workers_share_the_projects_and_make_each_once(office: Office) -> None:
    await decided(office, 40)
    done = await asyncio.gather(*(office.work(f"worker {number}") for number in range(4)))
    office.whole(40)
    assert sum(applied.counts["created project"] for applied in done) == 40
    assert all(applied.counts["published"] for applied in done)
    assert sum(applied.counts["lost"] for applied in done) == 0


async def test_what_somebody_else_is_at_is_left_alone_and_is_nobodys_waiting_work(office: Office) -> None:
    await decided(office, 2)
    paused = Paused()
    slow = asyncio.ensure_future(office.work("slow", paused))
    await paused.reached.wait()
    helper = await office.sync("quick", patience=timedelta())
    assert helper.result == "nothing to do"
    assert office.world.shown() == []
    paused.gate.set()
    await slow
    office.whole(2)


# a worker that is late


@pytest.mark.parametrize("before", [True, False])
async def test_a_worker_paused_past_its_lease_writes_nothing_over_its_successor(office: Office, before: bool) -> None:
    await decided(office, 3)
    paused = Paused(before=before)
    late = asyncio.ensure_future(office.work("late", paused))
    await paused.reached.wait()
    office.world.clock.move(minutes=5)
    successor = await office.work("successor")
    office.whole(3)
    assert successor.counts["adopted"] == (0 if before else 3)
    paused.gate.set()
    applied = await late
    assert applied.counts["lost"] == 3
    assert applied.counts["created"] == 0
    office.whole(3)
    assert len(office.world.board.projects) == 3


async def test_a_successor_waits_for_what_the_late_one_may_have_sent(office: Office) -> None:
    await decided(office, 1)
    office.world.tool.fault(BATCH, "late", seconds=50)
    left = asyncio.Event()
    office.world.hook = at(BATCH, left.set)
    dead = asyncio.ensure_future(office.work("dead"))
    await left.wait()
    await asyncio.sleep(0)
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)
    await office.work("successor")
    office.whole(1)


# a reader and a worker at the same project


async def test_what_is_decided_while_a_worker_has_read_the_project_is_what_it_sends(office: Office) -> None:
    (deal,) = await decided(office, 1)
    office.world.clock.move(minutes=20)
    office.world.change(deal, Name="Renamed")
    async with about_to_decide(office) as decide:
        office.world.hook = at(PROJECT, decide)
        await office.work("worker")
    assert office.world.tasks()["Kick off Renamed"] == 1
    assert office.world.shown() == ["Renamed onboarding"]


async def test_a_task_that_is_decided_while_its_project_is_made_is_there_when_it_is_published(office: Office) -> None:
    (deal,) = await decided(office, 1)
    office.world.clock.move(minutes=20)
    office.world.line(deal, "late line")
    office.world.change(deal, NextStep="Call")
    async with about_to_decide(office) as decide:
        office.world.hook = at(BATCH, decide)
        await office.work("worker")
    assert office.world.tasks()["Deliver late line"] == 1
    assert office.world.shown() == ["Deal 0 onboarding"]


async def test_a_change_decided_while_an_update_turns_out_to_be_needless_is_not_lost(office: Office) -> None:
    (deal,) = await decided(office, 1)
    await office.work("worker")
    office.world.clock.move(minutes=20)
    office.world.change(deal, NextStep="Call")
    await office.decide()
    project = office.world.projects()[0]
    office.world.board.edit_project(project, {"notes": "a person's own words"}, office.world.person)
    office.world.clock.move(minutes=20)
    office.world.change(deal, Name="Renamed")
    async with about_to_decide(office) as decide:
        office.world.hook = at(rf"GET /api/1.0/projects/{project}$", decide)
        await office.work("worker")
    assert office.world.shown() == ["Deal 0 onboarding", "Renamed onboarding"]
    assert office.world.board.projects[project]["notes"] == "a person's own words"
    with office.store() as store:
        assert Outbox(store).counts()["open"] == 0


# a person and a worker at the same project


async def parked(office: Office) -> int:
    """One task of a project that is not published yet was refused; gives its number."""
    await decided(office, 1)
    fault = office.world.tool.fault(BATCH, "error_before", status=400, times=-1)
    single = office.world.tool.fault(r"POST /api/1.0/tasks$", "error_before", status=400, times=-1)
    await office.work("worker")
    office.world.tool.faults.clear()
    assert fault.struck + single.struck
    with office.store() as store:
        return next(intent.seq for intent in Outbox(store).parked())


async def test_two_people_cannot_decide_about_the_same_thing(office: Office) -> None:
    number = await parked(office)
    with office.store() as store, office.store() as other:
        with store.transaction():
            Outbox(store).retry(number, office.world.clock())
        with pytest.raises(StateError, match=r"decided meanwhile"), other.transaction():
            Outbox(other).dismiss(number, office.world.clock())


async def test_what_a_person_decides_while_a_worker_is_at_the_project_counts_at_once(office: Office) -> None:
    await parked(office)
    with office.store() as mine:
        outbox, now = Outbox(mine), office.world.clock()
        numbers = [intent.seq for intent in outbox.parked()]

        def decide() -> None:
            with mine.transaction():
                for number in numbers[1:]:
                    outbox.retry(number, now)

        with mine.transaction():
            outbox.retry(numbers[0], now)
        office.world.hook = at(r"POST /api/1.0/(batch|tasks)$", decide)
        await office.work("worker")
    office.whole(1)


# one reader


async def test_while_another_process_reads_a_sync_helps_and_leaves_reading_to_it(office: Office) -> None:
    await decided(office, 2)
    async with office.session("reader") as reading:
        assert reading.reader.begin()
        summary = await office.sync("second")
        reading.reader.end()
    assert (summary.result, summary.helps, summary.counts["published"]) == ("helped", True, 2)
    assert (summary.counts["read"], summary.counts["written back"]) == (0, 0)
    office.whole(2)
    assert (await office.sync("third")).counts["written back"] == 2, "whoever reads next tells the CRM of what others published"


async def test_the_crm_hears_of_a_project_whose_publishing_was_seen_before_it_was_known(office: Office) -> None:
    await decided(office, 1)
    paused = Paused(at=Publish)
    worker = asyncio.ensure_future(office.work("worker", paused))
    await paused.reached.wait()
    assert (await office.sync("reader", patience=timedelta())).counts["written back"] == 0
    paused.gate.set()
    await worker
    assert (await office.sync("next")).counts["written back"] == 1


async def test_a_reader_paused_past_its_lease_decides_nothing(office: Office) -> None:
    world = office.world
    deal = world.deal("Deal 0", AccountId=world.account())
    await office.sync("baseline")
    world.clock.move(minutes=20)
    world.win(deal)
    world.clock.move(minutes=1)
    async with office.session("late") as late:
        plan = await gather(late, Options())
        world.clock.move(minutes=2)
        assert (await office.sync("successor")).result == "done"
        with office.store() as store:
            told = store.audit()
        with pytest.raises(LeaseLost, match="another process reads"):
            await accept(late, *plan, Options())
    with office.store() as store:
        assert store.audit() == told
    assert (await office.sync("next")).result == "nothing to do"
    office.whole(1)


async def test_a_baseline_that_another_process_took_over_is_not_written_over(office: Office) -> None:
    world = office.world
    world.deal("Deal 0")
    async with office.session("successor") as successor:

        def take_over() -> None:
            world.clock.move(minutes=2)
            assert successor.reader.begin()

        world.hook = at("GET .*/query", take_over)
        late = await office.sync("late")
        assert isinstance(late.error, LeaseLost)
        successor.reader.end()
    with office.store() as store:
        assert store.count_snapshots() == {}
        assert store.meta("baseline:salesforce:deal") is None
