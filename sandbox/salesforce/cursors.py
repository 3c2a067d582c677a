"""Query cursors: pages behind locators that work once, and die of age or when the parent's page is turned."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.org import Clock
from sandbox.salesforce.query import Render
from sandbox.salesforce.values import Row

CHILD_ROWS = 200


@dataclass(slots=True)
class Cursor:
    id: str
    rows: list[Row]
    render: Render
    size: int
    at: int
    url: str
    expires: datetime
    children: list[str] = field(default_factory=list)


class Cursors:
    def __init__(self, clock: Clock, life: timedelta) -> None:
        self.life = life
        self._clock = clock
        self._open: dict[str, Cursor] = {}
        self._made = 0
        self._turning: Cursor | None = None

    def first(self, rows: list[Row], render: Render, size: int, url: str) -> dict[str, Any]:
        """The first page of an answer; `url` is what a locator is appended to."""
        self._made += 1
        cursor = Cursor(f"01gHk{self._made:010d}AAA", rows, render, size, 0, url, self._clock() + self.life)
        return self._turn(cursor)

    def child(self, rows: list[Row], render: Render, url: str) -> dict[str, Any]:
        """The rows of a sub-query inside a parent's page."""
        parent = self._turning
        page = self.first(rows, render, CHILD_ROWS, url)
        self._turning = parent
        if parent is not None and "nextRecordsUrl" in page:
            parent.children.append(page["nextRecordsUrl"].rpartition("/")[2])
        return page

    def next(self, locator: str) -> dict[str, Any]:
        """The page behind a locator; raises INVALID_QUERY_LOCATOR when it was used, has expired or never was."""
        cursor = self._open.pop(locator, None)
        if cursor is None or self._clock() >= cursor.expires:
            raise ApiError("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._turn(cursor)

    def drop(self) -> None:
        """All cursors die, as when the server has lost them."""
        self._open.clear()

    def _turn(self, cursor: Cursor) -> dict[str, Any]:
        for child in cursor.children:
            self._close(child.partition("-")[0])
        cursor.children.clear()
        self._turning = cursor
        rows = cursor.rows[cursor.at : cursor.at + cursor.size]
        records = [cursor.render(row) for row in rows]
        self._turning = None
        cursor.at += len(rows)
        if cursor.at >= len(cursor.rows):
            return {"totalSize": len(cursor.rows), "done": True, "records": records}
        locator = f"{cursor.id}-{cursor.at}"
        self._open[locator] = cursor
        return {"totalSize": len(cursor.rows), "done": False, "nextRecordsUrl": f"{cursor.url}{locator}", "records": records}

    def _close(self, id: str) -> None:
        for locator in [locator for locator in self._open if locator.startswith(id)]:
            del self._open[locator]
