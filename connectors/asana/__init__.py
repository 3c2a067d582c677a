"""Asana, written to over its public API."""

from collections.abc import Mapping
from typing import Any

from connectors.asana.connection import Connection, FieldMap
from connectors.asana.target import AsanaTarget
from connectors.base import Runtime

__all__ = ["AsanaTarget", "Connection", "FieldMap", "open_target"]


def open_target(connection: Connection, *, fields: Mapping[str, Mapping[str, Any]], runtime: Runtime) -> AsanaTarget:
    """The target of a validated `connection:` section and the mapping's `fields:` section."""
    return AsanaTarget(connection, fields={name: FieldMap(**field) for name, field in fields.items()}, runtime=runtime)
