"""Bulk read: a job reads a module into CSV files of up to 200,000 rows each, zipped. It reads what is there when it is asked for."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sandbox.web import Reply
from sandbox.zoho.calls import Call
from sandbox.zoho.compare import Condition, Unfit, both, condition, either, everything
from sandbox.zoho.errors import Refused
from sandbox.zoho.schema import LOOKUPS, Module
from sandbox.zoho.shapes import user, value
from sandbox.zoho.values import Row
from sandbox.zoho.watch import Delivery

KEPT = timedelta(days=1)
WORDS = {"equal": "=", "not_equal": "!=", "greater_than": ">", "greater_equal": ">=", "less_than": "<", "less_equal": "<=", "in": "in"}
WORDS |= {
    "not_in": "not in",
    "between": "between",
    "not_between": "not between",
    "starts_with": "like",
    "contains": "like",
    "ends_with": "like",
}


@dataclass(slots=True)
class Job:
    id: str
    query: Row
    made: datetime
    ready: datetime
    body: bytes
    count: int
    more: bool
    fails: bool
    callback: str
    told: bool = False


@dataclass(slots=True)
class Bulk:
    """`seconds` is what a job takes; `page_rows` the rows of one result. `fail_next` jobs end in FAILURE."""

    seconds: float = 3.5
    page_rows: int = 200_000
    fail_next: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)


def create(call: Call) -> Reply:
    body, world, bulk = call.body(), call.world, call.site.bulk
    asked = body.get("query")
    if not isinstance(asked, dict):
        raise Refused("INVALID_REQUEST", "query is missing or not an object")
    if body.get("file_type", "csv") != "csv":
        raise Refused("NOT_SUPPORTED_FEATURE", "the file type is not supported for the module")
    module, columns, page = _module(call, asked), _columns(call, asked), asked.get("page") or 1
    if not isinstance(page, int) or isinstance(page, bool) or page < 1:
        raise Refused("PAGE_NOT_SUPPORTED", "the page is not a number")
    wanted = _criteria(module, asked.get("criteria"))
    rows = sorted((row for row in world.rows[module.name].values() if wanted(row)), key=lambda row: str(row["id"]))
    part = rows[(page - 1) * bulk.page_rows : page * bulk.page_rows]
    id = world.next_id()
    kept = {name: asked[name] for name in ("fields", "criteria") if name in asked}
    query: Row = {"module": {"api_name": module.name, "id": module.id}, "page": page, **kept}
    now = world.clock()
    fails, bulk.fail_next = bulk.fail_next > 0, max(0, bulk.fail_next - 1)
    zipped = _zipped(id, _csv(call, module, columns, part))
    more = page * bulk.page_rows < len(rows)
    bulk.jobs[id] = Job(id, query, now, now + timedelta(seconds=bulk.seconds), zipped, len(part), more, fails, _callback(body))
    told = {"id": id, "operation": "read", "state": "ADDED", "created_by": user(world, world.user), "created_time": call.told(now)}
    done = {"status": "success", "code": "ADDED_SUCCESSFULLY", "message": "Added successfully.", "details": told}
    return Reply.json(201, {"data": [done], "info": {}})


def status(call: Call) -> Reply:
    job, world = _job(call), call.world
    state = _state(job, world.clock())
    about: Row = {
        "id": job.id,
        "operation": "read",
        "state": state,
        "query": job.query,
        "created_by": user(world, world.user),
        "created_time": call.told(job.made),
        "file_type": "csv",
    }
    if state == "COMPLETED":
        url, size = f"{call.request.path}/result", call.site.bulk.page_rows
        told = {"page": job.query["page"], "count": job.count, "download_url": url, "per_page": size, "more_records": job.more}
        about["result"] = told
    if state == "FAILURE":
        about["result"] = {"error_message": {"code": "INTERNAL_ERROR", "message": "internal error", "status": "error", "details": {}}}
    return Reply.json(200, {"data": [about]})


def result(call: Call) -> Reply:
    """The ZIP; 404 before the job is done, and a day after."""
    job, now = _job(call), call.world.clock()
    if _state(job, now) != "COMPLETED" or now > job.ready + KEPT:
        raise _nothing(job.id)
    name = f'attachment; filename="{job.id}.zip"'
    return Reply(200, job.body, {"Content-Type": "application/zip", "Content-Disposition": name})


def settle(jobs: Mapping[str, Job], now: datetime) -> list[Delivery]:
    """The callbacks of jobs that are done by now and were not told of."""
    done = [job for job in jobs.values() if job.callback and not job.told and job.ready <= now]
    for job in done:
        job.told = True
    return [Delivery(job.callback, {"job_id": job.id, "operation": "read", "state": _state(job, now), "query": job.query}) for job in done]


def _state(job: Job, now: datetime) -> str:
    if now >= job.ready:
        return "FAILURE" if job.fails else "COMPLETED"
    return "ADDED" if now == job.made else "IN PROGRESS"


def _job(call: Call) -> Job:
    found = call.site.bulk.jobs.get(call.parts["id"])
    if found is None:
        raise _nothing(call.parts["id"])
    return found


def _nothing(id: str) -> Refused:
    return Refused("RESOURCE_NOT_FOUND", "The requested resource doesn't exist.", 404, resource=id)


def _callback(body: Row) -> str:
    callback = body.get("callback")
    if callback is None:
        return ""
    if not isinstance(callback, dict) or not isinstance(callback.get("url"), str):
        raise Refused("INVALID_CALLBACK_URL", "the callback URL is not valid")
    if callback.get("method") != "post":
        raise Refused("INVALID_CALLBACK_METHOD", "the callback method is not supported", supported_callback_methods=["post"])
    return str(callback["url"])


def _module(call: Call, asked: Row) -> Module:
    named = asked.get("module")
    name = named.get("api_name") if isinstance(named, dict) else named
    found = call.world.modules.get(name) if isinstance(name, str) else None
    if found is None:
        raise Refused("MODULE_NOT_AVAILABLE", "the module is not available")
    call.site.let(f"ZohoCRM.modules.{found.name}.READ", call)
    return found


def _columns(call: Call, asked: Row) -> list[str]:
    """All fields when none are named; `Owner.Email` and the like reach into a lookup."""
    module = _module(call, asked)
    names = asked.get("fields")
    if names is None:
        return [each.name for each in module.visible if each.type != "subform"]
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise Refused("FIELD_NOT_SUPPORTED", "the fields are not a list of names")
    for name in names:
        field = module.seen(name)
        if name != "id" and (field is None or field.type == "subform"):
            raise Refused("FIELD_NOT_AVAILABLE", "the field is not available", api_name=name)
    return [name for name in names if name != "id"]


def _criteria(module: Module, asked: Any) -> Condition:
    if asked is None:
        return everything
    if not isinstance(asked, dict):
        raise Refused("INVALID_CRITERIA", "the criteria are not valid")
    if "group" not in asked:
        return _one(module, asked)
    parts = asked["group"]
    word = str(asked.get("group_operator", "")).lower()
    if not isinstance(parts, list) or not parts or word not in ("and", "or"):
        raise Refused("INVALID_CRITERIA", "the criteria are not valid")
    found = _criteria(module, parts[0])
    for each in parts[1:]:
        found = (both if word == "and" else either)(found, _criteria(module, each))
    return found


def _one(module: Module, asked: Row) -> Condition:
    named, word, given = asked.get("field"), asked.get("comparator"), asked.get("value")
    field = module.seen(str(named.get("api_name"))) if isinstance(named, dict) else None
    if field is None or not isinstance(word, str) or word not in WORDS:
        raise Refused("FIELD_IN_CRITERIA_NOT_SUPPORTED", "the field or the comparator is not supported", api_name=str(named))
    texts = given if isinstance(given, list) else [given]
    if word in ("contains", "starts_with", "ends_with"):
        texts = [f"{'%' if word != 'starts_with' else ''}{given}{'%' if word != 'ends_with' else ''}"]
    try:
        return condition(field, WORDS[word], texts)
    except (Unfit, IndexError) as wrong:
        raise Refused("FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE", "the value does not go with the field", api_name=field.name) from wrong


def _csv(call: Call, module: Module, names: list[str], rows: list[Row]) -> str:
    """Lookups are ids; what is empty is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Id", *names])
    fields = [module.fields[name] for name in names]
    for row in rows:
        cells = [row.get(each.name) if each.type in LOOKUPS else value(call.world, module, row, each) for each in fields]
        writer.writerow([row["id"], *(_cell(each) for each in cells)])
    return text.getvalue()


def _cell(held: Any) -> str:
    if held is None:
        return ""
    if isinstance(held, bool):
        return str(held).lower()
    return ";".join(map(str, held)) if isinstance(held, list) else str(held)


def _zipped(id: str, text: str) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo(f"{id}.csv", (2026, 1, 1, 0, 0, 0)), text)
    return whole.getvalue()
