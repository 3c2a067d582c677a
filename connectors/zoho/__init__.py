"""Zoho CRM, read over REST v8 and bulk read, and written back to."""

from collections.abc import Mapping

from connectors.base import Runtime
from connectors.zoho.connection import Connection
from connectors.zoho.source import ZohoSource
from engine.model import CrmKind, Read

__all__ = ["Connection", "ZohoSource", "open_source"]


def open_source(
    connection: Connection, *, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]], runtime: Runtime
) -> ZohoSource:
    """The source of a validated `connection:` section, asked to read and to write back what the mapping names."""
    return ZohoSource(connection, reads, runtime=runtime, write_back=write_back)
