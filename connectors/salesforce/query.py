"""Asking by SOQL over REST: scans in keyset order, look-ups by id, nested pages, and queries too long for an address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from connectors.base import Transient
from connectors.http import Answer
from connectors.salesforce.cursor import Key
from connectors.salesforce.errors import SYSTEM, LocatorGone, QueryTimeout, QueryTooLong
from connectors.salesforce.rest import Rest, server_time
from connectors.salesforce.soql import after, among, full_id, is_id, select, stamp, weight
from engine.model import Read

Row = dict[str, Any]
T = TypeVar("T")

IDS_PER_QUERY = 180  # 21 characters each, within the 4,000 of a WHERE
FIELD_ROOM = 7_000  # bytes of an address for the fields, beside the ids, the host and the headers (16,384 in all)
LEAST_ROOM = 400
STAMPS = {"OpportunityHistory": "CreatedDate"}  # append-only: what changes is only ever added
MERGEABLE = frozenset({"Account", "Contact", "Lead"})


@dataclass(frozen=True, slots=True)
class Child:
    """How a child object hangs on its parent: the sub-query's name and the child's reference field."""

    relationship: str
    parent: str


RELATIONS: Mapping[tuple[str, str], Child] = {
    ("Opportunity", "OpportunityLineItem"): Child("OpportunityLineItems", "OpportunityId"),
    ("Opportunity", "OpportunityContactRole"): Child("OpportunityContactRoles", "OpportunityId"),
    ("Opportunity", "OpportunityHistory"): Child("OpportunityHistories", "OpportunityId"),
    ("Account", "Contact"): Child("Contacts", "AccountId"),
    ("Account", "Opportunity"): Child("Opportunities", "AccountId"),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What is selected of one object. Its rows carry Id and `stamp`, and under each relationship a list of child rows."""

    object: str
    stamp: str
    elements: tuple[str, ...]
    relationships: frozenset[str] = field(default_factory=frozenset)

    def key(self, row: Mapping[str, Any]) -> Key:
        return stamp(row[self.stamp]), row["Id"]

    def groups(self, room: int) -> list[tuple[str, ...]]:
        """The elements in groups that fit into an address, each with what is needed to merge their rows."""
        always = ("Id", self.stamp)
        groups, left = [list(always)], room
        for element in self.elements:
            size = weight(element) + 6
            if size > left and groups[-1] != list(always):
                groups, left = [*groups, list(always)], room
            if element not in always:
                groups[-1].append(element)
                left -= size
        return [tuple(group) for group in groups]


@dataclass(frozen=True, slots=True)
class Batch:
    """One page of a scan: complete rows, the key to go on from, the server's time of the scan's first answer, whether it is the last."""

    rows: Sequence[Row]
    key: Key | None
    bound: str
    last: bool


def stamp_of(name: str) -> str:
    return STAMPS.get(name, "SystemModstamp")


def main_shape(read: Read, children: Mapping[str, Child]) -> Shape:
    """Everything a record needs in one query, children as sub-queries."""
    own = ["Id", "SystemModstamp", "IsDeleted", *(["MasterRecordId"] if read.object in MERGEABLE else []), *read.fields]
    nested: dict[str, list[str]] = {}
    for name, child in children.items():
        wanted = nested.setdefault(child.relationship, child_elements(read.children[name]))
        wanted += read.children[name].fields
    subs = [f"({select(_distinct(fields), name, where='IsDeleted = false')})" for name, fields in nested.items()]
    return Shape(read.object, "SystemModstamp", (*_distinct(own), *subs), frozenset(nested))


def child_elements(child: Read) -> list[str]:
    """What every child row carries: its identity, its age (children are put in that order), and its stamp."""
    return ["Id", "CreatedDate", stamp_of(child.object), *child.fields]


def poll_shape(name: str, *extra: str) -> Shape:
    """What is needed to see which rows of an object changed, and whom that concerns."""
    return Shape(name, stamp_of(name), tuple(_distinct(("Id", stamp_of(name), "IsDeleted", *extra))))


def _distinct(elements: Sequence[str]) -> list[str]:
    return list({element.lower(): element for element in reversed(elements)}.values())[::-1]


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[at : at + size] for at in range(0, len(values), size))


