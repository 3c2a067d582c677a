"""Move a state to another place, of the same engine or the other one: every row of it, or nothing."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors.base import StateError
from state.codec import stamp
from state.database import Database
from state.hub import is_there, open_hub
from state.leases import READER
from state.schema import HUB_KEYS, KEYS
from state.store import Store

Row = tuple[Any, ...]
Content = tuple[int, str]  # rows and a digest of them: equal for equal rows, whatever the engine
Progress = Callable[[str, int, int], None]
_BATCH = 1000
_KEYS = {**KEYS, **HUB_KEYS}
_TABLES = [table for table in KEYS if table != "lease"]  # who works on what is of the moment
_NUMBERED = {"intent": "seq", "audit": "id", "approval": "number"}


def copy(source: Store, target: Store, *, now: datetime, progress: Progress = lambda *_: None) -> Mapping[str, int]:
    """Copy every table, the hub's too, one transaction on each side, and compare what arrived with what left; gives the rows of each table.

    Raises StateError when somebody works on the source, when the target is not empty, or when the two differ afterwards; the target is then
    as it was before. `progress` hears of a table, the rows that just went over and how many there are in all.
    """
    with target.transaction() as into:
        into.execute("INSERT INTO lease (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (READER,))  # whoever would begin here waits
        _refuse_full(into, _TABLES)
        _refuse_full_hub(target.where, now)
        _refuse_busy(source, now)
        rows = _moved(source.db, into, _TABLES, progress)
        return {**rows, **_copy_hub(source.where, target.where, now, progress)}  # last: it is short, and commits before this does


def _copy_hub(source: Path | str, target: Path | str, now: datetime, progress: Progress) -> Mapping[str, int]:
    if not is_there(source):
        return {}
    with closing(open_hub(source, now=now)) as ours, closing(open_hub(target, now=now)) as theirs, theirs.atomic():
        _refuse_full(theirs, HUB_KEYS)
        return _moved(ours, theirs, HUB_KEYS, progress)


def _refuse_full_hub(target: Path | str, now: datetime) -> None:
    if is_there(target):
        with closing(open_hub(target, now=now)) as theirs:
            _refuse_full(theirs, HUB_KEYS)


def _moved(source: Database, into: Database, tables: Iterable[str], progress: Progress) -> Mapping[str, int]:
    """Copied and compared, the rows of each. Raises StateError."""
    with source.snapshot():
        sent = {table: _carry(source, into, table, progress) for table in tables}
    for table, content in sent.items():
        if _content(into, table) != content:
            raise StateError(
                f"{table} did not arrive in {into.name} as it left {source.name}; nothing was copied. Is anybody writing to it?"
            )
        if table in _NUMBERED:
            into.count_on(table, _NUMBERED[table])
    return {table: count for table, (count, _) in sent.items()}


def _refuse_busy(source: Store, now: datetime) -> None:
    busy = source.db.execute("SELECT name FROM lease WHERE expires_at > ? ORDER BY name LIMIT 1", (stamp(now),)).fetchone()
    if busy:
        raise StateError(f"state {source.db.name} is at work ({busy[0]}); stop every process that uses it, wait a minute, and copy then")


def _refuse_full(target: Database, tables: Iterable[str]) -> None:
    for table in tables:
        if target.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone():  # noqa: S608 - a name of ours
            raise StateError(f"state {target.name} is not empty; copy to a new file, schema or database")


def _carry(source: Database, into: Database, table: str, progress: Progress) -> Content:
    columns = _columns(source, table)
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})"  # noqa: S608 - names of ours
    (total,) = source.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608

    def write(rows: Sequence[Row]) -> None:
        into.executemany(statement, rows)
        progress(table, len(rows), total)

    return _content(source, table, write)


def _content(database: Database, table: str, each: Callable[[Sequence[Row]], None] = lambda _: None) -> Content:
    """What a table holds, in the order of its keys; `each` gets the rows, some at a time."""
    count, digest = 0, hashlib.blake2b(digest_size=16)
    rows = _rows(database, table)
    while some := list(itertools.islice(rows, _BATCH)):
        for row in some:
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
        count += len(some)
        each(some)
    return count, digest.hexdigest()


def _rows(database: Database, table: str) -> Iterator[Row]:
    """As any engine can hold them: without NUL."""
    for row in database.stream(f"SELECT {', '.join(_columns(database, table))} FROM {table} ORDER BY {_KEYS[table]}"):  # noqa: S608
        yield tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row)


def _columns(database: Database, table: str) -> list[str]:
    """In an order of their own: a table that grew has them in another than one made later."""
    return sorted(column[0] for column in database.execute(f"SELECT * FROM {table} LIMIT 0").description or ())  # noqa: S608
