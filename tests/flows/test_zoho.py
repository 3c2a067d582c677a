"""From Zoho CRM to a project and back, through the whole pipeline: once, in step, and whatever happens in between."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.web import Sandbox
from sandbox.zoho import Zoho
from sandbox.zoho.schema import Field
from tests.flows.files import RULES
from tests.flows.world import Crash, Death, World

HOST = "http://zoho.test"
MAPPING = """
version: 1
system: zoho
connection:
  accounts_url: http://zoho.test
  api_url: http://zoho.test
  client_id: 1000.HANDOFFCLIENT
  client_secret: handoff-secret
  refresh_token: 1000.handoff.refresh
  token_file: "${ZOHO_TOKEN_FILE}"
  edition: enterprise
read:
  customer:
    object: Accounts
    fields: {name: Account_Name, description: Description}
  deal:
    object: Deals
    fields:
      name: Deal_Name
      stage: Stage
      status: {won: $won, closed: $closed}
      amount: Amount
      currency: $currency
      close_date: Closing_Date
      next_step: Next_Step
      owner.email: Owner.email
      customer_id: Account_Name.id
    children:
      line_items:
        object: Line_Items
        fields: {id: id, description: Product}
      stage_history:
        object: Stage_History
        fields: {stage: Stage, at: Modified_Time}
write_back:
  deal:
    project_url: Handoff_Project_URL
    project_status: Handoff_Status
    progress: Handoff_Progress
    project_key: Handoff_Key
"""
BACK = (Field("Handoff_Project_URL"), Field("Handoff_Status"), Field("Handoff_Progress", "percent"), Field("Handoff_Key"))


class ZohoWorld(World):
    def __init__(self, path: Path) -> None:
        rules = RULES.replace("sources: [salesforce]", "sources: [zoho]").split("  - name: vip")[0]
        super().__init__(path, files={"rules.yaml": rules, "mappings/zoho.yaml": MAPPING})
        self.zoho = Zoho(self.clock)
        for field in BACK:
            self.zoho.world.add_field("Deals", field)
        self.zoho.world.add_subform("Deals", "Line_Items", [Field("Product")])
        self.hosts |= {HOST: Sandbox(self.zoho, sleep=self.clock.sleep)}
        self.env |= {"ZOHO_TOKEN_FILE": str(path / "zoho.token")}
        self.customer = self.zoho.world.insert("Accounts", {"Account_Name": "Acme"})

    def add(self, name: str) -> str:
        fields = {"Deal_Name": name, "Stage": "Qualification", "Amount": 5000, "Closing_Date": "2026-03-02", "Account_Name": self.customer}
        return self.zoho.world.insert("Deals", {**fields, "Line_Items": [{"Product": "Training"}]})

    def edit(self, deal: str, **fields: object) -> None:
        self.zoho.world.update("Deals", deal, fields)

    def held(self, deal: str, name: str) -> object:
        return self.zoho.world.get("Deals", deal).get(name)


async def test_a_won_deal_becomes_one_project_and_its_progress_comes_back(tmp_path: Path) -> None:
    world = ZohoWorld(tmp_path)
    deal = world.add("Big deal")
    await world.sync()
    world.edit(deal, Stage="Closed Won")
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]
    assert world.tasks()["Deliver Training"] == 1
    assert world.held(deal, "Handoff_Key") == f"zoho:deal:{deal}/onboarding"
    assert str(world.held(deal, "Handoff_Project_URL")).startswith("http")
    world.board.complete_task(world.task("Scope")["gid"], world.person)
    await world.quiet()
    assert world.held(deal, "Handoff_Progress")
    world.edit(deal, Amount=7000)
    await world.quiet()
    assert world.comments("Kick off Big deal") == ["Now worth 7000"]
    assert len(world.projects()) == 1
    assert world.zoho.calls["token"] <= 5, "one an hour at most, however many runs"


async def test_what_it_writes_back_is_no_change(tmp_path: Path) -> None:
    world = ZohoWorld(tmp_path)
    deal = world.add("Big deal")
    await world.sync()
    world.edit(deal, Stage="Closed Won")
    await world.quiet()
    before = world.zoho.calls["update"]
    for _ in range(3):
        assert (await world.sync()).result == "nothing to do"
    assert world.zoho.calls["update"] == before


async def test_a_day_of_quiet_runs_costs_few_credits(tmp_path: Path) -> None:
    world = ZohoWorld(tmp_path)
    for number in range(30):
        world.add(f"Deal {number}")
    await world.sync()
    await world.sync(minutes=60)
    left = world.zoho.limits.left
    for _ in range(10):
        await world.sync()
    assert left - world.zoho.limits.left == 10 * 2 * 3


@pytest.mark.parametrize("first", [1, 8, 15])
async def test_wherever_a_run_dies_the_next_makes_it_good(tmp_path: Path, first: int) -> None:
    """Each seventh step of the run that makes the project is once the last."""
    at, died = first, True
    while died:
        world = ZohoWorld(tmp_path / str(at))
        deal = world.add("Big deal")
        await world.sync()
        world.edit(deal, Stage="Closed Won")
        world.death = Death(at)
        with suppress(Crash):
            await world.sync()
        died, world.death = world.death.dead, Death()
        await world.quiet()
        assert world.shown() == ["Big deal onboarding"], at
        assert world.held(deal, "Handoff_Key") == f"zoho:deal:{deal}/onboarding", at
        at += 21
