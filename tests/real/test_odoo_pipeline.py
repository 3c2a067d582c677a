"""The whole of it on one real Odoo, which is the CRM and the project tool at once: a won deal becomes a project, and its progress the deal's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from tests.real.odoo import Odoo
from tests.real.odoo_crm import Place, place
from tests.real.odoo_project import WIPE

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]

SHIPPED = Path(__file__).parents[2] / "mappings" / "odoo.yaml"
RULES = """
version: 1
sources: [odoo]
rules:
  - name: onboard
    on: [deal.won]
    when: deal.amount >= 1000
    do: [{ create: onboarding, target: projects }]
"""
PROJECTS = """
version: 1
system: odoo
connection: { url: "${ODOO_URL}", database: "${ODOO_DATABASE}", key: "${ODOO_KEY}" }
people:
  roles: { seller: "{{ deal.owner.email if deal.owner else '' }}" }
  fallback: admin@example.com
"""
ONBOARDING = """
version: 1
name: onboarding
project:
  name: "{{ deal.name }}, onboarding"
  notes: "For {{ customer.name }}, {{ deal.amount | money(deal.currency) }}"
sections:
  - slot: begin
    name: Begin
    tasks:
      - { slot: kickoff, name: "Kick-off with {{ deal.contacts[0].name }}", assignee: seller, due: event + 2 working days }
      - { slot: deliver, name: "Deliver {{ item.product }}", for: item in deal.line_items, after: [kickoff] }
"""
FIELDS = {
    "x_go_live": "date",
    "x_handoff_project_url": "char",
    "x_handoff_status": "char",
    "x_handoff_progress": "float",
    "x_handoff_key": "char",
}


@pytest.fixture(scope="module")
def crm_place(odoo: Odoo) -> Iterator[Place]:
    with place(odoo) as ready:
        ready.empty()
        ready.sql.execute(WIPE)
        ready.add_fields("crm.lead", FIELDS)
        ready.add_fields("res.partner", {"x_tier": "char", "x_region": "char"})
        yield ready
        ready.sql.execute(WIPE)


class Desk:
    """Somebody with a configuration for this server."""

    def __init__(self, folder: Path, odoo: Odoo) -> None:
        self._folder = folder
        self._env = {"ODOO_URL": odoo.url, "ODOO_DATABASE": odoo.database, "ODOO_KEY": odoo.key, "HANDOFF_STATE": str(folder / "state.db")}
        files = {
            "rules.yaml": RULES,
            "mappings/odoo.yaml": SHIPPED.read_text(encoding="utf-8"),
            "mappings/projects.yaml": PROJECTS,
            "mappings/blueprints/onboarding.yaml": ONBOARDING,
        }
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")

    def told(self, *words: str) -> Any:
        done = CliRunner().invoke(app, [*words, "--json", "-C", str(self._folder)], env=self._env)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


def _sold(crm_place: Place, name: str, amount: float) -> int:
    """A deal with a company, a person, and two ordered things."""
    (company,) = crm_place.call("res.partner", "create", vals_list=[{"name": f"{name} Ltd", "is_company": True}])
    crm_place.call("res.partner", "create", vals_list=[{"name": "Ada", "parent_id": company, "email": "ada@example.com"}])
    deal = {"name": name, "type": "opportunity", "partner_id": company, "user_id": 2, "expected_revenue": amount}
    (row,) = crm_place.call("crm.lead", "create", vals_list=[deal])
    products = crm_place.call("product.product", "create", vals_list=[{"name": "Set-up"}, {"name": "Training"}])
    lines = [[0, 0, {"product_id": product, "product_uom_qty": 1}] for product in products]
    order = {"partner_id": company, "opportunity_id": row, "order_line": lines}
    crm_place.call("sale.order", "action_confirm", ids=crm_place.call("sale.order", "create", vals_list=[order]))
    return int(row)


def test_a_won_deal_becomes_one_project_and_its_progress_comes_back(crm_place: Place, tmp_path: Path) -> None:
    desk = Desk(tmp_path, crm_place.odoo)
    large, small = _sold(crm_place, "Größe", 5000), _sold(crm_place, "Small", 10)
    desk.told("check")
    first = desk.told("sync")
    assert (first["baseline"]["deal"], first["plan"]["actions"]) == (2, [])
    crm_place.call("crm.lead", "action_set_won", ids=[large, small])
    assert desk.told("sync")["counts"]["published"] == 1
    project, *others = crm_place.call("project.project", "search_read", domain=[], fields=["name", "description"])
    assert (project["name"], others) == ("Größe, onboarding", [])
    assert "Größe Ltd" in project["description"]
    tasks = crm_place.call("project.task", "search_read", domain=[], fields=["name", "user_ids", "depend_on_ids"], order="name")
    assert [task["name"] for task in tasks] == ["Deliver Set-up", "Deliver Training", "Kick-off with Ada"]
    assert [task["depend_on_ids"] for task in tasks] == [[tasks[2]["id"]], [tasks[2]["id"]], []]
    assert tasks[2]["user_ids"] == [2]
    assert desk.told("sync")["plan"]["actions"] == []
    crm_place.call("project.task", "write", ids=[tasks[2]["id"]], vals={"state": "1_done"})
    desk.told("sync")
    told, untold = crm_place.call("crm.lead", "read", ids=[large, small], fields=[*FIELDS])
    assert f"/project/{project['id']}/" in told["x_handoff_project_url"]
    assert told["x_handoff_progress"] == pytest.approx(100 / 3, abs=1)
    assert f"deal:{large}" in told["x_handoff_key"]
    assert not untold["x_handoff_project_url"]
    assert desk.told("sync")["plan"]["actions"] == []
    assert crm_place.call("project.project", "search_count", domain=[]) == 1
