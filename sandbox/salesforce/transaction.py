"""A long transaction: its rows carry the time they were made, and are seen when it commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.salesforce.org import Org


class Transaction:
    def __init__(self, org: Org, at: datetime) -> None:
        self.at = at
        self._org = org
        self._steps: list[Callable[[], Any]] = []
        org.open.append(self)

    def insert(self, object_name: str, fields: Mapping[str, Any], at: datetime | None = None) -> str:
        """The id the record will have."""
        id = self._org.next_id(object_name)
        self._steps.append(lambda: self._org.insert(object_name, fields, at or self.at, id))
        return id

    def update(self, object_name: str, id: str, fields: Mapping[str, Any], at: datetime | None = None) -> None:
        self._steps.append(lambda: self._org.update(object_name, id, fields, at or self.at))

    def delete(self, object_name: str, id: str, at: datetime | None = None) -> None:
        self._steps.append(lambda: self._org.delete(object_name, id, at or self.at))

    def commit(self) -> None:
        steps, self._steps = self._steps, []
        for step in steps:
            step()
        self._end()

    def rollback(self) -> None:
        self._steps = []
        self._end()

    def _end(self) -> None:
        if self in self._org.open:
            self._org.open.remove(self)

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()
