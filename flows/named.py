"""A connector under the name of its mapping file: that name is a system's identity in keys, cursors, links and errors.

Two orgs of one vendor are two systems, one server may be read and written to, and a connector need know nothing of it. An error that came out of a
system names it. A system that cannot even be opened says so at its first use, so that it holds up nobody else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

from connectors.base import (
    Budget,
    Changed,
    Conflict,
    ConnectorError,
    Create,
    Description,
    Gone,
    LeaseLost,
    Locate,
    Page,
    Progress,
    Remote,
    Report,
    Source,
    StateError,
    Target,
    Traits,
    Write,
    nowhere,
)
from engine.model import CrmKind, ItemKind, Record, WriteBack


class _Opened:
    """What a named source and a named target have in common: the name, the opening, and whose an error is."""

    def __init__(self, name: str, inner: Source | Target) -> None:
        self.system = name
        self._opening = inner
        self._shut: ConnectorError | None = None

    @property
    def calls(self) -> int:
        return self._opening.calls

    @property
    def budget(self) -> Budget | None:
        """Of calls, where the system tells of one."""
        return getattr(self._opening, "budget", None)

    async def __aenter__(self) -> Self:
        try:
            await self._opening.__aenter__()
        except ConnectorError as error:
            self._shut = error
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._shut is None:
            await self._opening.__aexit__(*exc)

    async def check(self) -> Report:
        with self._named():
            return await self._opening.check()

    async def describe(self) -> Description:
        with self._named():
            return await self._opening.describe()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            if self._shut is not None:
                raise self._shut
            yield
        except (LeaseLost, StateError):
            raise  # of the state, met on the way
        except ConnectorError as error:
            error.system = self.system
            raise


class NamedSource(_Opened):
    """See `connectors.base.Source`. Its records bear the name."""

    def __init__(self, name: str, inner: Source) -> None:
        super().__init__(name, inner)
        self._inner = inner
        self.kinds: tuple[CrmKind, ...] = inner.kinds

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        with self._named():
            async for page in self._inner.pull(kind, cursor):
                yield replace(page, records=tuple(map(self._record, page.records)))

    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        with self._named():
            return [self._record(record) for record in await self._inner.read(kind, ids)]

    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        with self._named():
            return await self._inner.write_back(rows)

    def _record(self, record: Record) -> Record:
        return record if record.system == self.system else replace(record, system=self.system)


class NamedTarget(_Opened):
    """See `connectors.base.Target`."""

    def __init__(self, name: str, inner: Target) -> None:
        super().__init__(name, inner)
        self._inner = inner
        self.traits: Traits = inner.traits

    async def people(self, emails: Sequence[str]) -> set[str]:
        with self._named():
            return await self._inner.people(emails)

    async def write(self, writes: Sequence[Write]) -> Sequence[Remote | ConnectorError]:
        with self._named():
            return await self._inner.write(writes)

    async def find(self, creates: Sequence[Create]) -> Sequence[Remote | Conflict | Gone | None]:
        with self._named():
            return await self._inner.find(creates)

    async def read(self, kind: ItemKind, ids: Sequence[str]) -> Sequence[Remote | None]:
        with self._named():
            return await self._inner.read(kind, ids)

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return self._inner.same(kind, field, ours, held)

    async def children(self, project: str) -> Sequence[Remote]:
        with self._named():
            return await self._inner.children(project)

    async def sweep(self, nonces: Sequence[str]) -> Sequence[str]:
        with self._named():
            return await self._inner.sweep(nonces)

    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        with self._named():
            return await self._inner.changes(cursor, locate=locate)

    async def progress(self, projects: Sequence[str]) -> Sequence[Progress]:
        with self._named():
            return await self._inner.progress(projects)
