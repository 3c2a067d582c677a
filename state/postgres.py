"""PostgreSQL as the engine: any number of processes on one state. Needs psycopg 3, the extra `postgres`."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.abc import Buffer
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import StrDumperUnknown

from connectors.base import ConnectorError, StateError, Transient
from state.codec import stamp
from state.schema import HUB, STATE, Migration, Schema
from state.watermark import Watermark

_DEFAULTS = {
    "application_name": "handoff",
    "connect_timeout": "10",
    # a server that went away without a word is noticed within half a minute
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_SETTINGS = (
    "SET client_encoding = 'UTF8'",
    "SET lock_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = '20s'",  # a process frozen in the middle of one holds others up for less than their lock_timeout
)
# Which server, which of its histories (a fail-over or a return to an earlier moment begins another), which database, and which table there:
# a dump that is read in makes another one.
_HOME = (
    "SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint()),"
    " (SELECT oid FROM pg_database WHERE datname = current_database()), 'link'::regclass::oid)"
)
_EVERY_TABLE = {*STATE.keys, *HUB.keys}  # both lie in one schema of the database
_EVERY_MIGRATION = {migration.name for migration in (*STATE.migrations, *HUB.migrations)}
_MIGRATING = 0x48414E444F4646  # the advisory lock of whoever makes the tables


class Server:
    """A `Database` on a PostgreSQL server, in the first schema of the connection's search path.

    When the connection is lost, whatever was going on ends in Transient, a transaction undone; the next use opens another connection.
    """

    def __init__(self, url: str, *, now: datetime, read_only: bool = False, existing: bool = False, schema: Schema = STATE) -> None:
        """With `read_only` or `existing`, tables that are missing are an error rather than made."""
        self._schema = schema
        self._parameters = _parsed(url)
        self.name, self.shared = _named(self._parameters), True
        self.watermark: Watermark | None = None
        self._read_only = read_only
        self._depth = 0
        self._connection = self._connect()
        try:
            self._migrate(now, existing=existing)
            self.home = str(self.execute(_HOME).fetchone()[0]) if schema is STATE else ""  # type: ignore[index]
        except BaseException:
            self.close()
            raise

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        try:
            return self._alive().execute(_marked(statement), parameters)
        except psycopg.Error as error:
            raise self._explanation(error) from error

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        pending = list(rows)
        if len(pending) == 1:
            self.execute(statement, pending[0])
        elif pending:
            with self._together(), self._alive().cursor() as cursor:
                cursor.executemany(_marked(statement), pending)

    def _together(self) -> AbstractContextManager[None]:
        """A transaction; the one that is open, without the two round trips of another inside it."""
        return self._explained() if self._depth else self.atomic()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._explanation(error) from error

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        with self._explained(), self._alive().cursor(name="rows") as cursor:
            cursor.itersize = 1000
            yield from cursor.execute(_marked(statement))

    @contextmanager
    def atomic(self) -> Iterator[None]:
        with self._explained(), self._alive().transaction():
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.atomic():
            self.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def check(self) -> list[str]:
        """Reads every row: PostgreSQL guards its own pages."""
        for table in self._schema.keys:
            self.execute(f"SELECT count(whole.*) FROM {table} AS whole")  # noqa: S608 - a name of ours
        return []

    def backup(self, to: Path) -> None:
        raise StateError(f"{self.name} is on a PostgreSQL server; back it up with pg_dump, or `handoff state copy` it into a file")

    def size(self) -> int:
        sizes = (
            "SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = current_schema()"
        )
        return int(self.execute(sizes).fetchone()[0])  # type: ignore[index]

    def vacuum(self) -> None:
        self.execute(f"VACUUM (ANALYZE) {', '.join(self._schema.keys)}")

    def count_on(self, table: str, column: str) -> None:
        self.execute(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table} HAVING count(*) > 0")  # noqa: S608

    def close(self) -> None:
        self._connection.close()

    # the connection

    def _alive(self) -> psycopg.Connection[Any]:
        """The connection, a new one if it was lost; never inside a transaction, which goes down with its own."""
        if self._connection.closed and not self._depth:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            connection = psycopg.connect(make_conninfo(**{**_DEFAULTS, **self._parameters}), autocommit=True)
            connection.adapters.register_dumper(str, _WithoutNul)
            for setting in (*_SETTINGS, *(["SET default_transaction_read_only = on"] if self._read_only else [])):
                connection.execute(setting)
        except psycopg.Error as error:
            raise self._refusal(error) from error
        if connection.info.parameter_status("server_encoding") != "UTF8":
            connection.close()
            raise StateError(f"state {self.name}: the database cannot hold every character; make one with ENCODING 'UTF8'")
        return connection

    # the tables

    def _migrate(self, now: datetime, *, existing: bool) -> None:
        pending = self._pending()
        if not pending:
            return
        if (existing or self._read_only) and len(pending) == len(self._schema.migrations):
            raise StateError(f"there is no state in {self.name} yet; run `handoff sync` first, or name the database with --state")
        if self._read_only:
            raise StateError(f"{self.name} is not set up for this version yet; run `handoff sync` first")
        with self.atomic():
            self.execute("SELECT pg_advisory_xact_lock(?)", (_MIGRATING,))
            self.execute("CREATE TABLE IF NOT EXISTS handoff_migration (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)")
            for migration in self._pending():
                for statement in migration.statements:
                    self.execute(_translated(statement))
                self.execute("INSERT INTO handoff_migration (name, applied_at) VALUES (?, ?)", (migration.name, stamp(now)))

    def _pending(self) -> list[Migration]:
        schema, *_ = self.execute("SELECT current_schema()").fetchone()  # type: ignore[misc]
        if schema is None:
            raise StateError(f"state {self.name}: the schema of its search_path is not there; make it with CREATE SCHEMA")
        tables = {row[0] for row in self.execute("SELECT tablename FROM pg_tables WHERE schemaname = ?", (schema,))}
        if "handoff_migration" not in tables:
            if taken := sorted(tables.intersection(_EVERY_TABLE)):
                raise StateError(
                    f"state {self.name}: schema {schema} holds somebody else's tables ({', '.join(taken)}); they are left as they are."
                    " Give the state a schema or a database of its own"
                )
            return list(self._schema.migrations)
        applied = [row[0] for row in self.execute("SELECT name FROM handoff_migration ORDER BY name")]
        if newer := [name for name in applied if name not in _EVERY_MIGRATION]:
            raise StateError(f"{self.name} was written by a newer version of handoff ({newer[-1]}); update the program, nothing is changed")
        return [migration for migration in self._schema.migrations if migration.name not in applied]

    # errors

    def _explanation(self, error: psycopg.Error) -> Exception:
        if self._connection.closed or error.sqlstate in _LOST:
            self._connection.close()
            return Transient(f"state {self.name}: the connection to the database was lost; nothing is half-done, run again")
        if error.sqlstate not in _MEANINGS:
            return error
        kind, advice = _MEANINGS[error.sqlstate]
        return kind(f"state {self.name}: {advice}")

    def _refusal(self, error: psycopg.Error) -> Exception:
        """No connection came about. What libpq says of it names host, port, user and database, and no password."""
        text = " ".join(str(error).split())
        secret = self._parameters.get("password")
        said = text.replace(str(secret), "***") if secret else text
        if any(sign in text for sign in _FOR_GOOD):
            return StateError(f"state {self.name}: {said}; check the address, the user and their rights")
        return Transient(f"state {self.name} cannot be reached: {said}; run again later")


_FOR_GOOD = ("authentication failed", "no password supplied", "does not exist", "pg_hba", "permission denied", "could not translate")
_LOST = ("25P03", "57P01", "57P02", "57P03", "57P04", "57P05")  # idle in a transaction for too long; the server ends, crashed, starts
_MEANINGS: dict[str | None, tuple[type[ConnectorError], str]] = {
    "40001": (Transient, "another process was in the way; nothing is half-done, run again"),
    "40P01": (Transient, "another process was in the way; nothing is half-done, run again"),
    "55P03": (Transient, "another process holds what this one needs; nothing is half-done, run again when it has ended"),
    "25006": (StateError, "the database may not be written"),
    "42501": (StateError, "the user may not do this; GRANT the rights on the schema and its tables"),
    "42P01": (StateError, "tables are missing; restore a backup"),
    "53100": (StateError, "the server's disk is full; make room and run again, nothing is half-done"),
    "XX001": (StateError, "the database is damaged; restore a backup"),
    "XX002": (StateError, "an index of the database is damaged; REINDEX it, or restore a backup"),
}


class _WithoutNul(StrDumperUnknown):
    """PostgreSQL cannot hold NUL in a text. One in a name or a reason shall not stop a run."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


def _parsed(url: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError:  # its words may hold the password
        raise StateError("the address of the state cannot be read; it looks like postgresql://user:password@host:5432/database") from None


def _named(parameters: dict[str, Any]) -> str:
    """The address as messages may show it."""
    secret = ":***" if "password" in parameters else ""
    who = f"{parameters['user']}{secret}@" if "user" in parameters else ""
    port = f":{parameters['port']}" if "port" in parameters else ""
    options = f"?options={quote(parameters['options'])}" if "options" in parameters else ""
    return f"postgresql://{who}{quote(parameters.get('host', ''), safe='')}{port}/{parameters.get('dbname', '')}{options}"


@functools.lru_cache(maxsize=1024)
def _marked(statement: str) -> str:
    """Parameters as psycopg marks them."""
    return statement.replace("%", "%%").replace("?", "%s")


def _translated(statement: str) -> str:
    """What SQLite reads, as PostgreSQL reads it. Texts compare as bytes, as they do there."""
    for theirs, ours in (
        (" WITHOUT ROWID", ""),
        ("INTEGER PRIMARY KEY", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
        ("INTEGER", "BIGINT"),
        ("TEXT", 'TEXT COLLATE "C"'),
    ):
        statement = statement.replace(theirs, ours)
    return statement
