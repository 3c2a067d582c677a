"""Values as Tryton sends and takes them: dates, times, decimals and durations are objects with a `__class__`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any


def decoded(value: Any) -> Any:
    """Plain Python values: moments are aware (the server keeps UTC). What was asked for by a dotted path is nested under its name."""
    if isinstance(value, list):
        return [decoded(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    match value.get("__class__"):
        case "datetime":
            moment = datetime(int(value["year"]), int(value["month"]), int(value["day"]), tzinfo=UTC)
            return moment + timedelta(**{f"{name}s": int(value[name]) for name in ("hour", "minute", "second", "microsecond")})
        case "date":
            return date(int(value["year"]), int(value["month"]), int(value["day"]))
        case "Decimal":
            return Decimal(value["decimal"])
        case "timedelta":
            return timedelta(seconds=float(value["seconds"]))
        case "time" | "bytes":
            return None
    return _nested(value)


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """`{"party": 4, "party.": {…}}` is one thing: what a dotted path brought wins over the bare id."""
    plain = {name: decoded(value) for name, value in row.items() if not name.endswith(".")}
    return plain | {name[:-1]: decoded(value) for name, value in row.items() if name.endswith(".")}


def encoded(value: Any) -> Any:
    """The other way round. A naive moment is refused: nobody knows which one it is."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime", **{name: getattr(moment, name) for name in names}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, timedelta):
        return {"__class__": "timedelta", "seconds": value.total_seconds()}
    if isinstance(value, Mapping):
        return {name: encoded(each) for name, each in value.items()}
    return [encoded(each) for each in value] if isinstance(value, list | tuple) else value


def plain(value: Any) -> Any:
    """A value as a record holds it: text for days and moments, hours for a duration."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return Decimal(str(value.total_seconds())) / 3600
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value
