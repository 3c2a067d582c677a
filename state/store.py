"""The sync-state store: short transactions, nothing held across the network. One set of statements, whatever the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from engine.model import CrmKind, WriteBack
from state.codec import dump, load, moment, stamp
from state.database import Database
from state.engines import opened

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A CRM record as last seen. `data` is the canonical model as JSON text, `hash` its content hash."""

    id: str
    hash: str
    data: str
    customer: str = ""
    deleted: bool = False
    merged_into: str = ""
    modified_at: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the audit trail: what became of an event of `source`, by which rule (or ""), about which key (or "")."""

    source: str
    event: str
    rule: str
    verdict: str
    reason: str
    key: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    kind: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    counts: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    error: str = ""


class Store:
    """Raises StateError for what a user can do something about: held, newer than the program, read-only, full, damaged."""

    def __init__(self, where: Path | str, *, now: datetime, read_only: bool = False, existing: bool = False) -> None:
        """`where` is a file, or the URL of a PostgreSQL database. With `read_only` or `existing`, a missing state is an error rather than made."""
        self.where = where  # may hold a password
        self.db = opened(where, now=now, read_only=read_only, existing=existing)
        if not self.db.shared and not read_only:
            self.db.execute(_FREE)
        self._depth = 0
        self._after_commit: list[Callable[[], None]] = []

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """All or nothing; nested use joins the outer one."""
        self._depth += 1
        try:
            with self.db.atomic():
                yield self.db
        except BaseException:
            self._after_commit = []
            raise
        finally:
            self._depth -= 1
        if not self._depth:
            work, self._after_commit = self._after_commit, []
            for each in work:
                each()

    def on_commit(self, work: Callable[[], None]) -> None:
        """Do this when the transaction stands; forget it when it does not."""
        self._after_commit.append(work)

    # cursors

    def cursor(self, system: str, kind: CrmKind) -> str | None:
        row = self.db.execute("SELECT value FROM cursor WHERE system = ? AND kind = ?", (system, kind)).fetchone()
        return row[0] if row else None

    def save_cursor(self, system: str, kind: CrmKind, value: str, now: datetime) -> None:
        self.db.execute(_SAVE_CURSOR, (system, kind, value, stamp(now)))

    # meta

    def meta(self, key: str) -> str | None:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def save_meta(self, key: str, value: str) -> None:
        self.db.execute(_SAVE_META, (key, value))

    def metas(self, prefix: str) -> dict[str, str]:
        """Everything noted under names that begin so, by the rest of the name."""
        rows = self.db.execute("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ? ORDER BY key", (len(prefix), prefix))
        return {key.removeprefix(prefix): value for key, value in rows}

    # snapshots

    def snapshots(self, system: str, kind: CrmKind, ids: Iterable[str]) -> dict[str, Snapshot]:
        statement = f"SELECT {_COLUMNS} FROM snapshot WHERE system = ? AND kind = ? AND id IN ({{marks}})"  # noqa: S608 - names from below
        found = self.look_up(statement, (system, kind), ids)
        return {row[0]: _snapshot(row) for row in found}

    def all_snapshots(self, system: str, kind: CrmKind) -> Iterator[Snapshot]:
        rows = self.db.execute(f"SELECT {_COLUMNS} FROM snapshot WHERE system = ? AND kind = ? AND deleted = 0 ORDER BY id", (system, kind))  # noqa: S608
        return (_snapshot(row) for row in rows)

    def ids(self, system: str, kind: CrmKind) -> set[str]:
        """Ids of the records that are known and not deleted."""
        rows = self.db.execute("SELECT id FROM snapshot WHERE system = ? AND kind = ? AND deleted = 0", (system, kind))
        return {row[0] for row in rows}

    def of_customer(self, system: str, customer: str) -> list[str]:
        """Ids of the deals that belong to a customer."""
        rows = self.db.execute(
            "SELECT id FROM snapshot WHERE system = ? AND customer = ? AND kind = 'deal' ORDER BY id", (system, customer)
        )
        return [row[0] for row in rows]

    def merged_into(self, system: str, kind: CrmKind, winner: str) -> list[str]:
        rows = self.db.execute(
            "SELECT id FROM snapshot WHERE system = ? AND kind = ? AND merged_into = ? ORDER BY id", (system, kind, winner)
        )
        return [row[0] for row in rows]

    def find_record(self, id_: str) -> list[tuple[str, CrmKind, str]]:
        """Where a bare record id was seen: (system, kind, id). A 15-character Salesforce id finds its 18-character form."""
        rows = self.db.execute(
            "SELECT system, kind, id FROM snapshot WHERE id = ? OR (length(?) = 15 AND substr(id, 1, 15) = ?) ORDER BY system, kind, id",
            (id_, id_, id_),
        )
        return [(system, kind, found) for system, kind, found in rows]

    def count_snapshots(self) -> dict[tuple[str, CrmKind], int]:
        rows = self.db.execute("SELECT system, kind, count(*) FROM snapshot WHERE deleted = 0 GROUP BY system, kind ORDER BY system, kind")
        return {(system, kind): count for system, kind, count in rows}

    def save_snapshots(self, system: str, kind: CrmKind, snapshots: Sequence[Snapshot], now: datetime) -> None:
        rows = [
            (system, kind, s.id, s.hash, s.data, s.customer, int(s.deleted), s.merged_into, s.modified_at, stamp(now)) for s in snapshots
        ]
        self.db.executemany(_SAVE_SNAPSHOT, rows)

    # records to look at again

    def recheck(self, system: str, kind: CrmKind) -> dict[str, str]:
        rows = self.db.execute("SELECT id, why FROM recheck WHERE system = ? AND kind = ? ORDER BY id", (system, kind))
        return dict(rows.fetchall())

    def save_recheck(self, system: str, kind: CrmKind, whys: Mapping[str, str], now: datetime) -> None:
        rows = [(system, kind, id_, why, stamp(now), "") for id_, why in whys.items()]
        self.db.executemany(_SAVE_RECHECK, rows)

    def clear_recheck(self, system: str, kind: CrmKind, ids: Iterable[str]) -> None:
        self.db.executemany("DELETE FROM recheck WHERE system = ? AND kind = ? AND id = ?", [(system, kind, id_) for id_ in ids])

    # what the CRM should say

    def want_back(self, system: str, rows: Iterable[WriteBack], now: datetime) -> None:
        """Remember what to write to the CRM; equal values already written leave nothing due."""
        self.db.executemany(
            "INSERT INTO write_back (system, kind, id, want, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (system, kind, id)"
            " DO UPDATE SET want = excluded.want, parked = 0, error = '', at = excluded.at WHERE write_back.want <> excluded.want",
            [(system, row.kind, row.id, dump(row.fields), stamp(now)) for row in rows],
        )

    def due_back(self, system: str) -> list[WriteBack]:
        rows = self.db.execute(
            "SELECT kind, id, want FROM write_back WHERE system = ? AND want <> done AND parked = 0 ORDER BY kind, id", (system,)
        )
        return [WriteBack(kind, id_, load(want)) for kind, id_, want in rows]

    def settle_back(self, system: str, row: WriteBack, error: str, *, park: bool, now: datetime) -> None:
        done = dump(row.fields) if not error else None
        self.db.execute(
            "UPDATE write_back SET done = coalesce(?, done), error = ?, parked = ?, at = ? WHERE system = ? AND kind = ? AND id = ?",
            (done, error, int(park), stamp(now), system, row.kind, row.id),
        )

    def parked_back(self) -> list[dict[str, Any]]:
        rows = self.db.execute("SELECT system, kind, id, error, at FROM write_back WHERE parked = 1 ORDER BY at")
        return [dict(zip(("system", "kind", "id", "error", "at"), row, strict=True)) for row in rows]

    def retry_back(self) -> int:
        """Try refused write-backs again; gives how many."""
        return int(self.db.execute("UPDATE write_back SET parked = 0 WHERE parked = 1").rowcount)

    # the audit trail and the runs

    def note(self, run: str, notes: Iterable[Note], now: datetime) -> None:
        """Add to the audit trail."""
        rows = [(stamp(now), run, n.source, n.event, n.rule, n.verdict, n.reason, n.key, dump(n.detail)) for n in notes]
        self.db.executemany(
            "INSERT INTO audit (at, run, source, event, rule, verdict, reason, key, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )

    def audit(self, *, source: str = "", key: str = "", run: str = "", limit: int = 200) -> list[dict[str, Any]]:
        """Newest first; every given filter applies."""
        filters = [(name, value) for name, value in (("source", source), ("key", key), ("run", run)) if value]
        where = " AND ".join(f"{name} = ?" for name, _ in filters) or "TRUE"
        names = ("at", "run", "source", "event", "rule", "verdict", "reason", "key", "detail")
        rows = self.db.execute(
            f"SELECT {', '.join(names)} FROM audit WHERE {where} ORDER BY id DESC LIMIT ?",  # noqa: S608 - names from the code above
            (*[value for _, value in filters], limit),
        )
        return [{**dict(zip(names, row, strict=True)), "detail": load(row[-1])} for row in rows]

    def start_run(self, id_: str, kind: str, now: datetime) -> None:
        with self.transaction():
            self.db.execute("INSERT INTO run (id, kind, started_at) VALUES (?, ?, ?)", (id_, kind, stamp(now)))

    def end_run(self, id_: str, outcome: str, counts: Mapping[str, int], now: datetime, *, digest: str = "", error: str = "") -> None:
        with self.transaction():
            self.db.execute(
                "UPDATE run SET ended_at = ?, outcome = ?, counts = ?, digest = ?, error = ? WHERE id = ?",
                (stamp(now), outcome, dump(counts), digest, error[:2000], id_),
            )

    def runs(self, limit: int = 20) -> list[Run]:
        rows = self.db.execute(
            "SELECT id, kind, started_at, ended_at, outcome, counts, digest, error FROM run ORDER BY started_at DESC, id DESC LIMIT ?",
            (limit,),
        )
        return [Run(r[0], r[1], moment(r[2]), moment(r[3]) if r[3] else None, r[4], load(r[5]), r[6], r[7]) for r in rows]

    def forget_before(self, cut: datetime, most: int | None = None) -> int:
        """Drop audit rows, ended runs, settled intents and given-up creations older than `cut`, and the words of notices that were sent; links and
        snapshots stay. In one transaction, of at most so many rows of each; gives how many rows went."""
        with self.transaction():
            return sum(self.db.execute(statement, (stamp(cut), most or _ALL)).rowcount for statement in _FORGET)

    def look_up(self, statement: str, head: tuple[Any, ...], ids: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement with `IN ({marks})`, however many ids there are; `head` are the parameters before them."""
        pending = list(ids)
        for start in range(0, len(pending), _CHUNK):
            chunk = pending[start : start + _CHUNK]
            yield from self.db.execute(statement.format(marks=",".join("?" * len(chunk))), (*head, *chunk)).fetchall()


