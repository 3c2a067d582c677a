"""The mapping held against the organisation, and the organisation described."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from connectors.base import AuthError, ConfigError
from connectors.zoho import Connection, ZohoSource
from connectors.zoho.records import web_address
from engine.config import SystemMapping
from engine.mapping import Mapper, reads, writes
from engine.model import CrmKind, Read
from flows.configuration import load
from sandbox.zoho.schema import Field
from tests.conformance.source import Rig, pull
from tests.connectors.zoho_rig import DEAL, LOGIN, ZohoCrm, rig

ROOT = Path(__file__).parents[2]
OURS: Mapping[str, tuple[Field, ...]] = {
    "Accounts": (Field("Tier", "picklist", values=("VIP", "Key", "Standard")), Field("Region"), Field("Time_Zone")),
    "Deals": (
        Field("Go_Live", "date"),
        Field("Delivery_Language"),
        Field("Handoff_Project_URL", "website"),
        Field("Handoff_Progress", "percent"),
        Field("Handoff_Key"),
    ),
}


async def problems(read: Read, *, write_back: Mapping[CrmKind, Mapping[str, str]] | None = None) -> list[str]:
    _, make = rig({"deal": read})
    made = make()
    source = ZohoSource(made._connection, {"deal": read}, runtime=made._runtime, write_back=write_back or {})
    async with source:
        try:
            await source.check()
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("Ammount", "Deals has no field Ammount (did you mean Amount?"),
        ("Account_Name.Industri", "Accounts has no field Industri (did you mean Industry?"),
        ("Owner.phone", "Deals.Owner holds id, name and email, no phone"),
        ("Stage.name_of", "refers to no record"),
        ("Line_Items", "is a list"),
        ("$win", "$won, $closed, $currency"),
    ],
)
async def test_a_field_that_is_not_there_is_told(field: str, told: str) -> None:
    (problem,) = await problems(Read("Deals", ("Deal_Name", field)))
    assert told in problem


@pytest.mark.parametrize(
    "field", ["id", "Owner.email", "Account_Name.id", "Account_Name.Industry", "$won", "$closed", "$currency", "Created_By.name"]
)
async def test_a_field_that_is_there_is_no_problem(field: str) -> None:
    assert await problems(Read("Deals", ("Deal_Name", field))) == []


@pytest.mark.parametrize(
    ("child", "told"),
    [
        (Read("Contact_Roles", ("id", "Full_Nane")), "Contact_Roles has no field Full_Nane (did you mean Full_Name?"),
        (Read("Stage_History", ("Stag",)), "did you mean Stage?"),
        (Read("Line_Items", ("Prodct",)), "did you mean Product?"),
        (Read("Line_Itens", ("Product",)), "no related list or subform Line_Itens"),
    ],
)
async def test_a_list_is_looked_into(child: Read, told: str) -> None:
    (problem,) = await problems(Read("Deals", ("Deal_Name",), {"line_items": child}))
    assert told in problem


async def test_a_module_that_is_not_there_is_told() -> None:
    (problem,) = await problems(Read("Dealz", ("Deal_Name",)))
    assert "no module Dealz" in problem


@pytest.mark.parametrize(("column", "told"), [("Handoff_Stats", "did you mean Handoff_Status?"), ("Modified_Time", "cannot be written")])
async def test_what_cannot_be_written_is_told(column: str, told: str) -> None:
    (problem,) = await problems(DEAL, write_back={"deal": {"project_status": column}})
    assert told in problem


async def test_a_wrong_scope_or_profile_is_explained() -> None:
    crm, make = rig()
    crm.app.oauth.grant(["ZohoCRM.modules.ALL"])
    async with make() as source:
        with pytest.raises(AuthError, match="scopes"):
            await source.check()


async def test_without_pipelines_a_status_cannot_be_worked_out_and_that_is_said() -> None:
    crm, make = rig()
    crm.box.fault("GET /crm/v8/settings/pipeline", "error_before", status=400, times=-1)
    async with make() as source:
        (warning,) = (await source.check()).warnings
    assert "`values:`" in warning


async def test_it_describes_modules_stages_and_people() -> None:
    crm, make = rig()
    crm.world.add_user("Lee", "lee@example.com")
    crm.world.add_user("Gone", "gone@example.com", active=False)
    async with make() as source:
        found = await source.describe()
    deals = next(each for each in found.objects if each.name == "Deals")
    fields = {field.path: field for field in deals.fields}
    assert deals.kind == "deal"
    assert fields["Stage"].choices["Closed Won"] == "Closed Won"
    assert fields["Deal_Name"].required
    assert fields["Handoff_Status"].custom
    assert not fields["Created_Time"].writable
    assert {"Owner.email", "Account_Name.id", "$won", "$currency"} <= fields.keys()
    assert ("Closed Won", "won") in [(stage.name, stage.status) for stage in found.stages]
    assert "lee@example.com" in [person.email for person in found.people]
    assert "gone@example.com" not in [person.email for person in found.people]


async def test_the_mapping_that_ships_fits_an_organisation_with_its_fields(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    (tmp_path / "rules.yaml").write_text((ROOT / "rules.yaml").read_text().replace("sources: [salesforce]", "sources: [zoho]"))
    names = ("ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET", "ZOHO_REFRESH_TOKEN", "ASANA_TOKEN", "ASANA_WORKSPACE", "ASANA_TEAM")
    loaded = load(tmp_path, dict.fromkeys(names, "1"))
    assert isinstance(loaded.connections["zoho"], Connection)
    mapping = loaded.configuration.mappings["zoho"]
    crm, make = _shipped(mapping)
    account = crm.world.insert("Accounts", {"Account_Name": "Acme", "Tier": "VIP"})
    fields = {"Deal_Name": "Big", "Stage": "Closed Won", "Amount": 1200, "Account_Name": account, "Closing_Date": "2026-11-20"}
    deal = crm.world.insert("Deals", fields)
    crm.world.add_contact_role(deal, crm.world.insert("Contacts", {"Last_Name": "Lee", "Email": "lee@acme.test"}), "Decision Maker")
    crm.world.link("Deals", deal, "Products", crm.world.insert("Products", {"Product_Name": "Setup", "Unit_Price": 100}))
    async with make() as source:
        await source.check()
    mapper = Mapper(mapping)
    (found,) = [mapper.map(record) for record in (await pull(Rig(crm, make))).records]
    (customer,) = [mapper.map(record).value for record in (await pull(Rig(crm, make), kind="customer")).records]
    assert found.issues == ()
    assert (found.value.status, found.value.currency, found.value.customer_id) == ("won", "USD", account)
    assert [(each.name, each.role) for each in found.value.contacts] == [("Lee", "Decision Maker")]
    assert [each.product for each in found.value.line_items] == ["Setup"]
    assert [each.stage for each in found.value.stage_history] == ["Closed Won"]
    assert (customer.name, customer.tier, customer.owner.email) == ("Acme", "vip", "ada@handoff.test")


def _shipped(mapping: SystemMapping) -> tuple[ZohoCrm, Callable[[], ZohoSource]]:
    crm, make = rig(reads(mapping))
    for module, fields in OURS.items():
        for field in fields:
            crm.world.add_field(module, field)
    made = make()
    return crm, lambda: ZohoSource(made._connection, made._reads, runtime=made._runtime, write_back=writes(mapping))


@pytest.mark.parametrize(
    ("api", "web"),
    [
        ("https://www.zohoapis.com", "https://crm.zoho.com"),
        ("https://www.zohoapis.com.cn", "https://crm.zoho.com.cn"),
        ("https://www.zohoapis.ca", "https://crm.zohocloud.ca"),
        ("https://sandbox.zohoapis.eu", "https://crmsandbox.zoho.eu"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
    ],
)
def test_people_see_records_at_the_crm_of_their_region(api: str, web: str) -> None:
    assert web_address(api) == web


def test_secrets_do_not_show() -> None:
    shown = repr(Connection.model_validate(LOGIN))
    assert not [secret for secret in (LOGIN["client_secret"], LOGIN["refresh_token"]) if secret in shown]
