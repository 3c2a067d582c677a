"""One request on its way to what it names, and how long lists are cut into pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.web import Reply, Request
from sandbox.zoho.errors import Refused, invalid, missing_param, no_module, no_record
from sandbox.zoho.schema import Module
from sandbox.zoho.values import ID, Row, moment, text_of
from sandbox.zoho.world import World

if TYPE_CHECKING:
    from sandbox.zoho.app import Zoho

PAGE, BY_NUMBER, IN_ALL = 200, 2000, 100_000
TOKEN_LIFE = timedelta(hours=24)
ORDERS = ("id", "Created_Time", "Modified_Time")


@dataclass(frozen=True, slots=True)
class Call:
    """`parts` are the named pieces of the path, `version` the number in it (2, 2.1, 3 … 8)."""

    site: Zoho
    request: Request
    version: float
    parts: Mapping[str, str]

    @property
    def world(self) -> World:
        return self.site.world

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    def module(self, name: str = "") -> Module:
        """The module in the path; raises INVALID_MODULE."""
        found = self.world.modules.get(name or self.parts["module"])
        if found is None:
            raise no_module()
        return found

    def record(self, module: Module) -> Row:
        """The record in the path; raises INVALID_DATA."""
        row = self.world.rows[module.name].get(self.parts["id"])
        if row is None:
            raise no_record()
        return row

    def body(self) -> dict[str, Any]:
        """The JSON object sent; raises INVALID_DATA."""
        try:
            data = self.request.json()
        except ValueError as wrong:
            raise Refused("INVALID_DATA", "body", expected_data_type="jsonobject") from wrong
        if not isinstance(data, dict):
            raise Refused("INVALID_DATA", "body", expected_data_type="jsonobject")
        return data

    def number(self, name: str, default: int, most: int | None = None) -> int:
        text = self.query.get(name, str(default))
        if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
            raise invalid(param_name=name)
        if most is not None and int(text) > most:
            raise Refused("LIMIT_EXCEEDED", "The limit of the parameter was exceeded", param_name=name, limit=most)
        return int(text)

    def ids(self, name: str = "ids", most: int = 100) -> list[str] | None:
        text = self.query.get(name)
        if text is None:
            return None
        found = list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
        if not found or not all(ID.fullmatch(each) for each in found):
            raise invalid(param_name=name)
        if len(found) > most:
            raise Refused("LIMIT_EXCEEDED", "The limit of the parameter was exceeded", param_name=name, limit=most)
        return found

    def fields(self) -> list[str] | None:
        """What is asked for; raises where it has to be said and is not. Version 2 gives all fields when none are named."""
        text = self.query.get("fields")
        if not text:
            if self.version >= 3:
                raise missing_param("fields")
            return None
        names = [each.strip() for each in text.split(",")]
        if len(names) > 50:
            raise Refused("LIMIT_EXCEEDED", "cannot get more than 50 fields", param_name="fields", limit=50)
        return names

    def since(self) -> datetime | None:
        """The moment of If-Modified-Since."""
        return self._moment("if-modified-since")

    def unmodified_since(self) -> datetime | None:
        return self._moment("if-unmodified-since")

    def _moment(self, header: str) -> datetime | None:
        text = self.request.headers.get(header)
        if text is None:
            return None
        found = moment(text)
        if found is None:
            raise invalid(header=header, expected_data_type="datetime")
        return found

    def told(self, at: datetime) -> str:
        return text_of(at, self.world.zone)


Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Mark:
    """What a page token stands for: where the page begins, and the request it belongs to."""

    start: int
    after: tuple[Any, str] | None
    asked: str
    ends: datetime


class Pages:
    """The page tokens that were given. `stable` ones go on behind the last row seen; the others count rows, so that rows which move
    while somebody reads are met twice or not at all. Which of the two the service does is not documented."""

    def __init__(self) -> None:
        self.stable = False
        self.marks: dict[str, Mark] = {}
        self.given = 0

    def expire(self) -> None:
        """Every token given so far is too old."""
        past = datetime.min.replace(tzinfo=UTC)
        self.marks = {text: replace(mark, ends=past) for text, mark in self.marks.items()}

    def cut(self, call: Call, rows: Sequence[Row], key: Callable[[Row], tuple[Any, str]]) -> tuple[list[Row], Row]:
        """One page of rows (in their order, by `key`) and its `info`."""
        size = call.number("per_page", PAGE, PAGE)
        mark = self._mark(call)
        page = 1 if mark else call.number("page", 1)
        if mark is None and call.version >= 3 and page * size > BY_NUMBER:
            raise Refused("DISCRETE_PAGINATION_LIMIT_EXCEEDED", "Page limit exceeded. Use page_token", limit=BY_NUMBER)
        start = self._start(mark, rows, key) if mark else (page - 1) * size
        if start >= IN_ALL:
            raise Refused("PAGINATION_LIMIT_EXCEEDED", "Pagination limit exceeded", limit=IN_ALL)
        found = list(rows[start : start + size])
        more = start + size < len(rows)
        page = start // size + 1 if mark else page
        info: Row = {"per_page": size, "count": len(found), "page": page, "more_records": more}
        if call.version < 3:
            return found, info
        ends = call.world.clock() + TOKEN_LIFE
        following = self._give(call, start + size, key(found[-1]), ends) if more and found else None
        info |= {"next_page_token": following, "previous_page_token": call.query.get("page_token")}
        return found, info | {"page_token_expiry": call.told(ends) if following else None}

    def _mark(self, call: Call) -> Mark | None:
        text = call.query.get("page_token")
        if text is None:
            return None
        if "page" in call.query:
            clash = [{"param_name": "page"}, {"param_name": "page_token"}]
            raise Refused("AMBIGUITY_DURING_PROCESSING", "Ambiguity while processing the request", ambiguity_due_to=clash)
        mark = self.marks.get(text)
        if mark is None:
            raise invalid(param_name="page_token")
        if mark.ends <= call.world.clock():
            raise Refused("EXPIRED_VALUE", "The page token has expired", param_name="page_token")
        if mark.asked != _asked(call):
            raise Refused("TOKEN_BOUND_DATA_MISMATCH", "The parameters differ from those of the page token", param_name="page_token")
        return mark

    def _start(self, mark: Mark, rows: Sequence[Row], key: Callable[[Row], tuple[Any, str]]) -> int:
        if not self.stable or mark.after is None:
            return mark.start
        last, rising = mark.after, not rows or key(rows[0]) <= key(rows[-1])
        return next((place for place, row in enumerate(rows) if (key(row) > last if rising else key(row) < last)), len(rows))

    def _give(self, call: Call, start: int, last: tuple[Any, str], ends: datetime) -> str:
        self.given += 1
        text = hashlib.sha256(f"{self.given}".encode()).hexdigest()
        self.marks[text] = Mark(start, last, _asked(call), ends)
        return text


def _asked(call: Call) -> str:
    """What must stay the same from page to page."""
    query = {name: value for name, value in call.query.items() if name not in ("page", "page_token")}
    return json.dumps([call.request.path, sorted(query.items()), call.request.headers.get("if-modified-since")])
