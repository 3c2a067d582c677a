"""Pictures of what people see, for the docs: `python -m tests.screenshots FOLDER`. A service stands up against the stand-ins, a day happens, and
a real Chromium looks at the Prefect UI and at the hub."""

from __future__ import annotations

import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from connectors.base import utc_now
from engine.model import Hint
from sandbox.loopback import answers, free_port
from state.hub import open_hub
from state.inbox import Arrivals, Inbox
from tests import browser
from tests.flows.desk import Desk, desk, local, wait_for
from tests.flows.files import RULES
from tests.served import Prefect, Service

DEALS = ("Nordwind Logistik: Ausbau 2027", "Meridian Health: rollout", "苏州精密: 产线升级项目", "Kirkwall Ferries: fleet tracking")
LARGE = "Brightwater Energy: grid platform, 5 sites"


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if not browser.program():
        sys.exit("no Chromium here: apt install chromium (and fonts-noto-cjk)")
    with tempfile.TemporaryDirectory(prefix="handoff-screenshots-") as place, desk(Path(place)) as at:
        prefect, hub = _served(at)
        token = at.told("access", "add", "ana", "--role", "approver")["token"]
        _a_day(at, prefect)
        with browser.page(Path(place) / "profile", viewport={"width": 1360, "height": 900}) as page:
            _prefect(page, prefect, folder)
            _hub(page, hub, token, folder)


def _a_day(at: Desk, prefect: Prefect) -> None:
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


def _prefect(page: Any, prefect: Prefect, folder: Path) -> None:
    run, base = _done(prefect)[0], prefect.url
    page.goto(f"{base}/runs/flow-run/{run['id']}")
    page.locator("canvas").first.wait_for(timeout=30_000)
    page.get_by_text("Artifacts").first.click()
    page.get_by_text("projects made visible").first.wait_for(timeout=30_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / "prefect-run.png")
    plan = next(one for one in prefect.found("artifacts") if one["key"] == "plan" and one["flow_run_id"] == run["id"])
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


def _done(prefect: Prefect) -> list[dict[str, Any]]:
    """The run that made the projects, once Prefect has heard of all of it."""
    runs = prefect.found("flow_runs", flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}})
    told = {one["flow_run_id"] for one in prefect.found("artifacts") if one["key"] == "projects"}
    return [run for run in runs if run["id"] in told]


def _served(at: Desk) -> tuple[Prefect, str]:
    """A service that is up, with nothing won yet: its Prefect server and the address of its hub."""
    mapping = local({})["mappings/salesforce.yaml"] + "\npush: {organization: 00D000000000001AAA}\n"
    large = RULES.replace(
        "rules:\n", "rules:\n  - name: large-orders\n    on: [deal.won]\n    when: deal.amount >= 250000\n    approval: true\n", 1
    )
    large = large.replace("    approval: true\n", "    approval: true\n    do:\n      - {create: onboarding, target: asana}\n", 1)
    at.world.configure(local({"mappings/salesforce.yaml": mapping, "rules.yaml": large}))
    for number, name in enumerate((*DEALS, LARGE)):
        at.world.deal(name, Amount=480_000 if name == LARGE else 24_000 + 3_000 * number)
    assert at.do("sync").exit_code == 0
    service, port = Service(at), free_port()
    hub = at.env["HANDOFF_HUB_URL"] = f"http://127.0.0.1:{port}"
    service.start("--hub-port", str(port))
    wait_for(lambda: answers(f"{hub}/healthz"), 60)
    return service, hub


if __name__ == "__main__":
    main()
