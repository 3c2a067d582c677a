"""The embedded engine: one SQLite file in WAL mode, one writer held off by an OS lock, any number of readers.

Tables that are not one process's alone have no such lock: there writers take turns, a transaction each.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlite_utils
from sqlite_utils.migrations import Migrations

from connectors.base import StateError
from state.lock import Lock, turn
from state.schema import STATE, Migration, Schema
from state.watermark import Watermark


class Embedded:
    """A `Database` in a file. `path` is held from construction to `close` unless it is `read_only`."""

    def __init__(self, path: Path, *, now: datetime, read_only: bool = False, existing: bool = False, schema: Schema = STATE) -> None:
        """With `read_only` or `existing`, a file that is missing is an error rather than made."""
        if (read_only or existing) and not path.exists():
            raise StateError(
                f"there is no state at {path} yet; run `handoff sync` first, or name the folder with -C, the file with --state"
            )
        self.path, self.name, self.shared = path, str(path), False
        self._alone = schema.alone
        beside = path.with_name(path.name + ".lock") if read_only else _prepared(path)
        self._lock = Lock(beside, now=now) if schema.alone and not read_only else None
        self.watermark: Watermark | None = Watermark(path.with_name(path.name + ".mark")) if schema.alone else None
        self.home = ""
        try:
            with nullcontext() if schema.alone or read_only else turn(beside):
                self._db = sqlite_utils.Database(_connect(path, read_only=read_only))
                with _explained(path):
                    _migrate(self._db, path, schema, read_only=read_only)
        except BaseException:
            self._unlock()
            raise

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._db.conn.execute(statement, parameters)
        except sqlite3.Error as error:
            raise _explanation(self.path, error) from error

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with nullcontext() if self._db.conn.in_transaction else self.atomic(), _explained(self.path):
            self._db.conn.executemany(statement, rows)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        with _explained(self.path), self._db.atomic() if self._alone or self._db.conn.in_transaction else self._immediate():
            yield

    @contextmanager
    def _immediate(self) -> Iterator[None]:
        """Waits for its turn at the start: a transaction that first reads could not wait for it any more when it writes."""
        self._db.conn.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.conn.execute("COMMIT")
        except BaseException:
            self._db.conn.rollback()
            raise

    def snapshot(self) -> AbstractContextManager[None]:
        return self.atomic()

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        with _explained(self.path):
            yield from self._db.conn.execute(statement)

    def check(self) -> list[str]:
        with _explained(self.path):
            return [row[0] for row in self.execute("PRAGMA integrity_check") if row[0] != "ok"]

    def backup(self, to: Path) -> None:
        with _explained(to), closing(sqlite3.connect(to)) as copy:
            self._db.conn.backup(copy)

    def size(self) -> int:
        pages, size = (
            self.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size")
        )  # what is still in the WAL included
        return int(pages * size)

    def vacuum(self) -> None:
        self.execute("VACUUM")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def count_on(self, table: str, column: str) -> None:
        """SQLite does so by itself."""

    def close(self) -> None:
        self._db.close()
        if self.watermark is not None:
            self.watermark.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _prepared(path: Path) -> Path:
    """The folder and the file exist and are ours alone, before SQLite sees them; gives the path of the lock file.

    A file that is there is never opened by ourselves: closing it again would release the locks that connections of this process have on it
    (https://sqlite.org/howtocorrupt.html, 2.2), and another process would take away the log they write to.
    """
    try:
        _refuse_foreign(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StateError(
            f"cannot write {path} ({error.strerror}); check the folder's permissions or choose another with --state"
        ) from error
    return path.with_name(path.name + ".lock")


def _refuse_foreign(path: Path) -> None:
    """Leave somebody else's file as it is."""
    if path.is_dir():
        raise StateError(f"{path} is a folder; name a file with --state")
    if path.exists() and not _is_ours(path):
        raise StateError(f"{path} is somebody else's database; it is left as it is. Name another file with --state")


def _is_ours(path: Path) -> bool:
    with _explained(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                raise
            raise StateError(f"{path} is not a handoff state file; it is left as it is. Name another with --state") from error
    return not tables or Migrations.migrations_table in tables


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    with _explained(path):
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute("PRAGMA foreign_keys = ON")
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        return connection


def _migrate(db: sqlite_utils.Database, path: Path, schema: Schema, *, read_only: bool) -> None:
    migrations = _migrations(schema)
    known = {migration.name for migration in schema.migrations}
    newer = [migration.name for migration in migrations.applied(db) if migration.name not in known]
    if newer:
        raise StateError(f"{path} was written by a newer version of handoff ({newer[-1]}); update the program, the file is untouched")
    if not read_only:
        migrations.apply(db)
    elif migrations.pending(db):
        raise StateError(f"{path} is not set up yet; run `handoff sync` first")


def _migrations(schema: Schema) -> Migrations:
    made = Migrations(schema.name)
    for migration in schema.migrations:
        made(name=migration.name)(_step(migration))
    return made


def _step(migration: Migration) -> Any:
    def run(db: sqlite_utils.Database) -> None:
        for statement in migration.statements:
            db.execute(statement)

    return run


_MEANINGS = (
    ("disk is full", "the disk is full; make room and run again, nothing is half-done"),
    ("readonly", "the file or its folder may not be written; check permissions"),
    ("disk i/o", "the disk does not answer properly; check it before going on"),
    ("unable to open", "the file cannot be opened; check the folder and its permissions"),
    ("not a database", "this is not a handoff state file"),
    ("malformed", "the file is damaged; restore a backup (`handoff state backup` makes them)"),
    ("locked", "another process is writing to it; try again when that has ended"),
)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what SQLite says into a StateError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explanation(path, error) from error


def _explanation(path: Path, error: sqlite3.Error) -> Exception:
    text = str(error).lower()
    advice = next((meaning for sign, meaning in _MEANINGS if sign in text), None)
    return error if advice is None else StateError(f"state {path}: {advice}")
