"""Tryton as a source: the front door to checking, pulling, reading again and writing back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta

from connectors.base import ConfigError, ConnectorError, Description, Page, Rejected, Report, Runtime
from connectors.tryton.check import company_problems, identity
from connectors.tryton.connection import Connection
from connectors.tryton.cursor import parse
from connectors.tryton.describe import describe_crm
from connectors.tryton.errors import SYSTEM, Denied, WrongRequest
from connectors.tryton.pull import Pull
from connectors.tryton.reader import Reader, chunks
from connectors.tryton.records import Kind
from connectors.tryton.relations import LOG
from connectors.tryton.rpc import Rpc
from connectors.tryton.schema import Schema
from connectors.tryton.write_back import write
from engine.model import CrmKind, Problem, Read, Record, WriteBack


class TrytonSource:
    """One database, read by `reads` and written back to: a customer is a party, a deal an opportunity."""

    system: str = SYSTEM

    def __init__(
        self,
        connection: Connection,
        reads: Mapping[CrmKind, Read],
        *,
        runtime: Runtime | None = None,
        write_back: Mapping[CrmKind, Mapping[str, str]] | None = None,
    ) -> None:
        self.kinds: tuple[CrmKind, ...] = tuple(reads)
        self._connection = connection
        self._reads = reads
        self._runtime = runtime or Runtime()
        self._write_back = write_back or {}
        self._rpc = Rpc(connection, self._runtime)
        self._schema = Schema(self._rpc)

    @property
    def calls(self) -> int:
        """HTTP calls made so far, logins included."""
        return self._rpc.calls

    async def __aenter__(self) -> TrytonSource:
        await self._rpc.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._rpc.close()

    async def check(self) -> Report:
        """Logs in, and holds the mapping against the server's own description. Raises ConfigError with everything that is wrong."""
        problems = [*await company_problems(self._rpc), *await self._schema.problems(self._reads, self._write_back), *await self._log()]
        if problems:
            raise ConfigError(problems, system=SYSTEM)
        return Report(await identity(self._rpc), (f"database {self._connection.database}", self._connection.url))

    async def describe(self) -> Description:
        kinds: dict[CrmKind, str] = {kind: read.object for kind, read in self._reads.items()}
        return await describe_crm(self._rpc, kinds or {"customer": "party.party", "deal": "sale.opportunity"})

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        """See `Source`. A quiet pull costs one call per model polled, one for deletions and one for the stages of the youngest records."""
        pull = Pull(self._reader(kind), timedelta(minutes=self._connection.lookback_minutes))
        try:
            async with aclosing(pull.pages(parse(cursor) if cursor is not None else None)) as pages:
                async for page in pages:
                    yield page
        except (Denied, WrongRequest) as refusal:
            raise await self._explained(refusal) from refusal

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        """Complete records of these ids, deleted ones flagged; ids that never were are absent."""
        reader, wanted = self._reader(kind), [int(id) for id in ids if id.isdecimal()]
        found: list[Record] = []
        try:
            for chunk in chunks(wanted, self._connection.page_size):
                there = await reader.by_id(chunk)
                missing = set(chunk) - {int(record.id) for record in there}
                found += [*there, *await reader.deleted(sorted(missing))]
        except (Denied, WrongRequest) as refusal:
            raise await self._explained(refusal) from refusal
        return found

    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        """See `Source`, and `connectors.tryton.write_back` for what can be written to."""
        return await write(self._rpc, self._schema, self._runtime, self._reads, rows)

    def _reader(self, kind: CrmKind) -> Reader:
        return Reader(self._rpc, Kind(kind, self._reads[kind], self._connection))

    async def _log(self) -> list[Problem]:
        """Deletions and stages come from the server's log."""
        try:
            await self._rpc.rows(LOG, [], (), limit=1)
        except Rejected:
            hint = "let the user read it: it tells of deletions, and of the stages of deals"
            return [Problem(f"this user may not read {LOG}", hint=hint, path=("connection", "login"))]
        return []

    async def _explained(self, refusal: Rejected) -> ConnectorError:
        """A refusal of what is read, told at the place in the mapping that asks for it."""
        problems = await Schema(self._rpc).problems(self._reads, {})
        return ConfigError(problems or [Problem(refusal.message, hint="run handoff check")], system=SYSTEM)
