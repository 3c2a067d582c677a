"""What Odoo does that a source must be ready for, on a real server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import AuthError, ConfigError, Gone, Rejected
from engine.config import SystemMapping
from engine.mapping import Mapper, reads, writes
from engine.model import CrmKind, Deal, Read, WriteBack
from engine.yaml import parse
from tests.conformance.source import Rig, Seen, pull, settled, some
from tests.real.odoo import Odoo
from tests.real.odoo_crm import OdooCrm, Place, place, rig

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]

BARE: dict[CrmKind, Read] = {"deal": Read("crm.lead", ("name", "won_status"))}
SHIPPED = Path(__file__).parents[2] / "mappings" / "odoo.yaml"
CUSTOM = {
    "crm.lead": {"x_go_live": "date", "x_handoff_project_url": "char", "x_handoff_progress": "float", "x_handoff_key": "char"},
    "res.partner": {"x_tier": "char", "x_region": "char"},
}


@pytest.fixture(scope="module")
def crm_place(odoo: Odoo) -> Iterator[Place]:
    with place(odoo) as ready:
        yield ready


def bare(crm_place: Place, fields: Mapping[CrmKind, Read] = BARE, **settings: Any) -> tuple[OdooCrm, Rig]:
    crm, source = rig(crm_place, fields, **settings)
    return crm, Rig(crm, source)


def statuses(seen: Seen) -> list[str]:
    return [record.fields["won_status"] for record in seen.records]


# Won, lost, reopened


async def test_a_lost_deal_is_seen_though_odoo_hides_it_and_comes_back_reopened(crm_place: Place) -> None:
    crm, odoo = bare(crm_place)
    (row,) = crm.add(["Größe 京都 🏯"])
    seen = await pull(odoo)
    found = list[list[str]]()
    for action in ("action_set_lost", "action_restore", "action_set_won"):
        crm.clock.move(seconds=20)
        crm_place.call("crm.lead", action, ids=[int(row)])
        seen = await pull(odoo, seen)
        found.append(statuses(seen))
    assert found == [["lost"], ["pending"], ["won"]]
    assert seen.records[0].fields["name"] == "Größe 京都 🏯"


async def test_the_winning_stage_wins_and_another_one_opens_again(crm_place: Place) -> None:
    crm, odoo = bare(crm_place)
    (row,) = crm.add(["deal"])
    (won,) = crm_place.call("crm.stage", "search", domain=[["is_won", "=", True]])
    (first, *_) = crm_place.call("crm.stage", "search", domain=[["is_won", "=", False]], order="sequence")
    seen = await pull(odoo)
    for stage, status in ((won, "won"), (first, "pending")):
        crm.clock.move(seconds=20)
        crm.write(row, stage_id=stage)
        seen = await pull(odoo, seen)
        assert statuses(seen) == [status]


async def test_leads_are_no_deals_until_they_are_qualified(crm_place: Place) -> None:
    _, odoo = bare(crm_place)
    (lead,) = crm_place.call("crm.lead", "create", vals_list=[{"name": "lead", "type": "lead"}])
    seen = await pull(odoo)
    assert seen.records == []
    crm_place.call("crm.lead", "convert_opportunity", ids=[lead], partner=False)
    assert list((await pull(odoo, seen)).ids) == [str(lead)]


# Stamps


async def test_rows_of_one_second_come_whatever_the_order_of_what_odoo_does_not_show(crm_place: Place) -> None:
    """Within the second the youngest row has the smallest id: in the order of stamps a page would end with it, and lose the others."""
    crm, odoo = bare(crm_place)
    rows = crm.add(some(3 * crm.page + 1))
    seen = await settled(odoo)
    now = crm.clock.now.strftime("%Y-%m-%d %H:%M:%S")
    for at, row in enumerate(rows):
        crm_place.sql.execute("UPDATE crm_lead SET write_date = %s WHERE id = %s", (f"{now}.{999 - at:03d}", row))
    assert set((await pull(odoo, seen)).ids) == set(rows)


async def test_a_stamp_from_the_future_hides_nothing_that_comes_before_it(crm_place: Place) -> None:
    crm, odoo = bare(crm_place)
    row, ahead = crm.add(some(2))
    crm_place.sql.execute("UPDATE crm_lead SET write_date = '2031-01-01' WHERE id = %s", (ahead,))
    seen = await settled(odoo)
    assert seen.records == []
    crm.rename(row, "today")
    assert list((await pull(odoo, seen)).ids) == [row]


# Gone and merged


async def test_what_is_deleted_during_the_first_read_is_flagged_after_it(crm_place: Place) -> None:
    crm, odoo = bare(crm_place)
    rows = crm.add(some(2 * crm.page))
    seen = await pull(odoo, pages=1)
    crm.delete(rows[0])
    assert {record.id for record in (await pull(odoo, seen)).records if record.deleted} == {rows[0]}


async def test_deletions_are_looked_for_no_more_often_than_wished(crm_place: Place) -> None:
    crm, odoo = bare(crm_place, sweep_minutes=10)
    row, _ = crm.add(some(2))
    seen = await pull(odoo)
    crm.delete(row)
    crm.clock.move(minutes=5)
    seen = await pull(odoo, seen)
    assert seen.records == []
    crm.clock.move(minutes=6)
    assert [record.deleted for record in (await pull(odoo, seen)).records] == [True]


async def test_merged_deals_name_the_winner(crm_place: Place) -> None:
    crm, odoo = bare(crm_place)
    rows = crm.add(some(3), logged=True)
    seen = await pull(odoo)
    (winner,) = crm_place.call("crm.lead", "merge_opportunity", ids=[int(row) for row in rows])
    crm.clock.move(seconds=20)
    merged = {record.id: record.merged_into for record in (await pull(odoo, seen)).records if record.deleted}
    assert merged == {row: str(winner) for row in rows if row != str(winner)}


async def test_what_a_record_rule_hides_is_not_taken_for_deleted(crm_place: Place) -> None:
    fields = Read("crm.lead", ("name", "user_id.email", "partner_id.name"))
    crm, odoo = bare(crm_place, {"deal": fields}, protocol="jsonrpc", login="seller", key="seller-secret")
    crm.key = "seller-secret"
    seller = _user(crm_place, "seller", "sales_team.group_sale_salesman")
    hidden, gone, kept = crm.add(some(3))
    for row in (hidden, gone, kept):
        crm.write(row, user_id=seller)
    seen = await settled(odoo)
    crm.write(hidden, user_id=2)
    crm.delete(gone)
    crm.clock.move(seconds=20)
    more = await pull(odoo, seen)
    assert {record.id for record in more.records if record.deleted} == {gone}
    crm.delete(hidden)
    assert {record.id for record in (await pull(odoo, more)).records if record.deleted} == {hidden}


def _user(crm_place: Place, login: str, group: str) -> int:
    """A user of that group, with a password like the login's."""
    module, name = group.split(".")
    (found,) = crm_place.call("ir.model.data", "search_read", domain=[["module", "=", module], ["name", "=", name]], fields=["res_id"])
    if known := crm_place.call("res.users", "search", domain=[["login", "=", login]]):
        return int(known[0])
    user = {"name": login.title(), "login": login, "password": f"{login}-secret", "group_ids": [[6, 0, [found["res_id"]]]]}
    (made,) = crm_place.call("res.users", "create", vals_list=[user])
    crm_place.partner = max(crm_place.partner, crm_place.row("SELECT partner_id FROM res_users WHERE id = %s", made)[0])
    return int(made)


