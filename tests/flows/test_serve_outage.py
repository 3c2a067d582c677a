"""`handoff serve` after something went wrong: killed, away for an hour, a run that is tried again from the UI, a run whose process is gone."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.loopback import answers
from tests.flows.desk import Desk, local, wait_for
from tests.flows.files import RULES
from tests.flows.test_serve import group
from tests.served import Service

pytestmark = pytest.mark.nightly


class Server(Service):
    """Knows the runs it was asked for."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.asked: list[str] = []

    def run(self, **parameters: Any) -> str:
        self.asked.append(super().run(**parameters))
        return self.asked[-1]

    def runs(self, *states: str) -> list[dict[str, Any]]:
        wanted = {"state": {"name": {"any_": list(states)}}} if states else {}
        mine = {"deployment_id": {"any_": [self.deployment()]}, **wanted}
        return self.found("flow_runs", flow_runs=mine, sort="EXPECTED_START_TIME_ASC")


@pytest.fixture
def server(desk: Desk) -> Iterator[Server]:
    ready = Server(desk)
    yield ready
    for process in list(desk._started):
        if group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
    for run in ready.asked:
        for pid in processes_of(run):
            os.kill(pid, signal.SIGKILL)


def test_a_service_that_was_killed_leaves_no_server_and_the_next_one_finishes_its_work(desk: Desk, server: Server) -> None:
    deal = desk.world.deal("Killed")
    assert desk.do("sync").exit_code == 0
    desk.world.win(deal)
    hangs = desk.world.tool.fault("POST /api/1.0/projects$", "slow", times=-1, seconds=8)
    first = server.start("--no-hub")
    run = server.run()
    wait_for(lambda: hangs.struck > 0, 90)
    for pid in (first.pid, *processes_of(run)):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not answers(f"{server.url}/api/health"), 20)
    desk.world.tool.faults.clear()
    server.start("--no-hub")
    wait_for(lambda: server.state(run) == "Crashed", 90)
    again = server.run()
    wait_for(lambda: server.state(again) in {"Completed", "Waiting"}, 240)
    wait_for(lambda: desk.told("sync")["result"] == "nothing to do", 240)
    assert desk.world.shown() == ["Killed onboarding"]


def test_a_prefect_server_that_dies_is_started_again_and_the_work_goes_on(desk: Desk, server: Server) -> None:
    deal = desk.world.deal("After")
    assert desk.do("sync").exit_code == 0
    service = server.start("--no-hub")
    (killed,) = [pid for pid in group(service.pid) if b"flows.service_ui" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not answers(f"{server.url}/api/health"), 20)
    wait_for(lambda: answers(f"{server.url}/api/health"), 90)
    desk.world.win(deal)
    run = server.run()
    wait_for(lambda: server.state(run) == "Completed", 120)
    assert desk.world.shown() == ["After onboarding"]


def test_after_an_hour_away_one_run_does_the_work_of_all_that_fell_due(desk: Desk, server: Server) -> None:
    assert desk.do("sync").exit_code == 0
    first = server.start("--no-hub", every=5)
    wait_for(lambda: len(server.runs("Scheduled")) > 12, 90)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    let_pass(server.home / "prefect.db", timedelta(hours=1))
    before = {run.id for run in history(desk)}
    server.start("--no-hub", every=5)
    wait_for(lambda: len(server.runs("Completed")) == 1 and not overdue(server), 120)
    assert len(server.runs("Skipped")) >= 11
    assert len(server.runs("Completed", "Running", "Pending", "Late")) == 1
    assert len({run.id for run in history(desk)} - before) == 1


def overdue(server: Server) -> list[Any]:
    now = datetime.now(UTC)
    return [
        run
        for run in server.runs("Scheduled", "Late", "AwaitingConcurrencySlot")
        if datetime.fromisoformat(run["expected_start_time"]) < now
    ]


def history(desk: Desk) -> list[Any]:
    from connectors.base import utc_now
    from state import Store

    with Store(desk.state, now=utc_now(), read_only=True) as store:
        return store.runs(limit=100)


def let_pass(database: Path, span: timedelta) -> None:
    """As if so much time had passed: every run fell due that much earlier."""
    with closing(sqlite3.connect(database)) as db:
        for column in ("expected_start_time", "next_scheduled_start_time"):
            known = db.execute(f"SELECT id, {column} FROM flow_run WHERE {column} IS NOT NULL").fetchall()  # noqa: S608
            moved = [
                ((datetime.fromisoformat(at) - span).isoformat(sep=" ", timespec="microseconds").replace("+00:00", ""), id_)
                for id_, at in known
            ]
            db.executemany(f"UPDATE flow_run SET {column} = ? WHERE id = ?", moved)  # noqa: S608
        details = db.execute("SELECT id, state_details FROM flow_run_state").fetchall()  # a run waits for the moment its state names
        db.executemany("UPDATE flow_run_state SET state_details = ? WHERE id = ?", [(_earlier(text, span), id_) for id_, text in details])
        db.commit()


def _earlier(details: str, span: timedelta) -> str:
    told = json.loads(details)
    if at := told.get("scheduled_time"):
        told["scheduled_time"] = (datetime.fromisoformat(at) - span).isoformat()
    return json.dumps(told)


def test_a_run_that_failed_is_tried_again_from_the_ui_and_does_only_what_is_left(desk: Desk, server: Server) -> None:
    deals = [desk.world.deal(f"Deal {number}") for number in range(12)]
    assert desk.do("sync").exit_code == 0
    for deal in deals:
        desk.world.win(deal)
    server.start("--no-hub")
    run = server.run()
    wait_for(lambda: server.state(run) == "Refused", 90)
    desk.world.configure(local({"rules.yaml": RULES.replace("projects_per_run: 10", "projects_per_run: 20")}))
    retry = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}}
    for _ in range(2):  # what the button sends; the second time there is nothing left
        assert server.ask(f"flow_runs/{run}/set_state", **retry)["status"] == "ACCEPT"
        wait_for(lambda: server.state(run) == "Completed", 120)
    assert sorted(desk.world.shown()) == sorted(f"Deal {number} onboarding" for number in range(12))
    known = server.flow_run(run)
    assert known["run_count"] == 3
    assert known["state"]["message"] == "nothing to do"


def test_a_run_whose_process_is_gone_is_noticed_by_its_silence(desk: Desk, server: Server) -> None:
    deal = desk.world.deal("Silent")
    assert desk.do("sync").exit_code == 0
    desk.world.win(deal)
    hangs = desk.world.tool.fault("POST /api/1.0/projects$", "slow", times=-1, seconds=600)
    service = server.start("--no-hub")
    run = server.run()
    wait_for(lambda: hangs.struck > 0, 90)
    for pid in (service.pid, *processes_of(run)):  # nobody is left who could tell
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: server.state(run) == "Crashed", 200)
    assert "Its process is gone" in server.flow_run(run)["state"]["message"]


def processes_of(run: str) -> list[int]:
    """Those that a run has to itself; Prefect gives each a group of its own."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"PREFECT__FLOW_RUN_ID={run}".encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
        except OSError:
            continue
    return found
