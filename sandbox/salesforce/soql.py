"""Reads SOQL text into a tree. Names are not looked up here: `query` does that, and says what is wrong with them at their place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.tree import Among, Compare, Condition, Every, Name, Not, Order, Query, Some, Value
from sandbox.salesforce.values import exact_stamp

T = TypeVar("T")
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
  | (?P<day>\d{4}-\d\d-\d\d)
  | (?P<number>[+-]?\d+(?:\.\d+)?)
  | '(?P<string>(?:[^'\\]|\\.)*)'
  | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
  | (?P<sign><=|>=|!=|<>|[=<>(),])
  | (?P<end>$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_CLAUSES = {
    "FROM",
    "WHERE",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "AND",
    "OR",
    "NOT",
    "IN",
    "LIKE",
    "SELECT",
    "GROUP",
    "HAVING",
    "NULLS",
    "ASC",
    "DESC",
}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    at: int

    def __str__(self) -> str:
        return "<EOF>" if self.kind == "end" else f"'{self.text}'"


def fault_at(text: str, at: int, code: str, message: str) -> ApiError:
    """An error that shows its place the way Salesforce does: the text before it, a caret, row and column."""
    row, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    start = max(0, at - 40)
    shown = text[start : at + 40].replace("\n", " ")
    return ApiError(code, f"\n{shown}\n{' ' * (at - start)}^\nERROR at Row:{row}:Column:{column}\n{message}")


@lru_cache(maxsize=512)
def parse(text: str) -> Query:
    """The tree of a whole query; raises ApiError MALFORMED_QUERY."""
    if len(text) > 100_000:
        raise ApiError("MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters.")
    parser = _Parser(text)
    query = parser.query()
    parser.expect("end")
    return query


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise fault_at(text, at, "MALFORMED_QUERY", f"unexpected char: '{text[at]}'")
        kind = str(match.lastgroup)
        tokens.append(Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return tokens


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = _tokens(text)
        self._at = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    def take(self) -> Token:
        token = self.token
        self._at += 1
        return token

    def wrong(self) -> ApiError:
        return fault_at(self.text, self.token.at, "MALFORMED_QUERY", f"unexpected token: {self.token}")

    def expect(self, kind: str, word: str = "") -> Token:
        token = self.token
        if token.kind != kind or (word and token.text.upper() != word):
            raise self.wrong()
        return self.take() if kind != "end" else token

    def accept(self, word: str) -> bool:
        """Takes the next token when it is that word or sign."""
        found = self.token.kind in ("name", "sign") and self.token.text.upper() == word
        self._at += found
        return found

    def name(self) -> Name:
        if self.token.kind != "name" or self.token.text.upper() in _CLAUSES:
            raise self.wrong()
        token = self.take()
        return Name(tuple(token.text.split(".")), token.at)

    def query(self) -> Query:
        self.expect("name", "SELECT")
        count = self._count()
        select = () if count else self._listed(self._selected)
        self.expect("name", "FROM")
        source = self.name()
        where = self._conditions() if self.accept("WHERE") else None
        order = self._order()
        limit = self._whole() if self.accept("LIMIT") else None
        offset = self._whole() if self.accept("OFFSET") else 0
        return Query(source, select, count, where, order, limit, offset, self.text)

    def _count(self) -> bool:
        after = self._tokens[self._at + 1 : self._at + 3]
        if self.token.text.upper() != "COUNT" or [token.text for token in after] != ["(", ")"]:
            return False
        self._at += 3
        return True

    def _listed(self, one: Callable[[], T]) -> tuple[T, ...]:
        found = [one()]
        while self.accept(","):
            found.append(one())
        return tuple(found)

    def _selected(self) -> Name | Query:
        if not self.accept("("):
            return self.name()
        inner = self.query()
        self.expect("sign", ")")
        return inner

    def _order(self) -> tuple[Order, ...]:
        if not self.accept("ORDER"):
            return ()
        self.expect("name", "BY")
        return self._listed(self._key)

    def _key(self) -> Order:
        name = self.name()
        descending = self.accept("DESC")
        if not descending:
            self.accept("ASC")
        last = False
        if self.accept("NULLS"):
            last = self.accept("LAST")
            if not last:
                self.expect("name", "FIRST")
        return Order(name, descending, last)

    def _whole(self) -> int:
        token = self.expect("number")
        if not token.text.isdigit():
            self._at -= 1
            raise self.wrong()
        return int(token.text)

    def _conditions(self) -> Condition:
        """Conditions joined by AND, or by OR; a mixture without parentheses is refused by Salesforce too."""
        parts = [self._one()]
        word = self.token.text.upper()
        if word not in ("AND", "OR"):
            return parts[0]
        while self.accept(word):
            parts.append(self._one())
        return Every(tuple(parts)) if word == "AND" else Some(tuple(parts))

    def _one(self) -> Condition:
        if self.accept("NOT"):
            return Not(self._one())
        if self.accept("("):
            inner = self._conditions()
            self.expect("sign", ")")
            return inner
        return self._comparison(self.name())

    def _comparison(self, name: Name) -> Condition:
        if self.accept("NOT"):
            self.expect("name", "IN")
            return Among(name, self._values(), negated=True)
        if self.accept("IN"):
            return Among(name, self._values(), negated=False)
        if self.accept("LIKE"):
            return Compare(name, "LIKE", self._value())
        if self.token.kind != "sign" or self.token.text in "(),":
            raise self.wrong()
        op = self.take().text
        return Compare(name, "!=" if op == "<>" else op, self._value())

    def _values(self) -> tuple[Value, ...]:
        self.expect("sign", "(")
        values = self._listed(self._value)
        self.expect("sign", ")")
        return values

    def _value(self) -> Value:
        token = self.token
        match token.kind:
            case "string":
                if len(token.text) > 4000:
                    raise fault_at(self.text, token.at, "MALFORMED_QUERY", "string literal longer than 4000 characters")
                value = Value("string", re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token.text, flags=re.DOTALL))
            case "number":
                value = Value("number", float(token.text))
            case "day":
                value = Value("date", token.text)
            case "moment":
                value = Value("datetime", self._moment(token))
            case _ if token.text.lower() in ("true", "false"):
                value = Value("boolean", token.text.lower() == "true")
            case _ if token.text.lower() == "null":
                value = Value("null", None)
            case _:
                raise self.wrong()
        self._at += 1
        return value

    def _moment(self, token: Token) -> str:
        try:
            return exact_stamp(token.text)
        except ValueError:
            raise fault_at(self.text, token.at, "MALFORMED_QUERY", f"invalid date time: {token.text}") from None
