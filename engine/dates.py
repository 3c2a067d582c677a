"""Relative dates: `close_date + 5 working days`, `after kickoff`, `start + 1 week`.

A rule is a base and any number of steps. Bases: `event` (the day it happened), `anchor` (the blueprint's), `start` (the task's own),
`after SLOT` (the working day after that task is due), `SLOT.due`, `SLOT.start`, `last due` (the latest of all tasks), or a date field.
Steps: `+ N days`, `- N weeks`, `+ N months`, and `+ N working days`, which lands on a working day; other results are kept as they fall.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from engine.calendar import Calendar
from engine.hints import nearest, suggest
from engine.model import Problem
from engine.shapes import Shape

Word = Literal["event", "anchor", "start", "after", "last due"]
BaseKind = Literal["event", "anchor", "start", "after", "slot_due", "slot_start", "last_due", "field"]
Unit = Literal["day", "week", "month"]

WORDS: tuple[Word, ...] = ("event", "anchor", "start", "after", "last due")
_NAME = r"[a-z0-9][a-z0-9_-]*"
_BASE = re.compile(
    rf"\s*(?:(?P<after>after)\s+(?P<slot>{_NAME})|(?P<last>last\s+due)|(?P<of>{_NAME})\.(?P<side>due|start)\b(?!\.)"
    r"|(?P<field>[A-Za-z_]\w*(?:\.\w+)*))(?P<rest>.*)",
    re.DOTALL,
)
_STEP = re.compile(r"\s*([+-])\s*(\d{1,4})\s+(working\s+)?([a-z]+)\b")
_UNITS: Mapping[str, Unit] = {"day": "day", "days": "day", "week": "week", "weeks": "week", "month": "month", "months": "month"}
_STEPS = 10


class Invalid(Exception):
    """A relative date that cannot be used. Line and column of the problem count from 1 inside its own text."""

    def __init__(self, message: str, hint: str = "", *, offset: int = 0) -> None:
        super().__init__(message)
        self.problems = (Problem(message, line=1, column=offset + 1, hint=hint),)


class Cycle(Exception):
    """Names that wait for each other, in a circle; the first and the last are the same."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(" → ".join(names))
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class Base:
    """What a date counts from. `name` is the slot or the field path where there is one."""

    kind: BaseKind
    name: str = ""

    def __str__(self) -> str:
        spelt = {"after": f"after {self.name}", "slot_due": f"{self.name}.due", "slot_start": f"{self.name}.start", "last_due": "last due"}
        return spelt.get(self.kind, self.name or self.kind)


@dataclass(frozen=True, slots=True)
class Step:
    count: int
    unit: Unit
    working: bool = False


@dataclass(frozen=True, slots=True)
class DateRule:
    """A parsed relative date."""

    text: str
    base: Base
    steps: tuple[Step, ...] = ()

    @property
    def waits_for(self) -> str:
        """The date of another task this one counts from, as `slot.due` or `slot.start`; "" when there is none."""
        sides = {"after": "due", "slot_due": "due", "slot_start": "start"}
        return f"{self.base.name}.{sides[self.base.kind]}" if self.base.kind in sides else ""


@dataclass(frozen=True, slots=True)
class Dated:
    """A day, and a note where something had to be assumed. `day` is None when there is nothing to count from."""

    day: date | None
    note: str = ""


Found = date | datetime | str | None


def parse_date(text: str, *, slots: Collection[str], fields: Mapping[str, str], words: Collection[Word] = WORDS) -> DateRule:
    """A relative date, checked. `fields` maps each way to write a date field to its full path (see `date_fields`). Raises Invalid only."""
    found = _BASE.fullmatch(text) if len(text) <= 200 else None
    if not found:
        raise Invalid("a date is written like 'close_date + 5 working days', 'after kickoff' or 'event'")
    base = _base(found, slots, fields, words)
    return DateRule(text, base, _steps(text, found.start("rest")))


def _base(found: re.Match[str], slots: Collection[str], fields: Mapping[str, str], words: Collection[Word]) -> Base:
    if found["after"]:
        _allow("after", words, found.start("after"))
        return Base("after", _slot(found["slot"], slots, found.start("slot")))
    if found["last"]:
        _allow("last due", words, found.start("last"))
        return Base("last_due")
    if found["of"]:
        name = _slot(found["of"], slots, found.start("of"))
        return Base("slot_due" if found["side"] == "due" else "slot_start", name)
    return _word_or_field(found["field"], fields, words, found.start("field"))


