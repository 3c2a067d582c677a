"""Rows as the server gives them, made into records: cut down to what the mapping asks for, with a version that changes with any of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from connectors.tryton.connection import Connection
from connectors.tryton.cursor import Token, stamp
from connectors.tryton.errors import SYSTEM
from connectors.tryton.relations import BY_TYPE, LOG, MECHANISM, PATHS, STATE_OF_BUTTON, Watch
from connectors.tryton.rpc import Row
from connectors.tryton.values import plain
from engine.model import CrmKind, Read, Record


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind as it is read."""

    name: CrmKind
    read: Read
    connection: Connection

    def record(self, row: Row, history: Sequence[Row]) -> Record:
        fields = project(row, self.read.fields)
        nested = {name: self._nested(row, child, history) for name, child in self.read.children.items()}
        merged = row.get("replaced_by")
        content = digest([fields, nested, merged])
        return Record(
            system=SYSTEM,
            kind=self.name,
            id=str(row["id"]),
            version=f"{stamp(row['last_modified_at'])}~{content}",
            modified_at=row["last_modified_at"],
            fields={**fields, **nested},
            url=self.connection.address(self.read.object, row["id"]),
            deleted=bool(merged),
            merged_into=str(merged or ""),
        )

    def gone(self, id: int, at: datetime) -> Record:
        """A record of what was deleted at that time."""
        return Record(SYSTEM, self.name, str(id), f"{stamp(at)}~deleted", at, {}, deleted=True)

    def _nested(self, row: Row, child: Read, history: Sequence[Row]) -> list[dict[str, Any]]:
        rows = stages(history) if child.object == LOG else listed(row, PATHS[self.read.object, child.object])
        rows = [_by_type(each) for each in rows] if child.object == MECHANISM else rows
        return [project(each, child.fields) for each in rows]


def _by_type(row: Row) -> Row:
    """A contact mechanism's value under the name of its type."""
    return {**row, **{name: row.get("value") if row.get("type") in types else None for name, types in BY_TYPE.items()}}


def stages(history: Sequence[Row]) -> list[Row]:
    """The states a record came to, oldest first, from what the log says of its transitions and buttons."""
    found: dict[tuple[str, Any], Row] = {}
    for row in sorted(history, key=lambda each: (each["create_date"], each["id"])):
        field, _, state = str(row["target"] or "").partition(":")
        state = (
            state
            if row["event"] == "transition" and field == "state"
            else STATE_OF_BUTTON.get(field, "")
            if row["event"] == "button"
            else ""
        )
        if state:
            found.setdefault((state, row["create_date"]), {"id": row["id"], "state": state, "at": row["create_date"]})
    return list(found.values())


def listed(row: Row, path: str) -> list[Row]:
    """The rows at the end of a path that leads to a list."""
    value: Any = row
    for name in path.split("."):
        value = (value or {}).get(name)
    return list(value or ())


def token(record: Record) -> Token:
    """What a cursor remembers of a record that was yielded: its stamp, and its id with the mark of its content."""
    moment, _, mark = record.version.partition("~")
    return moment, f"{record.id}~{mark}"


def row_token(watch: Watch, row: Row) -> Token:
    """The same for a row that is only watched, by what the mapping reads of it."""
    return stamp(row["last_modified_at"]), f"{row['id']}~{digest([project(row, watch.fields), row.get('active', True)])}"


def project(row: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """The row cut down to dotted paths. What is not there is None; of a list on the way the first row counts."""
    result: dict[str, Any] = {}
    for path in paths:
        _copy(row, result, path.split("."))
    return result


def _copy(source: Mapping[str, Any], result: dict[str, Any], path: Sequence[str]) -> None:
    name, *rest = path
    value = source.get(name)
    value = (value[0] if value else None) if rest and isinstance(value, list) else value
    if rest and isinstance(value, Mapping):
        _copy(value, result.setdefault(name, {}), rest)
    elif rest:
        result[name] = None
    elif not isinstance(result.get(name), dict):
        result[name] = plain(value["id"] if isinstance(value, Mapping) else value)


def digest(content: Sequence[Any]) -> str:
    return blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()
