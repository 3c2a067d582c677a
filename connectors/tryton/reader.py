"""Asking for rows: in the order of their changes, complete with their history, by id; and who was deleted, from the server's log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.base import Transient
from connectors.tryton.cursor import Position, stamp
from connectors.tryton.errors import SYSTEM
from connectors.tryton.records import Kind
from connectors.tryton.relations import LOG, asked, everywhere
from connectors.tryton.rpc import Domain, Row, Rpc
from engine.model import Record

_ORDER = [["last_modified_at", "ASC"], ["id", "ASC"]]
_HISTORY = ("resource", "event", "target", "create_date")
_LONGEST = 18  # digits of an id


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one page of a scan, with the key of the last one and the server's time; `last` when there are no more."""

    rows: list[Row]
    key: tuple[str, int] | None
    last: bool
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    rpc: Rpc
    kind: Kind

    @property
    def model(self) -> str:
        return self.kind.read.object

    @property
    def deletions(self) -> Domain:
        return [["resource", "like", f"{self.model},%"], ["event", "=", "delete"]]

    async def scan(
        self, model: str, domain: Domain, fields: Sequence[str], position: Position, lookback: timedelta
    ) -> AsyncGenerator[Batch, None]:
        """Pages from the position on. Each begins behind the last row of the one before, so that none is missed or met twice."""
        key, size = position.key, self.rpc.connection.page_size
        while True:
            rows = await self.rpc.rows(model, [*domain, *_behind(key, position.start(lookback))], fields, order=_ORDER, limit=size)
            before, key = key, (stamp(rows[-1]["last_modified_at"]), int(rows[-1]["id"])) if rows else key
            if rows and before and key and key <= before:
                raise Transient(f"Tryton gave rows of {model} out of their order, so that the scan would not end", system=SYSTEM)
            last = len(rows) < size
            yield Batch(rows, key, last, stamp(self.rpc.time) if self.rpc.time else "")
            if last:
                return

    async def newest(self, model: str, domain: Domain) -> str:
        """The stamp of the youngest row; empty when there is none."""
        rows = await self.rpc.rows(model, domain, ("last_modified_at",), order=[["last_modified_at", "DESC"]], limit=1)
        return stamp(rows[0]["last_modified_at"]) if rows else ""

    async def complete(self, rows: Sequence[Row]) -> list[Record]:
        """Records of rows that brought all that was asked for; their history takes one more call."""
        history: dict[str, list[Row]] = {}
        if rows and LOG in [child.object for child in self.kind.read.children.values()]:
            domain = [["resource", "in", [f"{self.model},{row['id']}" for row in rows]], ["event", "in", ["transition", "button"]]]
            for line in await self.rpc.rows(LOG, domain, _HISTORY):
                history.setdefault(str(line["resource"]), []).append(line)
        return [self.kind.record(row, history.get(f"{self.model},{row['id']}", [])) for row in rows]

    async def by_id(self, ids: Sequence[int]) -> list[Record]:
        """Complete records of those that are there."""
        domain = [["id", "in", list(ids)], *everywhere(self.model)]
        return await self.complete(await self.rpc.rows(self.model, domain, asked(self.kind.read)))

    async def concerned(self, path: str, ids: Sequence[int]) -> list[int]:
        """Whose lists at `path` hold rows of these ids."""
        rows = await self.rpc.rows(self.model, [[path, "in", list(ids)], *everywhere(self.model)], ())
        return [row["id"] for row in rows]

    async def deleted(self, ids: Sequence[int]) -> list[Record]:
        """Records of those of the ids that the log says were deleted."""
        domain = [["resource", "in", [f"{self.model},{id}" for id in ids]], ["event", "=", "delete"]]
        lines = await self.rpc.rows(LOG, domain, ("create_date", "resource")) if ids else []
        return await self.gone([line for line in lines if not line["resource"]], of=ids)

    async def gone(self, lines: Sequence[Row], of: Sequence[int] = ()) -> list[Record]:
        """Records of what these lines of the log say was deleted, each once; `of` are the only ids it can be."""
        named = {int(line["id"]): of[0] for line in lines} if len(of) == 1 else await self._named(lines)
        at: dict[int, datetime] = {}
        for line in lines:
            if id := named.get(int(line["id"])):
                at[id] = max(line["create_date"], at.get(id, line["create_date"]))
        return [self.kind.gone(id, moment) for id, moment in at.items()]

    async def _named(self, lines: Sequence[Row]) -> dict[int, int]:
        """Which record each line is about. The server shows no reference to what is not there any more, but still finds it by its text:
        digit after digit is asked for, of all lines at once."""
        digits: dict[int, str] = {int(line["id"]): "" for line in lines}
        for place in range(_LONGEST):
            found = await asyncio.gather(*(self._with(digits, "_" * place + str(digit)) for digit in range(10))) if digits else []
            grown = {line: digits[line] + str(digit) for digit, those in enumerate(found) for line in those}
            if not grown:
                break
            digits |= grown
        return {line: int(text) for line, text in digits.items() if text}

    async def _with(self, lines: Sequence[int] | dict[int, str], pattern: str) -> list[int]:
        domain = [["id", "in", sorted(lines)], ["resource", "like", f"{self.model},{pattern}%"]]
        return [int(row["id"]) for row in await self.rpc.rows(LOG, domain, ())]


def _behind(key: tuple[str, int] | None, start: str) -> Domain:
    if key:
        at = datetime.fromisoformat(key[0])
        return [["OR", ["last_modified_at", ">", at], [["last_modified_at", "=", at], ["id", ">", key[1]]]]]
    return [["last_modified_at", ">=", datetime.fromisoformat(start)]] if start else []


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
