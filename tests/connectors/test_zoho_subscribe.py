"""Zoho is asked for notifications, and asked again before it forgets."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import AuthError, Rejected, Runtime
from connectors.push import Delivery, PushSettings, Subscription
from connectors.zoho import Connection
from connectors.zoho.push import Settings, receive
from connectors.zoho.subscribe import channel, subscribe, subscriptions
from engine.model import CrmKind, Hint
from sandbox.web import InProcess
from tests.connectors.subscribing import TOKEN, Hub
from tests.connectors.zoho_rig import HOST, LOGIN, ZohoCrm

OBJECTS: dict[str, CrmKind] = {"Deals": "deal", "Accounts": "customer"}
WEEK = timedelta(days=6, hours=23)


class Crm:
    """An organisation, and a hub that wants to be told."""

    def __init__(self, folder: Path) -> None:
        self.crm, self.hub = ZohoCrm(), Hub("zoho", OBJECTS)
        self._connection = Connection.model_validate({**LOGIN, "accounts_url": HOST, "api_url": HOST, "token_file": folder / "token"})

    async def ask(self, how: Any = subscribe, modules: tuple[str, ...] = ("Deals", "Accounts")) -> list[Subscription]:
        crm = self.crm
        runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=InProcess({HOST: crm.box}))
        until = crm.clock() + timedelta(hours=36)
        return list(await how(self._connection, PushSettings(), self.hub.place, modules, until=until, runtime=runtime))

    @property
    def calls(self) -> int:
        return self.crm.app.calls["watch"]

    def told(self) -> list[tuple[str, str, str]]:
        return [(each.url, each.body["token"], each.body["module"]) for each in self.crm.app.sent()]


@pytest.fixture
def it(tmp_path: Path) -> Crm:
    return Crm(tmp_path)


async def test_every_module_is_told_of_for_a_week_less_an_hour(it: Crm) -> None:
    found = await it.ask()
    end = it.crm.clock().replace(microsecond=0) + WEEK
    number = channel(await it.hub.place())
    assert found == [Subscription("Deals", number, end), Subscription("Accounts", number, end)]
    it.crm.add(["x"])
    it.crm.add_mergeable(["Acme"])
    url = (await it.hub.place()).url
    assert it.told() == [(url, TOKEN, "Deals"), (url, TOKEN, "Accounts")]
    assert number.isdigit()
    assert len(number) == 15


async def test_what_it_then_tells_is_understood(it: Crm) -> None:
    await it.ask()
    [deal] = it.crm.add(["x"])
    [customer] = it.crm.add_mergeable(["Acme"])
    it.crm.delete(deal)
    found: list[Hint] = []
    for each in it.crm.app.sent():
        delivery = Delivery("POST", each.url, {}, {"content-type": "application/json"}, json.dumps(each.body).encode(), it.crm.clock())
        found += receive(Settings(), await it.hub.place(), delivery).hints
    assert found == [Hint("deal", deal), Hint("customer", customer), Hint("deal", deal)]


async def test_it_is_renewed_before_it_expires_and_not_before_that(it: Crm) -> None:
    first = await it.ask()
    it.crm.clock.move(days=5, hours=10)
    assert (await it.ask(), it.calls) == (first, 4)
    it.crm.clock.move(hours=2)
    second = await it.ask()
    assert {one.expires_at for one in second} == {it.crm.clock().replace(microsecond=0) + WEEK}
    assert len(it.crm.app.watch.channels) == 1
    assert await it.ask(subscriptions) == second


async def test_a_channel_that_has_expired_is_told_and_opened_again(it: Crm) -> None:
    await it.ask()
    it.crm.clock.move(days=8)
    looked = await it.ask(subscriptions)
    assert [(one.healthy, one.expires_at, "expired" in one.detail) for one in looked] == [(False, None, True)] * 2
    assert [one.healthy for one in await it.ask()] == [True, True]


async def test_another_module_or_another_secret_enables_the_same_channel_anew(it: Crm) -> None:
    await it.ask(modules=("Deals",))
    assert [one.healthy for one in await it.ask(subscriptions)] == [True, False]
    assert [one.healthy for one in await it.ask()] == [True, True]
    it.hub.lose()
    assert [one.healthy for one in await it.ask(subscriptions)] == [False, False]
    await it.ask()
    it.crm.add(["x"])
    assert it.told() == [((await it.hub.place()).url, TOKEN, "Deals")]
    it.hub.url = "https://staging.example.com"
    await it.ask()
    assert len(it.crm.app.watch.channels) == 2


async def test_a_refusal_is_an_error_in_zohos_words(it: Crm) -> None:
    with pytest.raises(Rejected, match=r"INVALID_DATA.*events"):
        await it.ask(modules=("Dreams",))


@pytest.mark.parametrize("how", [subscribe, subscriptions])
async def test_a_channel_that_zoho_does_not_know_is_none(it: Crm, how: Any) -> None:
    it.crm.app.fail("watch", "NOT_SUBSCRIBED")
    assert {one.healthy for one in await it.ask(how)} == {how is subscribe}


async def test_a_token_without_the_scope_says_what_to_do(it: Crm) -> None:
    it.crm.app.oauth.grant(["ZohoCRM.modules.ALL"])
    with pytest.raises(AuthError, match="new refresh token"):
        await it.ask()
