"""The whole way: a deal won in a CRM becomes one project in a real Odoo, whatever is lost and whenever the process dies."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Runtime
from sandbox.web import InProcess
from tests.flows.files import RULES
from tests.flows.world import MANAGER, Crash, Death, Wire, World
from tests.real.odoo import Odoo
from tests.real.odoo_project import OdooTool, prepare
from tests.real.wire import Beside

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]

MAPPING = """
version: 1
system: odoo
connection: {url: "${ODOO_URL}", key: "${ODOO_KEY}", database: odoo, start_field: x_start, zone: Europe/Berlin}
people:
  roles: {manager: mia.manager@example.com}
fields:
  value: {custom_field: x_value}
"""


class OdooWorld(World):
    def __init__(self, path: Path, odoo: Odoo) -> None:
        files = {"rules.yaml": RULES.replace("target: asana", "target: odoo"), "mappings/odoo.yaml": MAPPING}
        super().__init__(path, files=files)
        self.real = OdooTool(odoo)
        self.env |= {"ODOO_URL": odoo.url, "ODOO_KEY": odoo.key}

    def runtime(self) -> Runtime:
        road = Wire(Beside(InProcess(self.hosts), self.real.wire), self.death, self.hook)
        return replace(super().runtime(), transport=road, random=random.Random(7))

    def rows(self, model: str, *fields: str) -> list[dict[str, Any]]:
        context = {"active_test": False}
        return list(self.real.call(model, "search_read", domain=[], fields=list(fields), order="id", load="", context=context))

    async def won(self) -> str:
        """A deal was won, and no run has seen it yet."""
        deal = self.deal(AccountId=self.account())
        self.line(deal, "one")
        await self.sync()
        self.clock.move(minutes=1)
        self.win(deal)
        return deal

    def picture(self) -> dict[str, Any]:
        """All that must come out alike, whatever happened on the way."""
        deal = next(iter(self.org.rows("Opportunity")))
        tasks = self.rows(
            "project.task", "name", "active", "parent_id", "depend_on_ids", "state", "date_deadline", "x_start", "milestone_id"
        )
        names = {task["id"]: task["name"] for task in tasks}
        return {
            "projects": [
                {name: value for name, value in row.items() if name != "id"}
                for row in self.rows("project.project", "name", "active", "privacy_visibility", "date_start", "date", "x_value")
            ],
            "tasks": {
                task["name"]: (
                    *(task["active"], task["state"], task["date_deadline"], task["x_start"], bool(task["milestone_id"])),
                    *(names.get(task["parent_id"]), sorted(names[other] for other in task["depend_on_ids"])),
                )
                for task in tasks
            },
            "count": len(tasks),
            "stages": [row["name"] for row in self.rows("project.task.type", "name", "user_id") if not row["user_id"]],
            "milestones": [row["name"] for row in self.rows("project.milestone", "name")],
            "told": (deal["Handoff_Status__c"], deal["Handoff_Progress__c"], deal["Handoff_Key__c"]),
            "left": self.outbox(),
        }


@pytest.fixture
def place(odoo: Odoo) -> Odoo:
    prepare(odoo)
    tool = OdooTool(odoo)
    if not tool.call("res.users", "search_count", domain=[["login", "=", MANAGER]]):
        tool.call("res.users", "create", vals_list=[{"name": "Mia", "login": MANAGER}])
    return odoo


async def undisturbed(path: Path, odoo: Odoo) -> tuple[OdooWorld, list[str]]:
    world = OdooWorld(path, odoo)
    await world.won()
    world.death = Death()
    await world.sync()
    steps = list(world.death.steps)
    await world.quiet()
    return world, steps


async def test_a_deal_that_is_won_is_a_project_and_its_progress_comes_back(place: Odoo, tmp_path: Path) -> None:
    world, _ = await undisturbed(tmp_path, place)
    picture = world.picture()
    (project,) = picture["projects"]
    assert (project["name"], project["active"], project["x_value"]) == ("Big deal onboarding", True, 5000.0)
    assert set(picture["tasks"]) == {"Kick off Big deal", "Agenda", "Scope", "Deliver one", "Done"}
    assert picture["tasks"]["Scope"][1] == "04_waiting_normal"
    assert picture["tasks"]["Agenda"][5] == "Kick off Big deal"
    assert picture["tasks"]["Deliver one"][6] == ["Scope"]
    assert (picture["stages"], picture["milestones"]) == (["Begin", "Deliver"], ["Done"])
    deal = next(iter(world.org.rows("Opportunity")))
    assert deal["Handoff_Project_URL__c"].startswith(f"{place.url}/odoo/project/")
    assert picture["told"][1] == 0

    kickoff = next(row["id"] for row in world.rows("project.task", "name") if row["name"] == "Kick off Big deal")
    world.real.finish(str(kickoff))
    world.real.edit("task", str(kickoff), "name", "Meet them")
    world.change(deal["Id"], Name="Bigger deal", Amount=9000)
    await world.quiet()
    after = world.picture()
    assert after["projects"][0]["name"] == "Bigger deal onboarding"
    assert after["projects"][0]["x_value"] == 9000.0
    assert "Meet them" in after["tasks"]
    assert after["tasks"]["Scope"][1] == "01_in_progress"
    assert after["told"][1] == 25  # one of the four that are not under another
    assert world.real.count("comment") == 1


async def test_whatever_is_lost_and_wherever_a_run_dies_the_next_ones_make_it_good(place: Odoo, tmp_path: Path) -> None:
    calm, steps = await undisturbed(tmp_path / "calm", place)
    expected = calm.picture()

    lossy = OdooWorld(tmp_path / "lossy", place)
    await lossy.won()
    for kind in ("project", "section", "task", "dependency"):
        lossy.real.trouble("lost", kind)
    await lossy.quiet(most=20)
    assert lossy.picture() == expected

    writes = [at for at, step in enumerate(steps, 1) if step.endswith(("/load", "/write"))]
    for at in (writes[1], writes[-1]):
        world = OdooWorld(tmp_path / str(at), place)
        await world.won()
        world.death = Death(at)
        with pytest.raises(Crash):
            await world.sync()
        world.death = Death()
        await world.quiet(most=20)
        assert world.picture() == expected, steps[at - 1]
