"""Odoo's CRM as a source: the front door to checking, pulling, reading again and writing back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

from connectors.base import AuthError, ConfigError, ConnectorError, Description, Page, Rejected, Report, Runtime
from connectors.odoo.check import Checker
from connectors.odoo.connection import Connection
from connectors.odoo.cursor import parse
from connectors.odoo.describe import describe
from connectors.odoo.errors import SYSTEM, Denied
from connectors.odoo.pull import Pull, Ways, watches
from connectors.odoo.reader import IDS_PER_CALL, Reader, chunks
from connectors.odoo.records import Kind
from connectors.odoo.rpc import Rpc
from connectors.odoo.schema import Schema
from connectors.odoo.write_back import write
from engine.model import CrmKind, Problem, Read, Record, WriteBack


class OdooSource:
    """One database, read by `reads` and written back to.

    `write_back` names, per kind, the field behind each of our names; `check` verifies that this user may write them.
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
        self._connection, self._reads, self._runtime = connection, reads, runtime
        self._write_back = write_back or {}
        self._rpc = Rpc(connection, runtime)
        self._schema = Schema(self._rpc)
        self._reader = Reader(self._rpc, self._schema)

    @property
    def calls(self) -> int:
        """HTTP calls made so far."""
        return self._rpc.calls

    async def __aenter__(self) -> OdooSource:
        await self._rpc.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._rpc.__aexit__()

    async def check(self) -> Report:
        """Signs in, and holds the mapping against the server's own description. Raises ConfigError with every model and field that is missing,
        hidden or not writable."""
        version = ".".join(str(part) for part in await self._rpc.version())
        user = await self._rpc.search_read("res.users", [["id", "=", await self._rpc.uid()]], ["login"])
        checker = Checker(self._rpc, self._schema, self._reader)
        problems = [*await checker.reading(self._reads), *await checker.writing(self._reads, self._write_back)]
        if problems:
            raise ConfigError(problems, system=SYSTEM)
        who = str(user[0]["login"]) if user else "a user who may not see itself"
        spoken = "JSON-2" if await self._rpc.speaks_json2() else "JSON-RPC"
        return Report(f"{who} at {self._connection.url}", (f"Odoo {version}, over {spoken}",), self._connection.warnings)

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        """See `Source`. A quiet pull costs one call for each model looked at; the last page may be empty, its cursor still counts."""
        async with self._understood([kind]):
            main = await self._kind(kind)
            pull = Pull(main, await watches(main, self._reader), self._ways())
            async with aclosing(pull.pages(parse(cursor) if cursor is not None else None)) as pages:
                async for page in pages:
                    yield page

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        """Complete records of these ids. What is not there any more is absent, as is what this user may not see."""
        async with self._understood([kind]):
            main = await self._kind(kind)
            wanted = [int(row) for row in dict.fromkeys(ids) if row.isdecimal()]
            found: list[Record] = []
            for chunk in chunks(wanted, IDS_PER_CALL):
                rows = await self._reader.rows(main.read, [*main.domain, ["id", "in", list(chunk)]])
                found += [main.record(row) for row in rows]
            return found

    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        """See `Source`."""
        return await write(self._rpc, self._reads, rows)

    async def describe(self) -> Description:
        """The models read here, with their fields, the stages, and who owns deals."""
        return await describe(self._rpc, self._schema, self._reads)

    async def _kind(self, kind: CrmKind) -> Kind:
        return Kind(kind, self._reads[kind], self._connection.url, await self._rpc.speaks_json2())

    def _ways(self) -> Ways:
        connection = self._connection
        return Ways(
            rpc=self._rpc,
            reader=self._reader,
            runtime=self._runtime,
            lookback=timedelta(seconds=connection.lookback_seconds),
            page_size=connection.page_size,
            sweep_every=timedelta(minutes=connection.sweep_minutes),
        )

    @asynccontextmanager
    async def _understood(self, kinds: Iterable[CrmKind]) -> AsyncIterator[None]:
        """What is refused while reading is a matter of the mapping, or of rights: said at its place in the file."""
        try:
            yield
        except Rejected as refusal:
            checker = Checker(self._rpc, Schema(self._rpc), self._reader)
            if problems := await checker.reading({kind: self._reads[kind] for kind in kinds}):
                raise ConfigError(problems, system=SYSTEM) from refusal
            if isinstance(refusal, Denied):
                raise AuthError(f"{refusal.message}; give the integration user the right to read it", system=SYSTEM) from refusal
            raise ConfigError([Problem(refusal.message, hint="check what the mapping reads")], system=SYSTEM) from refusal
