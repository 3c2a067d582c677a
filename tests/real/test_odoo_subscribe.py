"""A real Odoo is asked for pushes, and pushes; what it says is understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.base import Runtime
from connectors.odoo import Connection
from connectors.odoo.push import Settings, receive
from connectors.odoo.subscribe import subscribe, subscriptions
from connectors.push import TOOL, Delivery, Endpoint, Subscription
from engine.model import CrmKind, Hint
from tests.real.odoo import Odoo
from tests.real.odoo_crm import Place, place
from tests.real.sink import Sink, sink

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]

OBJECTS: dict[str, CrmKind] = {"crm.lead": "deal", "res.partner": "customer"}


@pytest.fixture(scope="module")
def crm(odoo: Odoo) -> Iterator[Place]:
    with place(odoo) as ready:
        yield ready
        rules = ready.call("base.automation", "search", domain=[["name", "like", "Handoff: tell"]], context={"active_test": False})
        ready.call("base.automation", "unlink", ids=rules)


class Asker:
    """Asks one Odoo for pushes to one sink."""

    def __init__(self, odoo: Odoo, taker: Sink, protocol: str) -> None:
        plain = {"url": odoo.url, "key": odoo.key, "database": odoo.database, "login": odoo.login, "protocol": protocol}
        self._connection = Connection.model_validate(plain)
        self.url = taker.url

    async def endpoint(self, resource: str = "", *, awaited: bool = False) -> Endpoint:
        return Endpoint("odoo", self.url, "t" * 40, OBJECTS, resource, awaited=awaited)

    async def ask(self, *models: str, how: Any = subscribe) -> list[Subscription]:
        return list(await how(self._connection, Settings(), self.endpoint, models, until=datetime.now(UTC), runtime=Runtime()))

    async def hints(self, bodies: list[dict[str, Any]]) -> set[Hint]:
        endpoint, kind = await self.endpoint(), {"content-type": "application/json"}
        told = (Delivery("POST", self.url, {}, kind, json.dumps(body).encode(), datetime.now(UTC)) for body in bodies)
        return {hint for each in told for hint in receive(Settings(), endpoint, each).hints}


@pytest.mark.parametrize("protocol", ["json2", "jsonrpc"])
async def test_a_record_that_is_saved_is_told_and_nothing_of_it_but_its_id(odoo: Odoo, crm: Place, protocol: str) -> None:
    with sink() as taker:
        it = Asker(odoo, taker, protocol)
        made = await it.ask("crm.lead", "res.partner")
        assert [(one.resource, one.healthy, one.detail) for one in made] == [("crm.lead", True, ""), ("res.partner", True, "")]
        assert await it.ask("crm.lead", "res.partner") == await it.ask("crm.lead", "res.partner", how=subscriptions) == made
        [lead] = crm.call("crm.lead", "create", vals_list=[{"name": "A secret deal", "type": "opportunity"}])
        assert taker.wait_for(1)
        before = len(taker.came)
        crm.call("crm.lead", "write", ids=[lead], vals={"expected_revenue": 5})
        assert taker.wait_for(before + 1)
        assert await it.hints(taker.came) == {Hint("deal", str(lead))}
        assert "A secret deal" not in json.dumps(taker.came)


async def test_a_rule_that_somebody_archived_or_turned_elsewhere_is_put_right(odoo: Odoo, crm: Place) -> None:
    with sink() as taker:
        it = Asker(odoo, taker, "json2")
        [made] = await it.ask("crm.lead")
        crm.call("base.automation", "write", ids=[int(made.id)], vals={"active": False})
        [looked] = await it.ask("crm.lead", how=subscriptions)
        assert (looked.healthy, looked.detail) == (False, "its automation rule is archived")
        assert await it.ask("crm.lead") == [made]
        it.url = f"{taker.url}/other"
        assert [one.healthy for one in await it.ask("crm.lead", how=subscriptions)] == [False]
        assert await it.ask("crm.lead") == await it.ask("crm.lead", how=subscriptions) == [made]


async def test_projects_are_told_of_as_the_tool_they_are_in(odoo: Odoo, crm: Place) -> None:
    with sink() as taker:
        it = Asker(odoo, taker, "json2")
        made = await it.ask("7")
        assert [(one.resource, one.healthy) for one in made] == [("project.project", True), ("project.task", True)]
        [task] = crm.call("project.task", "create", vals_list=[{"name": "A task"}])
        assert taker.wait_for(1)
        assert await it.hints(taker.came) == {TOOL}
        crm.call("project.task", "unlink", ids=[task])
