"""Rows of one object, kept so that the questions a sync asks are answered without a scan.

A row is never changed in place: an edit puts a new dict in its stead. Whoever holds a row therefore holds a snapshot, and nothing is copied.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sandbox.salesforce.schema import Field, Spec
from sandbox.salesforce.values import Row

Place = tuple[str, str]  # (stamp, id)
LAST = "\x7f"  # sorts behind every id and every stamp


class Table:
    """`orders` holds (stamp, id) pairs in order for each ordered field; `index` the ids by value for each indexed field; `gone` (when, id)."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.rows: dict[str, Row] = {}
        self.gone: list[Place] = []
        self.orders: dict[str, list[Place]] = {name: [] for name in spec.ordered}
        self.index: dict[str, dict[Any, dict[str, None]]] = {}
        self._caseless: set[str] = set()
        self.undo: list[Callable[[], None]] | None = None
        for field in spec.fields.values():
            self.watch(field)

    def watch(self, field: Field) -> None:
        """Keeps an index of `field` from now on, when it is of the indexed sort."""
        if field.indexed and field.name not in self.index:
            self.index[field.name] = {}
            if field.textual:
                self._caseless.add(field.name)
            for row in self.rows.values():
                self._enter(field.name, row)

    def put(self, row: Row) -> None:
        old = self.rows.get(row["Id"])
        if self.undo is not None:
            self.undo.append(lambda: self._restore(row["Id"], old))
        self._swap(old, row)

    def drop(self, id: str) -> None:
        """Takes the row away for good."""
        old = self.rows[id]
        if self.undo is not None:
            self.undo.append(lambda: self._restore(id, old))
        self._swap(old, None)

    def bury(self, place: Place) -> None:
        """Enters a deletion in the log."""
        self.gone.append(place)
        if self.undo is not None:
            self.undo.append(lambda: self.gone.remove(place))

    def unbury(self, id: str) -> None:
        self.gone = [place for place in self.gone if place[1] != id]

    def load(self, rows: list[Row]) -> None:
        """Adds many new rows at once; sorts once."""
        self.rows.update((row["Id"], row) for row in rows)
        for name, order in self.orders.items():
            order.extend((row[name], row["Id"]) for row in rows)
            order.sort()
        for name in self.index:
            for row in rows:
                self._enter(name, row)

    def ids(self, field: str, value: Any) -> Iterable[str]:
        """The ids whose indexed `field` holds `value`."""
        return tuple(self.index[field].get(self._key(field, value), ()))

    def between(self, field: str, low: Place, high: Place) -> Iterator[Row]:
        """Rows in (stamp, id) order, strictly after `low` and strictly before `high`."""
        order = self.orders[field]
        start = bisect_left(order, (low[0], low[1] + "\0"))
        rows = self.rows
        for place in order[start : bisect_left(order, high)]:
            yield rows[place[1]]

    def _restore(self, id: str, old: Row | None) -> None:
        self._swap(self.rows.get(id), old)

    def _swap(self, old: Row | None, new: Row | None) -> None:
        if old is not None:
            self._forget(old)
        if new is None:
            self.rows.pop(old["Id"] if old is not None else "", None)
        else:
            self.rows[new["Id"]] = new
            for name, order in self.orders.items():
                insort(order, (new[name], new["Id"]))
            for name in self.index:
                self._enter(name, new)

    def _forget(self, old: Row) -> None:
        for name, order in self.orders.items():
            del order[bisect_left(order, (old[name], old["Id"]))]
        for name, index in self.index.items():
            if (value := old.get(name)) is not None:
                index[self._key(name, value)].pop(old["Id"], None)

    def _enter(self, name: str, row: Row) -> None:
        if (value := row.get(name)) is not None:
            self.index[name].setdefault(self._key(name, value), {})[row["Id"]] = None

    def _key(self, field: str, value: Any) -> Any:
        """Ids differ by case, other text does not."""
        return value.lower() if field in self._caseless and isinstance(value, str) else value
