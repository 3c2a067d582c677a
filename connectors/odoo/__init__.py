"""Odoo: its CRM, read and written back to, and its projects, written to."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Runtime
from connectors.odoo.connection import Connection
from connectors.odoo.source import OdooSource
from connectors.odoo.target import FieldMap, OdooTarget
from engine.model import CrmKind, Read

__all__ = ["Connection", "FieldMap", "OdooSource", "OdooTarget", "open_source", "open_target"]


def open_source(
    connection: Connection, *, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]], runtime: Runtime
) -> OdooSource:
    """The source of a validated `connection:` section, asked to read and to write back what the mapping names."""
    return OdooSource(connection, reads, runtime=runtime, write_back=write_back)


def open_target(connection: Connection, *, fields: Mapping[str, Mapping[str, Any]], runtime: Runtime) -> OdooTarget:
    """The target of a validated `connection:` section and the mapping's `fields:` section."""
    return OdooTarget(connection, fields={name: FieldMap(**field) for name, field in fields.items()}, runtime=runtime)
