"""Pulling one kind: a first read of everything, then what changed, children included. Every page can be resumed from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta

from connectors.base import Page, Rejected
from connectors.salesforce.bulk import Bulk, Job
from connectors.salesforce.cursor import RESTART, Cursor, Key, Position
from connectors.salesforce.query import IDS_PER_QUERY, Batch, Child, Query, Row, Shape, child_elements, chunks, poll_shape
from connectors.salesforce.records import Kind, child_token, token
from connectors.salesforce.soql import full_id
from engine.model import Record

MAIN = "main"
ROLE, CONTACT = "OpportunityContactRole", "Contact"


@dataclass(frozen=True, slots=True)
class Watch:
    """An object whose changes concern the main one. `parent` refers to it; an empty `parent` means through contact roles.

    `fields` are what the mapping reads of it: a change of anything else within the same second may go unnoticed.
    """

    shape: Shape
    parent: str
    relationship: str
    fields: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.shape.object

    def token(self, row: Row) -> Key:
        return child_token(row, self.shape.stamp, self.fields)


def watches(kind: Kind) -> list[Watch]:
    """What to poll beside the kind's own object: each child object once, and contacts when their fields are read through their roles."""
    fields: dict[tuple[str, Child], dict[str, None]] = {}
    for name, child in kind.children.items():
        read = kind.read.children[name]
        fields.setdefault((read.object, child), {}).update(dict.fromkeys(read.fields))
    found = [
        Watch(poll_shape(name, child.parent, *wanted), child.parent, child.relationship, tuple(wanted))
        for (name, child), wanted in fields.items()
    ]
    roles = [path for (name, _), wanted in fields.items() if name == ROLE for path in wanted]
    contact = tuple(path.removeprefix(f"{CONTACT}.") for path in roles if path.startswith(f"{CONTACT}."))
    if contact and CONTACT not in [watch.name for watch in found]:
        found.append(Watch(poll_shape(CONTACT, *contact), "", "", contact))
    return found


@dataclass(frozen=True, slots=True)
class Ways:
    """What a pull goes by: the two ways to read, and the limits set in the connection. `instance_url` gives records their address."""

    query: Query
    bulk: Bulk
    instance_url: str
    lookback: timedelta
    bulk_above: int
    page_size: int


