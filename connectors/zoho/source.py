"""Zoho CRM as a source: the front door to checking, pulling, reading again and writing back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta

from connectors.base import Budget, ConfigError, ConnectorError, Description, Page, Report, Runtime, Transient
from connectors.zoho.bulk import Bulk
from connectors.zoho.check import describe, mapping_problems
from connectors.zoho.connection import Connection
from connectors.zoho.cursor import parse
from connectors.zoho.errors import SYSTEM, NoSuchField, PageLost, mismatch_problem
from connectors.zoho.pull import Pull, Ways
from connectors.zoho.reading import Reading
from connectors.zoho.records import CLOSED, WON, Kind, Records
from connectors.zoho.rest import Rest
from connectors.zoho.schema import Schema
from connectors.zoho.values import stamp
from connectors.zoho.write_back import Writing
from engine.model import CrmKind, Read, Record, WriteBack


class ZohoSource:
    """One organisation, read by `reads` and written back to.

    `write_back` names, per kind, the CRM field behind each of our names; `check` verifies that this user may write them. A customer is
    usually an Account, a deal a Deal with contact roles, products or a subform, and its stage history as children; any module will do.
    """

    system = SYSTEM

    def __init__(
        self,
        connection: Connection,
        reads: Mapping[CrmKind, Read],
        *,
        runtime: Runtime = Runtime(),  # noqa: B008 – immutable
        write_back: Mapping[CrmKind, Mapping[str, str]] | None = None,
    ) -> None:
        self.kinds: tuple[CrmKind, ...] = tuple(reads)
        self._connection = connection
        self._reads = reads
        self._runtime = runtime
        self._write_back = write_back or {}
        self._rest = Rest(connection, runtime)
        self._schema = Schema(self._rest)
        self._reading = Reading(self._rest, page_size=connection.page_size)
        self._bulk = Bulk(self._rest, self._schema, runtime)
        self._writing = Writing(self._rest, self._schema, runtime, connection.trigger)

    @property
    def calls(self) -> int:
        """HTTP calls made so far, token requests included."""
        return self._rest.calls

    @property
    def budget(self) -> Budget | None:
        """The organisation's credits; Zoho tells of them once half are used."""
        return self._rest.credits.budget

    async def __aenter__(self) -> ZohoSource:
        await self._rest.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._rest.close()

    async def check(self) -> Report:
        """Signs in, and holds the mapping against the organisation's own description. Raises ConfigError with every field that is missing,
        hidden or not writable."""
        identity = await self._schema.me()
        problems = await mapping_problems(self._schema, self._reads, self._write_back)
        if problems:
            raise ConfigError(problems, system=SYSTEM)
        org = await self._schema.org()
        facts = (self._rest.auth.api_url, str(self._rest.credits))
        return Report(f"{identity} at {org.get('company_name') or org.get('id', '')}", tuple(filter(None, facts)), await self._warnings())

    async def _warnings(self) -> tuple[str, ...]:
        if not any({WON, CLOSED} & set(read.fields) for read in self._reads.values()):
            return ()
        if any(stage.status == "won" for stage in await self._schema.stages()):
            return ()
        return (f"no pipeline tells which stage is won, so {WON} is never true; translate stages by `values:` instead",)

    async def describe(self) -> Description:
        """Modules with their fields, stages with what they count as, and active users."""
        return await describe(self._schema, self._reads.values())

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        """See `Source`. A quiet pull costs two calls, the second for deletions; the last page may be empty, its cursor still counts."""
        with self._understood(kind):
            pull = Pull(Kind.of(kind, self._reads[kind]), await self._ways())
            async with aclosing(pull.pages(parse(cursor) if cursor is not None else None)) as pages:
                async for page in pages:
                    yield page

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        """Complete records of these ids, deleted ones flagged; ids that are not there (any more) are absent."""
        with self._understood(kind):
            ways, shape = await self._ways(), Kind.of(kind, self._reads[kind])
            found = await ways.records.of(shape, await self._reading.by_id(shape.shape, ids))
            missing = set(ids) - {record.id for record in found}
            return [*found, *await self._buried(shape, ways.records, missing)]

    async def _buried(self, kind: Kind, records: Records, ids: set[str]) -> list[Record]:
        """Which of these are among the deleted: nothing else proves a deletion."""
        found: list[Record] = []
        if not ids:
            return found
        async for rows in self._reading.deleted(kind.shape.module, ""):
            found += [records.buried(kind, str(row["id"]), stamp(row["deleted_time"])) for row in rows if str(row["id"]) in ids]
            if len(found) == len(ids):
                break
        return found

    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        """See `Source`. What the write sets going in Zoho is the connection's `trigger`."""
        return await self._writing.write(self._reads, rows)

    async def _ways(self) -> Ways:
        connection = self._connection
        await self._rest.auth.headers()  # records' addresses need the data centre
        return Ways(
            reading=self._reading,
            records=Records(self._reading, self._schema, self._rest.auth.api_url),
            bulk=self._bulk,
            clock=self._runtime.clock,
            lookback=timedelta(minutes=connection.lookback_minutes),
            bulk_above=connection.bulk_above,
            page_size=connection.page_size,
        )

    @contextmanager
    def _understood(self, kind: CrmKind) -> Iterator[None]:
        """What only concerns how we ask, said in the words of whoever configures us."""
        try:
            yield
        except NoSuchField as error:
            raise ConfigError([mismatch_problem(error, self._reads[kind])], system=SYSTEM) from error
        except PageLost as error:
            raise Transient(error.message, system=SYSTEM) from error
