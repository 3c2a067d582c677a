"""How values are held: as Salesforce writes them in JSON, so that rows are compared, sorted and answered without conversion.

A moment is `2026-11-22T10:00:00.000+0000` in UTC and a day `2026-11-22`: fixed widths, so text order is time order. Numbers are floats
or ints, ids have 18 characters.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

Row = dict[str, Any]
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def stamp(moment: datetime) -> str:
    """A moment with the second precision of the audit fields. Refuses naive ones."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def moment(text: str) -> datetime:
    """The aware datetime of any ISO text; without an offset it is UTC, and a blank where `+` stood is mended."""
    parsed = datetime.fromisoformat(text.strip().replace(" ", "+"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def exact_stamp(text: str) -> str:
    """ISO text as a stamp, milliseconds kept. Raises ValueError when it is no date and time with an offset."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def long_id(text: str) -> str:
    """The 18-character form of a 15-character id; anything else is given back as it is."""
    if len(text) != 15 or not text.isalnum():
        return text
    return text + _check(text[:5]) + _check(text[5:10]) + _check(text[10:])


@lru_cache(maxsize=100_000)
def _check(five: str) -> str:
    return _CHECK[sum(1 << place for place, char in enumerate(five) if char.isupper())]


def number_id(prefix: str, number: int) -> str:
    """The id of the nth record of an object: ids sort in the order of their numbers."""
    digits = []
    for _ in range(7):
        number, digit = divmod(number, 62)
        digits.append(DIGITS[digit])
    return long_id(f"{prefix}Hk000" + "".join(reversed(digits)))


def held(value: Any, kind: str) -> Any:
    """A Python value as a row holds it in a field of type `kind`. Empty text is null, as in Salesforce. Raises ValueError or TypeError."""
    if value is None or value == "":
        return None
    match kind:
        case "datetime":
            return stamp(value if isinstance(value, datetime) else moment(str(value)))
        case "date":
            day = value.date() if isinstance(value, datetime) else value
            return (day if isinstance(day, date) else date.fromisoformat(str(day)[:10])).isoformat()
        case "double" | "currency" | "percent":
            return _number(value, float)
        case "int":
            return _number(value, int)
        case "boolean":
            if isinstance(value, bool):
                return value
            raise ValueError(f"{value!r} is not a boolean")
        case "id" | "reference":
            return long_id(_text(value))
        case _:
            return _text(value)


def _number(value: Any, kind: type[float] | type[int]) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(f"{value!r} is not a number")
    return kind(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
