"""Pulling one kind: what changed is listed, then read page by page. Every page can be resumed from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connectors.base import Page, Runtime
from connectors.roundup.api import Row
from connectors.roundup.cursor import STAMP, Cursor, Position, earlier
from connectors.roundup.reader import Reader, digest
from engine.model import Record

# A moment in a filter is meant in the user's own time zone, while answers are in UTC: ask for more, and look at the answers.
ZONES = timedelta(hours=15)


class Pull:
    """One pull of one kind. Its cursor moves on just before each page is yielded, never past what was."""

    def __init__(self, reader: Reader, runtime: Runtime, *, lookback: timedelta, page_size: int, sweep_every: timedelta) -> None:
        self._reader, self._runtime = reader, runtime
        self._lookback, self._page_size, self._sweep_every = lookback, page_size, sweep_every
        self._cursor = Cursor()

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
        self._cursor = cursor or Cursor()
        if self._cursor.pending:  # what an earlier pull found comes first, or one that is always cut short would never get on
            async for page in self._read():
                yield page
        gone = await self._look(first=cursor is None)
        if gone:
            yield self._page(gone)
        async for page in self._read(len(self._cursor.pending) if cursor is None else None):
            yield page

    async def _look(self, *, first: bool) -> list[Record]:
        """What is to be read, and what was retired."""
        await self._changed()
        if self._reader.of_messages:
            await self._messages(first=first)
        return await self._swept() if self._sweep_is_due() else []

    async def _changed(self) -> None:
        """All that was stamped since the position is to be read: stamps do not tell two changes within a second apart."""
        rows, position = await self._since(self._reader.name, self._cursor.main)
        ids = frozenset(int(row["id"]) for row in rows)
        self._cursor = replace(self._cursor, main=position, pending=self._cursor.pending | ids, known=self._cursor.known | ids)

    async def _messages(self, *, first: bool) -> None:
        """A message that was edited leaves its item's stamp alone: the items of edited messages are to be read, too."""
        rows, position = await self._since("msg", Position(self._server_time()) if first else self._cursor.messages)
        held = {str(row["id"]): digest(row) for row in await self._contents(rows)}
        fresh = [row for row, mark in held.items() if not position.knows(row, mark)]
        for row in rows:
            position = position.past(str(row["id"]), str(row["activity"]), held.get(str(row["id"]), ""))
        pending = await self._with_messages(fresh) if fresh and not first else frozenset()
        self._cursor = replace(self._cursor, messages=position, pending=self._cursor.pending | pending)

    async def _contents(self, rows: Sequence[Row]) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(rows), self._page_size):
            ids = [("id", str(row["id"])) for row in rows[start : start + self._page_size]]
            found += await self._reader.api.items("msg", self._reader.of_messages, *ids, verbose=3)
        return found

    async def _with_messages(self, messages: Sequence[str]) -> frozenset[int]:
        found: set[int] = set()
        for start in range(0, len(messages), self._page_size):
            where = ("messages", ",".join(messages[start : start + self._page_size]))
            found |= {int(row["id"]) for row in await self._reader.api.items(self._reader.name, ["id"], where)}
        return frozenset(found)

    async def _since(self, name: str, position: Position) -> tuple[list[Row], Position]:
        """The items stamped since the position, and the position after them: the server's time when it answered."""
        since = earlier(position.at, self._lookback)
        where = [("activity", f"{earlier(since, ZONES)};")] if since else []
        rows = await self._reader.api.items(name, ["activity"], *where)
        newest = max((str(row["activity"]) for row in rows), default="")
        return [row for row in rows if str(row["activity"]) >= since], position.moved(self._server_time() or newest, self._lookback)

    def _server_time(self) -> str:
        told = self._reader.api.server_time
        return told.astimezone(UTC).strftime(STAMP) if told else ""

    def _now(self) -> str:
        return self._runtime.clock().astimezone(UTC).strftime(STAMP)

    def _sweep_is_due(self) -> bool:
        swept = self._cursor.swept
        return not swept or self._runtime.clock() - datetime.fromisoformat(swept) >= self._sweep_every

    async def _swept(self) -> list[Record]:
        """What was retired since ids were last compared. What is there again, or was overlooked, is to be read."""
        there = frozenset(int(row["id"]) for row in await self._reader.api.items(self._reader.name, ["id"]))
        lost = sorted(self._cursor.known - there)[: self._page_size]  # the rest in the next sweep: each costs a call
        gone = await self._reader.retired(lost, destroyed=self._now())
        ids = frozenset(int(record.id) for record in gone)
        self._cursor = replace(
            self._cursor,
            main=self._cursor.main.without(map(str, ids)),
            known=(self._cursor.known - frozenset(lost)) | there,  # one that is only hidden is read when it is there again
            pending=(self._cursor.pending - ids) | (there - self._cursor.known),
            swept=self._runtime.clock().isoformat(),
        )
        return gone

    async def _read(self, total: int | None = None) -> AsyncGenerator[Page, None]:
        """What is pending, without what was yielded in this version before; at least one page."""
        while True:
            ids = sorted(self._cursor.pending)[: self._page_size]
            records = await self._reader.records(ids)
            fresh = self._news(records)
            self._cursor = replace(self._cursor, pending=self._cursor.pending - frozenset(ids))
            yield self._page(fresh, total)
            if not self._cursor.pending:
                return

    def _news(self, records: Sequence[Record]) -> list[Record]:
        """Those not yielded in this version. What is young enough to be met again is remembered."""
        position = self._cursor.main
        fresh = [record for record in records if not position.knows(record.id, record.version)]
        floor = earlier(position.at, self._lookback)
        for record in records:
            stamp = record.modified_at.strftime(STAMP)
            position = position.past(record.id, stamp, record.version) if stamp >= floor else position
        self._cursor = replace(self._cursor, main=position)
        return fresh

    def _page(self, records: Sequence[Record], total: int | None = None) -> Page:
        return Page(tuple(records), self._cursor.text(), total)
