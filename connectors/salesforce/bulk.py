"""Bulk API 2.0 query jobs: for a first read of very many rows. Rows come back in the shape REST gives them, in no order."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connectors.base import ConnectorError, Rejected, Runtime, Transient
from connectors.http import Answer, Effect
from connectors.salesforce.describe import Field, Schema
from connectors.salesforce.errors import SYSTEM
from connectors.salesforce.query import Row
from connectors.salesforce.rest import Rest
from connectors.salesforce.soql import select

PATIENCE = 4 * 3600.0  # seconds a job may take
ROWS_PER_FILE = 20_000
DOWNLOADS = 4
LONGEST_VALUE = 16_000_000  # characters; a rich text field holds 131,072, base64 fields are not queried


class JobFailed(Rejected):
    """The org does not carry out this job; the same rows can still be read over REST."""


@dataclass(frozen=True, slots=True)
class Job:
    """A query job under way: its id and its columns (dotted path, type)."""

    id: str
    columns: Mapping[str, str]


class Bulk:
    def __init__(self, rest: Rest, schema: Schema, runtime: Runtime) -> None:
        self._rest, self._schema, self._runtime = rest, schema, runtime

    async def start(self, name: str, paths: Sequence[str], *, deleted: bool) -> Job:
        """Create a job for these fields of every row; `deleted` includes the recycle bin."""
        paths = list(dict.fromkeys(paths))
        found = await self._schema.resolve([(name, path) for path in paths])
        types = {path: field.type for (_, path), field in found.items() if isinstance(field, Field)}
        where = "" if deleted else "IsDeleted = false"
        body = {
            "operation": "queryAll" if deleted else "query",
            "query": select(paths, name, where=where),
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        answer = await self._rest.send("POST", "/jobs/query", effect=Effect.REPEATABLE, body=body)
        return Job(answer.data["id"], {path: types.get(path, "string") for path in paths})

    async def rows(self, job: Job) -> AsyncIterator[list[Row]]:
        """Wait for the job, then its rows file by file. Raises JobFailed."""
        await self._wait(job)
        locator = ""
        while locator != "null":
            rows, locator = await self._file(job, locator)
            yield rows

    async def drop(self, job: Job) -> None:
        """Remove the job from the org, stopped first when it still runs. What fails here is left to the org's own clean-up."""
        path = f"/jobs/query/{job.id}"
        with suppress(ConnectorError):
            try:
                await self._rest.send("DELETE", path, effect=Effect.REPEATABLE)
            except Rejected:
                await self._rest.send("PATCH", path, effect=Effect.REPEATABLE, body={"state": "Aborted"})
                await self._rest.send("DELETE", path, effect=Effect.REPEATABLE)

    async def _wait(self, job: Job) -> None:
        pause, waited = 1.0, 0.0
        while waited < PATIENCE:
            status = (await self._rest.get(f"/jobs/query/{job.id}")).data
            if status["state"] == "JobComplete":
                return
            if status["state"] in ("Failed", "Aborted"):
                raise JobFailed(
                    f"bulk job {job.id} {status['state'].lower()}: {status.get('errorMessage', 'no reason given')}", system=SYSTEM
                )
            await self._runtime.sleep(pause)
            waited, pause = waited + pause, min(pause * 2, 30.0)
        raise JobFailed(f"bulk job {job.id} is not done after {waited / 3600:.0f} hours", system=SYSTEM)

    async def _file(self, job: Job, locator: str) -> tuple[list[Row], str]:
        """One file of rows and where the next begins; a file with fewer rows than announced is fetched again."""
        params = {"maxRecords": str(ROWS_PER_FILE), **({"locator": locator} if locator else {})}
        for _ in range(DOWNLOADS):
            answer = await self._rest.get(f"/jobs/query/{job.id}/results", headers={"Accept": "text/csv"}, **params)
            rows = list(parse(answer.raw.decode("utf-8-sig", "replace"), job.columns))
            if len(rows) == _announced(answer, len(rows)):
                return rows, answer.headers.get("sforce-locator", "null")
        raise Transient(f"bulk job {job.id} keeps sending incomplete files", system=SYSTEM)


def _announced(answer: Answer, default: int) -> int:
    told = answer.headers.get("sforce-numberofrecords", "")
    return int(told) if told.isdigit() else default


def parse(text: str, columns: Mapping[str, str]) -> list[Row]:
    """The rows of a CSV file, typed and nested. A row cut short is left out."""
    csv.field_size_limit(LONGEST_VALUE)
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""))
    names = {name.lower(): (name, kind) for name, kind in columns.items()}
    header = [names.get(name.lower(), (name, "string")) for name in next(reader, [])]
    return [
        nest({name: convert(cell, kind) for (name, kind), cell in zip(header, cells, strict=True)})
        for cells in reader
        if len(cells) == len(header)
    ]


def convert(cell: str, kind: str) -> Any:
    """A cell as REST would give it: empty is null, numbers are exact, moments end in +0000."""
    if cell == "":
        return None
    if kind == "boolean":
        return cell.lower() == "true"
    if kind == "int":
        return int(cell)
    if kind in ("double", "currency", "percent"):
        return Decimal(cell)
    return cell[:-1] + "+0000" if kind == "datetime" and cell.endswith("Z") else cell


def nest(flat: Mapping[str, Any]) -> Row:
    """`{"Owner.Email": …}` as `{"Owner": {"Email": …}}`; a parent without any value is null, as a parent that is not there."""
    row: Row = {}
    parents: dict[str, dict[str, Any]] = {}
    for path, value in flat.items():
        name, _, rest = path.partition(".")
        if rest:
            parents.setdefault(name, {})[rest] = value
        else:
            row[name] = value
    for name, values in parents.items():
        row[name] = nest(values) if any(value is not None for value in values.values()) else None
    return row