# Children


async def test_ordered_lines_come_with_their_deal_and_so_do_their_changes(crm_place: Place) -> None:
    lines = Read("sale.order.line", ("name", "product_id.default_code", "product_uom_qty", "price_subtotal"))
    crm, odoo = bare(crm_place, {"deal": Read("crm.lead", ("name",), {"line_items": lines})})
    deal, _ = crm.add(some(2))
    partner = crm.held(deal, "partner_id")["partner_id"]
    (product,) = crm_place.call("product.product", "create", vals_list=[{"name": "Set-up", "default_code": "S-1", "list_price": 100.5}])
    line = {"product_id": product, "name": "Set-up, on site", "product_uom_qty": 2}
    order = {"partner_id": partner, "opportunity_id": int(deal), "order_line": [[0, 0, line]]}
    (order_id, _quotation) = crm_place.call("sale.order", "create", vals_list=[order, order])
    seen = await settled(odoo)

    async def lines_now() -> list[Any]:
        nonlocal seen
        seen = await pull(odoo, seen)
        assert set(seen.ids) <= {deal}
        return [line for record in seen.records for line in record.fields["line_items"]]

    assert (await pull(odoo)).latest[deal].fields["line_items"] == []
    crm_place.call("sale.order", "action_confirm", ids=[order_id])
    (found,) = await lines_now()
    assert (found["name"], found["product_id"]) == ("Set-up, on site", {"default_code": "S-1"})
    assert (found["product_uom_qty"], found["price_subtotal"]) == (Decimal("2.0"), Decimal("201.0"))
    crm.clock.move(minutes=10)
    (row,) = crm_place.call("sale.order.line", "search", domain=[["order_id", "=", order_id]])
    crm_place.call("sale.order.line", "write", ids=[row], vals={"name": "Set-up, by phone"})
    assert [line["name"] for line in await lines_now()] == ["Set-up, by phone"]
    crm.clock.move(minutes=10)
    crm_place.call("sale.order", "action_cancel", ids=[order_id])
    assert await lines_now() == []
    assert list(seen.ids) == [deal]


