"""Our custom fields as fields of Odoo's projects and tasks, which a mapping names: `x_…` ones made by people, and plain ones of Odoo's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from connectors.base import Rejected
from connectors.odoo.errors import SYSTEM
from connectors.odoo.rpc import Row
from connectors.odoo.schema import Field as Info
from connectors.odoo.schema import Schema
from connectors.odoo.target.text import clean, line, markup, normal
from engine.model import ItemKind, Problem, Value

MODELS: Mapping[ItemKind, str] = {
    "project": "project.project",
    "section": "project.task.type",
    "task": "project.task",
    "dependency": "project.task",
    "comment": "mail.message",
    "status": "project.update",
}
_TYPES = frozenset({"char", "text", "html", "integer", "float", "monetary", "boolean", "date", "datetime", "selection"})


class FieldMap(BaseModel):
    """One entry of the `fields:` section: a field of Odoo's projects, tasks or both for one of our names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    custom_field: str = Field(min_length=1, description="Technical name of the field in Odoo, such as x_region")
    values: Mapping[str, str] = Field(
        default={}, description="Our value → the choice's label or technical value; others are used as they are"
    )


class Fields:
    """The mapping's fields over the server's own description of them, which is asked for once."""

    def __init__(self, schema: Schema, fields: Mapping[str, FieldMap]) -> None:
        self._schema = schema
        self._mapped = fields
        self._there: dict[ItemKind, Mapping[str, Info]] = {}

    async def load(self, *kinds: ItemKind) -> None:
        for kind in kinds if self._mapped else ():
            self._there[kind] = await self._schema.fields(MODELS[kind])

    async def type_of(self, kind: ItemKind, name: str) -> str:
        """The server's word for what a field holds; empty when there is no such field."""
        there = await self._schema.fields(MODELS[kind])
        return there[name].type if name in there else ""

    def names(self, kind: ItemKind) -> tuple[str, ...]:
        """Fields to ask for, once loaded: those of the mapping that the kind has."""
        return tuple({mapped.custom_field for mapped in self._mapped.values() if mapped.custom_field in self._there.get(kind, {})})

    def encode(self, kind: ItemKind, custom: Mapping[str, Value]) -> dict[str, Any]:
        """Odoo's values. Raises Rejected for what it cannot hold."""
        return {
            mapped.custom_field: _encode(info, mapped, value) for mapped, info, value in (self._one(kind, *each) for each in custom.items())
        }

    def decode(self, kind: ItemKind, row: Row) -> dict[str, Value]:
        """Our values of what a row holds."""
        there = self._there.get(kind, {})
        return {
            name: _decode(there[mapped.custom_field], mapped, row[mapped.custom_field])
            for name, mapped in self._mapped.items()
            if mapped.custom_field in there and mapped.custom_field in row
        }

    def _one(self, kind: ItemKind, name: str, value: Value) -> tuple[FieldMap, Info, Value]:
        mapped = self._mapped.get(name)
        if mapped is None:
            raise Rejected(f"the mapping's fields: section has no {name!r}", field=name, system=SYSTEM)
        info = self._there[kind].get(mapped.custom_field)
        if info is None:
            raise Rejected(f"Odoo's {kind}s have no field {mapped.custom_field!r} for {name!r}; add it there", field=name, system=SYSTEM)
        return mapped, info, value

    def problems(self) -> list[Problem]:
        """Everything wrong with the mapping's fields, once loaded."""
        return [problem for name, mapped in self._mapped.items() for problem in self._wrong(name, mapped)]

    def _wrong(self, name: str, mapped: FieldMap) -> list[Problem]:
        infos = [there[mapped.custom_field] for there in self._there.values() if mapped.custom_field in there]
        place = ("fields", name, "custom_field")
        if not infos:
            hint = "add it in Odoo (developer mode, Technical, Fields; its name begins with x_), or name one of its fields"
            return [Problem(f"neither projects nor tasks have a field {mapped.custom_field!r}", hint=hint, path=place)]
        if not settable(infos[0]):
            return [Problem(f"{mapped.custom_field} is a {infos[0].type} that cannot be set by a mapping", path=place)]
        return [
            Problem(
                f"{mapped.custom_field} has no choice {label!r}",
                hint="it has " + ", ".join(infos[0].choices.values()),
                path=("fields", name, "values", ours),
            )
            for ours, label in mapped.values.items()
            if infos[0].type == "selection" and _choice(infos[0], label) is None
        ]


def settable(info: Info) -> bool:
    """Whether a mapping can set a field that is described so."""
    return info.type in _TYPES and info.writable


def _choice(info: Info, wanted: str) -> str | None:
    if wanted in info.choices:
        return wanted
    return next((value for value, label in info.choices.items() if label.casefold() == wanted.casefold()), None)


def _encode(info: Info, mapped: FieldMap, value: Value) -> Any:
    if value is None or value == "":
        return None
    try:
        return _typed(info, mapped, value)
    except (ValueError, InvalidOperation) as failure:
        raise Rejected(
            f"{mapped.custom_field} is a {info.type} and cannot hold {str(value)[:80]!r}", field=mapped.custom_field, system=SYSTEM
        ) from failure


def _typed(info: Info, mapped: FieldMap, value: Value) -> Any:
    match info.type:
        case "integer" | "float" | "monetary":
            number = Decimal(str(value))
            return int(number) if info.type == "integer" else number
        case "boolean":
            return bool(value)
        case "date":
            return _day(value).isoformat()
        case "datetime":
            return f"{_day(value).isoformat()} 12:00:00"
        case "html":
            return markup(_text(value))
        case "selection":
            choice = _choice(info, mapped.values.get(str(value), str(value)))
            if choice is None:
                raise ValueError(f"no choice {value}")
            return choice
        case "char":
            return line(_text(value))
        case "text":
            return clean(_text(value))
    raise ValueError(f"a field of type {info.type}")


def _day(value: Value) -> date:
    return value.date() if isinstance(value, datetime) else value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


def _text(value: Value) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _decode(info: Info, mapped: FieldMap, held: Any) -> Value:
    if info.type == "boolean":
        return bool(held)
    if held is False or held is None:
        return None
    if info.type in ("integer", "float", "monetary"):
        return Decimal(str(held))
    if info.type == "html":
        return normal(str(held))
    if info.type in ("date", "datetime"):
        return str(held)[:10]
    if info.type != "selection":
        return str(held)
    labels = {str(held), info.choices.get(str(held), "")}
    return next((ours for ours, label in mapped.values.items() if label in labels), str(held))


def same_value(ours: Value, held: Value) -> bool:
    """Whether a custom value reads the same, whatever type holds it."""
    return _plain(ours) == _plain(held) or normal(markup(ours)) == str(held or "")


def _plain(value: Value | Sequence[str]) -> object:
    if value is None or value in ("", [], (), False):
        return None
    if isinstance(value, bool | datetime | date):
        return str(value)[:10]
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return line(_text(value))  # type: ignore[arg-type]
