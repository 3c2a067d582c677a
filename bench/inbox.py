"""The inbox: what is acknowledged a second, how long that takes, and whether all of it is there after `kill -9`.

The hub is a process, `handoff hub`; those who push are another one; both share the machine's cores. One event a delivery, a record of its own
each, stored with fsync before it is acknowledged. To compare with: the same server with an endpoint that reads the body and stores nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bench import senders
from bench.measure import ROOT, Benchmark, Figure
from bench.world import FOLDER, NOWHERE
from connectors.base import utc_now
from flows.endpoints import Endpoints
from sandbox.loopback import answers, free_port
from state.hub import open_hub
from state.inbox import Inbox

SECONDS, CROWD, RATE = 10.0, 32, 1000.0
SECRET = "a secret of the hub that nobody knows"
HUBSPOT = f"version: 1\nsystem: hubspot\nconnection: {{}}\npush:\n  client_secret: {senders.CLIENT_SECRET}\n"


def measure() -> Benchmark:
    with tempfile.TemporaryDirectory(prefix="handoff-bench-inbox-", dir=ROOT) as place:  # on a disk: /tmp may be memory
        folder = Path(place)
        with bare() as url:
            nothing = push("salesforce", f"{url}/hooks/x")
        with hub(folder / "most") as (url, path, state):
            most = push("salesforce", url + path("salesforce"))
            stored = _kept(state)
            signed = push("hubspot", url + path("hubspot"))
        assert stored == set(most["ids"]), "not all of what was acknowledged is stored"
        with hub(folder / "paced") as (url, path, _):
            paced = push("salesforce", url + path("salesforce"), rate=RATE)
        killed, lost = _killed(folder / "killed")
    return Benchmark(
        "inbox",
        f"{SECONDS:.0f} s each, {CROWD} connections, one event and one record a delivery, fsync before each acknowledgement",
        [
            *_speed("Salesforce messages", most, goal=1000),
            *_speed("HubSpot, signed", signed),
            *_speed(f"Salesforce messages at {RATE:,.0f}/s", paced, slowest=50),
            Figure("an endpoint that stores nothing", _rate(nothing), "/s"),
            Figure("… of which the inbox keeps up", _rate(most) / _rate(nothing) * 100, "%"),
            Figure("acknowledged before kill -9", killed),
            Figure("… and lost", lost, goal=0, bound="<="),
        ],
    )


def _speed(name: str, told: Mapping[str, Any], *, goal: float | None = None, slowest: float = 50) -> list[Figure]:
    assert not told["refused"], f"{told['refused']} were refused"
    return [
        Figure(f"{name}: acknowledged", _rate(told), "/s", goal),
        Figure(f"{name}: p50", told["p50"] * 1000, "ms"),
        Figure(f"{name}: p99", told["p99"] * 1000, "ms", slowest, "<="),
    ]


def _rate(told: Mapping[str, Any]) -> float:
    return float(told["count"] / told["seconds"])


def _killed(folder: Path) -> tuple[int, int]:
    """How many were acknowledged before the hub was killed in the middle, and how many of those are not there."""
    with hub(folder) as (url, path, state):
        process = _PROCESSES[-1]
        threading.Timer(SECONDS / 3, lambda: os.kill(process.pid, signal.SIGKILL)).start()
        told = push("salesforce", url + path("salesforce"))
    return told["count"], len(set(told["ids"]) - _kept(state))


def push(shape: str, url: str, *, rate: float = 0.0) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("r", encoding="ascii") as out:
        words = [sys.executable, "-m", "bench.senders", shape, url, str(SECONDS), str(CROWD), str(rate), out.name]
        subprocess.run(words, cwd=ROOT, check=True)  # noqa: S603 - ourselves
        told: dict[str, Any] = json.load(out)
    return told


_PROCESSES: list[subprocess.Popen[bytes]] = []


@contextmanager
def hub(folder: Path) -> Iterator[tuple[str, Any, Path]]:
    """A hub of its own; gives its URL, how its paths are made, and its state."""
    mappings = Path(shutil.copytree(FOLDER, folder)) / "mappings"
    with (mappings / "salesforce.yaml").open("a", encoding="utf-8") as mapping:
        mapping.write(f"\npush:\n  organization: {senders.ORGANIZATION}\n")
    (mappings / "hubspot.yaml").write_text(HUBSPOT, encoding="utf-8")
    state, port = folder / "state.db", free_port()
    env = {**os.environ, **NOWHERE, "HANDOFF_HUB_SECRET": SECRET, "HANDOFF_HUB_URL": senders.PUBLIC}
    words = [sys.executable, "-m", "hub", "-C", str(folder), "--state", str(state), "--port", str(port)]
    with _process(words, env, f"http://127.0.0.1:{port}/healthz"):
        yield f"http://127.0.0.1:{port}", Endpoints(SECRET, senders.PUBLIC).path, state


@contextmanager
def bare() -> Iterator[str]:
    port = free_port()
    with _process([sys.executable, "-m", "bench.nothing", str(port)], dict(os.environ), f"http://127.0.0.1:{port}/healthz"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _process(words: list[str], env: dict[str, str], health: str) -> Iterator[None]:
    process = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - ourselves
    _PROCESSES.append(process)
    try:
        _await(process, health)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _await(process: subprocess.Popen[bytes], health: str) -> None:
    end = time.monotonic() + 60
    while not answers(health):
        assert process.poll() is None, "it ended at once"
        assert time.monotonic() < end, "it did not start"
        time.sleep(0.05)


def _kept(state: Path) -> set[str]:
    with closing(open_hub(state, now=utc_now())) as db:
        return {told.hint.id for told in Inbox(db).take(["salesforce"], most=10_000_000)}
