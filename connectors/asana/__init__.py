"""Asana, written to over its public API."""

from connectors.asana.connection import Connection, FieldMap
from connectors.asana.target import AsanaTarget

__all__ = ["AsanaTarget", "Connection", "FieldMap"]
