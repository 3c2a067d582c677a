"""The public descriptions of the API judge the stand-in of Zoho CRM: every resource, whole records, requests of every sort."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sandbox.web import Reply, Request
from sandbox.zoho import Field
from sandbox.zoho.app import BULK, ROUTES
from tests.sandbox.zoho_rig import DEAL, Rig, request
from tests.zoho_spec import check_reply, check_request, find_operation, need_spec


async def _life(rig: Rig) -> None:
    """What a sync does in an organisation, and more, touching every resource."""
    world = rig.world
    world.add_field("Deals", Field("External_Ref", unique=True))
    world.add_subform("Deals", "Line_Items", [Field("Quantity", "integer")])
    account = world.insert("Accounts", {"Account_Name": "Acme", "Industry": "Communications", "Annual_Revenue": 5.5})
    contact = world.insert("Contacts", {"Last_Name": "Wu", "Email": "wu@example.com", "Account_Name": account})
    product = world.insert("Products", {"Product_Name": "Seat"})
    deals = rig.deals(205, Account_Name=account, Contact_Name=contact, Closing_Date="2026-05-01", Line_Items=[{"Quantity": 2}])
    await _set_up(rig)
    page = await rig.ask("GET", "/Deals", fields="Deal_Name,Account_Name,Owner,Modified_Time", sort_by="Modified_Time", sort_order="asc")
    token = page.info["next_page_token"]
    asked: dict[str, Any] = {"fields": "Deal_Name,Account_Name,Owner,Modified_Time", "sort_by": "Modified_Time", "sort_order": "asc"}
    await rig.ask("GET", "/Deals", **asked, page_token=token)
    for path in ("/Deals", "/Accounts", "/Contacts", "/Products", "/Line_Items", "/DealHistory"):
        await rig.ask("GET", path, fields="Owner,Modified_Time,Created_By", per_page=5)
    for path in (f"/Deals/{deals[0]}", f"/Accounts/{account}", f"/Contacts/{contact}", "/Deals/1"):
        await rig.ask("GET", path)
    await rig.ask("GET", "/Deals", fields="Deal_Name", headers={"if-modified-since": "2027-01-01T00:00:00+00:00"})
    await _writes(rig, deals)
    await _hangs_on(rig, deals[0], contact, product)
    await _others(rig, deals[0])


async def _set_up(rig: Rig) -> None:
    for module in ("Deals", "Accounts", "Contacts", "Products", "Line_Items"):
        await rig.ask("GET", "/settings/fields", module=module)
        await rig.ask("GET", "/settings/layouts", module=module)
    await rig.ask("GET", "/settings/modules")
    await rig.ask("GET", "/settings/modules/Deals")
    await rig.ask("GET", f"/settings/fields/{rig.world.modules['Deals'].fields['Stage'].id}", module="Deals")
    await rig.ask("GET", "/settings/pipeline", layout_id=rig.world.modules["Deals"].layout_id)
    await rig.ask("GET", "/settings/related_lists", module="Deals")
    await rig.ask("GET", "/org")
    for kind in ("CurrentUser", "ActiveConfirmedUsers", "DeactiveUsers"):
        await rig.ask("GET", "/users", type=kind, page=1, per_page=200)
    await rig.ask("GET", f"/users/{rig.world.admin}")


async def _writes(rig: Rig, deals: list[str]) -> None:
    row = {"Deal_Name": "a", **DEAL, "External_Ref": "x"}
    await rig.write("POST", "/Deals", row)
    await rig.write("POST", "/Deals", row, {"Deal_Name": "b", **DEAL})
    await rig.write("POST", "/Deals", row)
    await rig.write("PUT", "/Deals", {"id": deals[0], "Amount": 7}, {"id": deals[1], "Amount": "x"})
    await rig.write("PUT", f"/Deals/{deals[0]}", {"Amount": 8})
    await rig.write("PUT", f"/Deals/{deals[0]}", {"Amount": 8}, headers={"if-unmodified-since": "2026-01-01T00:00:00+00:00"})
    await rig.write("POST", "/Deals/upsert", row, duplicate_check_fields=["External_Ref"])
    rig.world.lock(deals[0])
    await rig.write("PUT", f"/Deals/{deals[0]}", {"Amount": 9})
    await rig.ask("DELETE", "/Deals", ids=f"{deals[2]},1")
    await rig.ask("DELETE", "/Deals", ids=deals[3])
    await rig.ask("DELETE", f"/Deals/{deals[4]}")
    rig.world.purge("Deals", deals[3])
    await rig.ask("GET", "/Deals/deleted", type="all")
    rig.world.unlock(deals[0])


async def _hangs_on(rig: Rig, deal: str, contact: str, product: str) -> None:
    role = next(iter(rig.world.roles))
    notes = {"data": [{"Note_Title": "t", "Note_Content": "c"}]}
    await rig.ask("POST", f"/Deals/{deal}/Notes", notes)
    await rig.ask("POST", f"/Deals/{deal}/Notes", {"data": [*notes["data"], {"Note_Title": "t"}]})
    await rig.ask("GET", f"/Deals/{deal}/Notes", fields="Note_Title,Note_Content,Parent_Id")
    await rig.ask("PUT", f"/Deals/{deal}/Contact_Roles", {"data": [{"id": contact, "Contact_Role": {"id": role}}]})
    await rig.ask("GET", f"/Deals/{deal}/Contact_Roles", fields="Full_Name,Email,Owner")
    await rig.ask("PUT", f"/Deals/{deal}/Products", {"data": [{"id": product}]})
    for name in ("Products", "Stage_History"):
        await rig.ask("GET", f"/Deals/{deal}/{name}", fields="Modified_Time")
    await rig.ask("GET", f"/Deals/{deal}/Nix", fields="Modified_Time")
    await rig.ask("PUT", f"/Deals/{deal}/Contact_Roles/{contact}", {"data": [{"Contact_Role": {"id": role}}]})
    await rig.ask("GET", f"/Deals/{deal}/Contact_Roles/{contact}", fields="Email")
    await rig.ask("DELETE", f"/Deals/{deal}/Contact_Roles/{contact}")
    await rig.ask("DELETE", f"/Deals/{deal}/Products", ids=product)
    await rig.ask("GET", "/Contacts/roles")


async def _others(rig: Rig, deal: str) -> None:
    rig.clock.move(minutes=1)
    await rig.ask("GET", "/Deals/search", criteria="(Amount:greater_than:1)", fields="Deal_Name")
    await rig.ask("GET", "/Deals/actions/count")
    await rig.ask("GET", f"/Deals/{deal}/__timeline")
    for text in ("select Deal_Name, Owner from Deals where id is not null limit 3", "select x from Deals where id is null", "select"):
        await rig.ask("POST", "/coql", {"select_query": text})
    await rig.ask("POST", "/coql", {"select_query": "select Deal_Name from Deals"})
    rig.world.add_blueprint("Deals", "Stage", [("Win", "Closed Won")], needs=["Next_Step"])
    await rig.write("PUT", f"/Deals/{deal}", {"Stage": "Closed Lost"})
    process = (await rig.ask("GET", f"/Deals/{deal}/actions/blueprint")).body["blueprint"]
    moved = {"transition_id": process["transitions"][0]["id"], "data": {"Next_Step": "go"}}
    await rig.ask("PUT", f"/Deals/{deal}/actions/blueprint", {"blueprint": [moved]})
    await _bulk_and_watch(rig)


async def _bulk_and_watch(rig: Rig) -> None:
    query = {"module": {"api_name": "Deals"}, "fields": ["Deal_Name"], "page": 1}
    made = await rig.ask("POST", "/read", {"query": query, "file_type": "csv"}, root="/crm/bulk/v8")
    job = made.data[0]["details"]["id"]
    await rig.ask("GET", f"/read/{job}", root="/crm/bulk/v8")
    rig.clock.move(seconds=10)
    for path in (f"/read/{job}", f"/read/{job}/result", "/read/1"):
        await rig.ask("GET", path, root="/crm/bulk/v8")
    channel = {"channel_id": "7", "events": ["Deals.all"], "notify_url": "https://hub.example.com/z", "token": "t"}
    await rig.ask("POST", "/actions/watch", {"watch": [channel]})
    await rig.ask("POST", "/actions/watch", {"watch": [channel, {**channel, "channel_id": "x"}]})
    await rig.ask("GET", "/actions/watch", module="Deals")
    await rig.ask("PATCH", "/actions/watch", {"watch": [{**channel, "events": ["Contacts.all"]}]})
    await rig.ask("DELETE", "/actions/watch", channel_ids="7")


async def test_every_request_and_reply_of_an_organisations_life_is_as_described() -> None:
    need_spec()
    rig = Rig()
    await _life(rig)
    judged = [(asked, reply) for asked, reply in rig.book if not asked.path.startswith("/oauth/")]
    assert len(judged) > 75
    wrong = []
    for asked, reply in judged:
        try:
            check_request(asked)
            check_reply(asked, reply)
        except AssertionError as error:
            wrong.append(str(error))
    assert wrong == []


@pytest.mark.parametrize("route", [*ROUTES, *BULK], ids=lambda route: f"{route.method} {route.path.pattern}")
def test_every_route_is_an_operation_of_the_real_service(route: Any) -> None:
    need_spec()
    path = route.path.pattern
    for group, example in (("module", "Deals"), ("id", "1"), ("list", "Products"), ("name", "Deals"), ("other", "2")):
        path = re.sub(rf"\(\?P<{group}>[^)]*\)", example, path)
    root = "/crm/bulk/v8" if route in BULK else "/crm/v8"
    assert find_operation(route.method.lower(), root + path.replace("[Cc]", "C")) is not None


@pytest.mark.parametrize(
    "asked",
    [
        request("GET", "/crm/v8/Deals", "t", query={"fields": "a", "page_size": 5}),
        request("GET", "/crm/v8/Deals", "t", query={"fields": "a", "sort_by": "Amount"}),
        request("POST", "/crm/v8/Deals", "t", {"rows": []}),
        request("POST", "/crm/v8/Deals", "t", {"data": [{}], "trigger": ["magic"]}),
        request("PUT", "/crm/v8/Deals/1", "t", {"data": [{"id": 5}]}),
        request("POST", "/crm/v8/coql", "t", {"query": "x"}),
        request("GET", "/crm/v8/settings/fields", "t"),
        request("GET", "/crm/v8/settings/nothing/at/all/here", "t"),
    ],
    ids=lambda asked: f"{asked.method} {asked.path} {asked.body.decode()[:60]}",
)
def test_a_request_the_service_would_not_know_is_caught(asked: Request) -> None:
    need_spec()
    with pytest.raises(AssertionError):
        check_request(asked)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"data": [{"id": 5}]}),
        (200, {"data": [{"id": "5", "Modified_Time": "2026-01-01"}]}),
        (200, {"rows": []}),
        (400, {"code": "NIX", "message": "x", "details": {}, "status": "error"}),
        (418, {"code": "INVALID_DATA", "message": "x", "details": {}, "status": "error"}),
        (401, {"error": "invalid"}),
    ],
)
def test_a_reply_the_service_would_not_give_is_caught(status: int, body: dict[str, Any]) -> None:
    need_spec()
    reply = Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=UTF-8"})
    with pytest.raises(AssertionError):
        check_reply(request("GET", "/crm/v8/Deals", "t", query={"fields": "a"}), reply)
