"""Odoo's webhooks: an automation rule for each model, with an action that posts to us. They are ours by their names.

https://www.odoo.com/documentation/19.0/applications/studio/automated_actions.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.base import ConfigError, Rejected, Runtime
from connectors.http import Effect
from connectors.odoo.connection import Connection
from connectors.odoo.errors import SYSTEM, Denied, NotThere
from connectors.odoo.rpc import Row, Rpc
from connectors.odoo.schema import Schema
from connectors.push import Endpoint, Place, PushSettings, Subscription
from engine.model import Problem

SINCE = 17
_RULE, _ACTION, _TRIGGER = "base.automation", "ir.actions.server", "on_create_or_write"
_OF_PROJECTS = ("project.project", "project.task")
_MODULE = Problem(
    "Odoo tells of changes by automation rules, and its module base_automation is not installed",
    hint="install it: Apps, remove the filter, Automation Rules",
)
_OLD = Problem(
    f"this Odoo is older than {SINCE}, the first that posts to webhooks by itself", hint="leave out `push:`; polling finds all changes"
)
_RIGHT = Problem(
    "the integration user may not look after automation rules",
    hint="give it the access right Administration: Settings, or make the rules by hand: docs/webhooks.md",
)


async def subscribe(
    connection: Connection, settings: PushSettings, place: Place, resources: Sequence[str], *, until: datetime, runtime: Runtime
) -> Sequence[Subscription]:
    """See `connectors.push.Subscribe`: models, or ids of projects, which stand for the models projects consist of."""
    del settings, until  # rules do not expire
    return await _each(connection, await place(), _models(resources), runtime, mend=True)


async def subscriptions(
    connection: Connection, settings: PushSettings, place: Place, resources: Sequence[str], *, until: datetime, runtime: Runtime
) -> Sequence[Subscription]:
    """See `connectors.push.Subscribe`."""
    del settings, until
    return await _each(connection, await place(), _models(resources), runtime, mend=False)


def _models(resources: Iterable[str]) -> list[str]:
    found = (models for each in resources for models in (_OF_PROJECTS if each.isdigit() else (each,)))
    return list(dict.fromkeys(found))


async def _each(connection: Connection, endpoint: Endpoint, models: Sequence[str], runtime: Runtime, *, mend: bool) -> list[Subscription]:
    async with Rpc(connection, runtime) as rpc:
        try:
            await _check(rpc)
            rules = _Rules(rpc, endpoint)
            return [await rules.of(model, mend=mend) for model in models]
        except Denied as denied:
            raise ConfigError([_RIGHT], system=SYSTEM) from denied


async def _check(rpc: Rpc) -> None:
    if (await rpc.version())[0] < SINCE:
        raise ConfigError([_OLD], system=SYSTEM)
    try:
        await Schema(rpc).fields(_RULE)
    except NotThere as missing:
        raise ConfigError([_MODULE], system=SYSTEM) from missing


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules that lead to one endpoint."""

    rpc: Rpc
    endpoint: Endpoint

    async def of(self, model: str, *, mend: bool) -> Subscription:
        """A model's rule, made or put right where that is wanted. What is wrong with one model is said of that one."""
        model_id = await self._model(model)
        if model_id is None:
            return Subscription(model, "", healthy=False, detail="this server has no such model, or hides it from this user")
        rule = await self._rule(model)
        wrong = await self._wrong(rule, model_id) if rule else "there is no automation rule for it"
        if wrong and mend:
            try:
                return Subscription(model, str(await self._put(model, model_id, rule)))
            except Denied:
                raise
            except Rejected as refusal:
                wrong = refusal.message
        return Subscription(model, str(rule["id"]) if rule else "", healthy=not wrong, detail=wrong)

    def name(self, model: str) -> str:
        return f"Handoff: tell {urlsplit(self.endpoint.url).netloc} ({self.endpoint.name}) of {model}"

    async def _model(self, model: str) -> int | None:
        rows = await self.rpc.search_read("ir.model", [["model", "=", model]], ["model"], limit=1)
        return int(rows[0]["id"]) if rows else None

    async def _rule(self, model: str) -> Row | None:
        rows = await self.rpc.search_read(
            _RULE, [["name", "=", self.name(model)]], ["active", "model_id", "trigger", "action_server_ids"], order="id", limit=1
        )
        return rows[0] if rows else None

    async def _wrong(self, rule: Row, model_id: int) -> str:
        """What somebody changed about a rule of ours, in words."""
        if not rule["active"]:
            return "its automation rule is archived"
        if rule["model_id"] != model_id or rule["trigger"] != _TRIGGER:
            return "its automation rule was changed"
        ids = rule["action_server_ids"] or []
        actions = await self.rpc.search_read(_ACTION, [["id", "in", ids]], ["state", "webhook_url"]) if ids else []
        right = any(each["state"] == "webhook" and each["webhook_url"] == self.endpoint.url for each in actions)
        return "" if right else "its automation rule leads elsewhere"

    async def _put(self, model: str, model_id: int, rule: Row | None) -> int:
        action = {"name": self.name(model), "model_id": model_id, "state": "webhook", "webhook_url": self.endpoint.url}
        action["webhook_field_ids"] = [[6, 0, await self._stamp(model)]]
        wanted: dict[str, Any] = {"name": self.name(model), "active": True, "model_id": model_id, "trigger": _TRIGGER}
        if rule is None:
            rows = [{**wanted, "action_server_ids": [[0, 0, action]]}]
            made = await self.rpc.call(_RULE, "create", effect=Effect.CREATE, vals_list=rows)
            return int(made[0] if isinstance(made, list) else made)
        if ids := rule["action_server_ids"]:
            await self.rpc.call(_ACTION, "write", effect=Effect.REPEATABLE, ids=ids[:1], vals=action)
        else:
            wanted["action_server_ids"] = [[0, 0, action]]
        await self.rpc.call(_RULE, "write", effect=Effect.UPDATE, ids=[rule["id"]], vals=wanted)
        return int(rule["id"])

    async def _stamp(self, model: str) -> list[int]:
        """The one field that is sent along: when it was changed. Nothing of a customer leaves Odoo."""
        domain = [["model", "=", model], ["name", "=", "write_date"]]
        return [int(row["id"]) for row in await self.rpc.search_read("ir.model.fields", domain, ["name"])]
