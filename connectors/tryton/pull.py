"""Pulling one kind: a first read of everything, then what changed, children and deletions included. Every page can be resumed from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

from connectors.base import Page
from connectors.tryton.cursor import Cursor, Position, Token, stamp
from connectors.tryton.reader import Batch, Reader, chunks
from connectors.tryton.records import listed, row_token, token
from connectors.tryton.relations import LOG, Watch, asked, everywhere, watches
from connectors.tryton.rpc import Row
from engine.model import Record

MAIN, DELETED = "main", "deleted"


class Pull:
    """One pull of one kind. `cursor` is where it stands; it moves on just before each page is yielded, never past what was."""

    def __init__(self, reader: Reader, lookback: timedelta) -> None:
        self._reader = reader
        self._lookback = lookback
        self._watches = watches(reader.kind.read)
        self._cursor = Cursor({})
        self._pending: dict[int, None] = {}

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
        if cursor is None or MAIN not in cursor.objects:
            await self._begin()
        else:
            self._cursor, self._pending = cursor, dict.fromkeys(cursor.pending)
            if cursor.at(MAIN).at:
                async for page in self._around():
                    yield page
        async for page in self._main():
            yield page

    async def _begin(self) -> None:
        """Changes of children and deletions will be looked for from what is their youngest before the first read."""
        positions = {watch.name: Position(await self._reader.newest(watch.model, everywhere(watch.model))) for watch in self._watches}
        deleted = Position(await self._reader.newest(LOG, self._reader.deletions))
        lines = [batch async for batch in self._scan(DELETED, LOG, self._reader.deletions, (), deleted)] if deleted.at else []
        known = deleted.past(None, [_line_token(line) for batch in lines for line in batch.rows], self._lookback)
        self._cursor = Cursor({**positions, DELETED: known, MAIN: Position()})

    async def _around(self) -> AsyncIterator[Page]:
        """What was deleted; then the children, for they tell which unchanged records to read again."""
        async for batch in self._scan(DELETED, LOG, self._reader.deletions, ("create_date", "resource")):
            tokens = [_line_token(line) for line in batch.rows]
            fresh = [line for line, mark in zip(batch.rows, tokens, strict=True) if not self._cursor.at(DELETED).knows(mark)]
            records = await self._reader.gone([line for line in fresh if not line["resource"]])
            self._settle(DELETED, batch, tokens)
            for record in records:
                self._pending.pop(int(record.id), None)
            if records:
                yield self._page(records)
        for watch in self._watches:
            fields = (*watch.fields, "last_modified_at", "active") if everywhere(watch.model) else (*watch.fields, "last_modified_at")
            async for batch in self._scan(watch.name, watch.model, everywhere(watch.model), fields):
                await self._note(watch, batch)

    async def _note(self, watch: Watch, batch: Batch) -> None:
        """Remember whose records a page of changed rows concerns."""
        tokens = [row_token(watch, row) for row in batch.rows]
        fresh = [row["id"] for row, mark in zip(batch.rows, tokens, strict=True) if not self._cursor.at(watch.name).knows(mark)]
        if fresh:
            self._pending |= dict.fromkeys(await self._reader.concerned(watch.path, fresh))
        self._settle(watch.name, batch, tokens)

    async def _main(self) -> AsyncIterator[Page]:
        """The object's own rows behind the position, then the pending ones. The last page's cursor has everything settled."""
        async for batch in self._scan(MAIN, self._reader.model, everywhere(self._reader.model), asked(self._reader.kind.read)):
            records = await self._records(batch.rows)
            fresh = self._news(records)
            self._settle(MAIN, batch, [token(record) for record in records])
            yield self._page(fresh)
        for ids in list(chunks(list(self._pending), self._reader.rpc.connection.page_size)):
            records = await self._reader.by_id(ids)
            for id in ids:
                self._pending.pop(id, None)  # whether or not it is still there
            fresh = self._news(records)
            position = self._cursor.at(MAIN)
            self._cursor = self._cursor.moved(MAIN, position.past(position.key, [token(record) for record in records], self._lookback))
            yield self._page(fresh)

    def _scan(
        self, name: str, model: str, domain: list[object], fields: Sequence[str], position: Position | None = None
    ) -> AsyncGenerator[Batch, None]:
        wanted = (*fields, "last_modified_at")
        return self._reader.scan(model, list(domain), wanted, position or self._cursor.at(name), self._lookback)

    async def _records(self, rows: Sequence[Row]) -> list[Record]:
        """Records of complete rows. They are no longer pending, and what is in their lists need not be noticed as changed."""
        for watch in self._watches:
            position = self._cursor.at(watch.name)
            inside = [row_token(watch, each) for row in rows for each in listed(row, watch.path)]
            self._cursor = self._cursor.moved(watch.name, position.past(position.key, inside, self._lookback))
        for row in rows:
            self._pending.pop(int(row["id"]), None)
        return await self._reader.complete(rows)

    def _news(self, records: Sequence[Record]) -> list[Record]:
        """Records that were not yielded before in this version."""
        position = self._cursor.at(MAIN)
        return [record for record in records if not position.knows(token(record))]

    def _settle(self, name: str, batch: Batch, tokens: Sequence[Token]) -> None:
        position = self._cursor.at(name).begun(batch.bound).past(batch.key, tokens, self._lookback)
        self._cursor = self._cursor.moved(name, position.ended(self._lookback) if batch.last else position.trimmed(self._lookback))

    def _page(self, records: Sequence[Record]) -> Page:
        self._cursor = replace(self._cursor, pending=tuple(self._pending))
        return Page(tuple(records), self._cursor.text())


def _line_token(line: Row) -> Token:
    return stamp(line["last_modified_at"]), str(line["id"])
