"""Turns a WHERE tree into a test of one row, and into the smallest set of rows worth testing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.schema import ID_KINDS, NUMBER_KINDS, Field, Spec
from sandbox.salesforce.soql import fault_at
from sandbox.salesforce.store import LAST, Place, Table
from sandbox.salesforce.tree import Among, Compare, Condition, Every, Name, Not, Some, Value
from sandbox.salesforce.values import Row, long_id

if TYPE_CHECKING:
    from sandbox.salesforce.org import Org

Get = Callable[[Row], Any]
Test = Callable[[Row], bool]
Span = tuple[Place, Place]
EVERYTHING: Span = (("", ""), (LAST, LAST))
_NEEDED = {"datetime": {"datetime"}, "date": {"date"}, "boolean": {"boolean"}, **{kind: {"number"} for kind in NUMBER_KINDS}}


def unknown_field(text: str, name: Name, entity: str) -> ApiError:
    words = (
        f"No such column '{name.path[-1]}' on entity '{entity}'. If you are attempting to use a custom field, be sure to append the "
        "'__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
    )
    return fault_at(text, name.at, "INVALID_FIELD", words)


def resolve(org: Org, spec: Spec, name: Name, text: str) -> tuple[tuple[Field, ...], Field]:
    """The references a path follows and the field it ends in; raises INVALID_FIELD."""
    hops: list[Field] = []
    path = (
        name.path[1:] if len(name.path) > 1 and name.path[0].lower() == spec.name.lower() and not spec.relation(name.path[0]) else name.path
    )
    for step in path[:-1]:
        reference = spec.relation(step)
        if reference is None or len(hops) == 5:
            words = (
                f"Didn't understand relationship '{step}' in field path. If you are attempting to use a custom relationship, be sure to "
                "append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
            )
            raise fault_at(text, name.at, "INVALID_FIELD", words)
        hops.append(reference)
        spec = org.tables[reference.to].spec
    field = spec.find(path[-1])
    if field is None:
        raise unknown_field(text, name, spec.name)
    return tuple(hops), field


def getter(org: Org, hops: tuple[Field, ...], field: Field) -> Get:
    """Reads a path from a row; None when a parent on the way is missing."""
    name = field.name
    if not hops:
        return lambda row: row.get(name)
    steps = [(hop.name, org.tables[hop.to].rows) for hop in hops]

    def get(row: Row) -> Any:
        for reference, parents in steps:
            parent = parents.get(row.get(reference, ""))
            if parent is None:
                return None
            row = parent
        return row.get(name)

    return get


def compile_test(org: Org, spec: Spec, condition: Condition, text: str) -> Test:
    match condition:
        case Every(parts):
            tests = [compile_test(org, spec, part, text) for part in parts]
            return lambda row: all(test(row) for test in tests)
        case Some(parts):
            tests = [compile_test(org, spec, part, text) for part in parts]
            return lambda row: any(test(row) for test in tests)
        case Not(part):
            test = compile_test(org, spec, part, text)
            return lambda row: not test(row)
        case Among(name, values, negated):
            return _among(*_field(org, spec, name, text, values), values, negated)
        case Compare(name, op, value):
            return _compare(*_field(org, spec, name, text, (value,)), op, value)


def _field(org: Org, spec: Spec, name: Name, text: str, values: Iterable[Value]) -> tuple[Get, Field]:
    hops, field = resolve(org, spec, name, text)
    for value in values:
        _check_type(field, name, value, text)
    return getter(org, hops, field), field


def _check_type(field: Field, name: Name, value: Value, text: str) -> None:
    if field.type in ("textarea", "address"):
        raise fault_at(text, name.at, "INVALID_FIELD", f"field '{field.name}' can not be filtered in a query call")
    if value.kind == "null" or value.kind in _NEEDED.get(field.type, {"string"}):
        return
    kind = "dateTime" if field.type == "datetime" else field.type
    quotes = "should be enclosed in quotes" if field.type not in _NEEDED else "should not be enclosed in quotes"
    words = f"value of filter criterion for field '{field.name}' must be of type {kind} and {quotes}"
    raise fault_at(text, name.at, "INVALID_FIELD", words)


def comparable(field: Field, value: Any) -> Any:
    """Text compares without case, ids by their 18 characters, null booleans as false."""
    if isinstance(value, str):
        if field.type in ID_KINDS:
            return long_id(value)
        return value.lower() if field.textual else value
    return value


def _compare(get: Get, field: Field, op: str, value: Value) -> Test:
    if op == "LIKE":
        pattern = _like(str(value.value or ""))
        return lambda row: (found := get(row)) is not None and pattern.fullmatch(found) is not None
    wanted = comparable(field, value.value)
    if op in ("=", "!="):
        equal = _equal(get, field, wanted)
        return equal if op == "=" else lambda row: not equal(row)
    if field.textual:
        return _ordered(lambda row: None if (found := get(row)) is None else found.lower(), op, wanted)
    return _ordered(get, op, wanted)


def _equal(get: Get, field: Field, wanted: Any) -> Test:
    if field.type == "boolean":
        return lambda row: bool(get(row)) == wanted
    if field.textual and wanted is not None:
        return lambda row: (found := get(row)) is not None and found.lower() == wanted
    return lambda row: get(row) == wanted


def _ordered(get: Get, op: str, wanted: Any) -> Test:
    if wanted is None:
        return lambda row: False
    match op:
        case "<":
            return lambda row: (found := get(row)) is not None and found < wanted
        case "<=":
            return lambda row: (found := get(row)) is not None and found <= wanted
        case ">":
            return lambda row: (found := get(row)) is not None and found > wanted
        case _:
            return lambda row: (found := get(row)) is not None and found >= wanted


def _among(get: Get, field: Field, values: tuple[Value, ...], negated: bool) -> Test:
    wanted = {comparable(field, value.value) for value in values}
    if field.textual:
        return lambda row: ((found.lower() if (found := get(row)) is not None else None) in wanted) is not negated
    return lambda row: (get(row) in wanted) is not negated


def _like(pattern: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.IGNORECASE | re.DOTALL)


def span(field: str, condition: Condition | None) -> Span:
    """The (stamp, id) places between which every row that passes must lie in the order of `field`."""
    match condition:
        case Compare(Name(path=(name,)), op, Value(kind="datetime", value=value)) if name.lower() == field.lower():
            return _stamp_span(op, str(value))
        case Every(parts):
            return _narrow(parts, [span(field, part) for part in parts])
        case Some(parts):
            spans = [span(field, part) for part in parts]
            return min(low for low, _ in spans), max(high for _, high in spans)
        case _:
            return EVERYTHING


def _stamp_span(op: str, at: str) -> Span:
    before, behind = (at, ""), (at, LAST)
    low, high = EVERYTHING
    match op:
        case "=":
            return before, behind
        case ">":
            return behind, high
        case ">=":
            return before, high
        case "<":
            return low, before
        case "<=":
            return low, behind
        case _:
            return EVERYTHING


def _narrow(parts: tuple[Condition, ...], spans: list[Span]) -> Span:
    low, high = max(low for low, _ in spans), min(high for _, high in spans)
    if low[0] != high[0]:
        return low, high
    for part in parts:  # within one stamp the id is the order
        match part:
            case Compare(Name(path=(name,)), ">" | ">=" as op, Value(kind="string", value=str(id))) if name.lower() == "id":
                low = max(low, (low[0], long_id(id) if op == ">" else id[:15]))
            case _:
                continue
    return low, high


def named_ids(table: Table, condition: Condition | None) -> set[str] | None:
    """The ids of all rows that can pass, when an index knows them; None when only a scan can tell."""
    match condition:
        case Compare(Name(path=(name,)), "=", Value(kind="string") as value):
            return _indexed(table, name, (value,))
        case Among(Name(path=(name,)), values, False):
            return _indexed(table, name, values)
        case Every(parts):
            found = [ids for part in parts if (ids := named_ids(table, part)) is not None]
            return min(found, key=len) if found else None
        case Some(parts):
            all_found = [named_ids(table, part) for part in parts]
            return None if None in all_found else {id for ids in all_found if ids for id in ids}
        case _:
            return None


def _indexed(table: Table, name: str, values: tuple[Value, ...]) -> set[str] | None:
    field = table.spec.find(name)
    if field is None or any(value.kind != "string" for value in values):
        return None
    wanted = {long_id(str(value.value)) if field.type in ID_KINDS else str(value.value) for value in values}
    if field.type == "id":
        return {id for id in wanted if id in table.rows}
    if field.name not in table.index:
        return None
    return {id for value in wanted for id in table.ids(field.name, value)}