async def test_a_private_customer_is_the_deals_contact_and_a_companys_people_are(crm_place: Place) -> None:
    contacts = Read("res.partner", ("name",))
    fields = Read("crm.lead", ("name", "partner_id.commercial_partner_id"), {"contacts": contacts})
    crm, odoo = bare(crm_place, {"deal": fields, "customer": Read("res.partner", ("name",))})
    company, private = (int(row) for row in crm.add_mergeable(["Acme", "Ms Noether"]))
    crm_place.call("res.partner", "write", ids=[private], vals={"is_company": False})
    people = [{"name": name, "parent_id": company} for name in ("Ada", "Emil")]
    invoices = {"name": "Invoices", "parent_id": company, "type": "invoice"}
    ada, emil, _ = crm_place.call("res.partner", "create", vals_list=[*people, invoices])
    deals = [{"name": "x", "type": "opportunity", "partner_id": partner} for partner in (ada, private, False)]
    rows = [str(row) for row in crm_place.call("crm.lead", "create", vals_list=deals)]
    crm_place.call("res.partner", "write", ids=[emil], vals={"active": False})
    found = (await pull(odoo)).latest
    told = [(found[row].fields["partner_id"], [each["name"] for each in found[row].fields["contacts"]]) for row in rows]
    assert told == [({"commercial_partner_id": company}, ["Ada"]), ({"commercial_partner_id": private}, ["Ms Noether"]), (None, [])]
    customers = {record.fields["name"] for record in (await pull(odoo, kind="customer")).records}
    assert {"Acme", "Ms Noether"} <= customers
    assert not {"Ada", "Emil", "Invoices", "Administrator"} & customers


async def test_every_stage_between_two_looks_is_in_the_history(crm_place: Place) -> None:
    history = Read("mail.tracking.value", ("new_value_char", "create_date"))
    crm, odoo = bare(crm_place, {"deal": Read("crm.lead", ("stage_id.name",), {"stage_history": history})})
    (row,) = crm.add(["deal"])
    seen = await pull(odoo)
    for stage in crm_place.call("crm.stage", "search_read", domain=[], fields=["name"], order="sequence")[1:]:
        crm.clock.move(minutes=1)
        crm.write(row, stage_id=stage["id"])
    (record,) = (await pull(odoo, seen)).records
    assert [each["new_value_char"] for each in record.fields["stage_history"]] == ["Qualified", "Proposition", "Won"]
    assert record.fields["stage_history"][0]["create_date"] == "2026-11-22T10:01:00+00:00"


# Values


