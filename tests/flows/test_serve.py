"""`handoff serve` for real: a Prefect server, its deployments, a run somebody asks for, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest

from sandbox.loopback import answers, free_port
from tests.flows.desk import Desk, wait_for


def group(leader: int) -> list[int]:
    """Processes alive in the group of `leader`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group_id = stat.read_text().rsplit(")", 1)[1].split()[:3]
        except OSError:
            continue
        if int(group_id) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


class Served:
    """A service that is up: what it answers, and a way to ask it for a run of `sync`."""

    def __init__(self, process: Popen[str], api: str) -> None:
        self.process, self.api = process, api
        self._found: list[Any] = []

    def is_up(self) -> bool:
        if not answers(f"{self.api}/health"):
            return False
        self._found = httpx.post(f"{self.api}/deployments/filter", json={}, timeout=10).json()
        return len(self._found) == 5

    def ask(self) -> str:
        """Ask for a run; gives its id."""
        wanted = next(deployment for deployment in self._found if "schedule" in deployment["description"])
        url = f"{self.api}/deployments/{wanted['id']}/create_flow_run"
        return str(httpx.post(url, json={"state": {"type": "SCHEDULED"}}, timeout=10).json()["id"])

    def state(self, run: str) -> str:
        return str(httpx.get(f"{self.api}/flow_runs/{run}", timeout=10).json()["state_type"])

    def end(self, number: signal.Signals, *, all_at_once: bool = False) -> tuple[float, str]:
        """Seconds it took to end after a signal (to everybody, as a terminal's Ctrl-C), and what it said."""
        (os.killpg if all_at_once else os.kill)(self.process.pid, number)
        asked = time.monotonic()
        _, err = self.process.communicate(timeout=60)
        return time.monotonic() - asked, err


@contextmanager
def serving(desk: Desk) -> Iterator[Served]:
    port = free_port()
    process = desk.start("serve", "--port", str(port), "--every", "60", PREFECT_HOME=str(desk.path / "prefect"))
    try:
        yield (served := Served(process, f"http://127.0.0.1:{port}/api"))
        wait_for(lambda: not group(served.process.pid), 5)
    finally:
        if group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.nightly
def test_serve_runs_what_is_asked_for_and_ends_without_leaving_anything_behind(desk: Desk) -> None:
    deal = desk.world.deal("Served")
    assert desk.do("sync").exit_code == 0
    desk.world.win(deal)
    with serving(desk) as served:
        wait_for(served.is_up, 120)
        run = served.ask()
        wait_for(lambda: served.state(run) in {"COMPLETED", "FAILED", "CRASHED"}, 90)
        assert served.state(run) == "COMPLETED"
        assert desk.world.shown() == ["Served onboarding"]
        seconds, err = served.end(signal.SIGINT)
        assert seconds < 10
        assert served.process.returncode == 130
        assert "Traceback" not in err


@pytest.mark.nightly
@pytest.mark.parametrize(("number", "all_at_once"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_serve_that_ends_in_the_middle_of_a_run_lets_the_run_stop_in_order(desk: Desk, number: signal.Signals, all_at_once: bool) -> None:
    deals = [desk.world.deal(f"Deal {count}") for count in range(8)]
    assert desk.do("sync").exit_code == 0
    for deal in deals:
        desk.world.win(deal)
    hangs = desk.world.tool.fault("POST /api/1.0/projects$", "slow", times=-1, seconds=25)
    with serving(desk) as served:
        wait_for(served.is_up, 120)
        served.ask()
        wait_for(lambda: hangs.struck > 0, 90)
        seconds, err = served.end(number, all_at_once=all_at_once)
        assert seconds < 10
        assert served.process.returncode == 130
        assert "Traceback" not in err
    desk.world.tool.faults.clear()
    assert desk.told("history")[0]["result"] == "stopped"
    assert desk.do("sync").exit_code == 0
    assert sorted(desk.world.shown()) == [f"Deal {count} onboarding" for count in range(8)]


@pytest.mark.nightly
def test_serve_that_ends_while_it_starts_leaves_nothing_behind(desk: Desk) -> None:
    with serving(desk) as served:
        wait_for(lambda: len(group(served.process.pid)) > 1, 30)
        seconds, err = served.end(signal.SIGTERM)
        assert seconds < 10
        assert served.process.returncode == 130
        assert "Traceback" not in err
