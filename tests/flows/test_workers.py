"""Several workers on one store: the work is shared, and whoever comes late or goes away costs time and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connectors.base import Target
from flows.apply import Applied, Drain
from flows.pipeline import Options, accept, gather
from flows.session import Session, connect
from state import Store
from tests.flows.files import RULES
from tests.flows.world import World

MANY = {"rules.yaml": RULES.replace("projects_per_run: 10", "projects_per_run: 1000")}


async def decided(path: Path, deals: int, **asana: Any) -> World:
    """So many deals were won and decided upon, and nothing is carried out yet."""
    world = World(path, files=MANY, **asana)
    won = [world.deal(f"Deal {number}") for number in range(deals)]
    await world.sync()
    for deal in won:
        world.win(deal)
    world.clock.move(minutes=1)
    with world.store() as store:
        await decide(world, store)
    return world


async def decide(world: World, store: Store) -> None:
    """One reader: pull, plan, T1."""
    async with connect(world.loaded, world.runtime()) as (sources, targets):
        session = Session(world.loaded, store, sources, targets, "reader", world.runtime())
        await accept(session, *await gather(session, Options()), Options())


@asynccontextmanager
async def worker(world: World, store: Store, name: str, wrap: Callable[[Target], Target] = lambda target: target) -> AsyncIterator[Drain]:
    async with connect(world.loaded, world.runtime()) as (_, targets):
        yield Drain(store, wrap(targets["asana"]), run=name, runtime=world.runtime())


async def work(world: World, store: Store, name: str) -> Applied:
    async with worker(world, store, name) as drain:
        return await drain()


def whole(world: World, deals: int) -> None:
    assert Counter(world.shown()) == {f"Deal {number} onboarding": 1 for number in range(deals)}
    for project in world.projects():
        assert sum(world.tasks(project).values()) == 4
        assert set(world.tasks(project).values()) == {1}
    assert world.outbox() == {"open": 0, "in_doubt": 0, "parked": 0, "projects": deals, "published": deals}


async def test_workers_share_the_projects_and_make_each_once(tmp_path: Path) -> None:
    world = await decided(tmp_path, 40)
    with world.store() as store:
        done = await asyncio.gather(*(work(world, store, f"worker {number}") for number in range(4)))
    whole(world, 40)
    assert sum(applied.counts["created project"] for applied in done) == 40
    assert all(applied.counts["published"] for applied in done)
    assert sum(applied.counts["lost"] for applied in done) == 0
