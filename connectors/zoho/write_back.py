"""Writing to Zoho: a hundred records a call, every row with its own result, locked ones tried again, governed stages by their transition.

https://www.zoho.com/crm/developer/docs/api/v8/update-records.html, https://www.zoho.com/crm/developer/docs/api/v8/update-blueprint.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import ConnectorError, Rejected, Runtime, Transient
from connectors.http import Effect
from connectors.zoho.errors import SYSTEM, InBlueprint, Locked, row_error
from connectors.zoho.rest import Rest
from connectors.zoho.schema import Schema
from connectors.zoho.values import plain
from engine.model import CrmKind, Read, WriteBack

ROWS_PER_CALL = 100
TRIES = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A row on its way: where its result belongs, its module, its id and its fields as JSON."""

    at: int
    module: str
    id: str
    fields: Mapping[str, Any]


class Writing:
    def __init__(self, rest: Rest, schema: Schema, runtime: Runtime, trigger: Sequence[str]) -> None:
        self._rest, self._schema, self._runtime = rest, schema, runtime
        self._trigger = list(trigger)

    async def write(self, reads: Mapping[CrmKind, Read], rows: Sequence[WriteBack]) -> list[ConnectorError | None]:
        """Results in the order of `rows`. Raises what concerns all of them (AuthError, QuotaExhausted, ConfigError)."""
        results: list[ConnectorError | None] = [None] * len(rows)
        lines = []
        for at, row in enumerate(rows):
            line = Line(at, reads[row.kind].object, row.id, {name: plain(value) for name, value in row.fields.items()})
            results[at] = await self._unknown(line)
            lines += [line] if results[at] is None else []
        for call in _calls(lines):
            for at, result in (await self._patiently(call)).items():
                results[at] = result
        return results

    async def _unknown(self, line: Line) -> ConnectorError | None:
        """Zoho passes over fields it does not know, or may not set, without a word; here each is told."""
        known = await self._schema.fields(line.module) or {}
        for name in line.fields:
            if name not in known:
                return Rejected(f"{line.module} has no field {name}", field=name, system=SYSTEM)
            if not known[name].writable:
                return Rejected(f"{line.module}.{name} cannot be written", field=name, system=SYSTEM)
        return None

    async def _patiently(self, lines: Sequence[Line]) -> dict[int, ConnectorError | None]:
        results: dict[int, ConnectorError | None] = {}
        waiting = lines
        for attempt in range(TRIES):
            if attempt:
                await self._runtime.sleep(self._runtime.random.uniform(0.5, 1.5) * 2.0**attempt)
            results |= await self._send(waiting)
            waiting = [line for line in waiting if isinstance(results[line.at], Locked)]
            if not waiting:
                break
        for line in lines:
            if isinstance(results[line.at], InBlueprint):
                results[line.at] = await self._through_blueprint(line, results[line.at])
        return results

    async def _send(self, lines: Sequence[Line]) -> dict[int, ConnectorError | None]:
        """Each line's result. A refusal of the whole call is narrowed down to the line that causes it."""
        body = {"data": [{**line.fields, "id": line.id} for line in lines], "trigger": self._trigger}
        try:
            answer = await self._rest.send("PUT", f"/{lines[0].module}", effect=Effect.REPEATABLE, body=body)
            told = answer.data.get("data")
            if not isinstance(told, list) or len(told) != len(lines):
                raise Transient("the answer does not tell the result of each row", system=SYSTEM)
        except Rejected as refusal:
            if len(lines) == 1:
                return {lines[0].at: Rejected(refusal.message, field=refusal.field, system=SYSTEM)}
            half = len(lines) // 2
            return {**await self._send(lines[:half]), **await self._send(lines[half:])}
        except Transient as failure:
            return dict.fromkeys((line.at for line in lines), failure)
        return {line.at: None if result.get("code") == "SUCCESS" else row_error(result) for line, result in zip(lines, told, strict=True)}

    async def _through_blueprint(self, line: Line, refusal: ConnectorError | None) -> ConnectorError | None:
        """The governed field by the transition that leads to the value wanted, the others as usual."""
        try:
            governed = await self._move(line)
        except (KeyError, TypeError):
            return refusal
        except (Rejected, Transient) as failure:
            return failure
        rest = {name: value for name, value in line.fields.items() if name != governed}
        return (await self._send([Line(line.at, line.module, line.id, rest)]))[line.at] if rest else None

    async def _move(self, line: Line, tries: int = 2) -> str:
        """Carries out the transition, unless the record is there already; gives the governed field. Raises Rejected with what is offered."""
        path = f"/{line.module}/{line.id}/actions/blueprint"
        process = (await self._rest.get(path)).data["blueprint"]
        governed, here = str(process["process_info"]["api_name"]), process["process_info"].get("field_value")
        wanted = line.fields[governed]
        if here == wanted:
            return governed
        ways = {each.get("next_field_value"): each for each in process["transitions"]}
        if wanted not in ways:
            words = f"{line.module}.{governed} is governed by a Blueprint, which leads on to: {', '.join(map(str, ways)) or 'nothing'}"
            raise Rejected(words, field=governed, system=SYSTEM)
        asked = {str(each["api_name"]) for each in ways[wanted].get("fields") or ()}
        data = {name: value for name, value in line.fields.items() if name in asked and name != governed}
        move = {"blueprint": [{"transition_id": str(ways[wanted]["id"]), "data": data}]}
        try:
            await self._rest.send("PUT", path, effect=Effect.REPEATABLE, body=move)
        except Rejected:
            if tries == 1:
                raise
            return await self._move(line, tries - 1)  # the answer of a first attempt may have been lost
        return governed


def _calls(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """The lines as calls: one module each, at most a hundred, no record twice in one call; lines of one record keep their order."""
    calls: dict[str, list[dict[str, Line]]] = {}
    for line in lines:
        batches = calls.setdefault(line.module, [{}])
        if line.id in batches[-1] or len(batches[-1]) == ROWS_PER_CALL:
            batches.append({})
        batches[-1][line.id] = line
    for batches in calls.values():
        yield from (list(batch.values()) for batch in batches if batch)