def _word_or_field(name: str, fields: Mapping[str, str], words: Collection[Word], offset: int) -> Base:
    for kind in ("event", "anchor", "start"):
        if name == kind:
            _allow(kind, words, offset)
            return Base(kind)
    if name not in fields:
        shown = [*(word for word in words if word != "after"), *fields]
        raise Invalid(f"unknown date {name}", suggest(name, shown), offset=offset)
    return Base("field", fields[name])


def _allow(word: str, words: Collection[Word], offset: int) -> None:
    if word not in words:
        raise Invalid(f"'{word}' has no meaning here", f"available: {', '.join(words)}", offset=offset)


def _slot(name: str, slots: Collection[str], offset: int) -> str:
    if name not in slots:
        close = nearest(name, slots)
        raise Invalid(f"unknown slot {name}", f"did you mean {close}?" if close else "", offset=offset)
    return name


def _steps(text: str, offset: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    while text[offset:].strip():
        step = _STEP.match(text, offset)
        if not step:
            raise Invalid(f"'{text[offset:].strip()[:40]}' is not a step", "steps are like + 3 working days, - 1 week", offset=offset)
        if step[4] not in _UNITS:
            raise Invalid(f"unknown unit {step[4]}", suggest(step[4], [*_UNITS, "working"]), offset=step.start(4))
        if step[3] and _UNITS[step[4]] != "day":
            raise Invalid(f"there are no working {step[4]}", "count working days", offset=step.start(3))
        count = int(step[2])
        steps.append(Step(-count if step[1] == "-" else count, _UNITS[step[4]], working=bool(step[3])))
        offset = step.end()
    if len(steps) > _STEPS:
        raise Invalid(f"a date has at most {_STEPS} steps")
    return tuple(steps)


def date_fields(shapes: Mapping[str, Shape], kind: str) -> dict[str, str]:
    """Every way to write a date field → its full path. The fields of `kind` (deal, customer, feedback) may be written without it."""
    full = {path for name, shape in shapes.items() if name != "before" for path in _dated(name, shape)}
    short = {path.removeprefix(f"{kind}."): path for path in full if path.startswith(f"{kind}.") and path.count(".") == 1}
    return {**short, **{path: path for path in full}}


def _dated(path: str, shape: Shape) -> list[str]:
    if shape.kind in ("day", "moment") or (shape.kind == "any" and ".custom." in path):
        return [path]
    return [found for name, inner in shape.fields.items() for found in _dated(f"{path}.{name}", inner)]


def resolve(rule: DateRule, lookup: Callable[[Base], Found], *, event: date, calendar: Calendar, zone: tzinfo) -> Dated:
    """The day a rule means. `lookup` gives the value of every base but `event`; a moment becomes a day in `zone`.

    A base that is empty, or no date, is replaced by the event's day, and the note says so; only `last due` then has no day at all.
    """
    base, note = event, ""
    if rule.base.kind != "event":
        found = _day(lookup(rule.base), zone)
        if found is None and rule.base.kind == "last_due":
            return Dated(None, "no task has a due date")
        note = "" if found else f"{_lacking(rule.base)}; counted from the day of the event"
        base = _after(found, rule.base, calendar) if found else event
    try:
        for step in rule.steps:
            base = _stepped(base, step, calendar)
    except (OverflowError, ValueError):
        return Dated(None, f"{rule.text} is outside the calendar")
    return Dated(base, note)


def _after(day: date, base: Base, calendar: Calendar) -> date:
    return calendar.add(day, 1) if base.kind == "after" else day


def _lacking(base: Base) -> str:
    if base.kind == "field":
        return f"{base.name} is empty"
    return f"{base.name} has no date" if base.name else f"there is no {base.kind}"


def _day(found: Found, zone: tzinfo) -> date | None:
    if isinstance(found, str):
        found = _read(found)
    if isinstance(found, datetime):
        return (found.astimezone(zone) if found.tzinfo else found).date()
    return found


def _read(text: str) -> date | datetime | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        return None


def _stepped(day: date, step: Step, calendar: Calendar) -> date:
    if step.working:
        return calendar.add(day, step.count)
    if step.unit == "month":
        return _months(day, step.count)
    return day + timedelta(days=step.count * (7 if step.unit == "week" else 1))


def _months(day: date, count: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def order(graph: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Names so that each comes after everything it waits for. Raises Cycle."""
    try:
        return tuple(TopologicalSorter({name: sorted(needs) for name, needs in graph.items()}).static_order())
    except CycleError as error:
        raise Cycle(error.args[1]) from None
