"""Writing to Odoo's records: rows with equal values share a call, and a call that is refused is taken apart until each row has its own answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from connectors.base import ConnectorError, Gone, Rejected, Transient
from connectors.http import Effect
from connectors.odoo.cursor import STAMP
from connectors.odoo.errors import SYSTEM
from connectors.odoo.rpc import Rpc
from engine.model import CrmKind, Read, Value, WriteBack

ROWS_PER_CALL = 100


@dataclass(frozen=True, slots=True)
class Call:
    """One `write`: a model, the values, and for each row its place among the results and its id."""

    model: str
    values: Mapping[str, Any]
    rows: tuple[tuple[int, int], ...]

    def parts(self) -> tuple[Call, Call]:
        half = len(self.rows) // 2
        return Call(self.model, self.values, self.rows[:half]), Call(self.model, self.values, self.rows[half:])


async def write(rpc: Rpc, reads: Mapping[CrmKind, Read], rows: Sequence[WriteBack]) -> list[ConnectorError | None]:
    """Results in the order of `rows`. Raises what concerns all of them (AuthError, ConfigError)."""
    results: list[ConnectorError | None] = [None] * len(rows)
    for at, row in enumerate(rows):
        if not row.id.isdecimal():
            results[at] = Gone(f"{row.id} is not the id of a record", system=SYSTEM)
    for call in _calls(reads, rows):
        for at, error in (await _send(rpc, call)).items():
            results[at] = error
    return results


def _calls(reads: Mapping[CrmKind, Read], rows: Sequence[WriteBack]) -> Iterator[Call]:
    """The rows as calls: a record's second row in a later one than its first."""
    rounds: dict[tuple[str, int], int] = {}
    calls: dict[tuple[int, str, str], Call] = {}
    for at, row in enumerate(rows):
        if not row.id.isdecimal():
            continue
        model, values = reads[row.kind].object, {name: plain(value) for name, value in row.fields.items()}
        turn = rounds[model, int(row.id)] = rounds.get((model, int(row.id)), 0) + 1
        like = (turn, model, repr(sorted(values.items())))
        before = calls[like].rows if like in calls else ()
        calls[like] = Call(model, values, (*before, (at, int(row.id))))
    for _, call in sorted(calls.items(), key=lambda each: each[0][0]):
        for start in range(0, len(call.rows), ROWS_PER_CALL):
            yield Call(call.model, call.values, call.rows[start : start + ROWS_PER_CALL])


async def _send(rpc: Rpc, call: Call) -> dict[int, ConnectorError | None]:
    ids = [row for _, row in call.rows]
    try:
        await rpc.call(call.model, "write", effect=Effect.REPEATABLE, ids=ids, vals=dict(call.values))
    except Rejected as refusal:
        if len(call.rows) == 1:
            return {call.rows[0][0]: _of_a_row(refusal, call)}
        first, second = call.parts()
        return {**await _send(rpc, first), **await _send(rpc, second)}
    except Transient as failure:
        return dict.fromkeys((at for at, _ in call.rows), failure)
    return dict.fromkeys((at for at, _ in call.rows), None)


def _of_a_row(refusal: Rejected, call: Call) -> Rejected:
    """A record is gone when it is itself what is missing, and not what a value refers to."""
    ((_, row),) = call.rows
    if isinstance(refusal, Gone) and f"{call.model}({row}," in refusal.message:
        return refusal
    return Rejected(refusal.message, field=_at_fault(refusal.message, list(call.values)), system=SYSTEM)


def _at_fault(message: str, names: Sequence[str]) -> str:
    """The field that the words name, or the only one there is."""
    named = [name for name in names if re.search(rf"\b{re.escape(name)}\b", message)]
    return named[0] if named else names[0] if len(names) == 1 else ""


def plain(value: Value) -> Any:
    """A value as Odoo takes it in JSON."""
    if value is None:
        return False
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(STAMP)
    if isinstance(value, date):
        return value.isoformat()
    return ", ".join(value) if isinstance(value, list) else value
