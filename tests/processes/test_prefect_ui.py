"""The Prefect UI as a person sees it, in a real browser: its pages work under the policy they are served with, and nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import browser
from tests.flows.desk import Desk, wait_for
from tests.served import Service

pytestmark = pytest.mark.nightly


class Watched:
    """A page and what it asked for, logged and choked on."""

    def __init__(self, page: Any, base: str) -> None:
        self.page, self.base = page, base
        self.asked: list[str] = []
        self.wrong: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("websocket", lambda socket: self.asked.append(socket.url))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda line: self.wrong.append(line.text) if "Content Security Policy" in line.text else None)

    def open(self, path: str, *shows: str) -> None:
        self.page.goto(self.base + path)
        for text in shows:
            self.page.get_by_text(text).first.wait_for(timeout=30_000)

    def foreign(self) -> set[str]:
        own = urlsplit(self.base).netloc
        return {url for url in self.asked if urlsplit(url).scheme in {"http", "https", "ws", "wss"} and urlsplit(url).netloc != own}


@pytest.fixture
def served(desk: Desk) -> Service:
    """A service with a run that has something to show."""
    deal = desk.world.deal("Shown")
    assert desk.do("sync").exit_code == 0
    desk.world.win(deal)
    service = Service(desk)
    service.start("--no-hub")
    run = service.run()
    wait_for(lambda: service.state(run) == "Completed", 120)
    return service


@pytest.fixture
def watched(served: Service, tmp_path: Path) -> Iterator[Watched]:
    if not browser.program():
        pytest.skip("no Chromium here: apt install chromium")
    pytest.importorskip("playwright.sync_api")
    with browser.page(tmp_path / "profile") as page:
        yield Watched(page, served.url)


def test_the_pages_work_under_their_policy_and_call_nobody_else(watched: Watched, served: Service) -> None:
    run = served.found("flow_runs", flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}})[0]
    artifact = next(one for one in served.found("artifacts") if one["key"] == "projects")
    watched.open("/runs", run["name"], "Completed")
    watched.open(f"/runs/flow-run/{run['id']}", run["name"], "Task Runs")
    watched.page.locator("canvas").first.wait_for(timeout=30_000)  # the timeline is drawn by compiled functions
    watched.page.get_by_text("Artifacts").first.click()
    watched.page.get_by_text("projects made visible").first.wait_for(timeout=30_000)
    watched.open(f"/artifacts/artifact/{artifact['id']}", "Shown onboarding")
    watched.open("/deployments", "handoff")
    watched.open(f"/deployments/deployment/{served.deployment()}/run", "Carry the plan out although it is above its limits")
    watched.open("/automations", "handoff: runs whose process is gone")
    assert watched.wrong == []
    assert watched.foreign() == set()


def test_the_second_uis_call_to_an_analytics_service_is_blocked(watched: Watched) -> None:
    watched.open("/v2/", "Event Feed")
    for _ in range(60):
        if any("amplitude" in line for line in watched.wrong):
            break
        watched.page.wait_for_timeout(500)
    else:
        pytest.fail("it calls nobody any more: say so in docs/operations.md")
    assert all("Content Security Policy" in line for line in watched.wrong), watched.wrong
    assert watched.foreign() == set()
