"""Redmine, written to over its REST API."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Runtime
from connectors.redmine.connection import Connection, FieldMap
from connectors.redmine.target import RedmineTarget

__all__ = ["Connection", "FieldMap", "RedmineTarget", "open_target"]


def open_target(connection: Connection, *, fields: Mapping[str, Mapping[str, Any]], runtime: Runtime) -> RedmineTarget:
    """The target of a validated `connection:` section and the mapping's `fields:` section."""
    return RedmineTarget(connection, fields={name: FieldMap(**field) for name, field in fields.items()}, runtime=runtime)
