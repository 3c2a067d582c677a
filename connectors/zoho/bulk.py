"""Bulk read: for a first read of very many records. Rows come back in the shape REST gives them, in no order.

https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/overview.html: 50 credits a job, up to 200,000 records in one page of it.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.base import Rejected, Runtime, Transient
from connectors.http import Effect
from connectors.zoho.errors import SYSTEM
from connectors.zoho.reading import NEVER, Shape
from connectors.zoho.records import COMPUTED, GIVEN, Kind
from connectors.zoho.rest import BULK, Rest
from connectors.zoho.schema import BY_RECORD_ONLY, PEOPLE, Field, Schema
from connectors.zoho.values import Row

PATIENCE = 4 * 3600.0  # seconds a job may take
MOST_PAGES = 1_000
LONGEST_VALUE = 1_000_000  # characters of one cell
NUMBERS = frozenset({"integer", "double", "currency", "percent", "formula", "rollup_summary"})


class Bulk:
    def __init__(self, rest: Rest, schema: Schema, runtime: Runtime) -> None:
        self._rest, self._schema, self._runtime = rest, schema, runtime

    async def takes(self, kind: Kind) -> bool:
        """Whether all that the mapping reads of a kind comes with bulk read: no lists, and of other records no more than who owns it."""
        known = await self._schema.fields(kind.shape.module) or {}
        types = {name: known[name].type for name in known}
        needed = set(kind.shape.fields) - (kind.shape.optional - types.keys())
        if kind.read.children or any(types.get(name) in BY_RECORD_ONLY or name not in types for name in needed):
            return False
        linked = [path.split(".", 1) for path in kind.read.fields if path not in COMPUTED and types.get(path.split(".")[0]) == "lookup"]
        return all(rest and (rest[0] == "id" or rest[0] not in GIVEN) for _, *rest in linked)

    async def rows(self, shape: Shape) -> AsyncIterator[list[Row]]:
        """Every record, a page of the job at a time. Raises Rejected when the job fails."""
        known = await self._schema.fields(shape.module) or {}
        people = {person.id: {"id": person.id, "name": person.name, "email": person.email} for person in await self._schema.people()}
        for page in range(1, MOST_PAGES):
            job = await self._start(shape.module, [name for name in shape.wanted if name in known], page)
            more = await self._wait(job)
            answer = await self._rest.get(f"{BULK}/read/{job}/result")
            yield [self._row(cells, known, people) for cells in _cells(answer.raw)]
            if not more:
                return

    async def _start(self, module: str, fields: list[str], page: int) -> str:
        query = {"module": {"api_name": module}, "fields": ["id", *fields], "page": page}
        body = {"query": query, "file_type": "csv"}
        answer = await self._rest.send("POST", f"{BULK}/read", effect=Effect.REPEATABLE, body=body)
        result = answer.data["data"][0]
        if result.get("code") != "ADDED_SUCCESSFULLY":
            raise Rejected(f"bulk read refused: {result.get('code')}", system=SYSTEM)
        return str(result["details"]["id"])

    async def _wait(self, job: str) -> bool:
        """Whether there are further pages, once the job is done."""
        pause, waited = 1.0, 0.0
        while waited < PATIENCE:
            found: Mapping[str, Any] = (await self._rest.get(f"{BULK}/read/{job}")).data["data"][0]
            if found["state"] == "COMPLETED":
                return bool((found.get("result") or {}).get("more_records"))
            if found["state"] not in ("ADDED", "QUEUED", "IN PROGRESS"):
                raise Rejected(f"bulk read {job} ended as {found['state']}", system=SYSTEM)
            await self._runtime.sleep(pause)
            waited, pause = waited + pause, min(pause * 2, 30.0)
        raise Rejected(f"bulk read {job} is not done after {waited / 3600:.0f} hours", system=SYSTEM)

    def _row(self, cells: Mapping[str, str], known: Mapping[str, Field], people: Mapping[str, Row]) -> Row:
        row: Row = {name: _value(cell, known[name].type) for name, cell in cells.items() if name in known and name != "id"}
        row |= {"id": cells.get("id") or cells["Id"], "Modified_Time": row.get("Modified_Time") or NEVER}
        for name, value in row.items():
            kind = known[name].type if name in known else ""
            if value is not None and kind in PEOPLE:
                row[name] = people.get(value, {"id": value})
            elif value is not None and kind == "lookup":
                row[name] = {"id": value}
        return row


def _cells(raw: bytes) -> list[dict[str, str]]:
    """The lines of the CSV file inside the ZIP file. Raises Transient when it is damaged."""
    csv.field_size_limit(LONGEST_VALUE)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            text = "".join(packed.read(name).decode("utf-8-sig") for name in packed.namelist() if name.endswith(".csv"))
    except (zipfile.BadZipFile, UnicodeDecodeError, EOFError) as failure:
        raise Transient("the file of a bulk read is damaged", system=SYSTEM) from failure
    header, *lines = [*csv.reader(io.StringIO(text, newline=""))] or [[]]
    if any(len(cells) != len(header) for cells in lines):
        raise Transient("the file of a bulk read is damaged", system=SYSTEM)
    return [dict(zip(header, cells, strict=True)) for cells in lines]


CONVERT: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda cell: cell.lower() == "true",
    "multiselectpicklist": lambda cell: cell.split(";"),
    "integer": int,
}


def _value(cell: str, kind: str) -> Any:
    """A cell as REST would give it: empty is null, numbers are exact."""
    if cell == "":
        return None
    try:
        return CONVERT.get(kind, Decimal if kind in NUMBERS else str)(cell)
    except (ValueError, InvalidOperation):
        return cell
