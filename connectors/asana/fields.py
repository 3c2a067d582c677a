"""Custom fields: our names and values to Asana's gids and types, and back."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Literal

from connectors.asana.batch import Api, Json, post
from connectors.asana.connection import FieldMap
from connectors.asana.text import clean
from connectors.base import Rejected
from connectors.http import Effect
from engine.model import Problem, Value

DEFINITION = ("name", "resource_subtype", "precision", "enum_options.name", "enum_options.enabled")
HELD = tuple(
    "custom_fields." + part
    for part in (
        "name",
        "resource_subtype",
        "text_value",
        "number_value",
        "enum_value.name",
        "multi_enum_values.name",
        "date_value",
        "people_value.email",
    )
)
_LONGEST = 1024
WRITABLE = ("text", "number", "enum", "multi_enum", "date", "people")


@dataclass(frozen=True, slots=True)
class Definition:
    """A custom field of the workspace. `options` are the enabled ones, name → gid."""

    gid: str
    name: str
    type: str
    options: Mapping[str, str]
    precision: int = 0


class Fields:
    """Knows the workspace's custom fields once `load` has been awaited. Raises Rejected for a value the field cannot hold."""

    def __init__(self, api: Api, workspace: str, fields: Mapping[str, FieldMap], *, date_form: Literal["object", "string"]) -> None:
        self._api = api
        self._workspace = workspace
        self._fields = fields
        self._date_form = date_form
        self._definitions: list[Definition] | None = None
        self._attached: dict[str, set[str]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def load(self) -> None:
        """Fetch the definitions unless they are known."""
        async with self._locks[""]:
            if self._definitions is None:
                rows = await self._api.every(f"/workspaces/{self._workspace}/custom_fields", DEFINITION)
                self._definitions = [_definition(row) for row in rows]

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """The workspace's custom fields, as loaded."""
        return tuple(self._definitions or ())

    def forget(self) -> None:
        """Somebody changed the definitions: the next `load` fetches them anew."""
        self._definitions = None

    def fresh(self, project: str) -> None:
        """The project was just made, so nothing is attached to it."""
        self._attached[project] = set()

    async def attach(self, project: str, gids: Iterable[str]) -> None:
        """Give the project these fields, so that it and its tasks can hold values."""
        async with self._locks[project]:
            if project not in self._attached:
                rows = await self._api.every(f"/projects/{project}/custom_field_settings", ("custom_field.gid",))
                self._attached[project] = {row["custom_field"]["gid"] for row in rows}
            for gid in sorted(set(gids) - self._attached[project]):
                setting = {"custom_field": gid, "is_important": True}
                await self._api.one(post(f"/projects/{project}/addCustomFieldSetting", setting, effect=Effect.REPEATABLE))
                self._attached[project].add(gid)

    def find(self, wanted: str) -> Definition | None:
        """The field with this gid or this name."""
        known = self._definitions or []
        return next((one for one in known if one.gid == wanted), None) or next((one for one in known if one.name == wanted), None)

    def encode(self, custom: Mapping[str, Value]) -> dict[str, Any]:
        """Our names and values as Asana wants them: gid → value."""
        return dict(self._encoded(name, value) for name, value in custom.items())

    def _encoded(self, name: str, value: Value) -> tuple[str, Any]:
        mapped = self._fields.get(name)
        if mapped is None:
            raise Rejected(f"no field for {name!r} under `fields:` in its mapping{_meant(name, self._fields)}", field=name)
        definition = self.find(mapped.custom_field)
        if definition is None:
            raise Rejected(f"Asana has no custom field {mapped.custom_field!r}{_meant(mapped.custom_field, self._names())}", field=name)
        try:
            return definition.gid, None if value is None else self._value(definition, mapped, value)
        except (ValueError, InvalidOperation) as misfit:
            raise Rejected(f"custom field {definition.name!r} ({definition.type}) cannot hold this: {misfit}", field=name) from misfit

    def _value(self, definition: Definition, mapped: FieldMap, value: Value) -> Any:
        match definition.type:
            case "text":
                return clean(_text(value))[:_LONGEST]
            case "number":
                return _number(value, definition.precision)
            case "enum":
                return _option(definition, mapped, value)
            case "multi_enum":
                return [_option(definition, mapped, one) for one in _listed(value)]
            case "date":
                return _day(value, self._date_form)
            case "people":
                return [str(one) for one in _listed(value)]
        raise ValueError(f"fields of type {definition.type} are not written")

    def decode(self, held: Sequence[Json]) -> dict[str, Value]:
        """What an object holds, under our names. Fields it does not carry are absent."""
        by_name = {key: row for row in held for key in (row["gid"], row.get("name"))}
        return {name: _held(by_name[one.custom_field], one) for name, one in self._fields.items() if one.custom_field in by_name}

    def problems(self) -> list[Problem]:
        """What is wrong with the `fields:` section against the workspace as loaded."""
        return [problem for name, mapped in self._fields.items() for problem in self._problems(name, mapped)]

    def _problems(self, name: str, mapped: FieldMap) -> list[Problem]:
        path = ("fields", name)
        definition = self.find(mapped.custom_field)
        if definition is None:
            hint = _meant(mapped.custom_field, self._names()).strip(" ()?") or "create it in Asana or correct the name"
            return [Problem(f"Asana has no custom field {mapped.custom_field!r}", hint=hint, path=(*path, "custom_field"))]
        if definition.type not in WRITABLE:
            return [Problem(f"custom field {definition.name!r} is of type {definition.type}, which cannot be written", path=path)]
        if mapped.values and not definition.options:
            return [Problem(f"custom field {definition.name!r} is of type {definition.type} and has no options", path=(*path, "values"))]
        return [
            Problem(f"{definition.name!r} has no option {option!r}", hint=_meant(option, definition.options).strip(" ()?"), path=where)
            for ours, option in mapped.values.items()
            if option not in definition.options
            for where in [(*path, "values", ours)]
        ]

    def _names(self) -> list[str]:
        return [one.name for one in self._definitions or ()]


def same_value(written: Value, held: Value) -> bool:
    """Whether two values of a custom field say the same."""
    return _plain(written) == _plain(held)


def _definition(row: Json) -> Definition:
    options = {one["name"]: one["gid"] for one in row.get("enum_options") or () if one.get("enabled", True)}
    return Definition(row["gid"], row["name"], row.get("resource_subtype") or row.get("type") or "", options, row.get("precision") or 0)


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _option(definition: Definition, mapped: FieldMap, value: object) -> str:
    name = mapped.values.get(str(value), str(value))
    if name not in definition.options:
        raise ValueError(f"no option {name!r}{_meant(name, definition.options)}; add it in Asana or map it under `values`")
    return definition.options[name]


def _number(value: Value, precision: int) -> int | float:
    number = round(Decimal(str(value)), precision)
    return int(number) if number == number.to_integral_value() else float(number)


def _day(value: Value, form: str) -> Any:
    day = (
        value.date() if isinstance(value, datetime) else value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
    ).isoformat()
    return {"date": day} if form == "object" else day


def _listed(value: Value) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _held(row: Json, mapped: FieldMap) -> Value:
    ours = {option: name for name, option in mapped.values.items()}
    match row.get("resource_subtype") or row.get("type"):
        case "number":
            return Decimal(str(row["number_value"])) if row.get("number_value") is not None else None
        case "enum":
            name = str((row.get("enum_value") or {}).get("name") or "")
            return ours.get(name, name) or None
        case "multi_enum":
            return [ours.get(one["name"], one["name"]) for one in row.get("multi_enum_values") or ()]
        case "date":
            return (row.get("date_value") or {}).get("date")
        case "people":
            return [one.get("email") or one["gid"] for one in row.get("people_value") or ()]
    text: str | None = row.get("text_value")
    return text


def _plain(value: Value) -> object:
    if value is None or value in ("", [], ()):
        return None
    if isinstance(value, list | tuple):
        return sorted(map(str, value))
    if isinstance(value, bool | datetime | date):
        return str(value)[:10]
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return clean(str(value))[:_LONGEST].strip()
