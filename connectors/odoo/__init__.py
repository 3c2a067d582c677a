"""Odoo: its CRM, read and written back to, and its projects, written to."""

from collections.abc import Mapping

from connectors.base import Runtime
from connectors.odoo.connection import Connection
from connectors.odoo.source import OdooSource
from engine.model import CrmKind, Read

__all__ = ["Connection", "OdooSource", "open_source"]


def open_source(
    connection: Connection, *, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]], runtime: Runtime
) -> OdooSource:
    """The source of a validated `connection:` section, asked to read and to write back what the mapping names."""
    return OdooSource(connection, reads, runtime=runtime, write_back=write_back)
