"""What a condition means: one field of a row against values that came as text. Text is compared without its case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sandbox.zoho.schema import Field
from sandbox.zoho.values import Row, moment

Condition = Callable[[Row], bool]
NUMERIC = frozenset({"integer", "double", "currency", "percent"})


class Unfit(ValueError):
    """A value, or an operator, that does not go with the field."""


def everything(row: Row) -> bool:
    return True


def both(left: Condition, right: Condition) -> Condition:
    return lambda row: left(row) and right(row)


def either(left: Condition, right: Condition) -> Condition:
    return lambda row: left(row) or right(row)


def condition(field: Field, operator: str, texts: Sequence[Any]) -> Condition:
    """`operator` is one of = != > >= < <= in, not in, between, not between, like, not like, null, not null; raises Unfit."""
    held = _held(field.name)
    if operator == "null":
        return lambda row: held(row) in (None, "", [])
    if operator == "not null":
        return lambda row: held(row) not in (None, "", [])
    if operator in ("like", "not like"):
        return _like(held, str(texts[0]), wanted=operator == "like")
    values = [comparable(field, text) for text in texts]
    match operator:
        case "=" | "in":
            return lambda row: _same(held(row)) in values
        case "!=" | "not in":
            return lambda row: _same(held(row)) not in values
        case "between":
            return lambda row: held(row) is not None and values[0] <= _same(held(row)) <= values[1]
        case "not between":
            return lambda row: held(row) is not None and not values[0] <= _same(held(row)) <= values[1]
        case ">" | ">=" | "<" | "<=":
            if field.type in ("boolean", "multiselectpicklist"):
                raise Unfit(operator)
            return _ordered(held, operator, values[0])
    raise Unfit(operator)


def comparable(field: Field, value: Any) -> Any:
    """The text as what the field holds; raises Unfit."""
    if field.type == "datetime":
        found = moment(str(value))
        if found is None:
            raise Unfit(value)
        return found
    if field.type in NUMERIC:
        try:
            return float(value)
        except (TypeError, ValueError) as wrong:
            raise Unfit(value) from wrong
    if field.type == "boolean":
        if str(value).lower() not in ("true", "false"):
            raise Unfit(value)
        return str(value).lower() == "true"
    return str(value).lower()


def _held(name: str) -> Callable[[Row], Any]:
    return lambda row: row.get(name)


def _same(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _ordered(held: Callable[[Row], Any], operator: str, value: Any) -> Condition:
    def holds(row: Row) -> bool:
        mine = _same(held(row))
        if mine is None or (isinstance(value, datetime) is not isinstance(mine, datetime)):
            return False
        return bool({">": mine > value, ">=": mine >= value, "<": mine < value, "<=": mine <= value}[operator])

    return holds


def _like(held: Callable[[Row], Any], pattern: str, *, wanted: bool) -> Condition:
    """`%` at either end stands for anything."""
    core = pattern.strip("%").lower()

    def holds(row: Row) -> bool:
        text = str(held(row) or "").lower()
        head, tail = pattern.startswith("%"), pattern.endswith("%")
        if head and tail:
            return (core in text) is wanted
        return (text.endswith(core) if head else text.startswith(core) if tail else text == core) is wanted

    return holds
