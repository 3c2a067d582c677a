"""Custom fields: Kanboard has none, a project's metadata stand in. They are texts, which plugins and the API show and the board does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connectors.base import Rejected
from connectors.kanboard.connection import FieldMap
from connectors.kanboard.text import clean
from engine.model import Value, shortest

LONGEST = 255


def entries(custom: Mapping[str, Value], fields: Mapping[str, FieldMap]) -> dict[str, str]:
    """Our names and values as metadata. Raises Rejected for a name the mapping does not have."""
    missing = sorted(set(custom) - set(fields))
    if missing:
        raise Rejected(f"no field for {missing[0]!r} in mappings/kanboard.yaml; add it to `fields:`", field=missing[0])
    return {fields[name].custom_field: _told(fields[name], value) for name, value in custom.items()}


def values(metadata: Mapping[str, str], fields: Mapping[str, FieldMap]) -> dict[str, str]:
    """Metadata as our names and values; all are texts."""
    return {name: _ours(field, metadata[field.custom_field]) for name, field in fields.items() if field.custom_field in metadata}


def same_value(ours: Value, held: Any) -> bool:
    """Whether a value reads the same as text."""
    return " ".join(text(ours)[:LONGEST].split()) == " ".join(str(held or "").split())


def text(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return format(shortest(value), "f")
        case datetime() | date():
            return value.isoformat()
        case list():
            return ", ".join(clean(str(one)) for one in value)
    return clean(str(value))


def _told(field: FieldMap, value: Value) -> str:
    plain = text(value)
    return field.values.get(plain, plain)[:LONGEST]


def _ours(field: FieldMap, held: str) -> str:
    return next((ours for ours, told in field.values.items() if told == held), str(held))
