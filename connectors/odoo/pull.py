"""Pulling one kind: everything once, then what changed or had a child change, now and then what is gone. Every page can be resumed from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from connectors.base import Page, Runtime
from connectors.http import Effect
from connectors.odoo.cursor import STAMP, Cursor, Moment, Scan
from connectors.odoo.reader import IDS_PER_CALL, Reader, at, chunks, distinct, heads
from connectors.odoo.records import Kind, row_token, token
from connectors.odoo.relations import Relation
from connectors.odoo.rpc import Domain, Row, Rpc
from connectors.odoo.sweep import gone
from engine.model import Read, Record

MAIN = "main"
BEGINNING = "1970-01-01 00:00:00"


@dataclass(frozen=True, slots=True)
class Watch:
    """A model whose changes concern the main one: where `path` on its rows and `of` on the main rows lead to the same value.

    `fields` are what the mapping reads of it itself: a change of anything else within the same second may go unnoticed.
    """

    model: str
    path: str
    of: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ways:
    """What a pull goes by."""

    rpc: Rpc
    reader: Reader
    runtime: Runtime
    lookback: timedelta
    page_size: int
    sweep_every: timedelta


async def watches(kind: Kind, reader: Reader) -> list[Watch]:
    """What to look at beside the kind's own model, each model once."""
    found: dict[str, Watch] = {}
    for child in kind.read.children.values():
        relation: Relation = await reader.relation(kind.read.object, child.object)
        for model, path in relation.watch.items():
            before = found[model].fields if model in found else ()
            own = heads(child.fields) if model == child.object else []
            found[model] = Watch(model, path, relation.of, tuple(distinct([*before, *own, path.partition(".")[0]])))
    return list(found.values())


