"""Loading CRM exports into the Salesforce stand-in."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sandbox.salesforce import Loaded, load_csv
from tests.sandbox.salesforce_rig import Rig

SHARED = Path(__file__).parents[3] / "shared" / "data" / "sparklesquad-crm"
FILES = {
    "accounts.csv": "account,revenue,employees,note\nAcme,4592.96,13938.0,new\n",
    "products.csv": "product,sales_price\nBasic,550.0\n",
    "sales_teams.csv": "sales_agent,manager,regional_office\nDonn Cantrell,Rocco Neubert,Central\n",
    "sales_pipeline.csv": (
        "account,opportunity_id,sales_agent,deal_stage,product,close_date,close_value,created_on\n"
        "Acme,A1,Donn Cantrell,Won,Basic,2017-05-06,500.0,2017-04-24\n"
        ",A2,Donn Cantrell,In_Progress,Basic,,,2017-06-15\n"
        "Nemo,A3,Eve Stranger,Lost,Deluxe,2017-08-03,0.0,2017-05-19\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


async def test_nothing_is_dropped_and_nothing_is_made_up(folder: Path) -> None:
    rig = Rig()
    assert load_csv(rig.sf, folder) == Loaded(accounts=2, products=2, users=3, deals=3, line_items=3, unlisted=3)
    won, open_, lost = rig.org.rows("Opportunity")
    assert (won["Opportunity_ID__c"], won["IsWon"], won["Amount"]) == ("A1", True, 500.0)
    assert (open_.get("AccountId"), open_["IsClosed"], open_["Amount"], open_["CloseDate"]) == (
        None,
        False,
        None,
        None,
    )
    assert (lost["StageName"], lost["IsClosed"], lost["IsWon"], lost["Amount"]) == ("Lost", True, False, 0.0)
    assert (won["CreatedDate"], won["SystemModstamp"]) == ("2017-04-24T00:00:00.000+0000", "2017-05-06T00:00:00.000+0000")
    assert open_["SystemModstamp"] == "2017-06-15T00:00:00.000+0000"


async def test_owners_accounts_and_products_hang_together(folder: Path) -> None:
    rig = Rig()
    load_csv(rig.sf, folder)
    lines = "(SELECT Name, UnitPrice FROM OpportunityLineItems)"
    soql = "SELECT Account.Name, Owner.Name, Owner.Manager.Name, Owner.Department, " + lines + " FROM Opportunity ORDER BY CreatedDate"  # noqa: S608
    won, lost, open_ = (await rig.query(soql))["records"]
    assert (won["Account"]["Name"], won["Owner"]["Name"], won["Owner"]["Manager"]["Name"]) == ("Acme", "Donn Cantrell", "Rocco Neubert")
    assert (won["Owner"]["Department"], won["OpportunityLineItems"]["records"][0]["UnitPrice"]) == ("Central", 500.0)
    assert (lost["Account"]["Name"], lost["OpportunityLineItems"]["records"][0]["Name"]) == ("Nemo", "Deluxe")
    assert (open_["Account"], open_["OpportunityLineItems"]["records"][0]["UnitPrice"]) == (None, 550.0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the CRM export lies beside the checkout and is not here")
def test_the_whole_export_loads() -> None:
    rig = Rig()
    loaded = load_csv(rig.sf, SHARED)
    with (SHARED / "sales_pipeline.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert loaded.deals == len(lines) == len({row["Opportunity_ID__c"] for row in rig.org.rows("Opportunity")})
    without = sum(row.get("AccountId") is None for row in rig.org.rows("Opportunity"))
    assert without == sum(not line["account"] for line in lines)
    won = sum(row["IsWon"] for row in rig.org.rows("Opportunity"))
    assert won == sum(line["deal_stage"] == "Won" for line in lines)
