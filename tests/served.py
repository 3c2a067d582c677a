"""`handoff serve` in a process of its own, and its Prefect server as the UI and scripts ask it."""

from __future__ import annotations

from subprocess import Popen
from typing import Any

import httpx

from sandbox.loopback import answers, free_port
from tests.flows.desk import Desk, wait_for

DEPLOYMENTS = 5


class Prefect:
    """A Prefect server at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def is_up(self) -> bool:
        """Whether it answers and everything that can be run is there."""
        return answers(f"{self.url}/api/health") and len(self.found("deployments")) == DEPLOYMENTS

    def ask(self, path: str, **body: Any) -> Any:
        """As Prefect's clients ask: when SQLite is busy (503), again."""
        given: list[httpx.Response] = []

        def is_answered() -> bool:
            given.append(httpx.post(f"{self.url}/api/{path}", json=body, timeout=30))
            return given[-1].status_code != 503

        wait_for(is_answered, 30)
        assert given[-1].status_code < 300, given[-1].text
        return given[-1].json()

    def found(self, what: str, **wanted: Any) -> list[dict[str, Any]]:
        return list(self.ask(f"{what}/filter", **wanted))

    def deployment(self) -> str:
        """The id of the one that syncs."""
        wanted = {"flows": {"name": {"any_": ["sync"]}}, "deployments": {"name": {"any_": ["handoff"]}}}
        return str(self.found("deployments", **wanted)[0]["id"])

    def run(self, **parameters: Any) -> str:
        """Ask for a sync; gives the run's id."""
        path = f"deployments/{self.deployment()}/create_flow_run"
        return str(self.ask(path, state={"type": "SCHEDULED"}, **parameters)["id"])

    def flow_run(self, run: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/api/flow_runs/{run}", timeout=20).json())

    def state(self, run: str) -> str:
        """Its state by the name people see."""
        return str(self.flow_run(run)["state_name"])


class Service(Prefect):
    """The service at a desk, on ports of its own; `start` it as often as it takes."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.port, self.hub, self.home = desk, free_port(), free_port(), desk.path / "prefect"
        super().__init__(f"http://127.0.0.1:{self.port}")

    def begin(self, *words: str, every: int = 60) -> Popen[str]:
        """The process, which is not up yet. It starts in the folder of its configuration, which has a `state/` as every folder that was used."""
        (self.desk.folder / "state").mkdir(exist_ok=True)
        ports = ("--port", str(self.port), "--hub-port", str(self.hub))
        return self.desk.start("serve", *ports, "--every", str(every), *words, cwd=self.desk.folder, PREFECT_HOME=str(self.home))

    def start(self, *words: str, every: int = 60) -> Popen[str]:
        """The process, once it is up."""
        process = self.begin(*words, every=every)
        wait_for(self.is_up, 180)
        return process
