"""What a run leaves behind for those who watch."""

from __future__ import annotations

from pathlib import Path

from flows import gauges
from tests.flows.world import World


async def test_a_run_notes_the_calls_that_are_left_and_what_went_wrong(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.sync()
    with world.store() as store:
        ((budget, at),) = gauges.budgets(store).values()
        assert 0 < budget.left < budget.most
        assert at <= world.clock()
        assert gauges.errors(store) == {}
    world.crm.fault("query", "error_before", times=-1, status=500)
    await world.sync()
    with world.store() as store:
        assert gauges.errors(store) == {"Transient": 1}
    world.crm.fault("query", "refuse", times=-1)
    await world.sync()
    with world.store() as store:
        assert gauges.errors(store) == {"Transient": 2}