async def test_what_lies_behind_a_list_comes_as_lists_and_the_total_is_known_from_the_first_page(crm_place: Place) -> None:
    fields = Read("crm.lead", ("tag_ids.name", "country_id.code", "user_id.active", "order_ids"))
    crm, odoo = bare(crm_place, {"deal": fields})
    row, *_ = crm.add(some(2 * crm.page))
    tags = crm_place.call("crm.tag", "create", vals_list=[{"name": f"{crm_place.partner} {name}"} for name in ("wichtig", "京都")])
    crm.write(
        row, tag_ids=[[6, 0, tags]], user_id=False, country_id=crm_place.call("res.country", "search", domain=[["code", "=", "JP"]])[0]
    )
    async with odoo.source() as source:
        pages = [page async for page in source.pull("deal", None)]
    assert {page.total for page in pages} == {2 * crm.page}
    found = {record.id: record.fields for page in pages for record in page.records}
    assert [sorted(name.partition(" ")[2] for name in found[row]["tag_ids"]["name"])] == [["wichtig", "京都"]]
    assert (found[row]["country_id"], found[row]["user_id"], found[row]["order_ids"]) == ({"code": "JP"}, None, [])
    other = next(fields for each, fields in found.items() if each != row)
    assert (other["tag_ids"], other["country_id"], other["user_id"]) == ({"name": []}, None, {"active": True})
    crm_place.call("crm.tag", "unlink", ids=tags)


async def test_stages_are_read_in_the_language_of_the_connection_also_when_renamed(crm_place: Place) -> None:
    fields: dict[CrmKind, Read] = {"deal": Read("crm.lead", ("stage_id.name", "won_status"))}
    crm, german = bare(crm_place, fields, language="de_DE")
    (row,) = crm.add(["deal"])
    with pytest.raises(ConfigError, match="language"):
        await pull(german)
    (language,) = crm_place.call("res.lang", "search", domain=[["code", "=", "de_DE"]], context={"active_test": False})
    (won,) = crm_place.call("crm.stage", "search", domain=[["is_won", "=", True]])
    crm_place.call("res.lang", "write", ids=[language], vals={"active": True})
    crm_place.call("crm.stage", "write", ids=[won], vals={"name": "Gewonnen!"}, context={"lang": "de_DE"})
    crm.write(row, stage_id=won)
    (record,) = (await pull(german)).records
    assert record.fields == {"stage_id": {"name": "Gewonnen!"}, "won_status": "won"}
    crm_place.call("res.lang", "write", ids=[language], vals={"active": False})


async def test_the_shipped_mapping_fits_once_its_fields_are_added(crm_place: Place) -> None:
    mapping = SystemMapping.model_validate(parse(SHIPPED.read_bytes(), "odoo.yaml").data)
    crm, shipped = rig(crm_place, reads(mapping), write_back=writes(mapping))
    async with shipped() as opened:
        with pytest.raises(ConfigError) as caught:
            await opened.check()
    missing = {problem.path[-1]: problem for problem in caught.value.problems}
    assert set(missing) == {"tier", "region", "go_live", "project_url", "progress", "project_key"}
    assert missing["project_url"].path == ("write_back", "deal", "project_url")
    assert "Settings" in missing["project_url"].hint
    for model, fields in CUSTOM.items():
        crm_place.add_fields(model, fields)
    async with shipped() as opened:
        report = await opened.check()
        described = await opened.describe()
    assert report.identity.startswith("admin at http")
    assert report.facts == ("Odoo 19.0, over JSON-2",)
    await _read_by(mapping, crm, Rig(crm, shipped))
    lead = next(each for each in described.objects if each.name == "crm.lead")
    infos = {info.path: info for info in lead.fields}
    assert lead.kind == "deal"
    assert infos["won_status"].choices == {"won": "Won", "lost": "Lost", "pending": "Pending"}
    assert infos["x_go_live"].custom
    assert "user_id.email" in infos
    assert [stage.status for stage in described.stages][-1] == "won"
    assert "admin@example.com" in {member.email for member in described.people}


