"""Values: moments in one form, rows cut down to what the mapping reads, and a mark that changes with the content."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, TypeVar

from engine.model import Value

Row = dict[str, Any]
T = TypeVar("T")

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)")


def stamp(moment: datetime | str) -> str:
    """A moment in UTC with whole seconds; such texts sort as their moments do. Naive raises ValueError."""
    when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone")
    return when.astimezone(UTC).isoformat(timespec="seconds")


def earlier(moment: str, span: timedelta) -> str:
    """The stamp so long before; empty for the beginning of history."""
    return stamp(datetime.fromisoformat(moment) - span) if moment else ""


def steady(value: Any) -> Any:
    """The value whoever asks: moments in UTC, for they come with the offset of the integration's user, and what the vendor adds left out."""
    if isinstance(value, str):
        return stamp(value) if _MOMENT.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {name: steady(each) for name, each in value.items() if not name.startswith("$")}
    return [steady(each) for each in value] if isinstance(value, list) else value


def project(row: Mapping[str, Any], paths: Sequence[str]) -> Row:
    """The row cut down to dotted paths. A record that is not there is None."""
    result: Row = {}
    for path in paths:
        _copy(row, result, path.split("."))
    return result


def _copy(source: Mapping[str, Any], result: Row, path: Sequence[str]) -> None:
    name, *rest = path
    value = source.get(name)
    if not rest:
        result[name] = steady(value)
    elif not isinstance(value, Mapping):
        result[name] = None
    else:
        _copy(value, result.setdefault(name, {}), rest)


def digest(content: Any) -> str:
    return blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()


def plain(value: Value) -> Any:
    """A value as Zoho takes it in JSON."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return stamp(value)
    return value.isoformat() if isinstance(value, date) else value


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """All results in order. Where one fails, the others are stopped and its error is raised: nothing goes on asking behind anybody's back."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures.exceptions[0].__cause__
    return [task.result() for task in tasks]


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[at : at + size] for at in range(0, len(values), size))
