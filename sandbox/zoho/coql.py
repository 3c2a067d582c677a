"""COQL: `select … from Module where … order by … limit n, m`, within its limits. Joins by dotted lookups; no aggregates."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any, NoReturn, TypeVar

from sandbox.web import Reply
from sandbox.zoho.calls import Call
from sandbox.zoho.compare import Condition, Unfit, both, condition, either
from sandbox.zoho.errors import Refused
from sandbox.zoho.schema import LOOKUPS, Field, Module
from sandbox.zoho.shapes import value
from sandbox.zoho.values import Row
from sandbox.zoho.world import World

T = TypeVar("T")
ROWS, ROWS_IN_ALL, UNSAID = 2000, 100_000, 200
COLUMNS, CRITERIA, ORDERS, CHOICES, JOINS = 50, 25, 10, 50, 2
_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|([A-Za-z_][\w.]*)|(-?\d+(?:\.\d+)?)|(<=|>=|!=|<>|[=<>(),]))")
_NEGATABLE = ("like", "in", "between")
ID = Field("id", "bigint")


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the module, or of what its lookups lead to; `get` finds the row that holds it."""

    name: str
    field: Field
    module: Module
    get: Callable[[Row], Row | None]


@dataclass(frozen=True, slots=True)
class Select:
    module: Module
    columns: tuple[Column, ...]
    where: Condition
    orders: tuple[tuple[Column, bool], ...]
    offset: int
    limit: int


def query(call: Call) -> Reply:
    """Rows by a query. 1, 2 or 3 credits, for up to 200, 1,000 and 2,000 rows."""
    text = call.body().get("select_query")
    if not isinstance(text, str):
        raise Refused("MANDATORY_NOT_FOUND", "required field not found", api_name="select_query", json_path="$.select_query")
    asked = _Parser(call.world, text).select()
    call.site.let(f"ZohoCRM.modules.{asked.module.name}.READ", call)
    call.site.spend((asked.limit > UNSAID) + (asked.limit > 1000))
    rows = _ordered([row for row in call.world.rows[asked.module.name].values() if asked.where(row)], asked)
    part = rows[asked.offset : asked.offset + asked.limit]
    if not part:
        return Reply(204)
    info = {"count": len(part), "more_records": asked.offset + asked.limit < len(rows)}
    return Reply.json(200, {"data": [_told(call.world, asked, row) for row in part], "info": info})


def _told(world: World, asked: Select, row: Row) -> Row:
    """Lookups come with the id alone."""
    told: Row = {}
    for column in asked.columns:
        holder = column.get(row)
        held = holder.get(column.field.name) if holder else None
        linked = column.field.type in LOOKUPS and held is not None
        told[column.name] = {"id": held} if linked else value(world, column.module, holder, column.field) if holder else None
    return {**told, "id": row["id"]}


def _ordered(rows: list[Row], asked: Select) -> list[Row]:
    def compare(left: Row, right: Row) -> int:
        for column, rising in asked.orders:
            mine, other = (_key(column, row) for row in (left, right))
            if mine != other:
                return (-1 if mine < other else 1) * (1 if rising else -1)
        return -1 if left["id"] < right["id"] else 1

    return sorted(rows, key=cmp_to_key(compare))


def _key(column: Column, row: Row) -> tuple[bool, Any]:
    """Nothing comes before something."""
    held = (column.get(row) or {}).get(column.field.name)
    return (held is not None, held.lower() if isinstance(held, str) else held)


