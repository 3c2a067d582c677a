"""Kanboard, written to over JSON-RPC."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Runtime
from connectors.kanboard.connection import Connection, FieldMap
from connectors.kanboard.target import KanboardTarget

__all__ = ["Connection", "FieldMap", "KanboardTarget", "open_target"]


def open_target(connection: Connection, *, fields: Mapping[str, Mapping[str, Any]], runtime: Runtime) -> KanboardTarget:
    """The target of a validated `connection:` section and the mapping's `fields:` section."""
    return KanboardTarget(connection, fields={name: FieldMap(**field) for name, field in fields.items()}, runtime=runtime)
