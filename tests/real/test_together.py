"""What real systems push, describe and withhold: webhooks that come twice, our own writes come back, fields that vanish, a CRM that is down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.flows.desk import desk as stand_ins
from tests.real.hands import OdooCrm, Tool
from tests.real.kanboard import Kanboard
from tests.real.play import Desk, configure, count, is_quiet, mapping
from tests.real.sink import Sink, sink

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("plays"), pytest.mark.timeout(1500)]


@pytest.fixture
def pushed() -> Iterator[Sink]:
    with sink() as ready:
        yield ready


def test_a_webhook_that_comes_twice_makes_one_project(desk: Desk, odoo_crm: OdooCrm, tools: dict[str, Tool], pushed: Sink) -> None:
    configure(desk, odoo_crm, tools)
    desk.rest()
    rule = odoo_crm.push(pushed.url)
    try:
        (deal,) = odoo_crm.deals(["Pushed twice"], odoo_crm.customer("Pushed Ltd"))
        assert pushed.wait_for(2)
        assert pushed.came[0] == pushed.came[1]  # Odoo tells of one creation twice
        odoo_crm.win([deal])
        assert pushed.wait_for(3)
    finally:
        odoo_crm.call("base.automation", "unlink", ids=[rule])
    before = count(tools)
    for body in pushed.came:  # a hint each; the record is read again
        desk.told("sync", "--only", f"odoo:deal:{body['id']}")
    desk.rest()
    assert count(tools) == {name: number + 1 for name, number in before.items()}
    is_quiet(desk, odoo_crm, tools)


def test_our_own_writes_come_back_and_change_nothing(
    desk: Desk,
    odoo_crm: OdooCrm,
    tools: dict[str, Tool],
    own_kanboard: Kanboard,
    pushed: Sink,
) -> None:
    configure(desk, odoo_crm, tools)
    (deal,) = odoo_crm.deals(["Echo"], odoo_crm.customer("Echo Ltd"))
    desk.rest()
    odoo_crm.win([deal])
    own_kanboard.push(pushed.url)
    rule = odoo_crm.push(pushed.url)
    try:
        desk.rest()
        assert {body["event_name"] for body in pushed.came if "event_name" in body} >= {"task.create"}
        echoes = [body for body in pushed.came if body.get("_model") == "crm.lead"]
        assert echoes  # what was written back moves the deal's own stamp
        assert desk.told("sync", "--only", f"odoo:deal:{echoes[-1]['id']}")["result"] == "nothing to do"
        is_quiet(desk, odoo_crm, tools)
    finally:
        odoo_crm.call("base.automation", "unlink", ids=[rule])
        own_kanboard.push("")


def test_discover_tells_what_is_there_and_check_what_has_gone(desk: Desk, odoo_crm: OdooCrm, tools: dict[str, Tool]) -> None:
    configure(desk, odoo_crm, tools)
    odoo_crm.add_fields("crm.lead", {"x_trial": "char"})
    shipped = yaml.safe_load(mapping("odoo"))
    shipped["read"]["deal"]["custom"]["trial"] = "x_trial"
    desk.write({"mappings/odoo.yaml": yaml.safe_dump(shipped, allow_unicode=True, sort_keys=False)})
    for system in ("odoo", *(tool.system for tool in tools.values())):
        assert desk.code("discover", system, as_json=False) == 0, desk.said
        assert yaml.safe_load((desk.folder / "mappings" / f"{system}.discovered.yaml").read_text(encoding="utf-8"))["system"] == system
    found = (desk.folder / "mappings" / "odoo.discovered.yaml").read_text(encoding="utf-8")
    assert "trial: x_trial" in found
    assert "Qualified" in found  # one of the stages a new database has
    assert desk.code("check", as_json=False) == 0

    (field,) = odoo_crm.call("ir.model.fields", "search", domain=[["model", "=", "crm.lead"], ["name", "=", "x_trial"]])
    odoo_crm.call("ir.model.fields", "unlink", ids=[field])
    assert desk.code("check", as_json=False) == 2
    (line,) = [number for number, text in enumerate((desk.folder / "mappings/odoo.yaml").read_text().splitlines(), 1) if "x_trial" in text]
    assert f"mappings/odoo.yaml:{line}:" in desk.said
    assert "x_trial" in desk.said


def test_two_crms_in_one_configuration_and_one_of_them_down(tmp_path: Path, odoo_crm: OdooCrm) -> None:
    with stand_ins(tmp_path) as ready:
        ready.env |= dict(odoo_crm.env)
        rules = (ready.folder / "rules.yaml").read_text(encoding="utf-8")
        (ready.folder / "rules.yaml").write_text(rules.replace("sources: [salesforce]", "sources: [salesforce, odoo]"), encoding="utf-8")
        odoo = yaml.safe_load(mapping("odoo"))
        odoo["read"]["deal"]["custom"], odoo["read"]["customer"]["custom"] = {}, {}
        (ready.folder / "mappings" / "odoo.yaml").write_text(yaml.safe_dump(odoo), encoding="utf-8")
        ours = ready.world.deal("Sold in Salesforce")
        (theirs, later) = odoo_crm.deals(["Sold in Odoo", "Sold later"], odoo_crm.customer("Both Ltd"))
        assert ready.told("sync")["result"] == "done"  # both histories

        ready.world.win(ours)
        odoo_crm.win([theirs])
        ready.told("sync")
        shown = {ready.world.board.projects[gid]["name"] for gid in ready.world.projects()}
        assert shown == {"Sold in Salesforce onboarding", "Sold in Odoo onboarding"}
        assert odoo_crm.told()[theirs].url

        odoo_crm.win([later])
        again = ready.world.deal("Sold meanwhile", stage="Closed Won")
        code, out, err = ready.run("sync", "--json", ODOO_URL="http://127.0.0.1:9")
        assert code != 0, (out, err)
        assert "odoo" in out
        shown = {ready.world.board.projects[gid]["name"] for gid in ready.world.projects()}
        assert "Sold meanwhile onboarding" in shown
        assert "Sold later onboarding" not in shown
        ready.told("sync")
        shown = {ready.world.board.projects[gid]["name"] for gid in ready.world.projects()}
        assert {"Sold later onboarding", "Sold meanwhile onboarding"} <= shown
        assert len(shown) == len(ready.world.projects()) == 4
        assert ready.world.org.tables["Opportunity"].rows[again]["Handoff_Project_URL__c"]
