"""Bulk API 2.0 query jobs: states over several polls, and results as CSV behind locators."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.salesforce.calls import Call
from sandbox.salesforce.conditions import getter, resolve
from sandbox.salesforce.errors import ApiError, not_found
from sandbox.salesforce.org import Org
from sandbox.salesforce.query import Result, find_table, run
from sandbox.salesforce.soql import parse
from sandbox.salesforce.tree import Name, Query
from sandbox.salesforce.values import Row, number_id, stamp
from sandbox.web import Reply

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")


@dataclass(slots=True)
class Job:
    id: str
    about: dict[str, Any]
    columns: list[str]
    read: list[Callable[[Row], Any]]
    rows: list[Row]
    polls: int = 0


@dataclass(slots=True)
class Bulk:
    """`polls` is how many looks a job takes from upload to completion; `failures` fail the next jobs with that message.

    `unfinished` is the status of results asked for too early, which Salesforce does not document.
    """

    polls: int = 2
    unfinished: int = 400
    failures: list[str] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    made: int = 0


def create(call: Call) -> Reply:
    body, bulk = call.body(), call.site.bulk
    operation = body.get("operation")
    if operation not in ("query", "queryAll"):
        raise ApiError("INVALIDOPERATION", f"unsupported operation: {operation}")
    query = parse(str(body.get("query", "")))
    names = _plain_names(call.org, query)
    found = run(call.org, query, everything=operation == "queryAll", sobjects=call.sobjects, child_page=_no_children)
    bulk.made += 1
    id, now = number_id("750", bulk.made), stamp(call.org.clock())
    about = {
        "id": id,
        "operation": operation,
        "object": found.object,
        "createdById": call.org.user_id,
        "createdDate": now,
        "systemModstamp": now,
        "state": "UploadComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(call.version),
        "lineEnding": body.get("lineEnding", "LF"),
        "columnDelimiter": body.get("columnDelimiter", "COMMA"),
    }
    bulk.jobs[id] = _job(call.org, about, query, names, found)
    return Reply.json(200, about)


def _plain_names(org: Org, query: Query) -> list[Name]:
    """The selected paths, when they are all of the sort that Bulk can export."""
    spec = find_table(org, query).spec
    if query.count or query.offset or any(isinstance(each, Query) for each in query.select):
        raise ApiError("API_ERROR", "Implementation restriction: sub-queries, aggregates and OFFSET are not supported in Bulk Query")
    names = [each for each in query.select if isinstance(each, Name)]
    if any(resolve(org, spec, name, query.text)[1].type == "address" for name in names):
        raise ApiError("API_ERROR", "Selecting compound data not supported in Bulk Query")
    return names


def _job(org: Org, about: dict[str, Any], query: Query, names: list[Name], found: Result) -> Job:
    spec = org.tables[found.object].spec
    paths = [resolve(org, spec, name, query.text) for name in names]
    columns = [".".join((*(hop.relationship for hop in hops), last.name)) for hops, last in paths]
    rows = found.rows if query.order else found.rows[::-1]  # without ORDER BY nobody may count on one
    return Job(about["id"], about, columns, [getter(org, hops, last) for hops, last in paths], rows)


def _no_children(rows: list[Row], render: Any) -> dict[str, Any]:
    raise ApiError("API_ERROR", "Implementation restriction")


def status(call: Call) -> Reply:
    job = _found(call)
    _advance(call.site.bulk, job)
    return Reply.json(200, job.about)


def _advance(bulk: Bulk, job: Job) -> None:
    job.polls += 1
    if job.about["state"] not in ("UploadComplete", "InProgress"):
        return
    if job.polls < bulk.polls:
        job.about["state"] = "InProgress"
    elif bulk.failures:
        job.about |= {"state": "Failed", "errorMessage": bulk.failures.pop(0), "numberRecordsProcessed": 0, "retries": 15}
    else:
        done = {"numberRecordsProcessed": len(job.rows), "retries": 0, "totalProcessingTime": 100 * job.polls}
        job.about |= {"state": "JobComplete", **done}


def listed(call: Call) -> Reply:
    return Reply.json(200, {"done": True, "records": [job.about for job in call.site.bulk.jobs.values()], "nextRecordsUrl": None})


def abort(call: Call) -> Reply:
    job = _found(call)
    if call.body().get("state") != "Aborted" or job.about["state"] not in ("UploadComplete", "InProgress"):
        raise ApiError("INVALIDJOBSTATE", f"Aborting already completed job not allowed: {job.about['state']}")
    job.about["state"] = "Aborted"
    return Reply.json(200, job.about)


def remove(call: Call) -> Reply:
    job = _found(call)
    if job.about["state"] in ("UploadComplete", "InProgress"):
        raise ApiError("API_ERROR", "Can't delete a job that is in progress")
    del call.site.bulk.jobs[job.id]
    return Reply(204)


def results(call: Call) -> Reply:
    """A part of the CSV, at most `maxRecords` rows; the headers tell where the next part starts."""
    job, asked = _found(call), call.request.query
    if job.about["state"] != "JobComplete":
        if call.site.bulk.unfinished == 204:
            return Reply(204)
        raise ApiError("INVALIDJOBSTATE", f"Results are not available for a job in state {job.about['state']}", call.site.bulk.unfinished)
    start, most = _start(asked.get("locator", "")), int(asked.get("maxRecords") or 50_000)
    rows = job.rows[start : start + most]
    end = start + len(rows)
    locator = base64.b64encode(f"{end}".encode()).decode().rstrip("=") if end < len(job.rows) else "null"
    headers = {"Content-Type": "text/csv", "Sforce-Locator": locator, "Sforce-NumberOfRecords": str(len(rows))}
    return Reply(200, _csv(job, rows), headers)


def _csv(job: Job, rows: list[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n" if job.about["lineEnding"] == "CRLF" else "\n")
    writer.writerow(job.columns)
    for row in rows:
        writer.writerow([_cell(read(row)) for read in job.read])
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text.replace("+0000", "Z") if _STAMP.fullmatch(text) else text


def _start(locator: str) -> int:
    try:
        return int(base64.b64decode(locator + "=" * (-len(locator) % 4))) if locator else 0
    except ValueError as wrong:
        raise ApiError("INVALID_QUERY_LOCATOR", "invalid locator") from wrong


def _found(call: Call) -> Job:
    job = call.site.bulk.jobs.get(call.parts["job"])
    if job is None:
        raise not_found()
    return job
