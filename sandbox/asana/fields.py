"""Custom fields and their options."""

from __future__ import annotations

from sandbox.asana import values
from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import Record, Refused, State

TYPES = frozenset({"text", "enum", "multi_enum", "number", "date", "people"})
TAKEN = frozenset({"due date", "assignee", "name", "notes"})
OPTIONS_MOST = 500


def create(state: State, data: Record, by: str) -> Record:
    """A custom field of the workspace; its name is the only one of its kind."""
    name, kind = data.get("name"), data.get("resource_subtype") or data.get("type")
    if not isinstance(name, str) or not name:
        raise Refused(400, "name: Missing input")
    if kind not in TYPES:
        raise Refused(400, f"type: Not a valid value: {kind}")
    _check_name(state, name)
    options = [_option(state, option) for option in data.get("enum_options") or []]
    if len(options) > OPTIONS_MOST:
        raise Refused(400, f"enum_options: At most {OPTIONS_MOST} options are allowed")
    precision = data.get("precision", 0)
    if not isinstance(precision, int) or not 0 <= precision <= 6:
        raise Refused(400, "precision: Value must be between 0 and 6")
    field = _blank(state, name, str(kind), by) | {"description": data.get("description", ""), "precision": precision}
    if kind in ("enum", "multi_enum"):
        field["enum_options"] = options
    state.custom_fields[field["gid"]] = field
    return field


def _blank(state: State, name: str, kind: str, by: str) -> Record:
    about = {"resource_subtype": kind, "type": kind, "representation_type": kind, "enabled": True, "locked": False, "created_by": by}
    base = {"gid": state.new_gid(), "resource_type": "custom_field", "name": name, "is_global_to_workspace": True, "format": "none"}
    return base | about | {"has_notifications_enabled": False, "is_formula_field": False, "is_value_read_only": False, "id_prefix": None}


def _check_name(state: State, name: str) -> None:
    if name.lower() in TAKEN or any(field["name"].lower() == name.lower() for field in state.custom_fields.values()):
        raise Refused(403, f"name: The custom field name {name} is already in use")


def _option(state: State, given: Record) -> Record:
    if not isinstance(given.get("name"), str) or not given["name"]:
        raise Refused(400, "name: Missing input")
    look = {"enabled": given.get("enabled", True), "color": given.get("color", "none")}
    option = {"gid": state.new_gid(), "resource_type": "enum_option", "name": given["name"], **look}
    state.enum_options[option["gid"]] = option
    return option


def _find(call: Call) -> Record:
    field = call.state.custom_fields.get(call.ids[0])
    if field is None:
        raise Refused(404, f"custom_field: Unknown object: {call.ids[0]}")
    return field


@route("GET", "/workspaces/{}/custom_fields")
def get_fields(call: Call) -> Done:
    return call.listed("custom_field", call.state.custom_fields.values())


@route("POST", "/custom_fields")
def post_field(call: Call) -> Done:
    if call.need("workspace") != call.state.workspace:
        raise Refused(404, f"workspace: Unknown object: {call.data['workspace']}")
    return call.created("custom_field", create(call.state, call.data, call.by))


@route("GET", "/custom_fields/{}")
def get_field(call: Call) -> Done:
    return call.found("custom_field", _find(call))


@route("PUT", "/custom_fields/{}")
def put_field(call: Call) -> Done:
    field = _find(call)
    if call.data.get("name", field["name"]) != field["name"]:
        _check_name(call.state, call.data["name"])
    field.update(values.simple(call.data, {"name": str, "description": str, "enabled": bool}))
    return call.found("custom_field", field)


@route("DELETE", "/custom_fields/{}")
def delete_field(call: Call) -> Done:
    gid = _find(call)["gid"]
    for setting, record in list(call.state.settings_of_fields.items()):
        if record["custom_field"] == gid:
            call.state.projects[record["project"]]["custom_field_settings"].remove(setting)
            del call.state.settings_of_fields[setting]
    del call.state.custom_fields[gid]
    return empty()


@route("POST", "/custom_fields/{}/enum_options")
def post_option(call: Call) -> Done:
    field = _find(call)
    if "enum_options" not in field:
        raise Refused(400, "custom_field: Not a field with options")
    if len(field["enum_options"]) >= OPTIONS_MOST:
        raise Refused(400, f"enum_options: At most {OPTIONS_MOST} options are allowed")
    option = _option(call.state, call.data)
    field["enum_options"].append(option)
    return call.created("enum_option", option)


@route("PUT", "/enum_options/{}")
def put_option(call: Call) -> Done:
    option = call.state.enum_options.get(call.ids[0])
    if option is None:
        raise Refused(404, f"enum_option: Unknown object: {call.ids[0]}")
    option.update(values.simple(call.data, {"name": str, "enabled": bool, "color": str}))
    return call.found("enum_option", option)
