"""Pictures of what people see, for the docs: `python -m tests.screenshots FOLDER`. A service stands up against the stand-ins, a day happens, and
a real Chromium looks at the Prefect UI and at the hub."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from connectors.base import utc_now
from engine.model import Hint
from sandbox.loopback import answers, free_port
from state.hub import open_hub
from state.inbox import Arrivals, Inbox
from tests.flows.desk import Desk, desk, local, wait_for
from tests.flows.files import RULES

DEALS = ("Nordwind Logistik: Ausbau 2027", "Meridian Health: rollout", "苏州精密: 产线升级项目", "Kirkwall Ferries: fleet tracking")
LARGE = "Brightwater Energy: grid platform, 5 sites"
QUIET = (
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "no-sandbox",
)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium")
    if program is None:
        sys.exit("no Chromium here: apt install chromium (and fonts-noto-cjk)")
    with tempfile.TemporaryDirectory(prefix="handoff-screenshots-") as place, desk(Path(place)) as at, _served(at) as (prefect, hub):
        token = at.told("access", "add", "ana", "--role", "approver")["token"]
        _a_day(at, prefect)
        with _browser(program, Path(place)) as page:
            _prefect(page, prefect, folder)
            _hub(page, hub, token, folder)


def _a_day(at: Desk, prefect: str) -> None:
    """Deals are won, a push tells of them, and the large one waits for a person."""
    deals = [row["Id"] for row in at.world.org.rows("Opportunity")]
    for deal in deals:
        at.world.win(deal)
    arrived = Arrivals()
    arrived.add("salesforce", [Hint("deal", deal) for deal in deals], events=len(deals))
    with closing(open_hub(at.state, now=utc_now())) as db:
        Inbox(db).store(arrived, utc_now())
    wait_for(lambda: len(at.world.shown()) == len(DEALS), 120)
    wait_for(lambda: bool(_done(prefect)), 60)
    wait_for(lambda: bool(at.told("approvals")), 60)


def _prefect(page: Any, base: str, folder: Path) -> None:
    run = _done(base)[0]
    page.goto(f"{base}/runs/flow-run/{run['id']}")
    page.locator("canvas").first.wait_for(timeout=30_000)
    page.get_by_text("Artifacts").first.click()
    page.get_by_text("projects made visible").first.wait_for(timeout=30_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / "prefect-run.png")
    plan = next(one for one in _found(base, "artifacts") if one["key"] == "plan" and one["flow_run_id"] == run["id"])
    page.goto(f"{base}/artifacts/artifact/{plan['id']}")
    page.get_by_text(DEALS[1]).first.wait_for(timeout=30_000)
    page.screenshot(path=folder / "prefect-plan.png")
    page.goto(f"{base}/deployments")
    page.get_by_text("reconcile").first.wait_for(timeout=30_000)
    page.wait_for_timeout(1000)
    page.screenshot(path=folder / "prefect-deployments.png")


def _hub(page: Any, base: str, token: str, folder: Path) -> None:
    page.goto(f"{base}/")
    page.locator("input[name=token]").fill(token)
    page.get_by_role("button").first.click()
    page.wait_for_url(f"{base}/")
    page.screenshot(path=folder / "hub-overview.png")
    page.goto(f"{base}/approvals")
    page.screenshot(path=folder / "hub-approvals.png")
    page.get_by_text(LARGE).first.click()
    page.get_by_role("button", name="Approve").first.wait_for(timeout=30_000)
    page.screenshot(path=folder / "hub-approval.png")
    page.goto(f"{base}/pushes")
    page.screenshot(path=folder / "hub-pushes.png")


def _found(base: str, what: str, **wanted: Any) -> list[dict[str, Any]]:
    return list(httpx.post(f"{base}/api/{what}/filter", json=wanted, timeout=20).json())


def _done(base: str) -> list[dict[str, Any]]:
    """The run that made the projects, once Prefect has heard of all of it."""
    runs = _found(base, "flow_runs", flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}})
    told = {one["flow_run_id"] for one in _found(base, "artifacts") if one["key"] == "projects"}
    return [run for run in runs if run["id"] in told]


@contextmanager
def _served(at: Desk) -> Iterator[tuple[str, str]]:
    """A service that is up, with nothing won yet: the addresses of the Prefect UI and of the hub."""
    mapping = local({})["mappings/salesforce.yaml"] + "\npush: {organization: 00D000000000001AAA}\n"
    large = RULES.replace(
        "rules:\n", "rules:\n  - name: large-orders\n    on: [deal.won]\n    when: deal.amount >= 250000\n    approval: true\n", 1
    )
    large = large.replace("    approval: true\n", "    approval: true\n    do:\n      - {create: onboarding, target: asana}\n", 1)
    at.world.configure(local({"mappings/salesforce.yaml": mapping, "rules.yaml": large}))
    for number, name in enumerate((*DEALS, LARGE)):
        at.world.deal(name, Amount=480_000 if name == LARGE else 24_000 + 3_000 * number)
    assert at.do("sync").exit_code == 0
    ports = free_port(), free_port()
    urls = f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    words = ["--port", str(ports[0]), "--hub-port", str(ports[1]), "--every", "60"]
    at.env["HANDOFF_HUB_URL"] = urls[1]
    at.start("serve", *words, PREFECT_HOME=str(at.path / "prefect"))
    wait_for(lambda: answers(f"{urls[1]}/healthz") and answers(f"{urls[0]}/api/health") and len(_found(urls[0], "deployments")) > 4, 180)
    yield urls


@contextmanager
def _browser(program: str, place: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        args = [f"--{word}" for word in QUIET]
        context = started.chromium.launch_persistent_context(
            str(place / "profile"), executable_path=program, headless=True, args=args, viewport={"width": 1360, "height": 900}
        )
        yield context.new_page()
        context.close()


if __name__ == "__main__":
    main()
