"""Writing to Salesforce: collections of 200, every row with its own result, locked rows tried again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connectors.base import ConnectorError, Gone, Rejected, Runtime, Transient
from connectors.http import Effect
from connectors.salesforce.errors import SYSTEM, Locked, row_error
from connectors.salesforce.rest import Rest
from connectors.salesforce.soql import full_id, stamp
from engine.model import CrmKind, Read, Value, WriteBack

ROWS_PER_CALL = 200
TRIES = 3
CLIENT = {"Sforce-Call-Options": "client=handoff"}


@dataclass(frozen=True, slots=True)
class Target:
    """What rows of one call share: the object, and the external id field they are addressed by (empty: by id)."""

    object: str
    external: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row on its way: where its result belongs, its identity, and its JSON body."""

    at: int
    id: str
    body: Mapping[str, Any]


async def write(rest: Rest, runtime: Runtime, reads: Mapping[CrmKind, Read], rows: Sequence[WriteBack]) -> list[ConnectorError | None]:
    """Results in the order of `rows`. Raises what concerns all of them (AuthError, QuotaExhausted, ConfigError)."""
    results: list[ConnectorError | None] = [None] * len(rows)
    for target, lines in _calls(reads, rows):
        waiting = lines
        for attempt in range(TRIES):
            if attempt:
                await runtime.sleep(runtime.random.uniform(0.5, 1.5) * 2.0**attempt)
            outcome = await _send(rest, target, waiting)
            results = [outcome.get(at, result) for at, result in enumerate(results)]
            waiting = [line for line in waiting if isinstance(outcome[line.at], Locked)]
            if not waiting:
                break
    return results


def _calls(reads: Mapping[CrmKind, Read], rows: Sequence[WriteBack]) -> Iterator[tuple[Target, list[Line]]]:
    """The rows as calls: one target each, at most 200, no identity twice in one call; rows of one identity keep their order."""
    calls: dict[Target, list[dict[str, Line]]] = {}
    for at, row in enumerate(rows):
        target, line = _line(reads[row.kind].object, at, row)
        batches = calls.setdefault(target, [{}])
        if line.id in batches[-1] or len(batches[-1]) == ROWS_PER_CALL:
            batches.append({})
        batches[-1][line.id] = line
    for target, batches in calls.items():
        yield from ((target, list(batch.values())) for batch in batches)


def _line(name: str, at: int, row: WriteBack) -> tuple[Target, Line]:
    external, colon, value = row.id.partition(":")
    identity = {external: value} if colon else {"id": full_id(row.id)}
    fields = {column: plain(value) for column, value in row.fields.items()}
    return Target(name, external if colon else ""), Line(at, row.id, {"attributes": {"type": name}, **identity, **fields})


def plain(value: Value) -> Any:
    """A value as Salesforce takes it in JSON; a list becomes the text of a multi-select picklist."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    return ";".join(value) if isinstance(value, list) else value


async def _send(rest: Rest, target: Target, lines: Sequence[Line]) -> dict[int, ConnectorError | None]:
    """Each line's result. A refusal of the whole call is narrowed down to the line that causes it."""
    path = f"/composite/sobjects/{target.object}/{target.external}" if target.external else "/composite/sobjects"
    body = {"allOrNone": False, "records": [line.body for line in lines]}
    try:
        answer = await rest.send("PATCH", path, effect=Effect.REPEATABLE, body=body, headers=CLIENT)
    except Rejected as refusal:
        if len(lines) == 1:
            return {lines[0].at: _of_a_row(refusal)}
        half = len(lines) // 2
        return {**await _send(rest, target, lines[:half]), **await _send(rest, target, lines[half:])}
    except Transient as failure:
        return dict.fromkeys((line.at for line in lines), failure)
    return {line.at: _result(result) for line, result in zip(lines, answer.data, strict=True)}


def _result(result: Mapping[str, Any]) -> ConnectorError | None:
    return None if result.get("success") else row_error(result.get("errors") or [])


def _of_a_row(refusal: Rejected) -> ConnectorError:
    return refusal if isinstance(refusal, Gone) else Rejected(refusal.message, field=refusal.field, system=SYSTEM)
