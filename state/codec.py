"""Values to JSON text and back without loss: dates, moments and decimals keep their types; sequences come back as tuples."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any


def dump(value: Any) -> str:
    return _ENCODER.encode(value)


def load(text: str) -> Any:
    return _tuples(json.loads(text, object_hook=_revive))


def stamp(moment: datetime) -> str:
    """A moment as text of fixed width that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$at": stamp(value)}
    if isinstance(value, date):
        return {"$day": value.isoformat()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"cannot store a {type(value).__name__}")


def _revive(node: dict[str, Any]) -> Any:
    if len(node) == 1:
        (name, value), *_ = node.items()
        if name == "$day":
            return date.fromisoformat(value)
        if name == "$decimal":
            return Decimal(value)
        if name == "$at":
            return moment(value)
    return node


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(entry) for entry in value)
    if isinstance(value, dict):
        return {name: _tuples(entry) for name, entry in value.items()}
    return value


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_encode)
