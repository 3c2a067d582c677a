"""Roundup: its bugs or issues as feedback, read and written back to."""

from collections.abc import Mapping

from connectors.base import Runtime
from connectors.roundup.connection import Connection
from connectors.roundup.source import RoundupSource
from engine.model import CrmKind, Read

__all__ = ["Connection", "RoundupSource", "open_source"]


def open_source(
    connection: Connection, *, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]], runtime: Runtime
) -> RoundupSource:
    """The source of a validated `connection:` section, asked to read and to write back what the mapping names."""
    return RoundupSource(connection, reads, runtime=runtime, write_back=write_back)
