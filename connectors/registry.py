"""Which systems there are. A connector's package is imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, cast

from pydantic import BaseModel

from connectors.base import Runtime, Source, Target
from connectors.push import PushSettings, Receive, Subscribe, Unsubscribe
from engine.model import CrmKind, Read

SYSTEMS: Mapping[str, str] = {
    "salesforce": "connectors.salesforce",
    "zoho": "connectors.zoho",
    "asana": "connectors.asana",
    "kanboard": "connectors.kanboard",
    "odoo": "connectors.odoo",
    "redmine": "connectors.redmine",
    "roundup": "connectors.roundup",
    "tryton": "connectors.tryton",
}

# Those that tell of changes by themselves. Some are understood before there is a connector that reads them.
PUSHES: Mapping[str, str] = {
    "salesforce": "connectors.salesforce.push",
    "zoho": "connectors.zoho.push",
    "asana": "connectors.asana.push",
    "odoo": "connectors.odoo.push",
    "kanboard": "connectors.kanboard.push",
    "hubspot": "connectors.hubspot.push",
    "pipedrive": "connectors.pipedrive.push",
    "feishu": "connectors.feishu.push",
    "dingtalk": "connectors.dingtalk.push",
    "generic": "connectors.generic.push",
}

# Those that let themselves be asked for it; to the others a person goes.
SUBSCRIBES: Mapping[str, str] = {
    "zoho": "connectors.zoho.subscribe",
    "asana": "connectors.asana.subscribe",
    "odoo": "connectors.odoo.subscribe",
}


class OpenSource(Protocol):
    def __call__(
        self, connection: Any, *, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]], runtime: Runtime
    ) -> Source: ...


class OpenTarget(Protocol):
    def __call__(self, connection: Any, *, fields: Mapping[str, Mapping[str, Any]], runtime: Runtime) -> Target: ...


def connection_model(system: str) -> type[BaseModel]:
    """The shape of a system's `connection:` section."""
    return cast("type[BaseModel]", import_module(SYSTEMS[system]).Connection)


def source_opener(system: str) -> OpenSource | None:
    """How to open a system as a source; None when it cannot be one."""
    return cast("OpenSource | None", getattr(import_module(SYSTEMS[system]), "open_source", None))


def target_opener(system: str) -> OpenTarget | None:
    """How to open a system as a target; None when it cannot be one."""
    return cast("OpenTarget | None", getattr(import_module(SYSTEMS[system]), "open_target", None))


def push_module(system: str) -> ModuleType | None:
    """A system's push, as `connectors.push` describes it; None when it has none."""
    return import_module(PUSHES[system]) if system in PUSHES else None


def push_settings(system: str) -> type[PushSettings] | None:
    """The shape of a system's `push:` section; None when it cannot be pushed to."""
    module = push_module(system)
    return cast("type[PushSettings]", module.Settings) if module else None


def pushed_by(system: str, push: Mapping[str, Any]) -> str:
    """Whose webhooks a system's `push:` section is about: its own, unless it says otherwise."""
    return str(push.get("system") or system)


def receiver(system: str) -> Receive:
    """How deliveries of a system are read. Raises KeyError for one without push."""
    return cast("Receive", import_module(PUSHES[system]).receive)


def subscriber(system: str) -> Subscribe | None:
    """How to have a system push; None when that is done by hand."""
    return cast("Subscribe", import_module(SUBSCRIBES[system]).subscribe) if system in SUBSCRIBES else None


def looker(system: str) -> Subscribe | None:
    """How to look at what a system holds for us; None when it does not say."""
    return cast("Subscribe", import_module(SUBSCRIBES[system]).subscriptions) if system in SUBSCRIBES else None


def unsubscriber(system: str) -> Unsubscribe | None:
    """How to have single resources told of no more; None for a system where that is of no use."""
    return cast("Unsubscribe | None", getattr(import_module(SUBSCRIBES[system]), "unsubscribe", None)) if system in SUBSCRIBES else None


def heartbeat(system: str) -> timedelta | None:
    """How often a system that is subscribed to sends a sign of life; None when it sends none."""
    return cast("timedelta | None", getattr(import_module(SUBSCRIBES[system]), "HEARTBEAT", None)) if system in SUBSCRIBES else None


def steps(system: str) -> str:
    """What a person does to have a system push, with `{url}` and `{token}` to be filled in; empty when nothing is to be done by hand."""
    return str(getattr(push_module(system), "HOW", ""))
