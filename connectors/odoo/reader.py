"""Rows as the mapping names them: dotted paths followed and child lists filled in, a call for each relation and not for each row."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from connectors.odoo.cursor import STAMP
from connectors.odoo.relations import RELATIONS, Relation
from connectors.odoo.rpc import Domain, Row, Rpc
from connectors.odoo.schema import MANY, Field, Missing, Schema
from connectors.odoo.text import plain_text
from engine.model import Read

T = TypeVar("T")
IDS_PER_CALL = 1000
_BESIDE = {"res.users": ("login",)}


class Reader:
    """Reads complete rows. Archived ones are read like any other; what record rules hide from this user is not there."""

    def __init__(self, rpc: Rpc, schema: Schema) -> None:
        self._rpc, self._schema = rpc, schema

    async def rows(self, read: Read, domain: Domain, *, limit: int = 0) -> list[Row]:
        """Rows in the order of their ids, with `id`, `write_date`, the mapping's fields and its children."""
        relations = {name: await self.relation(read.object, child.object) for name, child in read.children.items()}
        paths = distinct([*read.fields, *(relation.of for relation in relations.values())])
        rows = await self._rpc.search_read(read.object, domain, distinct([*heads(paths), "write_date"]), order="id", limit=limit)
        if not rows:
            return []
        full = await self._follow(read.object, rows, paths)
        lists = await asyncio.gather(*(self._children(relations[name], child, full) for name, child in read.children.items()))
        for row, plain, *children in zip(full, rows, *lists, strict=True):
            row |= {"id": plain["id"], "write_date": plain["write_date"], **dict(zip(read.children, children, strict=True))}
        return full

    async def relation(self, parent: str, child: str) -> Relation:
        """How a child model hangs on its parent: as it is known, or as the parent's own list of such rows tells."""
        if known := RELATIONS.get((parent, child)):
            return known
        for field in (await self._schema.fields(parent)).values():
            if field.type == "one2many" and field.relation == child and field.inverse:
                return Relation(field.inverse, watch={child: field.inverse})
        raise Missing(parent, child, ())

    async def _children(self, relation: Relation, read: Read, parents: Sequence[Row]) -> list[list[Row]]:
        """For each parent its child rows, cut down to the mapping's fields."""
        wanted = {value for row in parents if (value := at(row, relation.of)) is not None}
        paths = distinct([*read.fields, relation.path])
        families: dict[Any, list[Row]] = {value: [] for value in wanted}
        for chunk in chunks(sorted(wanted), IDS_PER_CALL):
            domain = [[relation.path, "in", list(chunk)], *relation.domain]
            rows = await self._rpc.search_read(read.object, domain, heads(paths), order="id")
            for row in await self._follow(read.object, rows, paths):
                families[at(row, relation.path)].append(project(row, read.fields))
        return [families.get(at(row, relation.of), []) for row in parents]

    async def _follow(self, model: str, rows: Sequence[Row], paths: Sequence[str]) -> list[Row]:
        """The rows with plain values, and behind each relation that a path goes through the row, or the rows' values, it leads to."""
        if not rows:
            return []
        fields = await self._schema.fields(model)
        beyond = _beyond(paths)
        if unknown := [name for name in heads(paths) if name not in fields]:
            raise Missing(model, unknown[0], sorted(fields))
        found = await asyncio.gather(*(self._related(fields[name], rows, rest) for name, rest in beyond.items()))
        related = dict(zip(beyond, found, strict=True))
        return [
            {name: _value(fields[name], row[name], related.get(name), heads(beyond.get(name, ()))) for name in heads(paths)} for row in rows
        ]

    async def _related(self, field: Field, rows: Sequence[Row], paths: Sequence[str]) -> Mapping[int, Row]:
        if not field.relation:
            raise Missing(field.name, paths[0], ())
        ids = sorted({each for row in rows for each in _ids(row[field.name])})
        found: dict[int, Row] = {}
        for chunk in chunks(ids, IDS_PER_CALL):
            rows = await self._rpc.search_read(
                field.relation, [["id", "in", list(chunk)]], distinct([*heads(paths), *_BESIDE.get(field.relation, ())])
            )
            full = await self._follow(field.relation, [_reachable(row) for row in rows], paths)
            found |= {row["id"]: each for row, each in zip(rows, full, strict=True)}
        return found


def _reachable(row: Row) -> Row:
    """A user without an e-mail signs in by one, more often than not."""
    login = row.get("login") or ""
    return {**row, "email": login} if "email" in row and not row["email"] and "@" in login else row


def _ids(value: Any) -> Sequence[int]:
    return value if isinstance(value, list) else [value] if value else []


def _value(field: Field, value: Any, related: Mapping[int, Row] | None, names: Sequence[str]) -> Any:
    if related is None:
        return plain(field, value)
    if field.type in MANY:
        rows = [related[each] for each in value if each in related]
        return {name: [row[name] for row in rows] for name in names}
    return related.get(value) if value else None


def plain(field: Field, value: Any) -> Any:
    """A value without Odoo's ways: nothing is None and not False, a moment has its zone, a text no HTML."""
    if field.type == "boolean":
        return bool(value)
    if value is False:
        return None
    if field.type == "datetime":
        return datetime.strptime(value, STAMP).replace(tzinfo=UTC).isoformat()
    return plain_text(value) if field.type == "html" else value


def _beyond(paths: Sequence[str]) -> dict[str, list[str]]:
    """The relations that paths go through, each with what is wanted behind it."""
    found: dict[str, list[str]] = {}
    for path in paths:
        name, _, rest = path.partition(".")
        if rest:
            found.setdefault(name, []).append(rest)
    return found


def heads(paths: Iterable[str]) -> list[str]:
    return distinct(path.partition(".")[0] for path in paths)


def distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def at(row: Mapping[str, Any], path: str) -> Any:
    """What a dotted path leads to; None where it breaks off."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def project(row: Mapping[str, Any], paths: Sequence[str]) -> Row:
    """The row cut down to these paths."""
    result: Row = {}
    for path in paths:
        name, _, rest = path.partition(".")
        if rest and isinstance(row[name], Mapping):
            result[name] = {**result.get(name, {}), **project(row[name], [rest])}
        else:
            result.setdefault(name, row[name])
    return result


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))