class Query:
    """Reads rows, deleted ones included. Only SchemaMismatch and what `Rest` raises gets out, and Transient when the org stays unwilling."""

    def __init__(self, rest: Rest, *, page_size: int) -> None:
        self._rest = rest
        self._size = page_size
        self._room = FIELD_ROOM

    async def count(self, name: str) -> tuple[int, str]:
        """How many rows there are, and the server's time (empty when it does not tell)."""
        answer = await self._ask(select(["COUNT()"], name))
        return int(answer.data["totalSize"]), _time(answer)

    async def scan(self, shape: Shape, *, start: str, key: Key | None) -> AsyncIterator[Batch]:
        """Rows from `start` on (everything, when empty), or behind `key`, in the order of (stamp, Id). At least one batch, the last one marked.

        A lost locator resumes behind the last row; a query that runs too long is asked for in smaller pieces.
        """
        bound, failures, limit = "", 0, 0
        while True:
            rows = 0
            try:
                async for answer, done in self._pages(self._scan_query(shape, start, key, limit)):
                    records = answer.data["records"]
                    await self._complete(shape, records)
                    bound, failures, rows = bound or _time(answer), 0, rows + len(records)
                    key = shape.key(records[-1]) if records else key
                    last = done and (not limit or rows < limit)
                    yield Batch(records, key, bound, last)
                    if last:
                        return
            except (LocatorGone, QueryTimeout, QueryTooLong) as failure:
                failures += 1
                limit = self._relieve(failure, failures, limit)

    def _relieve(self, failure: Exception, failures: int, limit: int) -> int:
        """What to ask for next time; Transient when nothing more can be done."""
        if failures > 4:
            raise Transient(f"the query does not get through: {failure}", system=SYSTEM) from failure
        if isinstance(failure, QueryTooLong):
            self._shrink(failure)
        return (limit or self._size) // 2 if isinstance(failure, QueryTimeout) else limit

    def _shrink(self, failure: Exception) -> None:
        if self._room < LEAST_ROOM:
            raise Transient(f"the query does not fit into an address, however it is split: {failure}", system=SYSTEM) from failure
        self._room //= 2

    def _scan_query(self, shape: Shape, start: str, key: Key | None, limit: int) -> str:
        where = after(shape.stamp, key) if key else f"{shape.stamp} >= {start}" if start else ""
        return select(shape.groups(self._room)[0], shape.object, where=where, order=(shape.stamp, "Id"), limit=limit)

    async def by_id(self, shape: Shape, ids: Sequence[str]) -> list[Row]:
        """Complete rows of these ids, each once; ids that are not there are left out."""
        wanted = list(dict.fromkeys(full_id(row) for row in ids if is_id(row)))
        return [row for chunk in chunks(wanted, IDS_PER_QUERY) for row in await self._by_id(shape, chunk)]

    async def _by_id(self, shape: Shape, ids: Sequence[str], tries: int = 4) -> list[Row]:
        found: list[Row] = []
        try:
            async for answer, _ in self._pages(select(shape.groups(self._room)[0], shape.object, where=among("Id", ids))):
                await self._complete(shape, answer.data["records"])
                found += answer.data["records"]
        except (LocatorGone, QueryTooLong, QueryTimeout) as failure:
            self._relieve(failure, 5 - tries, 0)
            half = max(len(ids) // 2, 1)
            return [row for part in chunks(ids, half) for row in await self._by_id(shape, part, tries - 1)]
        return found

    async def values(self, name: str, column: str, where_field: str, ids: Sequence[str]) -> list[str]:
        """The distinct references in `column` of the living rows whose `where_field` is one of `ids`."""
        found: dict[str, None] = {}
        for chunk in chunks(ids, IDS_PER_QUERY):
            where = f"{among(where_field, chunk)} AND IsDeleted = false"
            async for answer, _ in self._pages(select([column], name, where=where)):
                found |= dict.fromkeys(row[column] for row in answer.data["records"] if row[column])
        return list(found)

    async def rows(self, soql: str) -> list[Row]:
        """All rows of a small query."""
        return [row async for answer, _ in self._pages(soql) for row in answer.data["records"]]

    async def first(self, soql: str) -> Row | None:
        records = (await self._ask(soql)).data["records"]
        return records[0] if records else None

    async def _pages(self, soql: str) -> AsyncIterator[tuple[Answer, bool]]:
        answer = await self._ask(soql)
        while not answer.data["done"]:
            following = answer.data["nextRecordsUrl"]
            yield answer, False
            answer = await self._rest.get(following)
        yield answer, True

    async def _ask(self, soql: str) -> Answer:
        return await self._rest.get("/queryAll", q=soql, headers={"Sforce-Query-Options": f"batchSize={self._size}"})

    async def _complete(self, shape: Shape, rows: Sequence[Row]) -> None:
        """Fill in the children's further pages (before the parents' next page makes them invalid) and the fields asked for separately."""
        await self._nest(shape, rows)
        for group in shape.groups(self._room)[1:]:
            part = Shape(shape.object, shape.stamp, group, shape.relationships)
            for chunk in chunks(rows, IDS_PER_QUERY):
                await self._merge(part, chunk)

    async def _nest(self, shape: Shape, rows: Sequence[Row]) -> None:
        for row in rows:
            for name in shape.relationships & row.keys():
                if not isinstance(row[name], list):
                    row[name] = await self._children(row[name])

    async def _children(self, nested: Mapping[str, Any] | None) -> list[Row]:
        rows: list[Row] = list(nested["records"]) if nested else []
        while nested and not nested["done"]:
            nested = (await self._rest.get(nested["nextRecordsUrl"])).data
            rows += nested["records"] if nested else []
        return rows

    async def _merge(self, part: Shape, rows: Sequence[Row]) -> None:
        where = among("Id", [row["Id"] for row in rows])
        found: dict[str, Row] = {}
        async for answer, _ in self._pages(select(part.elements, part.object, where=where)):
            await self._nest(part, answer.data["records"])
            found |= {row["Id"]: row for row in answer.data["records"]}
        for row in rows:
            more = found.get(row["Id"])
            if more is None or more[part.stamp] != row[part.stamp]:
                raise LocatorGone("a row changed while its fields were read in parts")
            row.update(more)


def _time(answer: Answer) -> str:
    moment = server_time(answer)
    return stamp(moment) if moment else ""
