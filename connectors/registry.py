"""Which systems there are. A connector's package is imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from pydantic import BaseModel

from connectors.base import Runtime, Source, Target
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
