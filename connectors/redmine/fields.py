"""Custom fields of projects and tasks: our names and values to Redmine's and back, as each field's format wants them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from connectors.base import Rejected
from connectors.redmine.api import Json
from connectors.redmine.catalogue import Catalogue, meant, named
from connectors.redmine.connection import FieldMap
from connectors.redmine.people import People
from connectors.redmine.text import clean, line
from engine.model import ItemKind, Problem, Value

Owner = Literal["project", "issue"]
_WRITABLE = ("string", "text", "link", "int", "float", "date", "bool", "list", "enumeration", "user")
_CHOSEN = ("list", "enumeration")


def owner_of(kind: ItemKind) -> Owner:
    return "project" if kind == "project" else "issue"


class Fields:
    """Knows the custom fields once the catalogue is loaded. Raises Rejected for what a field cannot hold."""

    def __init__(self, catalogue: Catalogue, people: People, fields: Mapping[str, FieldMap]) -> None:
        self._catalogue = catalogue
        self._people = people
        self._fields = fields

    def find(self, owner: Owner, wanted: str) -> Json | None:
        """The field of projects or of tasks with this name or id."""
        return named(self._of(owner), wanted)

    def _of(self, owner: Owner) -> list[Json]:
        return [row for row in self._catalogue.fields if row["customized_type"] == owner]

    def ids(self, owner: Owner) -> list[int]:
        """The fields the mapping names."""
        found = (self.find(owner, mapped.custom_field) for mapped in self._fields.values())
        return [int(row["id"]) for row in found if row is not None]

    def emails(self, owner: Owner, custom: Mapping[str, Value]) -> Iterator[str]:
        """Who is named in fields that hold users."""
        for name, value in custom.items():
            row = self.find(owner, self._fields[name].custom_field) if name in self._fields else None
            if row is not None and row["field_format"] == "user":
                yield from (str(one) for one in _listed(value))

    def encode(self, owner: Owner, custom: Mapping[str, Value], *, tracker: int = 0) -> dict[int, Any]:
        """Our names and values as Redmine wants them: field id → value. A task's fields depend on its tracker."""
        return dict(self._encoded(owner, name, value, tracker) for name, value in custom.items())

    def _encoded(self, owner: Owner, name: str, value: Value, tracker: int) -> tuple[int, Any]:
        mapped = self._fields.get(name)
        if mapped is None:
            raise Rejected(f"no field for {name!r} in mappings/redmine.yaml", field=name)
        row = self.find(owner, mapped.custom_field)
        if row is None:
            hint = meant(mapped.custom_field, self._of(owner))
            raise Rejected(f"Redmine has no custom field {mapped.custom_field!r} on a {owner}; {hint}", field=name)
        if tracker and tracker not in trackers_of(row):
            raise Rejected(
                f"custom field {row['name']!r} is not among the fields of the task's tracker, where it would be lost", field=name
            )
        try:
            return int(row["id"]), self._value(row, mapped, value)
        except (ValueError, InvalidOperation) as misfit:
            raise Rejected(f"custom field {row['name']!r} ({row['field_format']}) cannot hold this: {misfit}", field=name) from misfit

    def _value(self, row: Json, mapped: FieldMap, value: Value) -> Any:
        if row.get("multiple"):
            return [self._single(row, mapped, one) for one in _listed(value)] or [""]
        if isinstance(value, list | tuple) and row["field_format"] not in ("string", "text"):
            raise ValueError("it holds one value only")
        return "" if value is None else self._single(row, mapped, value)

    def _single(self, row: Json, mapped: FieldMap, value: Any) -> str:
        match row["field_format"]:
            case "string" | "link":
                return line(_words(value), 10_000)
            case "text":
                return clean(_words(value))
            case "int":
                return str(int(Decimal(str(value)).to_integral_value()))
            case "float":
                return str(Decimal(str(value)))
            case "date":
                return value.date().isoformat() if isinstance(value, datetime) else date.fromisoformat(str(value)[:10]).isoformat()
            case "bool":
                return "1" if value else "0"
            case "list" | "enumeration":
                return _choice(row, mapped.values.get(str(value), str(value)))
            case "user":
                return self._user(str(value))
        raise ValueError(f"fields of format {row['field_format']} are not written")

    def _user(self, email: str) -> str:
        id_ = self._people.id(email)
        if id_ is None:
            raise ValueError(f"nobody has the e-mail {email}")
        return str(id_)

    def decode(self, owner: Owner, held: Sequence[Json]) -> dict[str, Value]:
        """What an object holds, under our names. Fields it does not carry are absent."""
        by_id = {row["id"]: row for row in held}
        found = ((name, mapped, self.find(owner, mapped.custom_field)) for name, mapped in self._fields.items())
        return {name: self._read(row, mapped, by_id[row["id"]].get("value")) for name, mapped, row in found if row and row["id"] in by_id}

    def _read(self, row: Json, mapped: FieldMap, value: Any) -> Value:
        if isinstance(value, list):
            return [str(self._one(row, mapped, each)) for each in value if each not in (None, "")]
        return None if value in (None, "") else self._one(row, mapped, str(value))

    def _one(self, row: Json, mapped: FieldMap, value: str) -> Value:
        match row["field_format"]:
            case "int" | "float":
                return _number(value)
            case "bool":
                return value == "1"
            case "list" | "enumeration":
                label = next((one["label"] for one in row.get("possible_values") or () if str(one["value"]) == value), value)
                return next((ours for ours, theirs in mapped.values.items() if theirs == label), label)
            case "user":
                return self._people.mail(int(value)) if value.isdigit() else value
        return value

    def users(self, owner: Owner, held: Sequence[Json]) -> Iterator[int]:
        """Who stands in fields that hold users."""
        holding = {row["id"] for row in self._of(owner) if row["field_format"] == "user"}
        for row in held:
            if row["id"] in holding:
                yield from (int(one) for one in _listed(row.get("value")) if str(one).isdigit())

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the `fields:` section against the server as loaded. A name may be of projects, of tasks or of both."""
        for name, mapped in self._fields.items():
            rows = [row for owner in ("project", "issue") if (row := self.find(owner, mapped.custom_field))]
            if not rows:
                hint = f"{meant(mapped.custom_field, self._catalogue.fields)}; or create it under Administration, Custom fields"
                yield Problem(f"Redmine has no custom field {mapped.custom_field!r}", hint=hint, path=("fields", name, "custom_field"))
            for row in rows:
                yield from _misfits(row, name, mapped)


def trackers_of(row: Json) -> Collection[int]:
    """The trackers whose tasks have the field."""
    return {tracker["id"] for tracker in row.get("trackers") or ()}


def same_value(written: Value, held: Value) -> bool:
    """Whether two values of a custom field say the same."""
    return _plain(written) == _plain(held)


def _misfits(row: Json, name: str, mapped: FieldMap) -> Iterator[Problem]:
    where = f"custom field {row['name']!r} of a {row['customized_type']}"
    if row["field_format"] not in _WRITABLE:
        yield Problem(f"{where} has the format {row['field_format']}, which cannot be written", path=("fields", name))
    elif mapped.values and row["field_format"] not in _CHOSEN:
        yield Problem(f"{where} has the format {row['field_format']} and no possible values", path=("fields", name, "values"))
    else:
        labels = [{"name": one["label"], "id": one["value"]} for one in row.get("possible_values") or ()]
        for ours, theirs in mapped.values.items():
            if named(labels, theirs) is None:
                place = ("fields", name, "values", ours)
                yield Problem(f"{where} has no possible value {theirs!r}", hint=meant(theirs, labels), path=place)


def _choice(row: Json, wanted: str) -> str:
    labels = [{"name": one["label"], "id": one["value"]} for one in row.get("possible_values") or ()]
    found = named(labels, wanted)
    if found is None:
        raise ValueError(f"no possible value {wanted!r} ({meant(wanted, labels)}); add it in Redmine or map it under `values`")
    return str(found["id"])


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _words(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(value: str) -> Value:
    try:
        return Decimal(value)
    except InvalidOperation:
        return value


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
        return " ".join(clean(str(value)).split())
