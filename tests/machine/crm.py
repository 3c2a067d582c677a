"""A CRM of deals, and a source that tells of them in the order they changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Self

from connectors.base import ConnectorError, Description, Page, Report, Transient
from engine.model import CrmKind, Record, WriteBack
from tests.machine.tool import Wire, undisturbed

SYSTEM = "crm"


@dataclass(frozen=True)
class Row:
    id: str
    name: str
    amount: int = 5000
    won: bool = False
    lines: tuple[str, ...] = ()
    turn: int = 0
    at: datetime = field(default=datetime.min)  # noqa: DTZ901 - set by every change


class Crm:
    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.deals: dict[str, Row] = {}
        self.told: dict[str, Mapping[str, Any]] = {}
        self.turn = 0

    def add(self, name: str, *, won: bool = False, lines: Sequence[str] = ()) -> str:
        id_ = f"d{len(self.deals) + 1}"
        self.deals[id_] = Row(id_, name)
        self.change(id_, won=won, lines=tuple(lines))
        return id_

    def change(self, deal: str, **fields: Any) -> None:
        self.turn += 1
        self.deals[deal] = replace(self.deals[deal], **fields, turn=self.turn, at=self.clock())

    def since(self, turn: int) -> list[Row]:
        return sorted((row for row in self.deals.values() if row.turn > turn), key=lambda row: row.turn)


class CrmSource:
    system = SYSTEM
    kinds: tuple[CrmKind, ...] = ("deal",)
    page = 2

    def __init__(self, crm: Crm, wire: Wire = undisturbed) -> None:
        self.crm = crm
        self.wire = wire
        self.calls = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def check(self) -> Report:
        return Report("a small CRM")

    async def describe(self) -> Description:
        return Description(())

    async def ask(self, operation: str, act: Callable[[], Any]) -> Any:
        def answer(trouble: str) -> Any:
            self.calls += 1
            if trouble:
                raise Transient("no answer", system=self.system)
            return act()

        return await self.wire(operation, answer)

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        del kind
        rows: list[Row] | None = None
        turn = int(cursor or 0)
        while rows is None or len(rows) == self.page:
            rows = (await self.ask("pull", partial(self.crm.since, turn)))[: self.page]
            turn = rows[-1].turn if rows else turn
            yield Page(tuple(_record(row) for row in rows), str(turn))

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> list[Record]:
        del kind
        rows: list[Row] = await self.ask("reread", lambda: [self.crm.deals[id_] for id_ in ids])
        return [_record(row) for row in rows]

    async def write_back(self, rows: Sequence[WriteBack]) -> list[ConnectorError | None]:
        def tell() -> list[ConnectorError | None]:
            self.crm.told.update({row.id: {**self.crm.told.get(row.id, {}), **row.fields} for row in rows})
            return [None] * len(rows)

        answers: list[ConnectorError | None] = await self.ask("write back", tell)
        return answers


def _record(row: Row) -> Record:
    lines = [{"Id": line, "Text": line} for line in row.lines]
    fields = {"Name": row.name, "Stage": "Won" if row.won else "Open", "Won": row.won, "Closed": row.won, "Amount": row.amount}
    return Record(SYSTEM, "deal", row.id, str(row.turn), row.at, {**fields, "line_items": lines}, f"crm:{row.id}")
