"""What the body of a write may hold: names, texts, people, custom field values. Everything is checked before anything changes."""

from __future__ import annotations

from typing import Any

from sandbox.asana import text
from sandbox.asana.dates import day, moment
from sandbox.asana.state import Record, Refused, State

TEXT_MOST = 1024


def simple(data: Record, kinds: dict[str, type]) -> Record:
    """The named fields that are in the body, their types checked."""
    found = {name: data[name] for name in kinds if name in data}
    for name, value in found.items():
        if not isinstance(value, kinds[name]):
            raise Refused(400, f"{name}: Value is not a {kinds[name].__name__}: {str(value)[:80]}")
    return found


def one_of(data: Record, name: str, allowed: frozenset[Any]) -> Record:
    if name not in data:
        return {}
    if not isinstance(data[name], str | None) or data[name] not in allowed:
        raise Refused(400, f"{name}: Not a valid value: {data[name]}")
    return {name: data[name]}


def texts(data: Record, place: text.Place, plain: str, rich: str) -> Record:
    """A plain and a rich text, each made from whichever was sent."""
    if data.get(rich) is not None:
        if data.get(plain) is not None:
            raise Refused(400, f"{rich}: You may only provide one of {plain}, {rich}")
        if not isinstance(data[rich], str):
            raise Refused(400, f"{rich}: Value is not a string")
        return {plain: text.plain(data[rich], place, rich), rich: data[rich]}
    if plain in data:
        if not isinstance(data[plain], str):
            raise Refused(400, f"{plain}: Value is not a string")
        return {plain: data[plain], rich: text.as_html(data[plain])}
    return {}


def gids(value: Any, field: str) -> list[str]:
    """A list of gids, given as a list or a comma separated string."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Refused(400, f"{field}: Value is not an array of gids")
    return value


def people(state: State, value: Any, by: str, field: str) -> list[str]:
    return list(dict.fromkeys(state.user(each, by, field) for each in gids(value, field)))


def custom_fields(state: State, data: Record, available: set[str], by: str) -> Record:
    """The values as they are held, by field gid."""
    given = data.get("custom_fields") or {}
    if not isinstance(given, dict):
        raise Refused(400, "custom_fields: Value is not an object")
    return {gid: _value(state, gid, value, available, by) for gid, value in given.items()}


def _value(state: State, gid: str, value: Any, available: set[str], by: str) -> Any:
    field = state.custom_fields.get(gid)
    if field is None:
        raise Refused(400, f"custom_fields: Unknown custom field: {gid}")
    if gid not in available:
        raise Refused(400, f"custom_fields: Custom field with ID {gid} is not on given object")
    if field["locked"]:
        raise Refused(403, f"custom_fields: The custom field {gid} is locked; only its owner may change values")
    if value is None:
        return None
    if not field["enabled"]:
        raise Refused(400, f"custom_fields: The custom field {gid} is disabled; its value can only be cleared")
    return _typed(state, field, value, by)


def _typed(state: State, field: Record, value: Any, by: str) -> Any:
    where = f"custom_fields.{field['gid']}"
    match field["type"]:
        case "text":
            return _text(value, where)
        case "number":
            return _number(value, field["precision"], where)
        case "enum":
            return _option(field, value, where)
        case "multi_enum":
            return [_option(field, each, where) for each in gids(value, where)]
        case "people":
            return people(state, value, by, where)
        case "date":
            return _date(state, value, where)
    raise Refused(400, f"{where}: values of type {field['type']} cannot be set")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MOST:
        raise Refused(400, f"{where}: A text of at most {TEXT_MOST} characters is expected")
    return value


def _number(value: Any, precision: int, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(400, f"{where}: A number is expected")
    return round(value, precision)


def _option(field: Record, value: Any, where: str) -> str:
    option = next((option for option in field["enum_options"] if option["gid"] == value), None)
    if option is None:
        raise Refused(400, f"{where}: Not a valid enum option: {value}")
    if not option["enabled"]:
        raise Refused(400, f"{where}: The enum option {value} is disabled")
    return str(value)


def _date(state: State, value: Any, where: str) -> Record:
    if state.settings.date_fields == "string":
        if not isinstance(value, str):
            raise Refused(400, f"{where}: A date or date-time string is expected")
        value = {"date_time": value} if "T" in value else {"date": value}
    if not isinstance(value, dict) or set(value) not in ({"date"}, {"date_time"}):
        raise Refused(400, f"{where}: An object with date or date_time is expected")
    if "date" in value:
        return {"date": day(value["date"], where), "date_time": None}
    return {"date": moment(value["date_time"], where)[:10], "date_time": value["date_time"]}
