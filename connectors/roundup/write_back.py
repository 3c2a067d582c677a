"""Writing to items, one at a time: read, set what differs if nobody changed the item since, and read again if somebody did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connectors.base import AuthError, ConfigError, Conflict, ConnectorError, Gone, Rejected, Runtime, Transient
from connectors.roundup.api import Api, Row
from connectors.roundup.errors import SYSTEM
from engine.model import CrmKind, Read, Value, WriteBack

TRIES = 5


async def write(api: Api, runtime: Runtime, reads: Mapping[CrmKind, Read], rows: Sequence[WriteBack]) -> list[ConnectorError | None]:
    """Results in the order of `rows`. Raises what concerns all of them (AuthError, ConfigError)."""
    results: list[ConnectorError | None] = []
    for row in rows:
        try:
            results.append(await _one(api, runtime, reads[row.kind].object, row))
        except (AuthError, ConfigError):
            raise
        except ConnectorError as error:
            results.append(error)
    return results


async def _one(api: Api, runtime: Runtime, name: str, row: WriteBack) -> ConnectorError | None:
    if not row.id.isdecimal():
        raise Gone(f"{row.id} is not the id of an item", system=SYSTEM)
    for attempt in range(TRIES):
        if attempt:
            await runtime.sleep(runtime.random.uniform(0.1, 0.3) * 2.0**attempt)
        held, tag = await api.item(name, row.id, row.fields)
        values = _differing(held, row)
        if not values:
            return None
        try:
            await api.change(name, row.id, values, tag)
        except Conflict:
            continue
        except Gone:
            raise
        except Rejected as refusal:
            raise Rejected(refusal.message, field=refusal.field or _only(values), system=SYSTEM) from refusal
        return None
    return Transient(f"{name}{row.id} is changed by somebody again and again", system=SYSTEM)


def _differing(held: Row, row: WriteBack) -> dict[str, Any]:
    """A link is held as an id and may be written by its name: that is written again, and Roundup finds nothing to change."""
    wanted = {name: plain(value) for name, value in row.fields.items()}
    return {name: value for name, value in wanted.items() if name not in held or held[name] != value}


def _only(values: Mapping[str, Any]) -> str:
    return next(iter(values)) if len(values) == 1 else ""


def plain(value: Value) -> Any:
    """A value as Roundup takes it in JSON. It holds no empty text: that is no text."""
    if value is None or value == "":
        return None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value
