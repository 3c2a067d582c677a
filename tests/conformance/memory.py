"""A small CRM in memory and a source for it that keeps every promise: what the suite's teeth are tried on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import AuthError, ConfigError, ConnectorError, Description, Gone, Page, QuotaExhausted, Rejected, Report, Transient
from engine.model import CrmKind, Problem, Record, WriteBack
from tests.conformance.source import Clock, Trouble

PAGE = 3
SECRET = "very-secret"
LATE = timedelta(minutes=10)
START = datetime(2000, 1, 1, tzinfo=UTC)

Place = tuple[datetime, str]


@dataclass(frozen=True)
class Row:
    """`touched` also moves when only the child changes."""

    id: str
    name: str
    stamp: datetime
    touched: datetime
    version: int = 1
    child: str = ""
    deleted: bool = False
    master: str = ""


class DeadToken(Exception):
    pass


class NoQuota(Exception):
    pass


class NoField(Exception):
    pass


@dataclass
class Memory:
    """The server and its people: tokens, a quota, fields that can be hidden, and trouble on the wire."""

    clock: Clock = field(default_factory=Clock)
    rows: dict[str, Row] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    token: int = 1
    locked: bool = False
    exhausted: bool = False
    hidden: bool = False
    wire: Trouble | None = None
    strikes: int = 0
    passing: int = 0
    write_trouble: Trouble | None = None
    kind: CrmKind = "deal"
    merge_kind: CrmKind = "deal"
    page: int = PAGE
    fields: frozenset[str] = frozenset({"name", "child"})
    secrets: tuple[str, ...] = (SECRET,)
    look_back: timedelta = LATE

    # People

    def add(self, names: Sequence[str]) -> list[str]:
        return [self._put(name, self.clock.now) for name in names]

    def add_mergeable(self, names: Sequence[str]) -> list[str]:
        return self.add(names)

    def add_late(self, name: str, made: datetime) -> Callable[[], str]:
        return lambda: self._put(name, made)

    def _put(self, name: str, stamp: datetime) -> str:
        row = f"{len(self.rows) + 1:06d}"
        self.rows[row] = Row(row, name, stamp, stamp)
        return row

    def _edit(self, row: str, **changes: Any) -> None:
        old, now = self.rows[row], self.clock.now
        self.rows[row] = replace(old, **{"stamp": now, "touched": now, "version": old.version + 1, **changes})

    def rename(self, row: str, name: str) -> None:
        self._edit(row, name=name)

    def rename_child(self, row: str, name: str) -> None:
        self._edit(row, child=name, stamp=self.rows[row].stamp)

    def delete(self, row: str) -> None:
        self._edit(row, deleted=True)

    def undelete(self, row: str) -> None:
        self._edit(row, deleted=False)

    def merge(self, winner: str, loser: str) -> None:
        self._edit(loser, deleted=True, master=winner)

    def name(self, record: Record) -> str:
        return str(record.fields["name"])

    def polled(self) -> int:
        return 1

    def calls(self) -> int:
        return self.asked

    def trouble(self, what: Trouble, *, times: int = 1, skip: int = 0) -> None:
        self.wire, self.strikes, self.passing = what, times, skip

    def trouble_writing(self, what: Trouble) -> None:
        self.write_trouble = what

    def revoke(self) -> None:
        self.token += 1

    def lock_out(self) -> None:
        self.revoke()
        self.locked = True

    def exhaust(self) -> None:
        self.exhausted = True

    def hide_a_field(self) -> str:
        self.hidden = True
        return "name"

    def good_row(self, row: str, text: str) -> WriteBack:
        return WriteBack("deal", row, {"status": text})

    def bad_row(self, row: str) -> tuple[WriteBack, str]:
        return WriteBack("deal", row, {"id": "x"}), "id"

    def written(self, row: str) -> str:
        return self.status[row]

    # The wire

    def login(self) -> int:
        if self.locked:
            raise DeadToken
        return self.token

    def answer(self, token: int, start: Place) -> list[Row]:
        """The next page from `start` (included) on, in the order of (touched, id)."""
        self.asked += 1
        self._strike()
        if token != self.token:
            raise DeadToken
        if self.exhausted:
            raise NoQuota
        if self.hidden:
            raise NoField
        return sorted((row for row in self.rows.values() if (row.touched, row.id) >= start), key=lambda row: (row.touched, row.id))

    def _strike(self) -> None:
        if self.passing:
            self.passing -= 1
        elif self.strikes:
            self.strikes -= 1
            raise OSError(self.wire)

    def write(self, row: WriteBack) -> ConnectorError | None:
        if row.id not in self.rows:
            return Gone(f"there is no {row.id}")
        if "status" not in row.fields:
            return Rejected("id cannot be written", field="id")
        self.status[row.id] = str(row.fields["status"])
        trouble, self.write_trouble = self.write_trouble, None
        if trouble:
            raise OSError(trouble)
        return None


@dataclass(frozen=True)
class Mark:
    """Where a pull stands. `seen` is (id, version) of what looking back would meet again."""

    at: datetime = START
    bound: datetime | None = None
    key: Place | None = None
    seen: frozenset[tuple[str, int]] = frozenset()

    def text(self) -> str:
        key = [self.key[0].isoformat(), self.key[1]] if self.key else None
        return json.dumps([self.at.isoformat(), self.bound and self.bound.isoformat(), key, sorted(self.seen)])

    @staticmethod
    def parse(text: str | None) -> Mark:
        if text is None:
            return Mark()
        at, bound, key, seen = json.loads(text)
        place = (datetime.fromisoformat(key[0]), key[1]) if key else None
        return Mark(datetime.fromisoformat(at), bound and datetime.fromisoformat(bound), place, frozenset((i, v) for i, v in seen))


class MemorySource:
    system = "memory"
    kinds: tuple[CrmKind, ...] = ("deal",)
    calls = 0
    look_back = LATE
    tries = 4

    def __init__(self, crm: Memory) -> None:
        self.crm = crm
        self._token = 0

    async def __aenter__(self) -> MemorySource:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def check(self) -> Report:
        self.ask((START, ""))
        return Report(identity="integration user")

    async def describe(self) -> Description:
        return Description(())

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        mark = Mark.parse(cursor)
        while True:
            rows, last, mark = self.step(mark)
            fresh, mark = self.fresh(rows, mark, last=last)
            yield Page(tuple(self.record(row) for row in fresh), mark.text())
            if last:
                return

    def step(self, mark: Mark) -> tuple[list[Row], bool, Mark]:
        """One page behind the mark, whether it is the last, and the mark behind it."""
        mark = replace(mark, bound=mark.bound or self.crm.clock.now)
        start = mark.key or (mark.at - self.look_back, "")
        found = [row for row in self.ask(start) if mark.key is None or self.behind(self.place(row), mark.key)]
        rows = found[: self.crm.page]
        return rows, len(found) <= self.crm.page, replace(mark, key=self.place(rows[-1]) if rows else mark.key)

    def place(self, row: Row) -> Place:
        return row.touched, row.id

    def behind(self, place: Place, key: Place) -> bool:
        return place > key

    def fresh(self, rows: Sequence[Row], mark: Mark, *, last: bool) -> tuple[list[Row], Mark]:
        fresh = [row for row in rows if (row.id, row.version) not in mark.seen]
        mark = replace(mark, seen=mark.seen | {(row.id, row.version) for row in rows})
        return fresh, replace(mark, at=mark.bound or mark.at, bound=None, key=None) if last else mark

    def record(self, row: Row) -> Record:
        fields = {"name": row.name, "child": row.child}
        return Record("memory", "deal", row.id, str(row.version), row.touched, fields, deleted=row.deleted, merged_into=row.master)

    def ask(self, start: Place) -> list[Row]:
        self._token = self._token or self.login()
        for _ in range(self.tries):
            try:
                return self.crm.answer(self._token, start)
            except DeadToken:
                self._token = self.login()
            except NoQuota as error:
                raise QuotaExhausted("the daily calls are used up", system="memory") from error
            except NoField as error:
                raise self.missing() from error
            except OSError:
                continue
        raise Transient("no sound answer", system="memory")

    def missing(self) -> ConnectorError:
        return ConfigError([Problem("there is no field name", hint="gone or hidden", path=("deal", "fields", "name"))], system="memory")

    def login(self) -> int:
        try:
            return self.crm.login()
        except DeadToken as error:
            raise AuthError("the login was refused; check client id and client secret", system="memory") from error

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        return [self.record(row) for row in self.ask((START, "")) if row.id in ids]

    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        return [self.write(row) for row in rows]

    def write(self, row: WriteBack) -> ConnectorError | None:
        for _ in range(self.tries):
            try:
                return self.crm.write(row)
            except OSError:
                continue
        return Transient("no answer", system="memory")
