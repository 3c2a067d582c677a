"""Values: as Python gives them, as they are held, as JSON shows them, and what Zoho says of a wrong one.

Held are JSON's own forms, but for moments (aware, whole seconds) and lookups (the id alone).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from sandbox.zoho.errors import Refused
from sandbox.zoho.schema import LOOKUPS, TEXTUAL, Field

Row = dict[str, Any]
ID = re.compile(r"\d{1,19}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def moment(text: str) -> datetime | None:
    """An ISO-8601 moment with an offset, or None."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return found.astimezone(UTC).replace(microsecond=0) if found.utcoffset() is not None else None
    except OverflowError:
        return None


def stamp(at: datetime) -> datetime:
    """A moment as Zoho keeps it: in whole seconds."""
    return at.astimezone(UTC).replace(microsecond=0)


def text_of(at: datetime, zone: tzinfo) -> str:
    """A moment with the user's own offset, never with a Z."""
    return at.astimezone(zone).isoformat()


def plain(value: Any) -> Any:
    """What a test or a demo gives, as it is held."""
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


class Checker:
    """Judges one row's values. `exists(module, id)` says whether a lookup leads anywhere; `path` is the JSON path of the row."""

    def __init__(self, exists: Callable[[str, str], bool], path: str) -> None:
        self._exists = exists
        self._path = path

    def wrong(self, field: Field, expected: str = "", **details: Any) -> Refused:
        kind: dict[str, Any] = {"expected_data_type": expected} if expected else {}
        return Refused("INVALID_DATA", "invalid data", **kind, **details, api_name=field.name, json_path=f"{self._path}.{field.name}")

    def held(self, field: Field, value: Any) -> Any:
        """The value as it is held; raises INVALID_DATA."""
        if value is None:
            if field.required:
                raise self.wrong(field, "text" if field.type in TEXTUAL else field.type)
            return None
        if field.type in LOOKUPS:
            return self._lookup(field, value)
        match field.type:
            case "boolean":
                return self._instance(field, value, bool, "boolean")
            case "integer":
                return self._instance(field, value, int, "integer")
            case "double" | "currency" | "percent":
                return self._instance(field, value, (int, float), "double")
            case "date":
                return self._date(field, value)
            case "datetime":
                return self._moment(field, value)
            case "multiselectpicklist":
                return self._choices(field, value)
            case _:
                return self._text(field, value)

    def _instance(self, field: Field, value: Any, kind: type | tuple[type, ...], expected: str) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(field, expected)
        return value

    def _text(self, field: Field, value: Any) -> str:
        if field.type == "bigint" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise self.wrong(field, "email" if field.type == "email" else "text")
        if field.longest and len(value) > field.longest:
            raise self.wrong(field, maximum_length=field.longest)
        if field.type == "email" and not EMAIL.fullmatch(value):
            raise self.wrong(field, "email")
        if field.type == "picklist" and field.values and value not in field.values:
            raise self.wrong(field, "picklist")
        return value

    def _choices(self, field: Field, value: Any) -> list[str]:
        chosen = self._instance(field, value, list, "jsonarray")
        if any(not isinstance(each, str) or (field.values and each not in field.values) for each in chosen):
            raise self.wrong(field, "jsonarray")
        return list(chosen)

    def _date(self, field: Field, value: Any) -> str:
        try:
            if isinstance(value, str) and len(value) == 10:
                return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
        raise self.wrong(field, "date")

    def _moment(self, field: Field, value: Any) -> datetime:
        found = moment(value) if isinstance(value, str) else None
        if found is None:
            raise self.wrong(field, "datetime")
        return found

    def _lookup(self, field: Field, value: Any) -> str:
        id = value.get("id") if isinstance(value, dict) else value
        if not isinstance(id, str | int) or isinstance(id, bool) or not ID.fullmatch(str(id)):
            raise self.wrong(field, "jsonobject")
        if not self._exists("Users" if field.type != "lookup" else field.to, str(id)):
            message = "the id given seems to be invalid"
            raise Refused("INVALID_DATA", message, api_name="id", json_path=f"{self._path}.{field.name}.id")
        return str(id)
