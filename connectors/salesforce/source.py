"""Salesforce as a source: the front door to checking, pulling, reading again and writing back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta

from connectors.base import Budget, ConfigError, ConnectorError, Description, Page, Rejected, Report, Runtime, Transient
from connectors.salesforce.about import about
from connectors.salesforce.bulk import Bulk
from connectors.salesforce.connection import Connection
from connectors.salesforce.cursor import parse
from connectors.salesforce.describe import Schema, mapping_problems
from connectors.salesforce.errors import SYSTEM, LocatorGone, QueryTimeout, QueryTooLong, SchemaMismatch, mismatch_problem
from connectors.salesforce.pull import Pull, Ways
from connectors.salesforce.query import Query
from connectors.salesforce.records import Kind
from connectors.salesforce.rest import Rest
from connectors.salesforce.soql import literal, select
from connectors.salesforce.write_back import write
from engine.model import CrmKind, Problem, Read, Record, WriteBack


class SalesforceSource:
    """One org, read by `reads` and written back to.

    `write_back` names, per kind, the CRM field behind each of our names; `check` verifies that this user may write them. A customer is
    usually an Account, a deal an Opportunity with its line items, contact roles and history as children; any object will do.
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
        self._query = Query(self._rest, page_size=connection.page_size)
        self._bulk = Bulk(self._rest, self._schema, runtime)

    @property
    def calls(self) -> int:
        """HTTP calls made so far, logins included."""
        return self._rest.calls

    @property
    def budget(self) -> Budget | None:
        """The org's daily calls, by whomever."""
        return self._rest.quota.budget

    async def __aenter__(self) -> SalesforceSource:
        await self._rest.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._rest.close()

    async def check(self) -> Report:
        """Signs in, and holds the mapping against the org's own description. Raises ConfigError with every field that is missing, hidden or
        not writable."""
        await self._check_version()
        problems = await mapping_problems(self._schema, self._reads, self._write_back)
        if problems:
            raise ConfigError(problems, system=SYSTEM)
        for read in self._reads.values():
            await self._schema.relations(read)
        return Report(
            identity=await self._identity(), facts=tuple(fact for fact in (self._rest.auth.instance_url, str(self._rest.quota)) if fact)
        )

    async def describe(self) -> Description:
        """What the org says of itself: the objects mapped or usually mapped, stages with their meaning, active users."""
        return await about(self._schema, self._query, self._reads)

    async def _check_version(self) -> None:
        wanted = self._connection.api_version
        versions = [str(each["version"]) for each in (await self._rest.get("/services/data/")).data]
        if wanted not in versions:
            problem = Problem(
                f"this org does not speak API version {wanted}", hint=f"its newest is {versions[-1]}", path=("connection", "api_version")
            )
            raise ConfigError([problem], system=SYSTEM)

    async def _identity(self) -> str:
        auth = self._rest.auth
        return f"{await self._name('User', 'Username', auth.user_id)} at {await self._name('Organization', 'Name', auth.org_id)}"

    async def _name(self, name: str, column: str, row: str) -> str:
        """The name of a user or org; its id where this user may not read it."""
        try:
            found = await self._query.first(select([column], name, where=f"Id = {literal(row)}"))
        except Rejected:
            found = None
        return str(found[column]) if found else row

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        """See `Source`. A quiet pull costs one call per object polled; the last page may be empty, its cursor still counts."""
        with self._understood(kind):
            pull = Pull(await self._kind(kind), await self._ways())
            async with aclosing(pull.pages(parse(cursor) if cursor is not None else None)) as pages:
                async for page in pages:
                    yield page

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        """Complete records of these ids, deleted ones flagged; ids that are not there (any more) are absent."""
        with self._understood(kind):
            shape = await self._kind(kind)
            rows = await self._query.by_id(shape.shape, ids)
            return [shape.record(row, self._rest.auth.instance_url) for row in rows]

    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        """See `Source`. A row's id may be `Field__c:value`, an external id."""
        return await write(self._rest, self._runtime, self._reads, rows)

    async def _kind(self, kind: CrmKind) -> Kind:
        read = self._reads[kind]
        return Kind.of(kind, read, await self._schema.relations(read))

    async def _ways(self) -> Ways:
        connection = self._connection
        await self._rest.auth.headers()  # records' addresses need the org's own
        return Ways(
            query=self._query,
            bulk=self._bulk,
            instance_url=self._rest.auth.instance_url,
            lookback=timedelta(minutes=connection.lookback_minutes),
            bulk_above=connection.bulk_above,
            page_size=connection.page_size,
        )

    @contextmanager
    def _understood(self, kind: CrmKind) -> Iterator[None]:
        """What only concerns how we ask, said in the words of whoever configures us."""
        try:
            yield
        except SchemaMismatch as error:
            raise ConfigError([mismatch_problem(error, self._reads[kind])], system=SYSTEM) from error
        except (QueryTimeout, QueryTooLong, LocatorGone) as error:
            raise Transient(error.message, system=SYSTEM) from error