class Pull:
    """One pull of one kind. `cursor` moves on just before each page is yielded, never past what was."""

    def __init__(self, kind: Kind, watched: Sequence[Watch], ways: Ways) -> None:
        self._kind, self._watches, self._ways = kind, watched, ways
        self._model = kind.read.object
        self._cursor = Cursor()

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
        if cursor is None:
            await self._begin()
        else:
            self._cursor = cursor
            if cursor.scan is None:
                await self._look_around()
        async for page in self._main():
            yield page
        async for page in self._again():
            yield page
        if self._sweep_is_due():
            yield await self._swept()

    async def _begin(self) -> None:
        """A first read goes from the beginning of ids. Changes, of whatever hangs on it too, will be looked for from the youngest stamp before it."""
        newest = await self._ways.rpc.search_read(self._model, [], ["write_date"], order="write_date desc", limit=1)
        ends = self._reached(Moment(), newest)
        for watch in self._watches:
            await self._note(watch, ends)
        total = await self._ways.rpc.call(self._model, "search_count", effect=Effect.READ, domain=list(self._kind.domain))
        self._cursor = replace(self._cursor, scan=Scan(0, True, ends), total=int(total))

    def _reached(self, known: Moment, rows: Sequence[Row]) -> Moment:
        """How far the database's clock had come when these rows, the first of a scan, were read: `known` has moved on since it was noted, and
        what a row is stamped with has been reached, unless it is in the future."""
        ours, theirs = self._ways.runtime.clock(), self._ways.rpc.server_time
        moved, today = known.reached(ours, theirs), (theirs or ours).strftime(STAMP)
        stamps = [min(str(row["write_date"]), today) for row in rows]
        return replace(moved, at=max([moved.at or BEGINNING, *stamps]))

    async def _look_around(self) -> None:
        """Which records have children that changed? They are pending."""
        for watch in self._watches:
            await self._concern(watch, await self._note(watch, self._cursor.at(watch.model).moment))
        self._cursor = replace(self._cursor, total=None)

    async def _note(self, watch: Watch, since: Moment) -> list[Row]:
        """The watched rows changed since then that were not seen in this version; all are seen from here on."""
        position, fresh, ends, last = self._cursor.at(watch.model), list[Row](), Moment(), 0
        while True:
            rows = await self._changed(watch.model, watch.fields, since, last)
            ends = ends if ends.at else self._reached(since, rows)
            tokens = [row_token(row) for row in rows]
            fresh += [row for row, each in zip(rows, tokens, strict=True) if not position.knows(each)]
            position = position.past(tokens)
            if len(rows) < IDS_PER_CALL:
                break
            last = rows[-1]["id"]
        self._cursor = self._cursor.moved(watch.model, position.at(ends, self._ways.lookback))
        return fresh

    async def _changed(self, model: str, fields: Sequence[str], since: Moment, last: int) -> list[Row]:
        domain = [["write_date", ">=", since.since(self._ways.lookback) or BEGINNING], ["id", ">", last]]
        return await self._ways.rpc.search_read(model, domain, distinct([*fields, "write_date"]), order="id", limit=IDS_PER_CALL)

    async def _concern(self, watch: Watch, rows: Sequence[Row]) -> None:
        """The main rows that these watched rows belong to are pending."""
        pending = dict.fromkeys(self._cursor.pending)
        for chunk in chunks(rows, IDS_PER_CALL):
            values = await self._values(watch, chunk)
            if values:
                domain = [*self._kind.domain, [watch.of, "in", values]]
                pending |= dict.fromkeys(await self._ways.rpc.call(self._model, "search", effect=Effect.READ, domain=domain))
        self._cursor = replace(self._cursor, pending=tuple(pending))

    async def _values(self, watch: Watch, rows: Sequence[Row]) -> list[int]:
        """Where the watched rows' path leads to."""
        name, _, rest = watch.path.partition(".")
        if not rest:
            return _distinct_ids(row[name] for row in rows)
        found = await self._ways.reader.rows(Read(watch.model, (watch.path,)), [["id", "in", [row["id"] for row in rows]]])
        return _distinct_ids(at(row, watch.path) for row in found)

    async def _main(self) -> AsyncIterator[Page]:
        """The kind's own rows, in the order of their ids: all of them, or those stamped since the position."""
        size = self._ways.page_size
        while True:
            rows = await self._ways.reader.rows(self._kind.read, self._domain(), limit=size)
            scan = self._cursor.scan or Scan(0, False, self._reached(self._cursor.at(MAIN).moment, rows))
            fresh = self._news(rows, scan.ends)
            done = len(rows) < size
            self._cursor = replace(self._cursor, scan=None if done else replace(scan, last=rows[-1]["id"]))
            if done:
                self._cursor = self._cursor.moved(MAIN, self._cursor.at(MAIN).at(scan.ends, self._ways.lookback))
            yield self._page(fresh)
            if done:
                return

    def _domain(self) -> Domain:
        scan = self._cursor.scan
        since = self._cursor.at(MAIN).moment.since(self._ways.lookback)
        changed = [] if scan and scan.whole else [["write_date", ">=", since]]
        return [*self._kind.domain, *changed, ["id", ">", scan.last if scan else 0]]

    def _news(self, rows: Sequence[Row], ends: Moment | None = None) -> list[Record]:
        """Records that were not yielded before in this version. They are known, and no longer pending; those young enough to be met again are
        remembered."""
        position = self._cursor.at(MAIN)
        records = [self._kind.record(row) for row in rows]
        floor = (ends or position.moment).since(self._ways.lookback)
        tokens = [token(record) for record in records]
        fresh = [record for record, each in zip(records, tokens, strict=True) if not position.knows(each)]
        ids = {row["id"] for row in rows}
        pending = tuple(row for row in self._cursor.pending if row not in ids)
        self._cursor = replace(self._cursor, known=self._cursor.known | ids, pending=pending).moved(
            MAIN, position.past(each for each in tokens if each.stamp >= floor)
        )
        return fresh

    async def _again(self) -> AsyncIterator[Page]:
        """The pending records, complete. They leave the cursor with the page that carries them."""
        while ids := self._cursor.pending[: self._ways.page_size]:
            rows = await self._ways.reader.rows(self._kind.read, [*self._kind.domain, ["id", "in", list(ids)]])
            fresh = self._news(rows)
            rest = tuple(row for row in self._cursor.pending if row not in ids)  # whether or not it is still there
            self._cursor = replace(self._cursor, pending=rest)
            yield self._page(fresh)

    def _sweep_is_due(self) -> bool:
        swept = self._cursor.swept
        return not swept or self._ways.runtime.clock() - datetime.fromisoformat(swept) >= self._ways.sweep_every

    async def _swept(self) -> Page:
        """What was deleted since the last look."""
        lost: Mapping[int, int | None] = await gone(self._ways.rpc, self._model, self._cursor.known)
        seen = datetime.strptime(self._cursor.at(MAIN).moment.at, STAMP).replace(tzinfo=UTC)
        swept = self._ways.runtime.clock().isoformat()
        self._cursor = replace(self._cursor, known=self._cursor.known - lost.keys(), swept=swept)
        return self._page([self._kind.deleted(row, winner, seen) for row, winner in lost.items()])

    def _page(self, records: Sequence[Record]) -> Page:
        return Page(tuple(records), self._cursor.text(), self._cursor.total)


def _distinct_ids(values: Iterable[int | None]) -> list[int]:
    return sorted({value for value in values if value})
