"""Odoo is asked for automation rules. What it answers here is what a real one answers (tests/real), as far as is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from connectors.base import ConfigError, Runtime
from connectors.odoo import Connection
from connectors.odoo.subscribe import subscribe, subscriptions
from connectors.push import PushSettings, Subscription
from sandbox.web import InProcess, Reply, Request, Sandbox
from tests.conformance.source import Clock
from tests.connectors.subscribing import Hub

URL = "http://odoo.test"
RULE, ACTION = "base.automation", "ir.actions.server"
Row = dict[str, Any]


class Odoo:
    """Tables of rows, and the few methods that are called on them."""

    def __init__(self) -> None:
        self.version = [19, 0, 0, "final", 0, ""]
        self.asked: list[str] = []
        self.refused: dict[str, Reply] = {}
        self.tables: dict[str, list[Row]] = {
            "ir.model": [{"id": 7, "model": "crm.lead"}, {"id": 8, "model": "project.task"}, {"id": 9, "model": "project.project"}],
            "ir.model.fields": [{"id": 71, "model": "crm.lead", "name": "write_date"}],
            RULE: [],
            ACTION: [],
        }

    def admit(self, request: Request) -> Reply | None:
        return None

    def release(self, request: Request) -> None:
        return None

    def handle(self, request: Request) -> Reply:
        if request.path == "/web/version":
            return Reply.json(200, {"version_info": self.version})
        _, _, _, model, method = request.path.split("/")
        self.asked.append(f"{model}.{method}")
        if reply := self.refused.get(f"{model}.{method}"):
            return reply
        return Reply.json(200, getattr(self, method)(model, **{k: v for k, v in request.json().items() if k != "context"}))

    def fields_get(self, model: str, **_: Any) -> Row:
        return {"name": {"type": "char"}}

    def search_read(self, model: str, domain: list[Any], **_: Any) -> list[Row]:
        tests: dict[str, Callable[[Any, Any], bool]] = {"=": lambda held, wanted: held == wanted, "in": lambda held, wanted: held in wanted}
        return [row for row in self.tables[model] if all(tests[op](row[name], wanted) for name, op, wanted in domain)]

    def create(self, model: str, vals_list: list[Row]) -> list[int]:
        return [self._made(model, row) for row in vals_list]

    def write(self, model: str, ids: list[int], vals: Row) -> bool:
        for row in self.tables[model]:
            if row["id"] in ids:
                row.update(self._plain(vals))
        return True

    def _made(self, model: str, row: Row) -> int:
        id_ = 100 + sum(len(table) for table in self.tables.values())
        self.tables[model].append({"id": id_, "action_server_ids": [], **self._plain(row)})
        return id_

    def _plain(self, row: Row) -> Row:
        found = dict(row)
        if "action_server_ids" in found:
            found["action_server_ids"] = [self._made(ACTION, vals) for _, _, vals in found["action_server_ids"]]
        if "webhook_field_ids" in found:
            [(_, _, found["webhook_field_ids"])] = found["webhook_field_ids"]
        return found


async def ask(odoo: Odoo, hub: Hub, models: Sequence[str] = ("crm.lead",), how: Any = subscribe, **settings: Any) -> list[Subscription]:
    clock = Clock()
    connection = Connection.model_validate({"url": URL, "key": "0123456789abcdef", **settings})
    runtime = Runtime(clock=clock, sleep=clock.sleep, transport=InProcess({URL: Sandbox(odoo)}))
    return list(await how(connection, PushSettings(), hub.place, models, until=clock(), runtime=runtime))


async def test_a_rule_posts_what_was_saved_with_nothing_of_a_customer() -> None:
    odoo, hub = Odoo(), Hub("odoo")
    [found] = await ask(odoo, hub)
    [rule], [action] = odoo.tables[RULE], odoo.tables[ACTION]
    assert found == Subscription("crm.lead", str(rule["id"]))
    assert (rule["trigger"], rule["model_id"], rule["active"]) == ("on_create_or_write", 7, True)
    assert (action["state"], action["webhook_url"], action["model_id"]) == ("webhook", (await hub.place()).url, 7)
    assert action["webhook_field_ids"] == [71]
    assert await ask(odoo, hub) == await ask(odoo, hub, how=subscriptions) == [found]
    assert (odoo.asked.count(f"{RULE}.create"), odoo.asked.count(f"{RULE}.write")) == (1, 0)


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        (RULE, {"active": False}, "archived"),
        (RULE, {"trigger": "on_create"}, "changed"),
        (RULE, {"model_id": 8}, "changed"),
        (RULE, {"action_server_ids": []}, "elsewhere"),
        (ACTION, {"webhook_url": "https://else.example.com"}, "elsewhere"),
        (ACTION, {"state": "code"}, "elsewhere"),
    ],
)
async def test_a_rule_that_somebody_changed_is_told_and_put_right(table: str, change: Row, words: str) -> None:
    odoo, hub = Odoo(), Hub("odoo")
    before = await ask(odoo, hub)
    odoo.tables[table][0].update(change)
    [looked] = await ask(odoo, hub, how=subscriptions)
    assert (looked.healthy, words in looked.detail) == (False, True)
    assert await ask(odoo, hub) == await ask(odoo, hub, how=subscriptions) == before
    assert len(odoo.tables[RULE]) == 1


async def test_another_address_changes_the_rule_and_another_hub_has_rules_of_its_own() -> None:
    odoo, hub = Odoo(), Hub("odoo")
    await ask(odoo, hub)
    hub.lose()
    await ask(odoo, hub)
    assert [action["webhook_url"] for action in odoo.tables[ACTION]] == [(await hub.place()).url]
    hub.url = "https://staging.example.com"
    await ask(odoo, hub)
    assert len(odoo.tables[RULE]) == 2


async def test_ids_of_projects_stand_for_what_projects_consist_of() -> None:
    odoo, hub = Odoo(), Hub("odoo")
    found = await ask(odoo, hub, ("3", "4", "crm.lead"))
    assert [(one.resource, one.healthy) for one in found] == [("project.project", True), ("project.task", True), ("crm.lead", True)]


async def test_a_model_that_is_not_there_concerns_no_other() -> None:
    found = await ask(Odoo(), Hub("odoo"), ("crm.led", "crm.lead"))
    assert [(one.healthy, "no such model" in one.detail) for one in found] == [(False, True), (True, False)]


def fault(name: str, status: int) -> Reply:
    return Reply.json(status, {"name": name, "message": "no", "arguments": [], "context": {}, "debug": ""})


@pytest.mark.parametrize(
    ("method", "reply", "words"),
    [
        (f"{RULE}.fields_get", fault("werkzeug.exceptions.NotFound", 404), "base_automation is not installed"),
        (f"{RULE}.fields_get", fault("odoo.exceptions.AccessError", 403), "may not look after automation rules"),
        (f"{RULE}.create", fault("odoo.exceptions.AccessError", 403), "may not look after automation rules"),
    ],
)
async def test_what_is_missing_in_odoo_is_told_with_what_to_do(method: str, reply: Reply, words: str) -> None:
    odoo = Odoo()
    odoo.refused[method] = reply
    with pytest.raises(ConfigError, match=words) as caught:
        await ask(odoo, Hub("odoo"))
    assert caught.value.problems[0].hint


async def test_an_odoo_from_before_webhooks_says_so() -> None:
    odoo = Odoo()
    odoo.version = [16, 0, 0, "final", 0, ""]
    with pytest.raises(ConfigError, match="older than 17"):
        await ask(odoo, Hub("odoo"), protocol="json2")


async def test_a_rule_that_odoo_refuses_is_told_in_its_words() -> None:
    odoo = Odoo()
    odoo.refused[f"{RULE}.create"] = fault("odoo.exceptions.ValidationError", 422)
    [found] = await ask(odoo, Hub("odoo"))
    assert (found.healthy, found.detail) == (False, "ValidationError: no")