class _Parser:
    def __init__(self, world: World, text: str) -> None:
        self._world = world
        self._tokens = _tokens(text)
        self._at = 0
        self._criteria = 0
        self._module: Module | None = None

    def select(self) -> Select:
        self._word("select")
        names = self._list(self._name)
        self._word("from")
        wanted = self._name()
        self._module = self._world.modules.get(wanted)
        if self._module is None:
            raise Refused("INVALID_QUERY", "invalid query formed", module=wanted)
        if len(names) > COLUMNS:
            raise Refused("LIMIT_EXCEEDED", "more columns than allowed", limit=COLUMNS)
        columns = tuple(self._column(name) for name in names)
        if not self._is("where"):
            raise Refused("SYNTAX_ERROR", "missing clause", clause="where")
        where = self._group()
        orders = self._orders()
        offset, limit = self._limit()
        if self._at < len(self._tokens):
            self._fail()
        return Select(self._module, columns, where, orders, offset, limit)

    def _orders(self) -> tuple[tuple[Column, bool], ...]:
        if not self._is("order"):
            return ()
        self._word("by")
        found = tuple(self._list(self._order))
        if len(found) > ORDERS:
            raise Refused("LIMIT_EXCEEDED", "more columns than allowed to order by", limit=ORDERS)
        return found

    def _order(self) -> tuple[Column, bool]:
        column = self._column(self._name())
        falls = self._is("desc")
        if not falls:
            self._is("asc")
        return column, not falls

    def _limit(self) -> tuple[int, int]:
        """`limit offset, count` or `limit count offset offset`."""
        offset, limit = 0, UNSAID
        if self._is("limit"):
            limit = self._number()
            if self._is(","):
                offset, limit = limit, self._number()
            elif self._is("offset"):
                offset = self._number()
        if not 0 < limit <= ROWS or offset + limit > ROWS_IN_ALL:
            raise Refused("INVALID_QUERY", "invalid query formed", limit=str(limit))
        return offset, limit

    def _group(self) -> Condition:
        """One criterion or two; more have to be bracketed in pairs."""
        found = self._operand()
        word = self._one_of("and", "or")
        if word:
            found = (both if word == "and" else either)(found, self._operand())
            if self._peek() in ("and", "or"):
                self._fail()
        return found

    def _operand(self) -> Condition:
        if self._is("("):
            found = self._group()
            self._word(")")
            return found
        self._criteria += 1
        if self._criteria > CRITERIA:
            raise Refused("LIMIT_EXCEEDED", "more criteria than allowed", limit=CRITERIA)
        column = self._column(self._name())
        operator = self._operator()
        texts = self._values(operator)
        try:
            test = condition(column.field, operator, texts)
        except Unfit as wrong:
            raise Refused("INVALID_QUERY", "invalid query formed", column_name=column.name) from wrong
        if column.field.type == "textarea":
            raise Refused("INVALID_QUERY", "the column cannot be used in criteria", column_name=column.name)
        return lambda row: test(column.get(row) or {})

    def _operator(self) -> str:
        word = self._next().lower()
        if word == "is":
            denied = self._is("not")
            self._word("null")
            return "not null" if denied else "null"
        if word == "not" and self._peek() in _NEGATABLE:
            return f"not {self._next().lower()}"
        if word in ("=", "!=", "<>", ">", ">=", "<", "<=", *_NEGATABLE):
            return "!=" if word == "<>" else word
        return self._fail()

    def _values(self, operator: str) -> list[str]:
        if operator.endswith("null"):
            return []
        if operator.endswith("between"):
            low = self._value()
            self._word("and")
            return [low, self._value()]
        if not operator.endswith("in"):
            return [self._value()]
        self._word("(")
        found = self._list(self._value)
        self._word(")")
        if len(found) > CHOICES:
            raise Refused("LIMIT_EXCEEDED", "more values than allowed", limit=CHOICES)
        return found

    def _column(self, name: str) -> Column:
        *path, last = name.split(".")
        if len(path) > JOINS:
            raise Refused("INVALID_QUERY", "more joins than allowed", column_name=name)
        module, steps = self._module or self._fail(), []
        for step in path:
            field = module.seen(step)
            if field is None or field.type != "lookup" or field.to not in self._world.modules:
                raise Refused("INVALID_QUERY", "column given seems to be invalid", column_name=name)
            steps.append((step, field.to))
            module = self._world.modules[field.to]
        field = ID if last == "id" else module.seen(last)
        if field is None or field.type == "subform":
            raise Refused("INVALID_QUERY", "column given seems to be invalid", column_name=name)
        return Column(name, field, module, self._path(steps))

    def _path(self, steps: Sequence[tuple[str, str]]) -> Callable[[Row], Row | None]:
        def get(row: Row) -> Row | None:
            found: Row | None = row
            for name, module in steps:
                found = self._world.rows[module].get((found or {}).get(name) or "")
            return found

        return get

    # tokens

    def _list(self, one: Callable[[], T]) -> list[T]:
        found = [one()]
        while self._is(","):
            found.append(one())
        return found

    def _peek(self) -> str:
        return self._tokens[self._at].lower() if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            self._fail()
        self._at += 1
        return self._tokens[self._at - 1]

    def _is(self, word: str) -> bool:
        return self._one_of(word) == word

    def _one_of(self, *words: str) -> str:
        found = self._peek()
        if found in words:
            self._at += 1
            return found
        return ""

    def _word(self, word: str) -> None:
        if not self._is(word):
            self._fail()

    def _name(self) -> str:
        """A column's or a module's name; reserved words stand in quotes."""
        word = self._next()
        if re.fullmatch(r"[A-Za-z_][\w.]*", word):
            return word
        return word[1:-1] if word[0] in "'\"" else self._fail()

    def _value(self) -> str:
        word = self._next()
        if word[0] in "'\"":
            return word[1:-1].replace(word[0] * 2, word[0])
        return word if re.fullmatch(r"-?\d+(\.\d+)?|true|false", word, re.IGNORECASE) else self._fail()

    def _number(self) -> int:
        word = self._next()
        return int(word) if word.isdigit() and len(word) < 9 else self._fail()

    def _fail(self) -> NoReturn:
        near = self._tokens[self._at] if self._at < len(self._tokens) else "end of query"
        raise Refused("SYNTAX_ERROR", "error occurred while parsing the query", line=1, column=self._at, near=near)


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Refused("SYNTAX_ERROR", "error occurred while parsing the query", line=1, column=at, near=text[at : at + 20])
        found.append(match[0].strip())
        at = match.end()
    return found
