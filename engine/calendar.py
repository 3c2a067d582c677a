"""Working-day calendars: public holidays by country, moved holidays and made-up working weekends included."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from functools import lru_cache

import holidays

from engine.hints import nearest

_DAY = timedelta(days=1)


class UnknownCalendar(LookupError):
    """There is no calendar of that name. `hint` says which one was probably meant."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(f"unknown calendar {name}")
        self.hint = hint


@lru_cache(maxsize=1)
def _countries() -> dict[str, list[str]]:
    return holidays.list_supported_countries(include_aliases=False)


class Calendar:
    """Which days are worked. The nameless calendar works Monday to Friday; so does any calendar in a year it knows nothing about."""

    def __init__(self, name: str, source: holidays.HolidayBase | None) -> None:
        self.name = name
        self._source = source
        self._years: dict[int, Collection[date]] = {}

    @staticmethod
    @lru_cache(maxsize=256)
    def named(name: str) -> Calendar:
        """The calendar of a country (`CN`) or a part of one (`US-CA`); "" is plain Monday to Friday. Raises UnknownCalendar."""
        if not name:
            return Calendar("", None)
        country, _, part = name.partition("-")
        countries = _countries()
        if country not in countries:
            close = nearest(country, countries)
            raise UnknownCalendar(name, f"did you mean {close}?" if close else "use a country code such as CN, or US-CA for a part of one")
        if part and part not in countries[country]:
            raise UnknownCalendar(name, _parts(country, part, countries[country]))
        return Calendar(name, holidays.country_holidays(country, subdiv=part or None))

    def known(self, year: int) -> bool:
        """Whether the holidays of a year are published. Where they are not, days may be off by a few."""
        if self._source is None:
            return True
        if not self._source.start_year <= year <= self._source.end_year:
            return False
        published = getattr(self._source, "special_public_holidays", {})
        return not self._source.has_substituted_holidays or not published or year <= max(published)

    def is_working(self, day: date) -> bool:
        year = self._years.get(day.year)
        if year is None:
            year = self._years[day.year] = self._working(day.year)
        return day in year

    def add(self, day: date, count: int) -> date:
        """The working day `count` working days later (earlier when negative); 0 is the next working day on or after `day`."""
        if count == 0:
            return self._next(day, _DAY)
        step = _DAY if count > 0 else -_DAY
        for _ in range(abs(count)):
            day = self._next(day + step, step)
        return day

    def _next(self, day: date, step: timedelta) -> date:
        while not self.is_working(day):
            day += step
        return day

    def _working(self, year: int) -> frozenset[date]:
        first = date(year, 1, 1).toordinal()
        days = (date.fromordinal(first + number) for number in range(date(year, 12, 31).toordinal() - first + 1))
        source = self._source
        if source is None or not source.start_year <= year <= source.end_year:
            return frozenset(day for day in days if day.weekday() < 5)
        return frozenset(day for day in days if source.is_working_day(day))


def _parts(country: str, part: str, parts: list[str]) -> str:
    close = nearest(part, parts)
    if close:
        return f"did you mean {country}-{close}?"
    return f"{country} has {', '.join(parts)}" if parts else f"{country} has no parts; write {country}"
