"""What else the stand-in of Zoho CRM answers: related lists, searches, COQL, bulk read, Blueprints, notifications, time lines."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest

from sandbox.web import Reply, Sandbox, serve
from sandbox.zoho import Field
from tests.sandbox.receiver import Receiver
from tests.sandbox.zoho_rig import Rig, Seen


async def test_notes_are_added_and_read_and_leave_the_record_as_it_was() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    rig.clock.move(seconds=5)
    made = await rig.ask(
        "POST", f"/Deals/{deal}/Notes", {"data": [{"Note_Title": "Project", "Note_Content": "begun"}, {"Note_Title": "x"}]}
    )
    assert (made.status, made.codes) == (207, ["SUCCESS", "EXPECTED_FIELD_MISSING"])
    [note] = (await rig.ask("GET", f"/Deals/{deal}/Notes", fields="Note_Title,Note_Content,Parent_Id")).data
    assert (note["Note_Content"], note["Parent_Id"]["id"], note["Parent_Id"]["module"]["api_name"]) == ("begun", deal, "Deals")
    assert rig.world.get("Deals", deal)["Modified_Time"] < rig.clock.now


async def test_contact_roles_come_with_the_contacts_own_fields() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    contact = rig.world.insert("Contacts", {"Last_Name": "Wu", "Email": "wu@example.com"})
    role = next(id for id, name in rig.world.roles.items() if name == "Purchasing")
    done = [
        await rig.ask("PUT", f"/Deals/{deal}/Contact_Roles", {"data": [{"id": contact, "Contact_Role": {"id": int(role)}}]})
        for _ in range(2)
    ]
    [row] = (await rig.ask("GET", f"/Deals/{deal}/Contact_Roles", fields="Full_Name,Email")).data
    assert [each.data[0]["message"] for each in done] == ["relation added", "relation updated"]
    assert row == {"id": contact, "Full_Name": "Wu", "Email": "wu@example.com", "Contact_Role": {"name": "Purchasing", "id": role}}
    assert (await rig.ask("DELETE", f"/Deals/{deal}/Contact_Roles", ids=contact)).codes == ["SUCCESS"]
    assert (await rig.ask("GET", f"/Deals/{deal}/Contact_Roles", fields="Email")).status == 204
    assert len((await rig.ask("GET", "/Contacts/roles")).body["contact_roles"]) == 4


async def test_stages_are_remembered_in_the_list_and_in_the_module() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    rig.clock.move(days=3)
    rig.world.update("Deals", deal, {"Stage": "Closed Won"})
    rows = (await rig.ask("GET", f"/Deals/{deal}/Stage_History", fields="Stage,Moved_To__s,Modified_Time", sort_order="asc")).data
    assert [(row["Stage"], row["Moved_To__s"]) for row in rows] == [("Qualification", "Closed Won"), ("Closed Won", None)]
    assert len((await rig.ask("GET", "/DealHistory", fields="Potential_Name,Stage")).data) == 2


async def test_products_are_linked_and_accounts_list_their_deals() -> None:
    rig = Rig()
    account = rig.world.insert("Accounts", {"Account_Name": "Acme"})
    product = rig.world.insert("Products", {"Product_Name": "Seat", "Unit_Price": 9})
    [deal] = rig.deals(1, Account_Name=account)
    assert (await rig.ask("PUT", f"/Deals/{deal}/Products", {"data": [{"id": product}, {"id": "1"}]})).status == 207
    assert [row["Unit_Price"] for row in (await rig.ask("GET", f"/Deals/{deal}/Products", fields="Unit_Price")).data] == [9]
    assert await rig.names(f"/Accounts/{account}/Deals") == ["deal 0"]
    assert (await rig.ask("GET", f"/Deals/{deal}/Nix", fields="a")).body["details"] == {"resource_path_index": 2}


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ("(Deal_Name:equals:DEAL 1)", [1]),
        ("((Amount:greater_than:1)and(Stage:equals:Qualification))", [2]),
        ("((Amount:equals:0)or(Deal_Name:starts_with:deal 2))", [0, 2]),
        ("(Amount:between:1,2)", [1, 2]),
        (r"(Next_Step:equals:call \(soon\))", [0]),
    ],
)
async def test_a_search_by_criteria(criteria: str, found: list[int]) -> None:
    rig = Rig()
    rig.app.search_lag = timedelta(0)
    for number, deal in enumerate(rig.deals(3)):
        rig.world.update("Deals", deal, {"Amount": number, "Next_Step": "call (soon)" if number == 0 else None})
    assert await rig.names("/Deals/search", criteria=criteria, sort_order="asc") == [f"deal {number}" for number in found]


async def test_a_search_that_makes_no_sense_is_refused() -> None:
    rig = Rig()
    for criteria in ("Nix:equals:1", "((Amount:equals:1)", "(Amount:about:1)", "(Amount:equals:x)"):
        assert (await rig.ask("GET", "/Deals/search", criteria=criteria)).code == "INVALID_QUERY"
    assert (await rig.ask("GET", "/Deals/search")).code == "REQUIRED_PARAM_MISSING"
    assert (await rig.ask("GET", "/Deals/search", word="nobody")).status == 204


async def test_a_search_misses_what_was_made_a_moment_ago_and_wants_a_scope_of_its_own() -> None:
    rig = Rig()
    rig.deals(1)
    assert await rig.names("/Deals/search", word="deal") == []
    rig.clock.move(seconds=30)
    assert await rig.names("/Deals/search", word="deal") == ["deal 0"]
    rig.app.oauth.grant(["ZohoCRM.modules.ALL"])
    rig.token = ""
    assert (await rig.ask("GET", "/Deals/search", word="deal")).code == "OAUTH_SCOPE_MISMATCH"


async def coql(rig: Rig, text: str) -> Seen:
    return await rig.ask("POST", "/coql", {"select_query": text})


async def test_coql_reads_on_behind_the_last_row() -> None:
    rig = Rig()
    deals = rig.deals(5)
    after = f"Modified_Time = '2026-03-02T10:00:00+01:00' and id > {deals[2]}"
    where = f"Modified_Time > '2026-03-02T09:00:00+00:00' or ({after})"
    seen = await coql(rig, f"select Deal_Name, Owner from Deals where {where} order by Modified_Time, id limit 1")  # noqa: S608
    assert (seen.data, seen.info) == (
        [{"Deal_Name": "deal 3", "Owner": {"id": rig.world.admin}, "id": deals[3]}],
        {"count": 1, "more_records": True},
    )


async def test_coql_follows_lookups_and_reads_rows_of_a_subform_by_their_parents() -> None:
    rig = Rig()
    rig.world.add_subform("Deals", "Line_Items", [Field("Quantity", "integer")])
    account = rig.world.insert("Accounts", {"Account_Name": "O'Hara"})
    [deal] = rig.deals(1, Account_Name=account, Line_Items=[{"Quantity": 3}, {"Quantity": 4}])
    rig.deals(1)
    joined = await coql(rig, "select Account_Name.Account_Name from Deals where Account_Name.Account_Name = 'O''Hara'")
    lines = await coql(rig, f"select Quantity, Parent_Id from Line_Items where Parent_Id in ({deal}) order by Quantity desc limit 0, 2000")  # noqa: S608
    assert joined.data == [{"Account_Name.Account_Name": "O'Hara", "id": deal}]
    assert [(row["Quantity"], row["Parent_Id"]) for row in lines.data] == [(4, {"id": deal}), (3, {"id": deal})]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select Deal_Name from Deals", "SYNTAX_ERROR"),
        ("select Deal_Name from Deals where id is not null and Amount is null and Stage is null", "SYNTAX_ERROR"),
        ("select Deal_Name from Deals where id is not null limit 2001", "INVALID_QUERY"),
        ("select Nix from Deals where id is not null", "INVALID_QUERY"),
        ("select id from Nix where id is not null", "INVALID_QUERY"),
        ("select id from Deals where Description = 'x'", "INVALID_QUERY"),
        ("select id from Deals where Amount = 'x'", "INVALID_QUERY"),
        ("select Account_Name.Parent_Account.Parent_Account.Phone from Deals where id is not null", "INVALID_QUERY"),
        (f"select id from Deals where id in ({','.join(['1'] * 51)})", "LIMIT_EXCEEDED"),  # noqa: S608
        ("select id from Deals where id is not null; drop", "SYNTAX_ERROR"),
    ],
)
async def test_coql_says_what_is_wrong(text: str, code: str) -> None:
    rig = Rig()
    rig.deals(1)
    seen = await coql(rig, text)
    assert (seen.status, seen.code) == (400, code)


async def test_coql_gives_two_hundred_rows_unless_told_and_nothing_is_204() -> None:
    rig = Rig()
    rig.deals(201)
    assert (await coql(rig, "select id from Deals where id is not null")).info == {"count": 200, "more_records": True}
    assert (await coql(rig, "select id from Deals where Amount > 5")).status == 204


async def _read(rig: Rig, **query: Any) -> str:
    made = await rig.ask("POST", "/read", {"query": {"module": {"api_name": "Deals"}, **query}}, root="/crm/bulk/v8")
    return str(made.data[0]["details"]["id"])


async def test_a_bulk_read_is_ready_after_a_while_and_gone_after_a_day() -> None:
    rig = Rig()
    first, _ = rig.deals(2, Amount=2.5)
    job = await _read(rig, fields=["Deal_Name", "Amount", "Owner", "Account_Name"])
    rig.world.update("Deals", first, {"Deal_Name": "changed meanwhile"})
    states = []
    for _ in range(3):
        states.append((await rig.ask("GET", f"/read/{job}", root="/crm/bulk/v8")).data[0]["state"])
        rig.clock.move(seconds=2)
    packed = await rig.ask("GET", f"/read/{job}/result", root="/crm/bulk/v8")
    rows = list(csv.DictReader(io.StringIO(zipfile.ZipFile(io.BytesIO(packed.body)).read(f"{job}.csv").decode())))
    assert states == ["ADDED", "IN PROGRESS", "COMPLETED"]
    assert rows[0] == {"Id": first, "Deal_Name": "deal 0", "Amount": "2.5", "Owner": rig.world.admin, "Account_Name": ""}
    assert len(rows) == 2
    rig.clock.move(hours=25)
    rig.token = ""
    assert (await rig.ask("GET", f"/read/{job}/result", root="/crm/bulk/v8")).code == "RESOURCE_NOT_FOUND"


async def test_a_bulk_read_has_criteria_and_pages() -> None:
    rig = Rig()
    rig.deals(3)
    rig.clock.move(minutes=1)
    rig.deals(2)
    rig.app.bulk.page_rows = 1
    since = {"field": {"api_name": "Modified_Time"}, "comparator": "greater_equal", "value": "2026-03-02T09:00:30+00:00"}
    jobs = [await _read(rig, fields=["Deal_Name"], criteria=since, page=page) for page in (1, 2)]
    rig.clock.move(seconds=4)
    told = [(await rig.ask("GET", f"/read/{job}", root="/crm/bulk/v8")).data[0]["result"] for job in jobs]
    assert [(each["count"], each["more_records"]) for each in told] == [(1, True), (1, False)]


async def test_a_bulk_read_can_fail_and_calls_back() -> None:
    rig = Rig()
    rig.app.bulk.fail_next = 1
    callback = {"url": "https://hub.example.com/zoho", "method": "post"}
    await rig.ask("POST", "/read", {"query": {"module": {"api_name": "Deals"}}, "callback": callback}, root="/crm/bulk/v8")
    assert rig.app.sent() == []
    rig.clock.move(seconds=4)
    [told] = rig.app.sent()
    assert (told.url, told.body["state"]) == (callback["url"], "FAILURE")
    assert rig.app.sent() == []


async def test_a_stage_under_a_blueprint_moves_by_its_transitions_alone() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    rig.world.add_blueprint("Deals", "Stage", [("Win", "Closed Won"), ("Lose", "Closed Lost")], needs=["Next_Step"])
    refused = await rig.write("PUT", f"/Deals/{deal}", {"Stage": "Closed Won"})
    assert (refused.status, refused.codes) == (400, ["RECORD_IN_BLUEPRINT"])
    assert (await rig.write("PUT", f"/Deals/{deal}", {"Amount": 1})).status == 200
    process = (await rig.ask("GET", f"/Deals/{deal}/actions/blueprint")).body["blueprint"]
    win = next(each for each in process["transitions"] if each["name"] == "Win")
    path = f"/Deals/{deal}/actions/blueprint"
    bare = await rig.ask("PUT", path, {"blueprint": [{"transition_id": win["id"], "data": {}}]})
    done = await rig.ask("PUT", path, {"blueprint": [{"transition_id": win["id"], "data": {"Next_Step": "hand over"}}]})
    assert (bare.code, done.code, rig.world.get("Deals", deal)["Stage"]) == ("MANDATORY_NOT_FOUND", "SUCCESS", "Closed Won")


async def _watch(rig: Rig, **more: Any) -> Seen:
    channel = {"channel_id": "1001", "events": ["Deals.edit"], "notify_url": "https://hub.example.com/zoho", "token": "secret", **more}
    return await rig.ask("POST", "/actions/watch", {"watch": [channel]})


async def test_a_channel_tells_of_edits_until_it_expires() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    made = await _watch(rig, return_affected_field_values=True)
    assert (made.status, made.body["watch"][0]["details"]["events"][0]["resource_name"]) == (201, "Deals")
    rig.world.update("Deals", deal, {"Amount": 5})
    rig.world.delete("Deals", deal)
    [told] = rig.app.sent()
    assert (told.body["ids"], told.body["operation"], told.body["token"], told.body["channel_id"]) == ([deal], "update", "secret", "1001")
    assert told.body["affected_values"][0]["values"]["Amount"] == 5
    rig.clock.move(hours=1)
    rig.world.restore("Deals", deal)
    rig.world.update("Deals", deal, {"Amount": 6})
    assert rig.app.sent() == []


async def test_notifications_go_out_once_whether_anybody_answers_or_not() -> None:
    rig, hub = Rig(), Receiver()
    [deal] = rig.deals(1)
    async with serve(Sandbox(hub)) as address:
        await _watch(rig, notify_url=f"{address}/zoho")
        for amount, status in ((1, 200), (2, 503)):
            hub.answer = Reply(status)
            rig.world.update("Deals", deal, {"Amount": amount})
            assert await rig.app.sender.deliver() == 1
        assert await rig.app.sender.deliver() == 0
    assert [request.json()["ids"] for request in hub.got] == [[deal], [deal]]
    assert rig.app.sender.sent == {"200": 1, "503": 1}


async def test_served_over_tcp_it_notifies_by_itself() -> None:
    rig, hub = Rig(), Receiver()
    [deal] = rig.deals(1)
    async with serve(Sandbox(hub)) as address, serve(rig.box):
        await _watch(rig, notify_url=f"{address}/zoho")
        rig.world.update("Deals", deal, {"Amount": 1})
        await hub.wait(1)
    assert (hub.got[0].path, hub.got[0].json()["token"]) == ("/zoho", "secret")


async def test_a_channel_lasts_a_week_at_most_and_is_closed_by_its_id() -> None:
    rig = Rig()
    assert (await _watch(rig, channel_expiry="2026-03-09T09:00:01+00:00")).status == 400
    assert (await _watch(rig, channel_expiry="2026-03-09T09:00:00+00:00")).status == 201
    assert (await rig.ask("GET", "/actions/watch", module="Deals")).body["watch"][0]["events"] == ["Deals.edit"]
    assert [(await rig.ask("DELETE", "/actions/watch", channel_ids="1001")).status for _ in range(2)] == [200, 400]
    assert (await rig.ask("GET", "/actions/watch")).status == 204


async def test_a_time_line_tells_people_from_programs() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    rig.world.update("Deals", deal, {"Amount": 1})
    await rig.write("PUT", f"/Deals/{deal}", {"Amount": 2})
    rows = (await rig.ask("GET", f"/Deals/{deal}/__timeline")).body["__timeline"]
    assert [(row["source"], row["action"]) for row in rows] == [("crm_api", "updated"), ("crm_ui", "updated"), ("crm_ui", "added")]
    assert next(each["_value"] for each in rows[0]["field_history"] if each["api_name"] == "Amount") == {"old": "1", "new": "2"}


@pytest.mark.parametrize(
    ("trigger", "steps"), [({"trigger": []}, None), ({"trigger": ["workflow"]}, "call"), ({}, "call"), ({"trigger": ["approval"]}, None)]
)
async def test_workflows_follow_a_write_unless_it_names_other_triggers(trigger: dict[str, Any], steps: str | None) -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    rig.world.add_workflow("Deals", "Amount", {"Next_Step": "call"})
    assert (await rig.ask("PUT", f"/Deals/{deal}", {"data": [{"Amount": 5}], **trigger})).status == 200
    assert rig.world.get("Deals", deal).get("Next_Step") == steps
    assert [event.source for event in rig.world.events[1:]] == ["crm_api", *(["workflow"] if steps else [])]
