"""Zoho CRM's notifications: the channel's token, several ids, modules that are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.model import Hint
from sandbox.zoho import Zoho
from sandbox.zoho.watch import Channel
from tests.connectors.push_rig import SYSTEMS, TOKEN, URL, compact, delivery, endpoint

ZOHO = SYSTEMS["zoho"]
SEEN = {  # as seen in production
    "server_time": 1796032800000,
    "module": "Deals",
    "operation": "update",
    "resource_uri": "https://www.zohoapis.com/crm/v8/Deals",
    "ids": ["5550001", "5550002"],
    "channel_id": "1001",
    "token": TOKEN,
    "query_params": {},
    "affected_fields": [{"5550001": ["Stage"]}],
    "affected_values": [{"record_id": "5550001", "values": {"Stage": "Closed Won"}}],
}


def told(**more: Any) -> bytes:
    return compact({**SEEN, **more})


def test_each_id_of_a_module_that_is_read_is_a_hint() -> None:
    received = ZOHO.receive(delivery(told()))
    assert (received.hints, received.events, received.status) == ((Hint("deal", "5550001"), Hint("deal", "5550002")), 2, 200)
    assert ZOHO.receive(delivery(told(module="Accounts", ids=["7"]))).hints == (Hint("customer", "7"),)


def test_a_module_that_is_not_read_is_genuine_and_no_hint() -> None:
    assert ZOHO.receive(delivery(told(module="Leads"))).hints == ()


def test_an_id_that_cannot_be_one_hides_no_other() -> None:
    assert ZOHO.receive(delivery(told(ids=["1", None, "", "x y", ["2"], 3, "1"]))).hints == (Hint("deal", "1"), Hint("deal", "3"))


@pytest.mark.parametrize("token", [None, "", TOKEN.upper(), TOKEN[:-1], f"{TOKEN}x", 1, True, [TOKEN], {"token": TOKEN}, "\ud800"])
def test_another_token_is_refused(token: object) -> None:
    assert ZOHO.refuses(delivery(told(token=token))) == (401, "signature")


def test_without_a_token_of_ours_nothing_is_genuine() -> None:
    assert replace(ZOHO, at=endpoint(token="")).refuses(delivery(told(token=""))) == (401, "signature")


def test_the_token_counts_in_the_body_only() -> None:
    sent = delivery(told(token=None), {"token": TOKEN, "authorization": TOKEN}, query={"token": TOKEN})
    assert ZOHO.refuses(sent) == (401, "signature")


@pytest.mark.parametrize("more", [{"ids": None}, {"ids": "1"}, {"ids": {}}, {"module": None}, {"module": ["Deals"]}, {"module": ""}])
def test_a_body_without_module_and_ids_is_refused(more: dict[str, object]) -> None:
    assert ZOHO.refuses(delivery(told(**more))) == (400, "body")


@pytest.mark.parametrize("body", [[SEEN], "x", 1, None])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    assert ZOHO.refuses(delivery(body)) == (400, "body")


def test_what_the_stand_in_sends_is_understood() -> None:
    now = datetime(2026, 11, 30, tzinfo=UTC)
    zoho = Zoho(lambda: now)
    zoho.watch.channels["1"] = Channel("1", ("Deals.all",), URL, TOKEN, now + timedelta(days=1), values=True)
    deal = zoho.world.insert("Deals", {"Deal_Name": "Acme", "Stage": "Qualification"})
    zoho.world.update("Deals", deal, {"Amount": 5})
    zoho.world.delete("Deals", deal)
    received = [ZOHO.receive(delivery(each.body)) for each in zoho.sent()]
    assert [each.hints for each in received] == [(Hint("deal", deal),)] * 3
