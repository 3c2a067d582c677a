"""Roundup as a source: the front door to checking, pulling, reading again and writing back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta

from connectors.base import AuthError, ConfigError, ConnectorError, Description, Page, Rejected, Report, Runtime
from connectors.roundup.api import Api
from connectors.roundup.check import problems
from connectors.roundup.connection import Connection
from connectors.roundup.cursor import parse
from connectors.roundup.describe import describe
from connectors.roundup.errors import SYSTEM, Denied
from connectors.roundup.pull import Pull
from connectors.roundup.reader import Reader
from connectors.roundup.write_back import write
from engine.model import CrmKind, Problem, Read, Record, WriteBack


class RoundupSource:
    """One tracker, read by `reads` and written back to."""

    system = SYSTEM

    def __init__(
        self,
        connection: Connection,
        reads: Mapping[CrmKind, Read],
        *,
        runtime: Runtime,
        write_back: Mapping[CrmKind, Mapping[str, str]] | None = None,
    ) -> None:
        self.kinds: tuple[CrmKind, ...] = tuple(reads)
        self._connection, self._reads, self._runtime = connection, reads, runtime
        self._write_back = write_back or {}
        self._api = Api(connection, runtime)

    @property
    def calls(self) -> int:
        """HTTP calls made so far."""
        return self._api.calls

    async def __aenter__(self) -> RoundupSource:
        await self._api.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._api.close()

    async def check(self) -> Report:
        """Signs in and reads one page as the mapping says. Raises ConfigError with every class and field that is missing or hidden."""
        await self._api.classes()
        if found := await problems(self._api, self._reads, self._write_back):
            raise ConfigError(found, system=SYSTEM)
        who = f"{self._connection.login} at {self._connection.url}"
        return Report(who, ("Roundup's REST interface",), self._connection.warnings)

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        """See `Source`. A quiet pull costs a call for the items, one for messages if their texts are read, and one whenever ids are compared."""
        pull = Pull(
            self._reader(kind),
            self._runtime,
            lookback=timedelta(seconds=self._connection.lookback_seconds),
            page_size=self._connection.page_size,
            sweep_every=timedelta(minutes=self._connection.sweep_minutes),
        )
        try:
            async with aclosing(pull.pages(parse(cursor) if cursor is not None else None)) as pages:
                async for page in pages:
                    yield page
        except Rejected as refusal:
            raise await self._explained(kind, refusal) from refusal

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        """Complete records of these ids, retired ones flagged; ids that never were are absent."""
        reader, wanted = self._reader(kind), [int(row) for row in dict.fromkeys(ids) if row.isdecimal()]
        found: list[Record] = []
        try:
            for start in range(0, len(wanted), self._connection.page_size):
                chunk = wanted[start : start + self._connection.page_size]
                there = await reader.records(chunk)
                missing = set(chunk) - {int(record.id) for record in there}
                found += [*there, *await reader.retired(sorted(missing))]
        except Rejected as refusal:
            raise await self._explained(kind, refusal) from refusal
        return found

    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        """See `Source`. What somebody else changes meanwhile stays: see `connectors.roundup.write_back`."""
        return await write(self._api, self._runtime, self._reads, rows)

    async def describe(self) -> Description:
        """The classes read here, with their fields, statuses and users."""
        return await describe(self._api, {read.object: kind for kind, read in self._reads.items()} or {"bug": "feedback"})

    def _reader(self, kind: CrmKind) -> Reader:
        return Reader(self._api, kind, self._reads[kind], self._connection.url)

    async def _explained(self, kind: CrmKind, refusal: Rejected) -> ConnectorError:
        """What is refused while reading is a matter of the mapping, or of rights: said at its place in the file."""
        if found := await problems(self._api, {kind: self._reads[kind]}, {}):
            return ConfigError(found, system=SYSTEM)
        if isinstance(refusal, Denied):
            return AuthError(f"{refusal.message}; give the integration user the right to read it", system=SYSTEM)
        return ConfigError([Problem(refusal.message, hint="check what the mapping reads")], system=SYSTEM)
