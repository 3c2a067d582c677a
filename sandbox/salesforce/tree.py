"""The tree of a SOQL query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LiteralKind = Literal["string", "number", "boolean", "null", "date", "datetime"]


@dataclass(frozen=True, slots=True)
class Value:
    kind: LiteralKind
    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A field path as written; `at` is its offset in the text."""

    path: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Compare:
    name: Name
    op: str
    value: Value


@dataclass(frozen=True, slots=True)
class Among:
    name: Name
    values: tuple[Value, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


Condition = Compare | Among | Every | Some | Not


@dataclass(frozen=True, slots=True)
class Order:
    name: Name
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    """`select` holds names and child queries in their order; it is empty for `SELECT COUNT()`."""

    source: Name
    select: tuple[Name | Query, ...]
    count: bool
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int
    text: str
