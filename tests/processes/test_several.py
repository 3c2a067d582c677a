"""Several real processes at one backfill, on one PostgreSQL: all of them work, and one that was frozen does no harm when it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.base import utc_now
from state import Outbox, Run, Store
from tests.flows.desk import Desk, wait_for
from tests.processes.backfill import differences, rest, undisturbed, won_deals
from tests.processes.picture import picture

PROJECTS, WORKERS = 60, 4


@pytest.fixture
def backfill(tmp_path: Path, fresh_state: Callable[[], str]) -> Iterator[Desk]:
    """Deals that are due, nothing decided yet, and as many workers waiting for it."""
    with won_deals(tmp_path, PROJECTS, fresh_state()) as at:
        assert at.do("plan").exit_code == 0
        at.world.tool.latency = 0.05
        yield at


def workers(at: Desk) -> list[subprocess.Popen[str]]:
    started = [at.start("--log", "warning", "work", "--every", "0.2", "--lease", "2") for _ in range(WORKERS)]
    wait_for(lambda: len(runs(at)) == WORKERS, 60)
    return started


def runs(at: Desk) -> list[Run]:
    with Store(at.env["HANDOFF_STATE"], now=utc_now(), read_only=True) as store:
        return [run for run in store.runs() if run.kind == "work"]


def is_done(at: Desk) -> bool:
    with Store(at.env["HANDOFF_STATE"], now=utc_now(), read_only=True) as store:
        counts = Outbox(store).counts()
    return (counts["open"], counts["published"]) == (0, PROJECTS)


def stopped(process: subprocess.Popen[str]) -> str:
    """What it had logged when it was asked to end."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    return err


def test_every_process_does_some_of_it_and_each_project_is_made_once(backfill: Desk, tmp_path: Path) -> None:
    started = workers(backfill)
    sync = backfill.start("sync")
    wait_for(lambda: is_done(backfill), 60)
    for process in started:
        stopped(process)
    sync.communicate(timeout=30)
    assert sync.returncode in (0, 1)  # 1: it ended while others were still at some of it
    assert [run.outcome for run in runs(backfill)] == ["stopped"] * WORKERS
    assert all(run.counts["published"] for run in runs(backfill)), [run.counts for run in runs(backfill)]
    assert sum(run.counts.get("lost", 0) for run in runs(backfill)) == 0
    assert rest(backfill) == []
    assert differences(picture(backfill.world), undisturbed(tmp_path / "undisturbed", PROJECTS)) == []


def test_a_process_that_was_frozen_past_its_leases_does_no_harm(backfill: Desk, tmp_path: Path) -> None:
    frozen, *others = workers(backfill)
    sync = backfill.start("sync")
    wait_for(lambda: backfill.world.tool.seen["POST /api/1.0/batch"] > 20, 60)
    os.kill(frozen.pid, signal.SIGSTOP)
    wait_for(lambda: is_done(backfill), 180)
    os.kill(frozen.pid, signal.SIGCONT)
    wait_for(lambda: "lease lost" in str(frozen.stderr and frozen.stderr.readline()), 20)
    for process in (frozen, *others):
        stopped(process)
    sync.communicate(timeout=30)
    assert sync.returncode in (0, 1)  # 1: it ended while others were still at some of it
    assert sum(run.counts.get("lost", 0) for run in runs(backfill)) > 0
    assert rest(backfill) == []
    assert differences(picture(backfill.world), undisturbed(tmp_path / "undisturbed", PROJECTS)) == []
