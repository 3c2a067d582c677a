"""Tryton, over its JSON-RPC: its opportunities as a source, its projects as a target."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Runtime
from connectors.tryton.connection import Connection, FieldMap
from connectors.tryton.target import TrytonTarget

__all__ = ["Connection", "FieldMap", "TrytonTarget", "open_target"]


def open_target(connection: Connection, *, fields: Mapping[str, Mapping[str, Any]], runtime: Runtime) -> TrytonTarget:
    """The target of a validated `connection:` section and the mapping's `fields:` section."""
    return TrytonTarget(connection, fields={name: FieldMap(**field) for name, field in fields.items()}, runtime=runtime)
