"""Complete records of some ids: the items in one call, the first message of each in a second."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

from connectors.base import ConfigError, Gone
from connectors.roundup.api import Api, Row
from connectors.roundup.cursor import moment
from connectors.roundup.errors import SYSTEM, Denied
from engine.model import CrmKind, Problem, Read, Record

MESSAGES = "messages."
HIDDEN = "let the integration user see it (View in the tracker's schema.py), or take the line out"
_DATES = ("activity", "creation")


class Reader:
    """Reads one kind. `url` is the tracker's."""

    def __init__(self, api: Api, kind: CrmKind, read: Read, url: str) -> None:
        self.api, self.read, self.name = api, read, read.object
        self._kind, self._url = kind, url
        self.of_messages = [path.removeprefix(MESSAGES) for path in read.fields if path.startswith(MESSAGES)]
        self._own = [path for path in read.fields if not path.startswith(MESSAGES)]

    async def records(self, ids: Sequence[int]) -> list[Record]:
        """Those of these ids that are not retired."""
        if not ids:
            return []
        more = ["activity", *(["messages"] if self.of_messages else [])]
        rows = await self.api.items(self.name, dict.fromkeys([*self._own, *more]), *_among(ids))
        first = await self._first(rows) if self.of_messages else {}
        return [self._record(row, first.get(str(row["id"]))) for row in rows]

    async def retired(self, ids: Iterable[int], *, destroyed: str = "") -> list[Record]:
        """Those of these ids, absent from a list, that were retired. One that this user may not see any more was not. One that is not there at
        all counts if it is given when that was noticed."""
        found: list[Record] = []
        for row in ids:
            with suppress(Denied):
                if stamp := await self._stamp(row) or destroyed:
                    found.append(self._deleted(str(row), stamp))
        return found

    async def _stamp(self, row: int) -> str:
        try:
            held, _ = await self.api.item(self.name, str(row), ["activity"])
        except Gone:
            return ""
        return str(held.get("activity", ""))

    async def _first(self, rows: Sequence[Row]) -> dict[str, Row]:
        """The first message of each of these items, by the item's id."""
        firsts = {str(row["id"]): min(map(int, row["messages"])) for row in rows if row.get("messages")}
        if not firsts:
            return {}
        found = await self.api.items("msg", self.of_messages, *_among(sorted(set(firsts.values()))), verbose=3)
        by_id = {int(message["id"]): message for message in found}
        return {row: by_id[message] for row, message in firsts.items() if message in by_id}

    def _record(self, row: Row, message: Row | None) -> Record:
        flat = {path: _plain(path, self._seen(row, path, path)) for path in self._own}
        flat |= {f"{MESSAGES}{path}": self._seen(message, path, f"{MESSAGES}{path}") if message else None for path in self.of_messages}
        stamp, fields = str(row["activity"]), _nested(flat)
        return self._made(str(row["id"]), f"{stamp}~{digest(fields)}", stamp, fields)

    def _deleted(self, row: str, stamp: str) -> Record:
        return self._made(row, f"deleted~{stamp}", stamp, {}, deleted=True)

    def _made(self, row: str, version: str, stamp: str, fields: Mapping[str, Any], *, deleted: bool = False) -> Record:
        address = f"{self._url}/{self.name}{row}"
        return Record(SYSTEM, self._kind, row, version, moment(stamp), fields, address, deleted=deleted)

    def _seen(self, row: Row, path: str, name: str) -> Any:
        """Roundup leaves out, without a word, what the user may not see."""
        if path not in row:
            problem = Problem(f"{self.name}.{name} is hidden from this user", hint=HIDDEN, path=self.read.places.get(name, ()))
            raise ConfigError([problem], system=SYSTEM)
        return row[path]


def _among(ids: Iterable[int]) -> list[tuple[str, str]]:
    return [("id", str(row)) for row in ids]


def _plain(path: str, value: Any) -> Any:
    return moment(value).isoformat() if value and path.rpartition(".")[2] in _DATES else value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in flat.items():
        *ways, name = path.split(".")
        node = found
        for way in ways:
            node = node.setdefault(way, {})
        node[name] = value
    return found


def digest(content: Any) -> str:
    return blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()
