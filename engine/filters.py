"""Filters and tests of the expression language. They accept empty values, keep money exact, and bound what they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from engine.model import Canonical

MAX_TEXT = 65_536
_DIRECTIVE = re.compile(r"%(-?[aAbBdeHIjmMpSuVyGY]|%)")
_MINOR_UNITS = dict.fromkeys(("BIF", "CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"), 0) | dict.fromkeys(
    ("BHD", "JOD", "KWD", "OMR", "TND"), 3
)
_ROUNDING = {"common": ROUND_HALF_UP, "floor": ROUND_FLOOR, "ceil": ROUND_CEILING}


class ExpressionError(Exception):
    """An expression met values it cannot work with. The message names the spot and the reason."""


def bounded(text: str) -> str:
    """`text`, unless it is longer than anything a project tool would take."""
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"the text grows beyond {MAX_TEXT} characters")
    return text


@lru_cache(maxsize=1024)
def exact(digits: str) -> Decimal:
    return Decimal(digits)


def plain(value: object) -> str:
    """A value as people read it: empty as "", days and moments in ISO form, numbers without an exponent."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) <= 30 else str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ", ".join(plain(part) for part in value)
    return str(value)


def field_of(value: Any, name: str) -> Any:
    """A field of a record, read as data only. A field of something empty is empty; anything else has no fields."""
    if value is None:
        return None
    if (fields := _fields_of(value.__class__)) is not None:
        if name not in fields:
            raise ExpressionError(f"there is no field {name}")
        found = getattr(value, name)
    elif isinstance(value, Mapping):
        found = value.get(name)
    else:
        raise ExpressionError(f"there is no field {name} in a {type(value).__name__}")
    return Decimal(repr(found)) if isinstance(found, float) else found


@lru_cache(maxsize=256)
def _fields_of(kind: type) -> frozenset[str] | None:
    """The fields of a record's class; None for anything that is no record."""
    return frozenset(kind.model_fields) if issubclass(kind, Canonical) else None


