"""`handoff serve` for real: a Prefect server, its deployments, a run somebody asks for, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.loopback import free_port
from tests.flows.desk import Desk, wait_for
from tests.served import Service


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


class Serving(Service):
    """A service that has begun, and ends by a signal."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.process = self.begin()

    def end(self, number: signal.Signals, *, all_at_once: bool = False) -> tuple[float, str]:
        """Seconds it took to end after a signal (to everybody, as a terminal's Ctrl-C), and what it said."""
        (os.killpg if all_at_once else os.kill)(self.process.pid, number)
        asked = time.monotonic()
        _, err = self.process.communicate(timeout=60)
        return time.monotonic() - asked, err


@contextmanager
def serving(desk: Desk) -> Iterator[Serving]:
    served = Serving(desk)
    try:
        yield served
        wait_for(lambda: not group(served.process.pid), 5)
    finally:
        if group(served.process.pid):
            os.killpg(served.process.pid, signal.SIGKILL)
        served.process.communicate()


@pytest.mark.nightly
def test_serve_runs_what_is_asked_for_and_ends_without_leaving_anything_behind(desk: Desk) -> None:
    deal = desk.world.deal("Served")
    assert desk.do("sync").exit_code == 0
    desk.world.win(deal)
    with serving(desk) as served:
        wait_for(served.is_up, 120)
        run = served.run()
        wait_for(lambda: served.state(run) == "Completed", 90)
        assert desk.world.shown() == ["Served onboarding"]
        seconds, err = served.end(signal.SIGINT)
        assert seconds < 10
        assert served.process.returncode == 130
        assert "Traceback" not in err
    assert "Fatal" not in (desk.path / "hub.log").read_text()


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
        served.run()
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


@pytest.mark.parametrize("option", ["--port", "--hub-port"])
def test_a_port_that_somebody_else_answers_at_is_not_taken_for_ours(desk: Desk, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.service._FREED", 0)
    others = {"--port": str(free_port()), "--hub-port": str(free_port())}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        others[option] = str(taken.getsockname()[1])
        done = desk.do("serve", *(word for pair in others.items() for word in pair))
    assert done.exit_code == 5
    assert f"port {others[option]} is taken by another program; stop that, or choose another port with {option}" in done.stderr
