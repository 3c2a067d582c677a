"""Blueprints: a governed field is changed by its transitions alone."""

from __future__ import annotations

from sandbox.web import Reply
from sandbox.zoho import writes
from sandbox.zoho.calls import Call
from sandbox.zoho.errors import Refused
from sandbox.zoho.schema import Blueprint, Field, Module, Transition
from sandbox.zoho.values import Row


def read(call: Call) -> Reply:
    """The process a record is in, and the ways on from where it is."""
    module = call.module()
    record = call.record(module)
    process = _process(call, module)
    here = record.get(process.field)
    field = module.fields[process.field]
    about = {
        "field_id": field.id,
        "is_continuous": False,
        "api_name": field.name,
        "continuous": False,
        "field_label": field.title,
        "name": process.name,
        "column_name": field.name.upper(),
        "field_value": here,
        "id": process.id,
        "field_name": field.title,
        "escalation": None,
    }
    ways = [_way(call, module, each) for each in process.transitions if _open(each, here)]
    return Reply.json(200, {"blueprint": {"process_info": about, "transitions": ways}})


def move(call: Call) -> Reply:
    """Carries out a transition, with the data it asks for."""
    module = call.module()
    record = call.record(module)
    process = _process(call, module)
    asked = call.body().get("blueprint")
    if not isinstance(asked, list) or len(asked) != 1 or not isinstance(asked[0], dict):
        raise Refused("INVALID_DATA", "invalid data", api_name="blueprint", expected_data_type="jsonarray", json_path="$.blueprint")
    wanted = str(asked[0].get("transition_id"))
    way = next((each for each in process.transitions if each.id == wanted and _open(each, record.get(process.field))), None)
    if way is None:
        raise Refused("INVALID_DATA", "invalid transition", api_name="transition_id", json_path="$.blueprint[0].transition_id")
    given = asked[0].get("data") or {}
    if not isinstance(given, dict):
        raise Refused("INVALID_DATA", "invalid data", api_name="data", expected_data_type="jsonobject", json_path="$.blueprint[0].data")
    held = writes.checked(call, module, {name: value for name, value in given.items() if name != process.field}, "$.blueprint[0].data")
    missing = [name for name in way.needs if held.get(name) in (None, "")]
    if missing:
        raise Refused("MANDATORY_NOT_FOUND", "required field not found", api_name=missing[0], json_path=f"$.blueprint[0].data.{missing[0]}")
    call.world.update(module.name, record["id"], {**held, process.field: way.target}, by=call.world.user, source="crm_api")
    return Reply.json(200, {"code": "SUCCESS", "details": {}, "message": "transition updated successfully", "status": "success"})


def _process(call: Call, module: Module) -> Blueprint:
    process = call.world.blueprints.get(module.name)
    if process is None:
        raise Refused("RECORD_NOT_IN_PROCESS", "record not in process", resource_path_index=1)
    return process


def _open(way: Transition, here: object) -> bool:
    return way.target != here and (not way.sources or here in way.sources)


def _way(call: Call, module: Module, each: Transition) -> Row:
    return {
        "next_transitions": [],
        "data": dict.fromkeys(each.needs),
        "next_field_value": each.target,
        "name": each.name,
        "criteria_matched": True,
        "id": each.id,
        "fields": [_asked(module.fields[name]) for name in each.needs],
        "criteria_message": None,
        "type": "manual",
        "execution_time": None,
        "percent_partial_save": 0.0,
    }


def _asked(field: Field) -> Row:
    return {
        "api_name": field.name,
        "field_label": field.title,
        "data_type": field.type,
        "id": field.id,
        "mandatory": True,
        "display_label": field.title,
        "type": "used",
    }
