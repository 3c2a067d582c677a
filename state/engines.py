"""Which engine: a path is a file of SQLite's, a `postgresql://` URL is a PostgreSQL server."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from connectors.base import StateError
from state.database import Database
from state.schema import STATE, Schema
from state.sqlite import Embedded

_SCHEMES = ("postgresql://", "postgres://")


def place(text: str) -> Path | str:
    """What a person wrote: a URL stays as it is, anything else is a path."""
    return text if text.startswith(_SCHEMES) else Path(text)


def opened(where: Path | str, *, now: datetime, read_only: bool, existing: bool, schema: Schema = STATE) -> Database:
    """A database set up and migrated. Raises StateError, or Transient for a server that cannot be reached."""
    if isinstance(where, Path):
        return Embedded(where, now=now, read_only=read_only, existing=existing, schema=schema)
    try:
        from state.postgres import Server  # noqa: PLC0415 - psycopg is an extra
    except ImportError as error:
        raise StateError("a state on PostgreSQL needs psycopg: pip install 'psycopg[binary]>=3.2'") from error
    return Server(where, now=now, read_only=read_only, existing=existing, schema=schema)