class Pull:
    """One pull of one kind. `cursor` is where it stands; it moves on just before each page is yielded, never past what was."""

    def __init__(self, kind: Kind, ways: Ways) -> None:
        self.kind = kind
        self.watches = watches(kind)
        self._ways = ways
        self._cursor = Cursor({})
        self._pending: dict[str, None] = {}

    def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
        if cursor is None or MAIN not in cursor.objects:
            return self._baseline()
        self._cursor, self._pending = cursor, dict.fromkeys(cursor.pending)
        if not cursor.at(MAIN).at:
            return self._main()
        self._cursor = replace(cursor, total=None)
        return self._changes()

    async def _baseline(self) -> AsyncGenerator[Page, None]:
        """Everything there is, deleted rows flagged. Changes will be looked for from the server's time before the first read."""
        total, bound = await self._ways.query.count(self.kind.read.object)
        children = {watch.name: Position(at=bound) for watch in self.watches}
        self._cursor = Cursor({**children, MAIN: Position(bound=bound)}, total=total)
        if bound and total > self._ways.bulk_above:
            try:
                async with aclosing(self._in_bulk()) as pages:
                    async for page in pages:
                        yield page
            except Rejected:
                self._cursor = Cursor({**children, MAIN: Position(bound=bound)}, total=total)  # REST reads the same rows, only slower
            else:
                return
        async for page in self._main():
            yield page

    async def _changes(self) -> AsyncGenerator[Page, None]:
        """Children first, for they tell which unchanged records to read again; then the object itself; then those."""
        scans = [(watch, self._scan(watch.shape, watch.name)) for watch in self.watches]
        while scans:
            unread = []
            for watch, scan in scans:
                batch = await anext(scan)
                await self._note(watch, batch)
                unread += [] if batch.last else [(watch, scan)]
            scans = unread
            if scans or len(self._pending) > self._ways.page_size:
                async for page in self._again():
                    yield page
        async for page in self._main():
            yield page

    async def _main(self) -> AsyncGenerator[Page, None]:
        """The object's own rows behind the cursor, then the pending ones. The last page's cursor has everything settled."""
        async for batch in self._scan(self.kind.shape, MAIN):
            records = self._records(batch.rows)
            yield self._page(self._news(records, batch))
        async for page in self._again():
            yield page

    def _scan(self, shape: Shape, name: str) -> AsyncIterator[Batch]:
        position = self._cursor.at(name)
        return self._ways.query.scan(shape, start=position.start(self._ways.lookback), key=position.key)

    async def _note(self, watch: Watch, batch: Batch) -> None:
        """Remember whose records a page of changed children concerns."""
        position = self._cursor.at(watch.name)
        tokens = [watch.token(row) for row in batch.rows]
        fresh = [row for row, known in zip(batch.rows, tokens, strict=True) if not position.knows(*known)]
        self._pending |= dict.fromkeys(await self._concerned(watch, fresh))
        self._settle(watch.name, batch, tokens)

    async def _concerned(self, watch: Watch, rows: Sequence[Row]) -> Sequence[str]:
        if watch.parent:
            return [full_id(row[watch.parent]) for row in rows if row[watch.parent]]
        return await self._ways.query.values(ROLE, "OpportunityId", "ContactId", [row["Id"] for row in rows])

    async def _again(self) -> AsyncIterator[Page]:
        """The pending records, complete. They leave the cursor with the page that carries them."""
        for ids in list(chunks(list(self._pending), IDS_PER_QUERY)):
            rows = await self._ways.query.by_id(self.kind.shape, ids)
            for row in ids:
                self._pending.pop(row, None)  # whether or not it is still there
            yield self._page(self._news(self._records(rows)))

    async def _in_bulk(self) -> AsyncGenerator[Page, None]:
        """Everything through bulk jobs, children joined here. There is no order, so until the end a cursor can only say: begin anew."""
        jobs: dict[str, Job] = {}
        try:
            for name, columns, source in self._columns():
                jobs[name] = await self._ways.bulk.start(source, columns, deleted=name == MAIN)
            families = {name: await self._family(name, jobs[name]) for name in self.kind.shape.relationships}
            async for rows in self._ways.bulk.rows(jobs[MAIN]):
                for chunk in chunks(rows, self._ways.page_size):
                    for row in chunk:
                        row |= {name: family.pop(row["Id"], []) for name, family in families.items()}
                    yield Page(tuple(self._news(self._records(chunk))), RESTART, self._cursor.total)
        finally:
            for job in jobs.values():
                await self._ways.bulk.drop(job)
        self._cursor = self._cursor.moved(MAIN, self._cursor.at(MAIN).ended(self._ways.lookback))
        yield self._page(())

    def _columns(self) -> Iterator[tuple[str, list[str], str]]:
        """(relationship or MAIN, columns, object) of each bulk job."""
        for name in self.kind.shape.relationships:
            below = [(self.kind.read.children[each], child) for each, child in self.kind.children.items() if child.relationship == name]
            yield name, [path for read, child in below for path in (*child_elements(read), child.parent)], below[0][0].object
        yield MAIN, [element for element in self.kind.shape.elements if not element.startswith("(")], self.kind.read.object

    async def _family(self, name: str, job: Job) -> dict[str, list[Row]]:
        """A child job's rows by parent."""
        parent = next(child.parent for child in self.kind.children.values() if child.relationship == name)
        family: dict[str, list[Row]] = {}
        async for rows in self._ways.bulk.rows(job):
            for row in rows:
                family.setdefault(row[parent], []).append(row)
        return family

    def _records(self, rows: Sequence[Row]) -> list[Record]:
        """Records of complete rows. They are no longer pending, and the children in them need not be noticed as changed."""
        for watch in self.watches:
            position = self._cursor.at(watch.name)
            tokens = [watch.token(child) for row in rows for child in row.get(watch.relationship) or ()]
            self._cursor = self._cursor.moved(watch.name, position.past(position.key, tokens, self._ways.lookback))
        records = [self.kind.record(row, self._ways.instance_url) for row in rows]
        for record in records:
            self._pending.pop(record.id, None)
        return records

    def _news(self, records: Sequence[Record], batch: Batch | None = None) -> list[Record]:
        """Records that were not yielded before in this version; all are remembered from here on."""
        position = self._cursor.at(MAIN)
        tokens = [token(record) for record in records]
        fresh = [record for record, known in zip(records, tokens, strict=True) if not position.knows(*known)]
        if batch is None:
            self._cursor = self._cursor.moved(MAIN, position.past(position.key, tokens, self._ways.lookback))
        else:
            self._settle(MAIN, batch, tokens)
        return fresh

    def _settle(self, name: str, batch: Batch, tokens: Sequence[Key]) -> None:
        lookback = self._ways.lookback
        position = self._cursor.at(name).begun(batch.bound).past(batch.key, tokens, lookback)
        self._cursor = self._cursor.moved(name, position.ended(lookback) if batch.last else position)

    def _page(self, records: Sequence[Record]) -> Page:
        total = self._cursor.total
        self._cursor = replace(self._cursor, pending=tuple(self._pending))
        return Page(tuple(records), self._cursor.text(), total)
