"""Queries and the resources of single objects and records."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from sandbox.salesforce import writes
from sandbox.salesforce.calls import Call
from sandbox.salesforce.describe import describe, summary
from sandbox.salesforce.errors import ApiError, not_found
from sandbox.salesforce.query import Render, run
from sandbox.salesforce.schema import Spec
from sandbox.salesforce.soql import parse
from sandbox.salesforce.values import Row, long_id, moment, stamp
from sandbox.web import Reply


def query(call: Call) -> Reply:
    return _query(call, everything=False)


def query_all(call: Call) -> Reply:
    return _query(call, everything=True)


def _query(call: Call, *, everything: bool) -> Reply:
    text = call.request.query.get("q", "")
    if not text:
        raise ApiError("MALFORMED_QUERY", "SOQL statements cannot be empty or null")
    cursors, url = call.site.cursors, f"{call.base}query/"

    def child_page(rows: list[Row], render: Render) -> dict[str, Any]:
        return cursors.child(rows, render, url)

    found = run(call.org, parse(text), everything=everything, sobjects=call.sobjects, child_page=child_page)
    if found.total != len(found.rows):
        return Reply.json(200, {"totalSize": found.total, "done": True, "records": []})
    return Reply.json(200, cursors.first(found.rows, found.render, min(_batch_size(call), call.site.page_rows), url))


def _batch_size(call: Call) -> int:
    asked = re.search(r"batchSize\s*=\s*(\d+)", call.request.headers.get("sforce-query-options", ""), re.IGNORECASE)
    return min(2000, max(200, int(asked[1]))) if asked else 2000


def more(call: Call) -> Reply:
    return Reply.json(200, call.site.cursors.next(call.parts["locator"]))


def objects(call: Call) -> Reply:
    listed = [summary(table.spec, call.sobjects) for table in call.org.tables.values()]
    return Reply.json(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})


def metadata(call: Call) -> Reply:
    return Reply.json(200, {"objectDescribe": summary(call.table().spec, call.sobjects), "recentItems": []})


def described(call: Call) -> Reply:
    """304 when nothing changed since `If-Modified-Since`."""
    spec = call.table().spec
    changed = moment(spec.changed_at)
    since = call.request.headers.get("if-modified-since")
    if since and parsedate_to_datetime(since) >= changed:
        return Reply(304)
    return Reply.json(200, describe(call.org, spec, call.sobjects), {"Last-Modified": http_date(changed)})


def create(call: Call) -> Reply:
    id = writes.insert(call.org, call.table(), call.body())
    return Reply.json(201, {"id": id, "success": True, "errors": []}, {"Location": f"{call.sobjects}{call.table().spec.name}/{id}"})


def read(call: Call) -> Reply:
    table = call.table()
    row = table.rows.get(long_id(call.parts["id"]))
    if row is None:
        raise not_found()
    if row.get("IsDeleted"):
        raise ApiError("ENTITY_IS_DELETED", "entity is deleted", 404)
    return Reply.json(200, _shown(call, table.spec, row))


def read_by_key(call: Call) -> Reply:
    table = call.table()
    _, found = writes.matches(table, call.parts["field"], call.parts["value"])
    if len(found) > 1:
        return _ambiguous(call, found)
    if not found:
        raise not_found()
    return Reply.json(200, _shown(call, table.spec, table.rows[found[0]]))


def _shown(call: Call, spec: Spec, row: Row) -> dict[str, Any]:
    names = [name for name in call.request.query.get("fields", "").split(",") if name]
    fields = [spec.find(name) for name in names] if names else list(spec.visible())
    for missing in (name for name, field in zip(names, fields, strict=False) if field is None):
        raise ApiError("INVALID_FIELD", f"No such column '{missing}' on entity '{spec.name}'")
    url = f"{call.sobjects}{spec.name}/{row['Id']}"
    return {"attributes": {"type": spec.name, "url": url}, **{field.name: row.get(field.name) for field in fields if field}}


def change(call: Call) -> Reply:
    table = call.table()
    _refuse_stale(call, table.rows.get(long_id(call.parts["id"]), {}))
    writes.update(call.org, table, call.parts["id"], call.body())
    return Reply(204)


def _refuse_stale(call: Call, row: Row) -> None:
    since = call.request.headers.get("if-unmodified-since")
    if since and row and moment(row["LastModifiedDate"]) > parsedate_to_datetime(since):
        raise ApiError("PRECONDITION_FAILED", "Entity has been modified since the given date", 412)


def remove(call: Call) -> Reply:
    writes.delete(call.org, call.table(), call.parts["id"])
    return Reply(204)


def upsert(call: Call) -> Reply:
    table, fields = call.table(), call.body()
    field, found = writes.matches(table, call.parts["field"], call.parts["value"])
    if len(found) > 1:
        return _ambiguous(call, found)
    if field.name in fields and field.type != "id":
        raise ApiError("INVALID_FIELD", f"The {field.name} field should not be specified in the sobject data.")
    id, created = writes.upsert(call.org, table, field.name, call.parts["value"], fields)
    return Reply.json(201 if created else 200, {"id": id, "success": True, "errors": [], "created": created})


def _ambiguous(call: Call, ids: list[str]) -> Reply:
    return Reply.json(300, [f"{call.sobjects}{call.table().spec.name}/{id}" for id in ids])


def updated(call: Call) -> Reply:
    """Ids of live records stamped in the window, and the moment up to which nothing can still appear."""
    table, start, end = _window(call, days=30)
    rows = table.between("SystemModstamp", (start, ""), (end, ""))
    ids = [row["Id"] for row in rows if not row.get("IsDeleted")]
    return Reply.json(200, {"ids": ids, "latestDateCovered": min(end, call.org.covered())})


def deleted(call: Call) -> Reply:
    table, start, end = _window(call, days=15)
    records = [{"id": id, "deletedDate": when} for when, id in sorted(table.gone) if start <= when < end]
    earliest = stamp(call.org.clock() - timedelta(days=15))
    covered = min(end, call.org.covered())
    return Reply.json(200, {"deletedRecords": records, "earliestDateAvailable": earliest, "latestDateCovered": covered})


def _window(call: Call, *, days: int) -> tuple[Any, str, str]:
    table = call.table()
    if not table.spec.replicateable:
        raise ApiError("INVALID_TYPE", f"object type {table.spec.name} is not replicable")
    try:
        start, end = (moment(call.request.query[name]).astimezone(UTC).replace(second=0, microsecond=0) for name in ("start", "end"))
    except (KeyError, ValueError) as wrong:
        raise ApiError("INVALID_REPLICATION_DATE", "start and end must be ISO 8601 date and time values") from wrong
    if start >= end:
        raise ApiError("INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
    if start < call.org.clock() - timedelta(days=days, minutes=1):
        raise ApiError("INVALID_REPLICATION_DATE", f"startDate cannot be more than {days} days ago")
    return table, stamp(start), stamp(end)


def http_date(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
