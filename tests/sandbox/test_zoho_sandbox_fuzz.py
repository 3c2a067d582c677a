"""Whatever is asked of the stand-in of Zoho CRM, it answers: it never fails itself, and what it answers has one of Zoho's shapes."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.web import Reply, Request
from sandbox.zoho import Field, Zoho
from sandbox.zoho.app import BULK, ROUTES, Route
from tests.sandbox.zoho_rig import REFRESH, Clock, request

FIELDS = [
    "id",
    "Deal_Name",
    "Stage",
    "Amount",
    "Account_Name",
    "Owner",
    "Closing_Date",
    "Line_Items",
    "Modified_Time",
    "Tags",
    "Nix",
    "Tag",
]
BODY = [
    "data",
    "trigger",
    "duplicate_check_fields",
    "select_query",
    "query",
    "watch",
    "blueprint",
    "callback",
    "file_type",
    "module",
    "fields",
]
MORE = [
    "criteria",
    "group",
    "group_operator",
    "field",
    "comparator",
    "value",
    "api_name",
    "channel_id",
    "events",
    "notify_url",
    "channel_expiry",
]
INNER = [
    "transition_id",
    "Contact_Role",
    "Note_Content",
    "Parent_Id",
    "_delete",
    "$append_values",
    "token",
    "page",
    "url",
    "method",
    "_delete_events",
]
NAMES = [*FIELDS, *BODY, *MORE, *INNER]
QUERY = [
    "fields",
    "page",
    "per_page",
    "page_token",
    "sort_by",
    "sort_order",
    "ids",
    "cvid",
    "type",
    "module",
    "layout_id",
    "criteria",
    "word",
]
QUERY += ["email", "phone", "channel_ids", "channel_id"]
WORDS = [
    "Deals",
    "Closed Won",
    "2026-05-01",
    "2026-03-02T09:00:00+00:00",
    "Deals.all",
    "https://a.example.com",
    "greater_than",
    "equal",
    "and",
]
WORDS += [
    "select Deal_Name from Deals where id is not null",
    "select Amount from Deals where Amount between 1 and 'x' order by Owner desc limit 5",
]
WORDS += [
    "(Amount:between:1)",
    "((Stage:in:a,b)or(Nix:equals:1))",
    "asc",
    "Modified_Time",
    "in",
    "200",
    "0",
    "-1",
    "x" * 300,
    "Infinity",
    "9999-12-31T23:59:59-14:00",
]


def _app() -> tuple[Zoho, list[str]]:
    """A small organisation, and everything in it that can be named."""
    app = Zoho(Clock())
    world = app.world
    world.add_field("Deals", Field("Tags", "multiselectpicklist", values=("a", "b")))
    world.add_subform("Deals", "Line_Items", [Field("Quantity", "integer"), Field("Price", "currency")])
    account = world.insert("Accounts", {"Account_Name": "Acme"})
    contact = world.insert("Contacts", {"Last_Name": "Wu", "Account_Name": account})
    deals = [world.insert("Deals", {"Deal_Name": name, "Stage": "Qualification", "Line_Items": [{"Quantity": 1}]}) for name in "ab"]
    world.add_note("Deals", deals[0], "t", "c")
    world.add_contact_role(deals[0], contact, "Purchasing")
    world.delete("Deals", world.insert("Deals", {"Deal_Name": "gone", "Stage": "Closed Lost"}))
    process = world.add_blueprint("Deals", "Stage", [("Win", "Closed Won")], needs=["Next_Step"])
    layout = world.modules["Deals"].layout_id
    return app, [account, contact, *deals, next(iter(world.roles)), process.transitions[0].id, layout, world.user]


_, KNOWN = _app()
ids = st.sampled_from([*KNOWN, "1", "0" * 19])
words = st.sampled_from(WORDS) | ids | st.text(max_size=5)
leaves = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4), max_leaves=8
)
rows = st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=4), max_size=3)
others = st.dictionaries(st.sampled_from(BODY), rows | values, max_size=3)
MAIN = {"watch": "watch", "blueprint": "blueprint", "coql": "select_query", "bulk": "query"}
queries = st.dictionaries(st.sampled_from(QUERY), words, max_size=4)
headers = st.dictionaries(st.sampled_from(["if-modified-since", "if-unmodified-since"]), words, max_size=2)
versions = st.sampled_from(["2", "2.1", "4", "8"])
PARTS = {"module": st.sampled_from(["Deals", "Accounts", "Notes", "Line_Items", "DealHistory", "Nix"]), "id": ids, "other": ids}
PARTS |= {
    "list": st.sampled_from(["Notes", "Contact_Roles", "Products", "Stage_History", "Attachments", "Nix"]),
    "name": st.sampled_from(["Deals", "x"]),
}


@settings(max_examples=600, deadline=None)
@given(
    data=st.data(), route=st.sampled_from([*ROUTES, *BULK]), main=rows | st.lists(values, max_size=2) | values, query=queries, more=headers
)
def test_no_request_makes_the_stand_in_itself_fail(
    data: st.DataObject, route: Route, main: Any, query: dict[str, str], more: dict[str, str]
) -> None:
    app, _ = _app()
    version = data.draw(versions, label="version")
    body = data.draw(others | values, label="body")
    if isinstance(body, dict):
        body[MAIN.get(route.name, "data")] = main
    names = re.findall(r"\(\?P<(\w+)>", route.path.pattern)
    path = route.path.pattern.replace("[Cc]", "C")
    for name in names:
        path = re.sub(rf"\(\?P<{name}>[^)]*\)", data.draw(PARTS[name], label=name), path, count=1)
    root = "/crm/bulk/v" if route in BULK else "/crm/v"
    reply = app.handle(request(route.method, f"{root}{version}{path}", _token(app), body, query, **more))
    _judge(reply)
    listed = app.handle(request("GET", "/crm/v8/Deals", _token(app), query={"fields": "Deal_Name,Stage,Amount,Tags"}))
    assert listed.status in (200, 204)


def _judge(reply: Reply) -> None:
    assert reply.status in (200, 201, 204, 207, 304, 400, 404, 412), reply
    if reply.status in (204, 304):
        assert reply.body == b""
    elif reply.headers["Content-Type"].startswith("application/json"):
        told = json.loads(reply.body)
        refused = [told] if "code" in told else [row for row in told.get("data", told.get("watch", [])) if row.get("status") == "error"]
        assert all(set(row) == {"code", "details", "message", "status"} for row in refused if "code" in row)
        assert (reply.status < 300) or refused


def _token(app: Zoho) -> str:
    minted = app.handle(Request("POST", "/oauth/v2/token", {}, {"host": "127.0.0.1:9"}, urlencode(REFRESH).encode(), "/oauth/v2/token"))
    return str(json.loads(minted.body)["access_token"])


@settings(max_examples=200, deadline=None)
@given(
    body=st.binary(max_size=40) | st.just(b"\xff"),
    path=st.text(max_size=20).map(lambda text: f"/oauth/v2/{text}") | st.just("/oauth/v2/token"),
)
def test_the_accounts_server_answers_whatever_comes(body: bytes, path: str) -> None:
    app = Zoho(Clock())
    assert app.handle(Request("POST", path, {}, {}, body, path)).status in (200, 400, 404)
