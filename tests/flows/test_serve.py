"""`handoff serve` for real: a Prefect server, its deployments, a run somebody asks for, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.desk import Desk, wait_for


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


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


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.nightly
def test_serve_runs_what_is_asked_for_and_ends_without_leaving_anything_behind(desk: Desk) -> None:
    deal = desk.world.deal("Served")
    assert desk.do("sync").exit_code == 0
    desk.world.win(deal)
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    process = desk.start("serve", "--port", str(port), "--every", "60", PREFECT_HOME=str(desk.path / "prefect"))
    try:
        wait_for(lambda: answers(f"{api}/health"), 120)
        found: list[Any] = []

        def deployed() -> bool:
            found[:] = httpx.post(f"{api}/deployments/filter", json={}, timeout=10).json()
            return len(found) == 2

        wait_for(deployed, 60)
        wanted = next(deployment for deployment in found if "schedule" in deployment["description"])
        created = httpx.post(f"{api}/deployments/{wanted['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}}, timeout=10).json()

        def ended() -> bool:
            time.sleep(0.5)
            return httpx.get(f"{api}/flow_runs/{created['id']}", timeout=10).json()["state_type"] in {"COMPLETED", "FAILED", "CRASHED"}

        wait_for(ended, 90)
        run = httpx.get(f"{api}/flow_runs/{created['id']}", timeout=10).json()
        assert run["state_type"] == "COMPLETED", run["state"]
        assert desk.world.shown() == ["Served onboarding"]
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        process.wait(timeout=40)
        assert time.monotonic() - asked < 20
        wait_for(lambda: not group(process.pid), 5)
    finally:
        if group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