_ALL = 1 << 40
_OLD = (
    ("audit", "id", "at < ?"),
    ("run", "id", "started_at < ? AND ended_at <> ''"),
    ("intent", "seq", "done_at < ? AND done_at <> '' AND state IN ('done', 'dismissed') AND op <> 'create'"),
    ("orphan", "nonce", "at < ?"),
)
_FORGET = (
    *(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {old} ORDER BY {key} LIMIT ?)" for table, key, old in _OLD),  # noqa: S608
    # the key of a notice stays: nobody is told twice
    "UPDATE notice SET text = '', url = '' WHERE key IN"
    " (SELECT key FROM notice WHERE at < ? AND state <> 'due' AND text <> '' ORDER BY key LIMIT ?)",
)

# Whoever held a lease of an embedded store is gone, or it could not have been opened.
_FREE = "UPDATE lease SET holder = '', expires_at = '' WHERE holder <> ''"


def _upsert(table: str, key: str, values: str) -> str:
    """A statement that writes a whole row, whether its key is known or not."""
    marks = ", ".join("?" for _ in f"{key}, {values}".split(","))
    fresh = ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in values.split(","))
    return f"INSERT INTO {table} ({key}, {values}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {fresh}"  # noqa: S608 - names from below


_SAVE_CURSOR = _upsert("cursor", "system, kind", "value, at")
_SAVE_META = _upsert("meta", "key", "value")
_SAVE_SNAPSHOT = _upsert("snapshot", "system, kind, id", "hash, data, customer, deleted, merged_into, modified_at, seen_at")
_SAVE_RECHECK = _upsert("recheck", "system, kind, id", "why, since, held")
_COLUMNS = "id, hash, data, customer, deleted, merged_into, modified_at"


def _snapshot(row: Sequence[Any]) -> Snapshot:
    return Snapshot(row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6])
