"""Salesforce, read over REST and Bulk API 2.0 and written back to."""

from collections.abc import Mapping

from connectors.base import Runtime
from connectors.salesforce.connection import Connection
from connectors.salesforce.source import SalesforceSource
from engine.model import CrmKind, Read

__all__ = ["Connection", "SalesforceSource", "open_source"]


def open_source(
    connection: Connection, *, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]], runtime: Runtime
) -> SalesforceSource:
    """The source of a validated `connection:` section, asked to read and to write back what the mapping names."""
    return SalesforceSource(connection, reads, runtime=runtime, write_back=write_back)
