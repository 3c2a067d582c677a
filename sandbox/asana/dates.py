"""The rules for start and due."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from sandbox.asana.state import Record, Refused

DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
NAMES = ("due_on", "due_at", "start_on", "start_at")


def day(text: Any, field: str) -> str:
    try:
        if DAY.match(text):
            date.fromisoformat(text)
            return str(text)
    except (TypeError, ValueError):
        pass
    raise Refused(400, f"{field}: Not a valid date: {text}")


def moment(text: Any, field: str) -> str:
    try:
        if "T" in text:
            datetime.fromisoformat(text)
            return str(text)
    except (TypeError, ValueError):
        pass
    raise Refused(400, f"{field}: Not a valid date-time: {text}")


def instant(text: Any, field: str) -> datetime:
    """A moment with its offset, as filters take it; a day is its beginning in UTC."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise Refused(400, f"{field}: Not a valid date-time: {text}") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def task_dates(data: Record, held: Record) -> Record:
    """What a task's dates become: all four, or nothing when none is named."""
    named = {name: data[name] for name in NAMES if name in data}
    if not named:
        return {}
    _pairs(named)
    new = {name: held.get(name) for name in NAMES}
    for kind in ("due", "start"):
        new |= _moved(kind, named)
    if new["start_on"] and not new["due_on"]:
        raise Refused(400, "due_on: A task with a start date must have a due date")
    if new["start_on"] and new["start_on"] > new["due_on"]:
        raise Refused(400, "start_on: The start date must be before the due date")
    return new


def _pairs(named: Record) -> None:
    for one, other in (("due_on", "due_at"), ("start_on", "start_at")):
        if named.get(one) is not None and named.get(other) is not None:
            raise Refused(400, f"{one}: You may only provide one of {one}, {other}")
    if "start_on" in named and not {"due_on", "due_at"} & set(named):
        raise Refused(400, "start_on: You must provide due_on or due_at in the same request when setting or unsetting start_on")
    if "start_at" in named and "due_at" not in named:
        raise Refused(400, "start_at: You must provide due_at in the same request when setting or unsetting start_at")


def _moved(kind: str, named: Record) -> Record:
    on, at = f"{kind}_on", f"{kind}_at"
    if named.get(at) is not None:
        return {on: moment(named[at], at)[:10], at: named[at]}
    if named.get(on) is not None:
        return {on: day(named[on], on), at: None}
    return {on: None, at: None} if on in named or at in named else {}


def project_dates(data: Record, held: Record) -> Record:
    """What a project's dates become; `due_date` is the old name of `due_on`."""
    if "due_on" not in data and "due_date" in data:
        data = {**data, "due_on": data["due_date"]}
    named: Record = {name: data[name] for name in ("start_on", "due_on") if name in data}
    new: Record = {name: None if value is None else day(value, name) for name, value in named.items()}
    if "start_on" in new and "due_on" not in new:
        raise Refused(400, "start_on: due_on must be present in the request when setting or unsetting the start_on parameter")
    start, due = new.get("start_on", held["start_on"]), new.get("due_on", held["due_on"])
    if start and not due:
        raise Refused(400, "due_on: A project with a start date must have a due date")
    if start and due and start >= due:
        raise Refused(400, "start_on: start_on and due_on cannot be the same, and the start comes first")
    return new
