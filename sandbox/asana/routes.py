"""From a request to the function that answers it, and the ways a function answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlencode

from sandbox.asana.selection import Tree, parse
from sandbox.asana.shapes import COMPACT, FULL, show
from sandbox.asana.state import SITE, Record, Refused, State, Token

UNPAGED_MOST = 1000
PLURALS = {"story": "stories", "status_update": "status_updates"}
GIDS = frozenset({"workspace", "team", "parent", "project", "section", "task", "tag", "member", "custom_field", "owner", "assignee"})
GIDS |= {"insert_before", "insert_after", "before_section", "after_section"}
OFFSET_LIFE = timedelta(minutes=30)


@dataclass(slots=True)
class Done:
    """An answer before it becomes bytes. `then`, where there is one, asks elsewhere first and gives the answer."""

    status: int
    body: Record
    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[], Awaitable[Done]] | None = None


@dataclass(slots=True)
class Call:
    """One thing asked by one user: of a request, or of an action in a batch. `data` is the body's `data`, `ids` what the path names."""

    state: State
    token: Token
    method: str
    path: str
    ids: Sequence[str]
    query: dict[str, str]
    data: Record
    fields: str = ""
    in_batch: bool = False

    @property
    def by(self) -> str:
        return self.token.user

    def need(self, name: str) -> Any:
        """A field of the body that must be there."""
        if self.data.get(name) is None:
            raise Refused(400, f"{name}: Missing input")
        return self.data[name]

    def created(self, kind: str, record: Record) -> Done:
        plural = PLURALS.get(kind, f"{kind}s")
        return Done(201, {"data": self._full(kind, record)}, {"Location": f"{SITE}/api/1.0/{plural}/{record['gid']}"})

    def found(self, kind: str, record: Record) -> Done:
        return Done(200, {"data": self._full(kind, record)})

    def listed(self, kind: str, rows: Iterable[Record], *, most: int | None = UNPAGED_MOST) -> Done:
        """Compact records, a page of them when `limit` was sent."""
        tree = self._tree(kind, COMPACT)
        if "limit" not in self.query:
            whole = list(rows)
            if most is not None and len(whole) > most:
                raise Refused(400, "The result is too large. You should use pagination (may require specifying a workspace)!")
            return Done(200, {"data": [show(self.state, kind, row, tree) for row in whole]})
        page, following = self._page(list(rows))
        return Done(200, {"data": [show(self.state, kind, row, tree) for row in page], "next_page": following})

    def _full(self, kind: str, record: Record) -> Record:
        return show(self.state, kind, record, self._tree(kind, FULL))

    def _tree(self, kind: str, unasked: dict[str, Tree]) -> Tree:
        tree = parse(self.fields) if self.fields else unasked[kind]
        if "external" in tree and self.token.kind == "pat" and self.state.settings.external == "oauth":
            return {name: below for name, below in tree.items() if name != "external"}
        return tree

    def _page(self, rows: list[Record]) -> tuple[list[Record], Record | None]:
        limit = page_size(self.query["limit"])
        start = self._start(rows)
        page = rows[start : start + limit]
        if start + limit >= len(rows):
            return page, None
        offset = self._offset(start + limit, page[-1]["gid"])
        path = f"{self.path}?{urlencode({**self.query, 'offset': offset})}"
        return page, {"offset": offset, "path": path, "uri": f"{SITE}/api/1.0{path}"}

    def _offset(self, index: int, last: str) -> str:
        marks = [self.path, index, last, self.state.clock().timestamp(), self.state.offset_era]
        return base64.urlsafe_b64encode(json.dumps(marks).encode()).decode().rstrip("=")

    def _start(self, rows: list[Record]) -> int:
        """Where the page begins: behind the last row of the page before, wherever that is now."""
        offset = self.query.get("offset")
        if offset is None:
            return 0
        try:
            path, index, last, at, era = json.loads(base64.urlsafe_b64decode(offset + "=" * (-len(offset) % 4)))
        except ValueError as error:
            raise Refused(400, "offset: Your pagination token is invalid.") from error
        if path != self.path or self.state.clock().timestamp() - at > OFFSET_LIFE.total_seconds() or era != self.state.offset_era:
            raise Refused(400, "offset: Your pagination token has expired.")
        if index <= len(rows) and rows[index - 1]["gid"] == last:
            return int(index)
        return next((place + 1 for place, row in enumerate(rows) if row["gid"] == last), int(index))


def page_size(limit: str) -> int:
    if not str(limit).isdigit() or not 1 <= int(limit) <= 100:
        raise Refused(400, f"limit: Value must be between 1 and 100, got {limit}")
    return int(limit)


def empty() -> Done:
    return Done(200, {"data": {}})


def checked(data: Record) -> Record:
    """A body whose references are gids (or null, or an e-mail)."""
    for name in GIDS & data.keys():
        if not isinstance(data[name], str | None):
            raise Refused(400, f"{name}: Not a recognized ID: {str(data[name])[:80]}")
    return data


Answer = Callable[[Call], Done]
ROUTES: dict[tuple[str, ...], Answer] = {}


def route(method: str, path: str) -> Callable[[Answer], Answer]:
    """Let a function answer `method path`; `{}` stands for what the path names."""

    def keep(answer: Answer) -> Answer:
        ROUTES[method, *path.strip("/").split("/")] = answer
        return answer

    return keep


def resolve(method: str, raw_path: str) -> tuple[Answer, str, list[str]]:
    """The function, the path's pattern, and what the path names; Refused (404) when nothing answers there."""
    parts = [unquote(part) for part in raw_path.partition("?")[0].strip("/").split("/")]
    if parts[:2] == ["api", "1.0"]:
        parts = parts[2:]
    for pattern in _patterns(parts):
        answer = ROUTES.get((method, *pattern))
        if answer is not None:
            return answer, "/".join(pattern), [part for part, name in zip(parts, pattern, strict=True) if name == "{}"]
    raise Refused(404, "No matching route for request")


def _patterns(parts: list[str]) -> Iterable[list[str]]:
    """What may be registered for such a path: names at even places, gids at odd ones, but for `sections/insert` and the like."""
    match parts:
        case [first]:
            yield [first]
        case [first, _]:
            yield [first, "{}"]
        case [first, _, verb]:
            yield [first, "{}", verb]
        case [first, _, verb, last]:
            yield [first, "{}", verb, last]
            yield [first, "{}", verb, "{}"]
        case [first, _, verb, last, _]:
            yield [first, "{}", verb, last, "{}"]
