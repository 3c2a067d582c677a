"""Prefect as it is scaled out: its data on PostgreSQL, its events by way of Redis, two workers, and several syncs at once on one state."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from redis import Redis, RedisError

from sandbox.loopback import answers, free_port
from tests import postgres
from tests.flows.desk import Desk, wait_for
from tests.processes.backfill import differences, rest, undisturbed, won_deals
from tests.processes.picture import picture
from tests.served import Prefect

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]
PROJECTS = 24


def programs() -> Path:
    """A PostgreSQL with pg_trgm, which Prefect's tables need and the one from the wheel lacks."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    usable = [one.parent for one in found if Path(f"/usr/share/postgresql/{one.parent.parent.name}/extension/pg_trgm.control").exists()]
    if not usable:
        pytest.skip("no PostgreSQL server with pg_trgm here: apt install postgresql")
    return usable[-1]


@contextmanager
def running(words: Sequence[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=env, stdout=output, stderr=output, cwd=log.parent, start_new_session=True)  # noqa: S603
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def redis(path: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server here: apt install redis-server")
    port = free_port()
    words = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(path)]
    with running(words, {}, path / "redis.log"):
        wait_for(lambda: pings(port), 20)
        yield f"redis://127.0.0.1:{port}"


def pings(port: int) -> bool:
    try:
        with Redis(port=port) as client:
            return bool(client.ping())
    except RedisError:
        return False


def scaled(database: str, cache: str) -> dict[str, str]:
    """The settings of docs/operations.md."""
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
        "PREFECT_REDIS_MESSAGING_URL": f"{cache}/0",
        "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": f"{cache}/0",
        "PREFECT_SERVER_DOCKET_URL": f"{cache}/1",
    }


class Scaled(Prefect):
    def __init__(self, url: str, desk: Desk, server: postgres.Server, cache: str) -> None:
        super().__init__(url)
        self.desk, self.server, self.cache = desk, server, cache

    def runs(self) -> list[dict[str, Any]]:
        return self.found("flow_runs", flow_runs={"deployment_id": {"any_": [self.deployment()]}, "tags": {"all_": ["asked"]}})

    def workers(self) -> list[str]:
        return [worker["name"] for worker in self.found("work_pools/handoff/workers") if worker["status"] == "ONLINE"]

    def count(self, table: str) -> int:
        with psycopg.connect(self.server.url(), dbname="prefect") as connection:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name from here
        return int(row[0]) if row else 0


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Scaled]:
    with redis(tmp_path) as cache, postgres.server(programs()) as server, won_deals(tmp_path, PROJECTS, server.fresh_state()) as desk:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE prefect")
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        database = f"postgresql+asyncpg://handoff@/prefect?host={quote(str(server.folder), safe='')}"
        quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_HOME": str(tmp_path / "prefect")}
        env = {**os.environ, **desk.env, **quiet, **scaled(database, cache)}
        with running([sys.executable, "-m", "flows.service_ui", "--port", str(port)], env, tmp_path / "server.log"):
            wait_for(lambda: answers(f"{url}/api/health"), 180)
            env["PREFECT_API_URL"] = f"{url}/api"
            code, out, err = desk.run("deploy", **quiet, PREFECT_API_URL=f"{url}/api")
            assert (code, "Deployed" in out) == (0, True), err
            words = [str(Path(sys.executable).with_name("prefect")), "worker", "start", "--pool", "handoff", "--name"]
            with running([*words, "one"], env, tmp_path / "one.log"), running([*words, "two"], env, tmp_path / "two.log"):
                yield Scaled(url, desk, server, cache)


def test_several_syncs_at_once_by_two_workers_do_everything_once(at: Scaled, tmp_path: Path) -> None:
    wait_for(lambda: sorted(at.workers()) == ["one", "two"], 60)
    at.desk.world.tool.latency = 0.3
    several = httpx.patch(f"{at.url}/api/deployments/{at.deployment()}", json={"concurrency_limit": 4}, timeout=30)
    assert several.status_code == 204, several.text
    for _ in range(4):
        at.run(tags=["asked"])
    wait_for(lambda: [run["state_type"] for run in at.runs()] == ["COMPLETED"] * 4, 400)
    spans = [(run["start_time"], run["end_time"]) for run in at.runs()]
    assert any(a[0] < b[1] and b[0] < a[1] for a, b in combinations(spans, 2)), spans
    assert any(run["state"]["message"].startswith("helped") for run in at.runs())
    assert rest(at.desk) == []
    assert differences(picture(at.desk.world), undisturbed(tmp_path / "undisturbed", PROJECTS)) == []
    assert at.count("flow_run") >= 4
    with Redis.from_url(at.cache) as client:
        assert list(client.scan_iter("*events*", count=1000))
    asked = at.found("flow_runs", flow_runs={"tags": {"all_": ["asked"]}})
    tasks = at.found("task_runs", flow_runs={"id": {"any_": [run["id"] for run in asked]}})
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
