"""When a sync is due by itself: `5 minutes`, or a cron expression such as `*/10 7-19 * * 1-5`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from engine.section import Name, Section

_EVERY = re.compile(r"(\d{1,5}) (second|minute|hour|day)s?")
_LEAST, _MOST = timedelta(seconds=30), timedelta(days=31)
_STEP = re.compile(r"(?P<span>[^/]+)(?:/(?P<step>\d{1,2}))?")
_MONTHS = dict(zip(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], range(1, 13), strict=True))
_DAYS = dict(zip(["sun", "mon", "tue", "wed", "thu", "fri", "sat"], range(7), strict=True))
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_FEBRUARY, _DAYS_OF_A_MONTH = 29, 31


def interval(text: str) -> timedelta:
    """`5 minutes` as a span of time. Raises ValueError, which says how it is written."""
    found = _EVERY.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"is '{text[:60]}'; it is written as '5 minutes', '1 hour', '30 seconds' or '1 day'")
    span = timedelta(**{f"{found[2]}s": int(found[1])})
    if not _LEAST <= span <= _MOST:
        raise ValueError(f"is '{text[:60]}'; it can be 30 seconds to 31 days")
    return span


def cron(text: str) -> str:
    """The expression as it stands, if it can ever come to pass: five fields of numbers or names, `*`, `-`, `,` and `/`. Raises ValueError."""
    words = text.split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"is '{text[:60]}'; it has five fields: minute, hour, day of the month, month, day of the week")
    found = [set(_values(word, *field)) for word, field in zip(words, _FIELDS, strict=True)]
    if words[4] == "*" and not any(_falls(day, month) for day in found[2] for month in found[3]):
        raise ValueError(f"is '{text[:60]}', a day that never comes")
    return " ".join(words)


def due_after(one: Schedule, moment: datetime, zone: str) -> datetime:
    """When it is due next after a moment, jitter aside; where the clocks change in between, the latest that can be meant. In UTC."""
    if one.every:
        return moment.astimezone(UTC) + interval(one.every)
    there = ZoneInfo(zone)
    wall = _next(one.cron, moment.astimezone(there).replace(tzinfo=None))
    while not _exists(wall, there):
        wall = _next(one.cron, wall)  # what it stood for may have been started an hour earlier, which is before `moment`
    return wall.replace(tzinfo=there, fold=1).astimezone(UTC)


def _exists(wall: datetime, there: ZoneInfo) -> bool:
    """Not in the hour that is left out when the clocks go forward."""
    return wall.replace(tzinfo=there).astimezone(UTC).astimezone(there).replace(tzinfo=None) == wall


def _next(text: str, wall: datetime) -> datetime:
    """The next time by a clock that is never changed. A day is meant by its date or, where that is said too, by its weekday."""
    words = text.split()
    minutes, hours, days, months, weekdays = (sorted(set(_values(word, *field))) for word, field in zip(words, _FIELDS, strict=True))
    either = len(days) < _DAYS_OF_A_MONTH and len({day % 7 for day in weekdays}) < 7  # `*/1` says no more than `*`
    times = [time(hour, minute) for hour in hours for minute in minutes]
    for day in (wall.date() + timedelta(days=ahead) for ahead in count()):
        by_date, by_weekday = day.day in days, bool({day.isoweekday(), day.isoweekday() % 7} & set(weekdays))
        if day.month in months and (by_date or by_weekday if either else by_date and by_weekday):
            for found in (datetime.combine(day, each) for each in times):
                if found > wall:
                    return found
    raise AssertionError("every expression that is taken comes to pass")


def _falls(day: int, month: int) -> bool:
    return day <= (_FEBRUARY if month == 2 else 30 if month in (4, 6, 9, 11) else 31)


def _values(word: str, name: str, first: int, last: int, names: Mapping[str, int]) -> Iterator[int]:
    for part in word.lower().split(","):
        found = _STEP.fullmatch(part)
        span, step = (found["span"], int(found["step"] or 1)) if found else ("", 1)
        ends = [str(first), str(last)] if span == "*" else span.split("-")
        numbers = [names[end] if end in names else int(end) if re.fullmatch(r"\d{1,2}", end) else -1 for end in ends]
        low, high = numbers[0], numbers[-1]
        if len(numbers) > 2 or not first <= low <= high <= last or not step:
            raise ValueError(f"has '{part[:20]}' for the {name}; it is {first}-{last}, *, a range or a list, with /steps")
        yield from range(low, (last if found and found["step"] and len(numbers) == 1 else high) + 1, step)


def _interval(text: str) -> str:
    interval(text)
    return text


Every = Annotated[str, AfterValidator(_interval)]
Cron = Annotated[str, AfterValidator(cron)]


class Schedule(Section):
    """When a sync starts by itself."""

    every: Every = Field("", description="Span between two syncs: `5 minutes`, `1 hour`.")
    cron: Cron = Field(
        "",
        description="Or a cron expression (`*/10 7-19 * * 1-5`) in the time zone of `timezone`: at the same hour in summer and in winter.",
    )
    sources: list[Name] = Field(default_factory=list, description="Only these sources are read; without it, all of them.")
    jitter_seconds: int = Field(
        0, ge=0, le=900, description="Start up to so many seconds later, at random, so that not everybody calls at the full minute."
    )

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Schedule:
        if bool(self.every) == bool(self.cron):
            raise ValueError("needs either 'every' or 'cron'")
        return self
