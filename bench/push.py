"""From a deal won in the CRM to its project seen in the tool, by push: how long it takes, and what is lost or doubled when pushes get lost and the
whole service is killed. Everything is real but the two ends: `handoff serve` with hub, Prefect and schedule, over TCP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import ROOT, Benchmark, Figure
from sandbox.loopback import answers, free_port

PER_SECOND, SECONDS = 20, int(os.environ.get("HANDOFF_SECONDS", "300"))
HERE = Path(__file__).parent
_PUSH = """
write_back:
  deal: { project_url: Handoff_Project_URL__c, progress: Handoff_Progress__c }
push:
  organization: ${SALESFORCE_ORGANIZATION}
"""


def measure() -> tuple[Benchmark, ...]:
    calm, rough = _play(kills=0, lose=0), _play(kills=2, lose=10)
    what = f"{PER_SECOND} deals a second are won for {SECONDS} s, a project of 4 tasks for each"
    polled = [second for second in rough["seconds"] if second > 10]
    return (
        Benchmark(
            "push",
            f"{what}; nothing goes wrong",
            [
                Figure("projects", len(calm["seconds"])),
                Figure("from won to visible, p50", _quantile(calm["seconds"], 50), "s"),
                Figure("from won to visible, p99", _quantile(calm["seconds"], 99), "s"),
                Figure("lost", len(calm["lost"]), goal=0, bound="<="),
                Figure("doubled", len(calm["doubled"]), goal=0, bound="<="),
                Figure("runs", calm["runs"]),
            ],
        ),
        Benchmark(
            "push, badly",
            f"{what}; every tenth push is lost, all processes are killed twice, polling every minute",
            [
                Figure("projects", len(rough["seconds"])),
                Figure("from won to visible, p50", _quantile(rough["seconds"], 50), "s"),
                Figure("from won to visible, p99", _quantile(rough["seconds"], 99), "s"),
                Figure("pushes dropped", rough["dropped"]),
                Figure("changes that polling found and no push had told", rough["missed"]),
                Figure("p50 of those that took over 10 s ÷ p50 of all", _quantile(polled, 50) / _quantile(rough["seconds"], 50), "×"),
                Figure("lost", len(rough["lost"]), goal=0, bound="<="),
                Figure("doubled", len(rough["doubled"]) + len(rough["unasked"]), goal=0, bound="<="),
            ],
        ),
    )


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else 0.0


def _play(*, kills: int, lose: int) -> dict[str, Any]:
    count = PER_SECOND * SECONDS
    with tempfile.TemporaryDirectory(prefix="handoff-bench-") as folder, _stage(count) as stage:
        place = Path(folder)
        _configure(place)
        ports = [free_port(), free_port()]
        env = {**os.environ, **stage.env, "HANDOFF_STATE": str(place / "s.db"), "PREFECT_HOME": str(place / "prefect")}
        env["HANDOFF_HUB_URL"] = f"http://127.0.0.1:{ports[1]}"
        _handoff(["sync"], place, env)
        service = _serve(place, ports, env)
        try:
            stage.ask(push_to=_handoff(["webhooks", "register", "salesforce"], place, env)[0]["address"])
            service = _go(stage, service, place, ports, env, count=count, kills=kills, lose=lose)
            found = _settled(stage)
            stands = _handoff(["webhooks", "status"], place, env)
            runs = _handoff(["history", "-n", "100000"], place, env)
        finally:
            os.killpg(service.pid, signal.SIGKILL)
            service.wait()
        return {**found, "runs": len(runs), "missed": _missed(stands)}


def _go(
    stage: _Stage,
    service: subprocess.Popen[bytes],
    place: Path,
    ports: Sequence[int],
    env: Mapping[str, str],
    *,
    count: int,
    kills: int,
    lose: int,
) -> subprocess.Popen[bytes]:
    """Deals are won, and between the parts of it every process of the service dies and another service starts."""
    part = count // (kills + 1)
    for number in range(kills + 1):
        stage.tell(win=part if number < kills else count - part * kills, per_second=PER_SECOND, lose=lose)
        if number < kills:
            time.sleep(part / PER_SECOND * 0.9)  # in the middle of it
            os.killpg(service.pid, signal.SIGKILL)
            service.wait()
            service = _serve(place, ports, env)
        stage.heard()
    return service


def _settled(stage: _Stage) -> dict[str, Any]:
    """What became of them all, once the polls that find what was lost have had their time."""
    end = time.monotonic() + 240
    while True:
        found = stage.ask(look=True)
        if not found["lost"] or time.monotonic() > end:
            return found
        time.sleep(2)


def _missed(stands: Any) -> int:
    return sum(one.get("missed", 0) for one in stands["systems"])


class _Stage:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.env: dict[str, str] = self.heard()

    def tell(self, **what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        heard: dict[str, Any] = json.loads(self._process.stdout.readline())
        return heard

    def ask(self, **what: Any) -> dict[str, Any]:
        self.tell(**what)
        return self.heard()


@contextmanager
def _stage(deals: int) -> Iterator[_Stage]:
    command = [sys.executable, "-m", "bench.push_stage", str(deals)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ourselves
        yield _Stage(process)
        process.communicate()


def _configure(place: Path) -> None:
    shutil.copytree(HERE / "pushed", place, dirs_exist_ok=True)
    shutil.copy(HERE / "configuration" / "mappings" / "asana.yaml", place / "mappings")
    mapping = (HERE / "configuration" / "mappings" / "salesforce.yaml").read_text(encoding="utf-8")
    (place / "mappings" / "salesforce.yaml").write_text(mapping + _PUSH, encoding="utf-8")


def _serve(place: Path, ports: Sequence[int], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A service that is up; its deployments stand, the hub takes pushes."""
    words = ["serve", "-C", str(place), "--every", "1", "--port", str(ports[0]), "--hub-port", str(ports[1])]
    with (place / "serve.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "flows.cli", *words], cwd=ROOT, env=dict(env), start_new_session=True, stdout=log, stderr=log
        )
    end = time.monotonic() + 180
    while not (answers(f"http://127.0.0.1:{ports[1]}/healthz") and answers(f"http://127.0.0.1:{ports[0]}/api/health")):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the service did not come up: {(place / 'serve.log').read_text()[-2000:]}")
        time.sleep(0.2)
    return process


def _handoff(words: Sequence[str], place: Path, env: Mapping[str, str]) -> Any:
    command = [sys.executable, "-m", "flows.cli", *words, "--json", "-C", str(place)]
    done = subprocess.run(command, cwd=ROOT, env=dict(env), capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode not in (0, 1):
        raise RuntimeError(f"handoff {' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)
