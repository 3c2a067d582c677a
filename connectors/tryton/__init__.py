"""Tryton, over its JSON-RPC: its opportunities as a source, its projects as a target."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Runtime
from connectors.tryton.connection import Connection, FieldMap
from connectors.tryton.source import TrytonSource
from connectors.tryton.target import TrytonTarget
from engine.model import CrmKind, Read

__all__ = ["Connection", "FieldMap", "TrytonSource", "TrytonTarget", "open_source", "open_target"]


def open_source(
    connection: Connection, *, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]], runtime: Runtime
) -> TrytonSource:
    """The source of a validated `connection:` section, asked to read and to write back what the mapping names."""
    return TrytonSource(connection, reads, runtime=runtime, write_back=write_back)


def open_target(connection: Connection, *, fields: Mapping[str, Mapping[str, Any]], runtime: Runtime) -> TrytonTarget:
    """The target of a validated `connection:` section and the mapping's `fields:` section."""
    return TrytonTarget(connection, fields={name: FieldMap(**field) for name, field in fields.items()}, runtime=runtime)
