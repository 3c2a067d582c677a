"""Writing back to records: one transaction each, under the server's optimistic lock, so that nobody's edit made meanwhile is lost.

`reference` sets a field. `comment.Delivery` sets the line of a text that begins with `Delivery:`, and leaves the rest of the text as it is:
Tryton has no custom fields without a module of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.base import AuthError, ConfigError, Conflict, ConnectorError, Gone, Rejected, Runtime, Transient
from connectors.http import Effect
from connectors.tryton.errors import SYSTEM
from connectors.tryton.lines import with_line
from connectors.tryton.relations import everywhere
from connectors.tryton.rpc import Row, Rpc
from connectors.tryton.schema import Schema, labels
from connectors.tryton.works import comparable, typed
from engine.model import CrmKind, Read, WriteBack

TRIES = 5


async def write(
    rpc: Rpc, schema: Schema, runtime: Runtime, reads: Mapping[CrmKind, Read], rows: Sequence[WriteBack]
) -> list[ConnectorError | None]:
    """Results in the order of `rows`. Raises what concerns all of them."""
    results: list[ConnectorError | None] = []
    for row in rows:
        try:
            results.append(await _one(rpc, runtime, reads[row.kind].object, await schema.fields(reads[row.kind].object), row))
        except (AuthError, ConfigError):
            raise
        except ConnectorError as error:
            results.append(error)
    return results


async def _one(rpc: Rpc, runtime: Runtime, model: str, fields: Mapping[str, Row], row: WriteBack) -> ConnectorError | None:
    """Read, write what differs, and again when somebody else wrote in between."""
    for attempt in range(TRIES):
        if attempt:
            await runtime.sleep(runtime.random.uniform(0.2, 0.5) * 2.0**attempt)
        held = await _held(rpc, model, fields, row)
        values = _values(fields, held, row)
        if not values:
            return None
        lock = {"_timestamp": {f"{model},{held['id']}": held["_timestamp"]}}
        try:
            await rpc.call(f"{model}.write", [held["id"]], values, effect=Effect.REPEATABLE, context=lock)
        except Conflict:
            continue
        except Gone:
            raise
        except Rejected as refusal:
            raise Rejected(refusal.message, field=_at_fault(refusal, fields, values), system=SYSTEM) from refusal
        return None
    return Transient(f"{model} {row.id} is changed by somebody again and again", system=SYSTEM)


async def _held(rpc: Rpc, model: str, fields: Mapping[str, Row], row: WriteBack) -> Row:
    names = {column.partition(".")[0] for column in row.fields}
    for name in sorted(names - fields.keys()):
        raise Rejected(f"{model} has no field {name}", field=name, system=SYSTEM)
    known = [["id", "=", int(row.id)]] if row.id.isdecimal() else [["id", "=", -1]]
    found = await rpc.rows(model, [*known, *everywhere(model)], (*sorted(names), "_timestamp"))
    if not found:
        raise Gone(f"there is no {model} {row.id} (any more)", system=SYSTEM)
    return found[0]


def _values(fields: Mapping[str, Row], held: Row, row: WriteBack) -> Row:
    """What differs from what is there."""
    values: Row = {}
    for column, value in row.fields.items():
        name, dot, label = column.partition(".")
        if dot:
            values[name] = with_line(str(values.get(name, held[name]) or ""), label, value)
        else:
            values[name] = typed(fields[name], value, name)
    return {name: value for name, value in values.items() if comparable(value) != comparable(held[name])}


def _at_fault(refusal: Rejected, fields: Mapping[str, Row], values: Row) -> str:
    """The field a refusal speaks of: it calls fields by what people see."""
    named = labels(fields, values)
    return next((name for label, name in named.items() if f'"{label}"' in refusal.message), "")
