"""Answers one SOQL query: which rows, in which order, in which shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from sandbox.salesforce.conditions import EVERYTHING, Get, Test, compile_test, getter, named_ids, resolve, span
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.schema import Child, Field, Spec
from sandbox.salesforce.soql import fault_at
from sandbox.salesforce.store import Table
from sandbox.salesforce.tree import Condition, Name, Order, Query
from sandbox.salesforce.values import Row

if TYPE_CHECKING:
    from sandbox.salesforce.org import Org

Render = Callable[[Row], dict[str, Any]]
ChildPage = Callable[[list[Row], Render], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Result:
    """`rows` are snapshots; `render` shapes one of them. For `SELECT COUNT()` there are no rows, only `total`."""

    object: str
    rows: list[Row]
    total: int
    render: Render


@dataclass(slots=True)
class _Node:
    """What to show of one object: plain fields, and parents behind a reference."""

    spec: Spec
    columns: dict[str, Field | _Parent | _Children] = field(default_factory=dict)


@dataclass(slots=True)
class _Parent:
    reference: Field
    node: _Node


@dataclass(slots=True)
class _Children:
    child: Child
    query: Query


def run(org: Org, query: Query, *, everything: bool, sobjects: str, child_page: ChildPage) -> Result:
    """`everything` shows deleted rows too; `sobjects` is the URL before `Opportunity/006…`; `child_page` shapes the rows of a sub-query."""
    table = find_table(org, query)
    rows = _found(org, table, query, everything=everything)
    if query.count:
        total = sum(1 for _ in rows)
        return Result(table.spec.name, [], total, lambda row: row)
    picture = _Shaper(org, query.text, everything, sobjects, child_page)
    render = picture.render(picture.node(table.spec, query))
    listed = list(rows)
    return Result(table.spec.name, listed, len(listed), render)


def find_table(org: Org, query: Query) -> Table:
    table = org.find(query.source.path[0])
    if table is None or len(query.source.path) > 1:
        words = (
            f"sObject type '{'.'.join(query.source.path)}' is not supported. If you are attempting to use a custom object, be sure to append "
            "the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
        )
        raise fault_at(query.text, query.source.at, "INVALID_TYPE", words)
    return table


def _found(org: Org, table: Table, query: Query, *, everything: bool) -> Iterator[Row]:
    if query.offset > 2000:
        raise ApiError("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
    test = compile_test(org, table.spec, query.where, query.text) if query.where is not None else None
    candidates, sorted_by = _candidates(table, query.where, query.order)
    rows = _passing(candidates, test, everything=everything)
    if query.order:
        keys = [(resolve(org, table.spec, order.name, query.text), order) for order in query.order]
        if not _already(sorted_by, query.order):
            rows = iter(_sorted(org, list(rows), keys))
    return islice(rows, query.offset, None if query.limit is None else query.offset + query.limit)


def _candidates(table: Table, where: Condition | None, order: tuple[Order, ...]) -> tuple[Iterable[Row], str]:
    """Rows worth testing, and the ordered field whose order they come in ("" when in that of their ids or in none)."""
    ids = named_ids(table, where)
    if ids is not None:
        return (table.rows[id] for id in sorted(ids)), ""
    for name in table.orders:
        low, high = span(name, where)
        if (low, high) != EVERYTHING or _already(name, order):
            return table.between(name, low, high), name
    return table.rows.values(), ""


def _already(sorted_by: str, order: tuple[Order, ...]) -> bool:
    """Whether rows in the order of (sorted_by, Id) are in the wanted one. By the stamp alone is by the stamp and then, as here, by id."""
    if not order or any(key.descending for key in order):
        return False
    names = [".".join(key.name.path).lower() for key in order]
    return bool(sorted_by) and names in ([sorted_by.lower()], [sorted_by.lower(), "id"])


def _passing(rows: Iterable[Row], test: Test | None, *, everything: bool) -> Iterator[Row]:
    if not everything:
        rows = (row for row in rows if not row.get("IsDeleted"))
    return iter(rows) if test is None else filter(test, rows)


def _sorted(org: Org, rows: list[Row], keys: list[tuple[tuple[tuple[Field, ...], Field], Order]]) -> list[Row]:
    for (hops, last), order in reversed(keys):
        get = getter(org, hops, last)
        nulls = [row for row in rows if get(row) is None]
        known = [row for row in rows if get(row) is not None]
        known.sort(key=_sort_key(get, last), reverse=order.descending)
        rows = known + nulls if order.nulls_last else nulls + known
    return rows


def _sort_key(get: Get, last: Field) -> Get:
    return (lambda row: get(row).lower()) if last.textual else get


class _Shaper:
    def __init__(self, org: Org, text: str, everything: bool, sobjects: str, child_page: ChildPage) -> None:
        self._org = org
        self._text = text
        self._everything = everything
        self._sobjects = sobjects
        self._child_page = child_page

    def node(self, spec: Spec, query: Query) -> _Node:
        node = _Node(spec)
        for each in query.select:
            if isinstance(each, Query):
                child = self._child(spec, each)
                node.columns[child.name] = _Children(child, each)
            else:
                self._place(node, each)
        return node

    def _place(self, node: _Node, name: Name) -> None:
        hops, last = resolve(self._org, node.spec, name, self._text)
        for hop in hops:
            parent = node.columns.setdefault(hop.relationship, _Parent(hop, _Node(self._org.tables[hop.to].spec)))
            if isinstance(parent, _Parent):
                node = parent.node
        if last.name in node.columns:
            raise fault_at(self._text, name.at, "MALFORMED_QUERY", f"duplicate field selected: {'.'.join(name.path)}")
        node.columns[last.name] = last

    def _child(self, spec: Spec, query: Query) -> Child:
        child = spec.child(query.source.path[0])
        if child is None:
            words = (
                f"Didn't understand relationship '{query.source.path[0]}' in FROM part of query call. If you are attempting to use a custom "
                "relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call "
                "for the appropriate names."
            )
            raise fault_at(query.text, query.source.at, "INVALID_TYPE", words)
        return child

    def render(self, node: _Node) -> Render:
        columns = [(key, self._column(node, column)) for key, column in node.columns.items()]
        kind, url = node.spec.name, f"{self._sobjects}{node.spec.name}/"

        def render(row: Row) -> dict[str, Any]:
            shown: dict[str, Any] = {"attributes": {"type": kind, "url": url + row["Id"]}}
            for key, column in columns:
                shown[key] = row.get(key) if column is None else column(row)
            return shown

        return render

    def _column(self, node: _Node, column: Field | _Parent | _Children) -> Callable[[Row], Any] | None:
        if isinstance(column, _Parent):
            return self._parent(column)
        if isinstance(column, _Children):
            return self._children(column)
        name = column.name
        return (lambda row: bool(row.get(name))) if column.type == "boolean" else None

    def _parent(self, parent: _Parent) -> Callable[[Row], Any]:
        render, name = self.render(parent.node), parent.reference.name
        rows, everything = self._org.tables[parent.reference.to].rows, self._everything

        def show(row: Row) -> dict[str, Any] | None:
            found = rows.get(row.get(name) or "")
            return None if found is None or (found.get("IsDeleted") and not everything) else render(found)

        return show

    def _children(self, children: _Children) -> Callable[[Row], Any]:
        query, name = children.query, children.child.field
        table = self._org.tables[children.child.object]
        shaper = _Shaper(self._org, self._text, self._everything, self._sobjects, self._child_page)
        render = shaper.render(shaper.node(table.spec, query))
        test = compile_test(self._org, table.spec, query.where, self._text) if query.where is not None else None
        keys = [(resolve(self._org, table.spec, order.name, self._text), order) for order in query.order]

        def show(row: Row) -> dict[str, Any] | None:
            ids = sorted(table.ids(name, row["Id"]))
            rows = list(_passing((table.rows[id] for id in ids), test, everything=self._everything))
            rows = _sorted(self._org, rows, keys)[query.offset :]
            rows = rows if query.limit is None else rows[: query.limit]
            return self._child_page(rows, render) if rows else None

        return show