def path_of(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = field_of(value, name)
    return value


def _default(value: Any, default_value: Any = "", boolean: bool = True) -> Any:
    return default_value if value is None or value == "" else value


def _lower(value: Any) -> str:
    return plain(value).lower()


def _upper(value: Any) -> str:
    return plain(value).upper()


def _title(value: Any) -> str:
    return plain(value).title()


def _trim(value: Any) -> str:
    return plain(value).strip()


def _oneline(value: Any) -> str:
    return " ".join(plain(value).split())


def _replace(value: Any, old: str, new: str) -> str:
    text, old, new = plain(value), plain(old), plain(new)
    if len(text) + text.count(old) * len(new) > 2 * MAX_TEXT:
        raise ExpressionError(f"the text grows beyond {MAX_TEXT} characters")
    return bounded(text.replace(old, new))


def _truncate(value: Any, length: int = 255, end: str = "…") -> str:
    text = plain(value)
    return text if len(text) <= length else text[: max(0, length - len(end))].rstrip() + end


def _number(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(plain(value).strip())
    except ArithmeticError:
        raise ExpressionError(f"{shown(value)} is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise ExpressionError("the number is out of range")
    return number


def _round(value: Any, precision: int = 0, method: str = "common") -> Decimal | None:
    number = _number(value)
    if method not in _ROUNDING or not 0 <= precision <= 12:
        raise ExpressionError("round takes 0 to 12 places and common, floor or ceil")
    return None if number is None else number.quantize(Decimal(1).scaleb(-precision), _ROUNDING[method])


def _int(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _abs(value: Any) -> Decimal | None:
    number = _number(value)
    return None if number is None else abs(number)


def _list(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ExpressionError(f"{shown(value)} is not a list")
    return value


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(_list(value))


def _map(value: Any, *, attribute: str) -> list[Any]:
    return [path_of(part, attribute) for part in _list(value)]


def _selectattr(value: Any, attribute: str, test: str = "", other: Any = None) -> list[Any]:
    if test not in ("", "equalto", "=="):
        raise ExpressionError("selectattr takes a field, or a field, 'equalto' and a value")
    return [part for part in _list(value) if (path_of(part, attribute) == other if test else path_of(part, attribute))]


def _join(value: Any, d: str = "", attribute: str = "") -> str:
    parts = _map(value, attribute=attribute) if attribute else _list(value)
    return bounded(d.join(text for part in parts if (text := plain(part))))


def concat(value: Sequence[Any]) -> str:
    return bounded("".join(plain(part) for part in value))


def _first(value: Any) -> Any:
    return next(iter(_list(value)), None)


def _last(value: Any) -> Any:
    return next(reversed(_list(value)), None)


def _sum(value: Any, attribute: str = "") -> Decimal | int:
    parts = _map(value, attribute=attribute) if attribute else _list(value)
    return sum(number for part in parts if (number := _number(part)) is not None)


def _date(value: Any, format: str = "%Y-%m-%d") -> str | None:
    if value is None:
        return None
    if not isinstance(value, date):
        raise ExpressionError(f"{shown(value)} is not a date")
    if "%" in _DIRECTIVE.sub("", format):
        raise ExpressionError(f"{shown(format)} is not a date format such as '%d.%m.%Y'")
    # one directive at a time, because some C libraries garble text outside ASCII
    return _DIRECTIVE.sub(lambda found: value.strftime(found[0]), format)


def _day(value: Any) -> date:
    if not isinstance(value, date):
        raise ExpressionError(f"{shown(value)} is not a date")
    return value.date() if isinstance(value, datetime) else value


def _days_until(value: Any, other: Any) -> int | None:
    return None if value is None or other is None else (_day(other) - _day(value)).days


def _money(value: Any, currency: str | None = "") -> str:
    number = _number(value)
    if number is None:
        return ""
    places = _MINOR_UNITS.get(currency or "", 2)
    return f"{number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,f} {currency or ''}".rstrip()


def converter(rates: Mapping[str, Decimal]) -> Callable[[Any, Any, Any], Decimal | None]:
    """The `convert` filter over rates that say what one unit of each currency is worth in a common one."""

    def rate(currency: str) -> Decimal:
        if currency not in rates:
            raise ExpressionError(f"there is no exchange rate for {shown(currency)}; add it to currencies.rates in rules.yaml")
        return rates[currency]

    def convert(value: Any, source: Any, target: Any) -> Decimal | None:
        number = _number(value)
        if number is None or not source or not target:
            return None
        return number if source == target else number * rate(source) / rate(target)

    return convert


FILTERS: Mapping[str, Callable[..., Any]] = {
    "abs": _abs,
    "date": _date,
    "days_until": _days_until,
    "default": _default,
    "first": _first,
    "float": _number,
    "int": _int,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _lower,
    "map": _map,
    "money": _money,
    "oneline": _oneline,
    "replace": _replace,
    "round": _round,
    "selectattr": _selectattr,
    "string": plain,
    "sum": _sum,
    "title": _title,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
}


def _empty(value: Any) -> bool:
    return value is None or value in ("", (), [])


def _present(value: Any) -> bool:
    return not _empty(value)


def _starting(value: Any, start: str) -> bool:
    return plain(value).startswith(start)


def _ending(value: Any, end: str) -> bool:
    return plain(value).endswith(end)


def _containing(value: Any, part: str) -> bool:
    return part in (value if isinstance(value, list | tuple) else plain(value))


def _none(value: Any) -> bool:
    return value is None


TESTS: Mapping[str, Callable[..., bool]] = {
    "containing": _containing,
    "defined": _present,
    "empty": _empty,
    "endingwith": _ending,
    "none": _none,
    "startingwith": _starting,
}


def shown(value: object) -> str:
    """A value inside a message: short, text in quotes, empty called empty."""
    if value is None or value == "":
        return "empty"
    text = plain(value)
    short = text if len(text) <= 60 else text[:57] + "…"
    return f"'{short}'" if isinstance(value, str) else short
