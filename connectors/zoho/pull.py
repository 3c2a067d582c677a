"""Pulling one kind: a first read of everything, then what changed, then what was deleted. Every page can be resumed from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connectors.base import Page, Rejected
from connectors.zoho.bulk import Bulk
from connectors.zoho.cursor import Cursor, Key, Position
from connectors.zoho.errors import NotAllowed
from connectors.zoho.reading import Reading
from connectors.zoho.records import Kind, Records
from connectors.zoho.values import Row, chunks, stamp
from engine.model import Record

YOUNG = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Ways:
    """What a pull goes by: the ways to read, and the limits set in the connection."""

    reading: Reading
    records: Records
    bulk: Bulk
    clock: Callable[[], datetime]
    lookback: timedelta
    bulk_above: int
    page_size: int


class Pull:
    """One pull of one kind. `cursor` is where it stands; it moves on just before each page is yielded, never past what was."""

    def __init__(self, kind: Kind, ways: Ways) -> None:
        self.kind = kind
        self._ways = ways
        self._cursor = Cursor()
        self._alive: dict[str, str] = {}

    def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
        if cursor is None or not cursor.gone.at:
            return self._baseline()
        self._cursor = cursor
        return self._changes()

    async def _baseline(self) -> AsyncGenerator[Page, None]:
        """Everything there is. Deletions will be looked for from before the first read on."""
        total = await self._ways.reading.count(self.kind.shape.module)
        beginning = Cursor(gone=Position(at=stamp(self._ways.clock())), total=total)
        self._cursor = beginning
        if total is not None and total > self._ways.bulk_above and await self._ways.bulk.takes(self.kind):
            try:
                async with aclosing(self._in_bulk()) as pages:
                    async for page in pages:
                        yield page
                return
            except (Rejected, NotAllowed):
                self._cursor = beginning  # page by page the same records are read, only at a higher price
        async for page in self._changes():
            yield page

    async def _in_bulk(self) -> AsyncGenerator[Page, None]:
        """All records by bulk read, which can only begin anew when it is interrupted; then what changed meanwhile."""
        begun = self._cursor
        async for rows in self._ways.bulk.rows(self.kind.shape):
            for part in chunks(rows, self._ways.page_size):
                self._remember(max(self._cursor.main.key, *(stamp(row["Modified_Time"]) for row in part)), part)
                yield Page(tuple(await self._ways.records.of(self.kind, part)), Cursor(total=begun.total).text(), begun.total)
        main = self._cursor.main.ended(begun.gone.at, self._ways.lookback)  # what changed since the job began may be missing from it
        self._cursor = replace(self._cursor, main=main, total=None)
        async for page in self._changes():
            yield page

    async def _changes(self) -> AsyncGenerator[Page, None]:
        start, deleted = self._cursor.main.start(self._ways.lookback), self._cursor.gone.tokens()
        async for batch in self._ways.reading.scan(self.kind.shape, start):
            await self._ways.records.hold(self.kind, batch.rows)
            unknown = [row for row in batch.rows if not self._cursor.main.knows(self.kind.token(row))]
            records = await self._ways.records.of(self.kind, unknown)
            keys = [
                (moment, f"{token}~{record.version}")
                for (moment, token), record in zip(map(self.kind.token, unknown), records, strict=True)
            ]
            fresh = [record for record, key in zip(records, keys, strict=True) if not self._cursor.main.knows(key)]
            self._alive |= {record.id: record.version for record in fresh if record.id in deleted}
            self._remember(batch.key, batch.rows, [key for key in keys if self._is_young(key[0])])
            if batch.last:
                self._end_scan()
            if fresh:
                yield self._page(fresh)
        async for page in self._deletions():
            yield page

    def _is_young(self, moment: str) -> bool:
        """Whether a list of a record may still change within the second that the record is stamped with: no field of its own would tell."""
        return bool(self.kind.read.children) and moment >= stamp(self._ways.clock() - YOUNG)

    def _remember(self, key: str, rows: Sequence[Row], young: Sequence[Key] = ()) -> None:
        """Rows by their own content; young ones by that of their lists as well."""
        keys = [each for each in map(self.kind.token, rows) if not self._is_young(each[0])]
        self._cursor = replace(self._cursor, main=self._cursor.main.past(key, [*keys, *young], self._ways.lookback))

    def _end_scan(self) -> None:
        main = self._cursor.main.ended(stamp(self._ways.clock()), self._ways.lookback)
        self._cursor = replace(self._cursor, main=main, total=None)

    async def _deletions(self) -> AsyncGenerator[Page, None]:
        """What was deleted, and what is back: a deletion seen a little while ago that is not listed any more."""
        position, module = self._cursor.gone, self.kind.shape.module
        listed: dict[str, str] = {}
        async for rows in self._ways.reading.deleted(module, position.start(self._ways.lookback)):
            listed |= {str(row["id"]): stamp(row["deleted_time"]) for row in rows}
        keys: list[Key] = sorted((moment, row) for row, moment in listed.items())
        back = await self._back(sorted(position.tokens() - listed.keys()))
        fresh = [self._ways.records.buried(self.kind, row, moment) for moment, row in keys if not position.knows((moment, row))]
        gone = Position(position.at, seen={moment: rows & listed.keys() for moment, rows in position.seen.items()})
        gone = gone.past(keys[-1][0] if keys else "", keys, self._ways.lookback)
        for part in [*chunks([*back, *fresh], self._ways.page_size)][:-1]:
            yield self._page(part)
        self._cursor = replace(self._cursor, gone=gone.ended(stamp(self._ways.clock()), self._ways.lookback))
        yield self._page([*chunks([*back, *fresh], self._ways.page_size)][-1] if back or fresh else ())

    async def _back(self, ids: Sequence[str]) -> list[Record]:
        rows = await self._ways.reading.by_id(self.kind.shape, ids) if ids else []
        records = await self._ways.records.of(self.kind, rows)
        return [record for record in records if self._alive.get(record.id) != record.version]

    def _page(self, records: Sequence[Record]) -> Page:
        return Page(tuple(records), self._cursor.text(), self._cursor.total)
