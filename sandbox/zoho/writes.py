"""Insert, update, upsert and delete: up to a hundred rows, each with its own result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.web import Reply
from sandbox.zoho.calls import Call
from sandbox.zoho.errors import Refused, no_record
from sandbox.zoho.schema import Field, Module
from sandbox.zoho.shapes import user
from sandbox.zoho.values import ID, Checker, Row

MOST = 100
TRIGGERS = frozenset({"approval", "workflow", "blueprint", "pathfinder", "orchestration"})


def insert(call: Call) -> Reply:
    module = call.module()
    return results(call, 201, lambda row, path: add(call, module, row, path))


def update(call: Call) -> Reply:
    module = call.module()
    return results(call, 200, lambda row, path: _update(call, module, row, path))


def update_one(call: Call) -> Reply:
    module, id = call.module(), call.parts["id"]
    if not ID.fullmatch(id):
        raise no_record()
    if id not in call.world.rows[module.name]:
        return Reply.json(400, {"data": [no_record().body()]})
    return results(call, 200, lambda row, path: _update(call, module, {**row, "id": id}, path), most=1)


def upsert(call: Call) -> Reply:
    module = call.module()
    named = call.body().get("duplicate_check_fields")
    if named is not None and (not isinstance(named, list) or not all(isinstance(each, str) for each in named)):
        raise Refused("INVALID_DATA", "invalid data", api_name="duplicate_check_fields", expected_data_type="jsonarray")
    return results(call, 200, lambda row, path: _upsert(call, module, row, path, named or []))


def delete(call: Call) -> Reply:
    """By ids in the query. What cannot be deleted is told row by row."""
    module, ids = call.module(), call.ids()
    if ids is None:
        raise Refused("REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="ids")
    rows = [_delete(call, module, id) for id in ids]
    return Reply.json(status(200, rows), {"data": rows})


def delete_one(call: Call) -> Reply:
    module, id = call.module(), call.parts["id"]
    if not ID.fullmatch(id) or id not in call.world.rows[module.name]:
        raise no_record()
    return Reply.json(200, {"data": [_delete(call, module, id)]})


def _delete(call: Call, module: Module, id: str) -> Row:
    if id not in call.world.rows[module.name]:
        return Refused("INVALID_DATA", "record not deleted", id=id).body()
    call.world.delete(module.name, id, by=call.world.user, source="crm_api")
    return {"code": "SUCCESS", "details": {"id": id}, "message": "record deleted", "status": "success"}


def rows_of(call: Call, most: int = MOST) -> list[Row]:
    """The rows of `data`; raises where there are none, too many, or something else."""
    body = call.body()
    rows = body.get("data")
    if rows is None:
        raise Refused("MANDATORY_NOT_FOUND", "required field not found", api_name="data", json_path="$.data")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Refused("INVALID_DATA", "invalid data", api_name="data", json_path="$.data", expected_data_type="jsonarray")
    if len(rows) > most:
        raise Refused("LIMIT_EXCEEDED", f"not allowed to process more than {most} records", api_name="data", json_path="$.data", limit=most)
    triggers = body.get("trigger", [])
    if not isinstance(triggers, list) or not all(isinstance(each, str) and each in TRIGGERS for each in triggers):
        raise Refused("INVALID_DATA", "invalid data", api_name="trigger", json_path="$.trigger", supported_values=sorted(TRIGGERS))
    return rows


def results(call: Call, good: int, write: Callable[[Row, str], Row], most: int = MOST) -> Reply:
    """Each row written by itself, and the status of them all."""
    told = []
    for place, row in enumerate(rows_of(call, most)):
        try:
            told.append(write(row, f"$.data[{place}]"))
        except Refused as refused:
            told.append(refused.body())
    call.site.spend(max(0, (len(told) - 1) // 10))
    return Reply.json(status(good, told), {"data": told})


def status(good: int, results: Sequence[Mapping[str, Any]]) -> int:
    """All went well, some did (207), or none: 412 when every one was modified in between, else 400."""
    failed = [each["code"] for each in results if each["status"] == "error"]
    if not failed:
        return good
    if len(failed) < len(results):
        return 207
    return 412 if set(failed) == {"ALREADY_MODIFIED"} else 400


def add(call: Call, module: Module, row: Row, path: str, more: Mapping[str, Any] | None = None) -> Row:
    """A new record of this row; `more` is held besides, unjudged."""
    given = checked(call, module, row, path)
    for field in module.visible:
        if field.required and given.get(field.name) is None:
            raise Refused("MANDATORY_NOT_FOUND", "required field not found", api_name=field.name, json_path=f"{path}.{field.name}")
    _check_unique(call, module, given, path)
    id = call.world.insert(module.name, {**given, **(more or {})}, by=call.world.user, source="crm_api", rules=_runs_workflows(call))
    return _done(call, module, id, "record added")


def _update(call: Call, module: Module, row: Row, path: str) -> Row:
    world, id = call.world, row.get("id")
    if id is None:
        raise Refused("MANDATORY_NOT_FOUND", "required field not found", api_name="id", json_path=f"{path}.id")
    old = world.rows[module.name].get(str(id))
    if old is None:
        raise Refused("INVALID_DATA", "the id given seems to be invalid", api_name="id", json_path=f"{path}.id")
    if old["id"] in world.locked:
        raise Refused("RECORD_LOCKED", "record is locked", id=old["id"])
    since = call.unmodified_since()
    if since is not None and old["Modified_Time"] > since:
        details = _stamps(call, old)
        raise Refused("ALREADY_MODIFIED", "the record has been modified after the given time", 412, **details)
    given = checked(call, module, row, path)
    _check_blueprint(call, module, old, given, path)
    _check_unique(call, module, given, path, old["id"])
    if row.get("$append_values"):
        _append(module, old, given, row["$append_values"])
    world.update(module.name, old["id"], given, by=world.user, source="crm_api", rules=_runs_workflows(call))
    return _done(call, module, old["id"], "record updated")


def _runs_workflows(call: Call) -> bool:
    """Workflows run unless `trigger` says which automations do, and leaves them out."""
    return "workflow" in call.body().get("trigger", TRIGGERS)


def _upsert(call: Call, module: Module, row: Row, path: str, named: Sequence[str]) -> Row:
    unique = [each.name for each in module.visible if each.unique]
    system = {"Leads": ["Email"], "Contacts": ["Email"], "Accounts": ["Account_Name"], "Deals": ["Deal_Name"]}.get(module.name, [])
    for name in named or [*system, *unique]:
        field = module.seen(name)
        if field is None:
            raise Refused("INVALID_DATA", "invalid data", api_name="duplicate_check_fields", json_path="$.duplicate_check_fields")
        found = None if row.get(name) is None else _holding(call, module, field, row[name])
        if found is not None:
            return {**_update(call, module, {**row, "id": found}, path), "action": "update", "duplicate_field": name}
    if row.get("id") is not None:
        return {**_update(call, module, row, path), "action": "update", "duplicate_field": "id"}
    return {**add(call, module, row, path), "action": "insert", "duplicate_field": None}


def _holding(call: Call, module: Module, field: Field, value: Any, but: str = "") -> str | None:
    """The eldest record that holds the value; text is compared without its case."""
    wanted = value.lower() if isinstance(value, str) else value
    for id, row in call.world.rows[module.name].items():
        held = row.get(field.name)
        if id != but and (held.lower() if isinstance(held, str) else held) == wanted and held is not None:
            return id
    return None


def checked(call: Call, module: Module, row: Row, path: str) -> Row:
    """The values that count, as they are held. Fields that nobody knows, or nobody may set, are passed over without a word."""
    checker = Checker(call.world.has, path)
    given: Row = {}
    for name, value in row.items():
        field = module.seen(name)
        if field is None or field.read_only or name == "id":
            continue
        given[name] = _subform(call, field, value, f"{path}.{name}") if field.type == "subform" else checker.held(field, value)
    if module.name == "Deals" and call.world.pipelines and "Stage" in given and given["Stage"] not in call.world.stages:
        raise Refused("DEPENDENT_MISMATCH", "the stage is not in the pipeline", api_name="Stage", json_path=f"{path}.Stage")
    return given


def _subform(call: Call, field: Field, rows: Any, path: str) -> list[Row]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused("INVALID_DATA", "invalid data", api_name=field.name, json_path=path, expected_data_type="jsonarray")
    held = call.world.modules[field.to]
    kept = []
    for place, row in enumerate(rows):
        special = {name: row[name] for name in ("id", "_delete") if name in row}
        if "id" in row and str(row["id"]) not in call.world.rows[held.name]:
            raise Refused("INVALID_DATA", "the id given seems to be invalid", api_name="id", json_path=f"{path}[{place}].id")
        kept.append({**checked(call, held, row, f"{path}[{place}]"), **special})
    return kept


def _check_unique(call: Call, module: Module, given: Row, path: str, but: str = "") -> None:
    for name, value in given.items():
        field = module.fields[name]
        other = _holding(call, module, field, value, but) if field.unique and value is not None else None
        if other is not None:
            raise Refused("DUPLICATE_DATA", "duplicate data", api_name=name, json_path=f"{path}.{name}", id=other)


def _check_blueprint(call: Call, module: Module, old: Row, given: Row, path: str) -> None:
    process = call.world.blueprints.get(module.name)
    if process is not None and process.field in given and given[process.field] != old.get(process.field):
        details = {"api_name": process.field, "json_path": f"{path}.{process.field}", "id": old["id"]}
        raise Refused("RECORD_IN_BLUEPRINT", "record is in blueprint", **details)


def _append(module: Module, old: Row, given: Row, append: Any) -> None:
    """`$append_values` adds to a multi-select instead of putting other choices in its place."""
    for name in [name for name, yes in append.items() if yes and name in given] if isinstance(append, dict) else ():
        if module.fields[name].type == "multiselectpicklist":
            given[name] = list(dict.fromkeys([*(old.get(name) or []), *(given[name] or [])]))


def _stamps(call: Call, row: Row) -> Row:
    who: Row = {name: user(call.world, row[name]) for name in ("Modified_By", "Created_By") if name in row}
    return {"Modified_Time": call.told(row["Modified_Time"]), "Created_Time": call.told(row["Created_Time"]), "id": row["id"], **who}


def _done(call: Call, module: Module, id: str, message: str) -> Row:
    details = _stamps(call, call.world.get(module.name, id)) | {"$approval_state": "approved"}
    return {"code": "SUCCESS", "details": details, "message": message, "status": "success"}