async def _read_by(mapping: SystemMapping, crm: OdooCrm, odoo: Rig) -> None:
    """A deal with little in it and one with much, through the mapping."""
    (plain,) = crm.add(["plain"])
    company = crm.held(plain, "partner_id")["partner_id"]
    crm.place.call("res.partner", "write", ids=[company], vals={"x_tier": "VIP", "user_id": 2, "comment": "<p>First<br/>second</p>"})
    seller = _user(crm.place, "seller@example.com", "sales_team.group_sale_salesman")
    deal = {"name": "Full", "partner_id": company, "user_id": seller, "expected_revenue": 12500.1, "date_deadline": "2026-12-24"}
    full = {**deal, "type": "opportunity", "description": "<p>One &amp; <b>two</b></p><ul><li>three</li></ul>", "x_go_live": "2027-01-04"}
    (row,) = crm.place.call("crm.lead", "create", vals_list=[full])
    crm.place.call("crm.lead", "action_set_won", ids=[row])
    mapper = Mapper(mapping)
    mapped = {each.id: mapper.map(each) for each in (await pull(odoo)).records}
    assert not [each.issues for each in mapped.values() if each.issues]
    told: Deal = mapped[str(row)].value
    assert (told.status, told.stage, told.amount, told.currency) == ("won", "Won", Decimal("12500.1"), "USD")
    assert (told.description, str(told.close_date), told.customer_id) == ("One & two\n\n- three", "2026-12-24", str(company))
    assert (told.owner.email if told.owner else "") == "seller@example.com"
    assert told.url == f"{crm.place.odoo.url}/odoo/crm/{row}"
    assert (told.custom["go_live"], [change.stage for change in told.stage_history]) == ("2027-01-04", ["Won"])
    nothing: Deal = mapped[plain].value
    assert (nothing.status, nothing.close_date, nothing.description, nothing.lead_source) == ("open", None, "", "")
    customer = mapper.map((await pull(odoo, kind="customer")).latest[str(company)]).value
    assert (customer.tier, customer.description, customer.owner.name) == ("vip", "First\nsecond", "Administrator")


# Refusals


async def test_a_model_that_is_not_there_and_a_right_that_is_missing_are_told_at_their_place(crm_place: Place) -> None:
    picking = Read("stock.picking", ("name",), {}, {"name": ("read", "deal", "children", "line_items", "fields", "product")})
    history = Read(
        "mail.tracking.value", ("create_date",), {}, {"create_date": ("read", "deal", "children", "stage_history", "fields", "at")}
    )
    seller = {"protocol": "jsonrpc", "login": "seller", "key": "seller-secret"}
    for child, settings, words in ((picking, {}, "stock.picking"), (history, seller, "Mail Tracking Value")):
        crm, odoo = bare(crm_place, {"deal": Read("crm.lead", ("name",), {"stage_history": child})}, **settings)
        _user(crm_place, "seller", "sales_team.group_sale_salesman")
        crm.key = str(settings.get("key", crm.key))
        async with odoo.source() as source:
            with pytest.raises(ConfigError, match=words) as caught:
                await source.check()
        (problem,) = caught.value.problems
        assert problem.path[:3] == ("read", "deal", "children")
        assert problem.hint


async def test_refused_credentials_a_wrong_database_say_so(crm_place: Place) -> None:
    for protocol in ("json2", "jsonrpc"):
        crm, odoo = bare(crm_place, protocol=protocol)
        crm.lock_out()
        with pytest.raises(AuthError, match="key"):
            await pull(odoo)
        _, elsewhere = bare(crm_place, protocol=protocol, database="nowhere")
        with pytest.raises(ConfigError, match="database"):
            await pull(elsewhere)


async def test_a_request_that_makes_no_sense_is_not_sent_again_though_it_is_a_500(crm_place: Place) -> None:
    crm, odoo = bare(crm_place)
    (row,) = crm.add(["deal"])
    async with odoo.source() as source:
        (error,) = await source.write_back([WriteBack("deal", row, {"x_nope": "x"})])
    assert isinstance(error, Rejected)
    assert error.field == "x_nope"
    assert len(crm.wire.sent) == 1


async def test_rows_with_equal_values_share_a_call_and_each_has_its_own_answer(crm_place: Place) -> None:
    crm, odoo = bare(crm_place)
    rows = crm.add(some(6))
    crm.delete(rows[2])
    written = [crm.good_row(row, "on track") for row in rows]
    async with odoo.source() as source:
        results = await source.write_back(written)
        assert [type(result) for result in results] == [type(None), type(None), Gone, type(None), type(None), type(None)]
        sent = len(crm.wire.sent)
        assert list(await source.write_back([row for row in written if row.id != rows[2]])) == [None] * 5
        assert len(crm.wire.sent) - sent == 1
        (refused,) = await source.write_back([WriteBack("deal", rows[0], {"user_id": 999_999})])
    assert isinstance(refused, Rejected)
    assert not isinstance(refused, Gone)
    assert refused.field == "user_id"
    assert crm.written(rows[5]) == "on track"
