"""Up to 200 records in one call: each with a result of its own, or all or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sandbox.salesforce import writes
from sandbox.salesforce.calls import Call
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.org import Org
from sandbox.salesforce.store import Table
from sandbox.web import Reply

Saved = dict[str, Any]
MOST = 200


def create(call: Call) -> Reply:
    return _each(call, lambda record: {"id": writes.insert(call.org, _typed(call.org, record), record)})


def change(call: Call) -> Reply:
    return _each(call, lambda record: {"id": writes.update(call.org, _typed(call.org, record), _id(record), record)})


def upsert(call: Call) -> Reply:
    """By external id, one object type, which the path names."""
    table, name = call.table(), call.parts["field"]
    writes.matches(table, name, "")
    records = _records(call)
    values = Counter(str(_key(record, name)).lower() for record in records)

    def save(record: dict[str, Any]) -> Saved:
        value = _key(record, name)
        if value is None:
            raise ApiError("MISSING_ARGUMENT", f"{name} not specified", 400, (name,))
        if values[str(value).lower()] > 1:
            raise ApiError("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", 400, (name,))
        if _typed(call.org, record) is not table:
            raise ApiError("INVALID_TYPE", f"all records must be of type {table.spec.name}")
        fields = {key: each for key, each in record.items() if key.lower() != name.lower()}
        id, created = writes.upsert(call.org, table, name, str(value), fields)
        return {"id": id, "created": created}

    return _each(call, save)


def remove(call: Call) -> Reply:
    ids = [id for id in call.request.query.get("ids", "").split(",") if id]
    _limit(len(ids))

    def bin(id: str) -> Saved:
        return {"id": writes.delete(call.org, _owner(call.org, id), id)}

    return _save(call.org, [partial(bin, id) for id in ids], call.request.query.get("allOrNone", "").lower() == "true")


def _each(call: Call, save: Callable[[dict[str, Any]], Saved]) -> Reply:
    return _save(call.org, [partial(save, record) for record in _records(call)], call.body().get("allOrNone") is True)


def _save(org: Org, steps: Sequence[Callable[[], Saved]], all_or_none: bool) -> Reply:
    results: list[Saved] = []
    try:
        with org.atomic():
            results = [_result(step) for step in steps]
            if all_or_none and not all(result["success"] for result in results):
                raise ApiError("ALL_OR_NONE_OPERATION_ROLLED_BACK", "")
    except ApiError:
        results = [_rolled_back() if result["success"] else result for result in results]
    return Reply.json(200, results)


def _result(step: Callable[[], Saved]) -> Saved:
    try:
        return {**step(), "success": True, "errors": []}
    except ApiError as refused:
        return {"success": False, "errors": [refused.save_error()]}


def _rolled_back() -> Saved:
    words = "Record rolled back because not all records were valid and the request was using AllOrNone header"
    return {"success": False, "errors": [ApiError("ALL_OR_NONE_OPERATION_ROLLED_BACK", words).save_error()]}


def _records(call: Call) -> list[dict[str, Any]]:
    records = call.body().get("records")
    if not isinstance(records, list) or not records:
        raise ApiError("MISSING_ARGUMENT", "records: at least one record is required")
    _limit(len(records))
    return records


def _limit(count: int) -> None:
    if count > MOST:
        raise ApiError("EXCEEDED_MAX_SIZE_REQUEST", f"Operation failed because the number of records exceeds the limit of {MOST}", 400)


def _typed(org: Org, record: dict[str, Any]) -> Table:
    name = (record.get("attributes") or {}).get("type", "")
    table = org.find(str(name))
    if table is None:
        raise ApiError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
    return table


def _owner(org: Org, id: str) -> Table:
    """The table whose key prefix an id has."""
    table = next((table for table in org.tables.values() if table.spec.prefix == id[:3]), None)
    if table is None:
        raise ApiError("MALFORMED_ID", f"malformed id {id}")
    return table


def _id(record: dict[str, Any]) -> str:
    id = _key(record, "id")
    if not id:
        raise ApiError("MISSING_ARGUMENT", "Id not specified in an update call", 400, ("Id",))
    return str(id)


def _key(record: dict[str, Any], name: str) -> Any:
    return next((value for key, value in record.items() if key.lower() == name.lower()), None)
