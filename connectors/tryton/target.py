"""Tryton's projects as a target: what the engine asks for, put together from the parts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Self

from connectors.base import (
    AuthError,
    Changed,
    ConnectorError,
    Create,
    Description,
    Locate,
    Progress,
    Remote,
    Report,
    Runtime,
    Traits,
    Write,
    nowhere,
)
from connectors.tryton.check import check_target
from connectors.tryton.connection import Connection, FieldMap
from connectors.tryton.describe import describe_works
from connectors.tryton.errors import SYSTEM
from connectors.tryton.find import Found, find
from connectors.tryton.people import People
from connectors.tryton.progress import changes, progress
from connectors.tryton.rpc import Row, Rpc
from connectors.tryton.works import NOTE, STATUS, WORK, Works, fields_of, named
from connectors.tryton.writer import Outcome, Writer
from engine.model import ItemKind

BATCH = 10
LINES = "lines at the end of the comment"
INSTEAD = {
    "section": "a finished task of that name, above its tasks",
    "status": "a note on the project",
}


class TrytonTarget:
    """See `connectors.base.Target`. `fields` is the `fields:` section of the mapping: our custom names to fields of Tryton's works."""

    system: str = SYSTEM

    def __init__(self, connection: Connection, *, fields: Mapping[str, FieldMap], runtime: Runtime | None = None) -> None:
        self._connection = connection
        self._rpc = Rpc(connection, runtime or Runtime())
        self._people = People(self._rpc)
        self._works = Works(connection, fields, self._people, {})
        self._writer: Writer | None = None
        self._lock = asyncio.Lock()
        held = fields_of(planning=connection.planning, custom=bool(fields))
        self.traits = Traits(
            find_lag=timedelta(0),
            late_commit=timedelta(seconds=connection.late_commit_seconds),
            provisional=False,
            batch=BATCH,
            kinds=frozenset(held),
            repeatable=frozenset({"dependency"}) if connection.planning else frozenset(),
            fields=held,
            instead=INSTEAD | ({f"{kind}.custom": LINES for kind in ("project", "task")} if self._works.labels else {}),
            unique=frozenset({"project", "section", "task"}),
        )

    @property
    def calls(self) -> int:
        """Requests sent so far, logins included."""
        return self._rpc.calls

    @property
    def unknown_people(self) -> frozenset[str]:
        """E-mails met so far that no employee has; what named them was written without them."""
        return frozenset(self._people.unknown)

    async def __aenter__(self) -> Self:
        await self._rpc.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._rpc.close()

    async def check(self) -> Report:
        return await check_target(self._rpc, self._works.fields)

    async def describe(self) -> Description:
        return await describe_works(self._rpc)

    async def people(self, emails: Sequence[str]) -> set[str]:
        """Those of the e-mails that an employee has."""
        await self._people.resolve(emails)
        return {email for email in emails if self._people.employee(email)}

    async def write(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        try:
            writer = await self._ready()
            await self._people.resolve(set[str]().union(*map(named, writes)))
        except AuthError:
            raise
        except ConnectorError as error:  # nothing has left
            return [error] * len(writes)
        return await writer.write(writes)

    async def find(self, creates: Sequence[Create]) -> Sequence[Found]:
        return await find(self._rpc, creates)

    async def read(self, kind: ItemKind, ids: Sequence[str]) -> Sequence[Remote | None]:
        await self._ready()
        asked = sorted({int(id) for id in ids})
        if kind in ("comment", "status"):
            notes = {row["id"]: row for row in await self._rpc.rows(NOTE, [["id", "in", asked]], ("message",))}
            return [_note(kind, notes.get(int(id))) for id in ids]
        rows = {row["id"]: self._works.remote(row) for row in await self._rpc.rows(WORK, [["id", "in", asked]], self._works.ask)}
        return [replace(rows[int(id)], kind=kind) if int(id) in rows else None for id in ids]

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return self._works.same(kind, field, ours, held)

    async def children(self, project: str) -> Sequence[Remote]:
        """Sections, tasks and their sub-tasks, each parent before its own."""
        await self._ready()
        domain = [["parent", "child_of", [int(project)]], ["id", "!=", int(project)]]
        rows = await self._rpc.rows(WORK, domain, self._works.ask, order=[["sequence", "ASC"], ["id", "ASC"]])
        found = [self._works.remote(row) for row in sorted(rows, key=lambda row: str(row["path"]).count("/"))]
        return [*(one for one in found if one.kind == "section"), *(one for one in found if one.kind == "task")]

    async def sweep(self, nonces: Sequence[str]) -> Sequence[str]:
        """Nothing is ever left behind: of each key there is one at most, whichever attempt made it."""
        del nonces
        return []

    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        return await changes(self._rpc, cursor, locate, timedelta(minutes=self._connection.lookback_minutes))

    async def progress(self, projects: Sequence[str]) -> Sequence[Progress]:
        return await progress(self._rpc, projects, planning=self._connection.planning)

    async def _ready(self) -> Writer:
        """What must be known of this Tryton before works are read or written; asked for once."""
        async with self._lock:
            if self._writer is None:
                states = await self._rpc.rows(STATUS, [], ("types", "progress", "default"), order=[["sequence", "ASC"], ["id", "ASC"]])
                own = [each.custom_field for each in self._works.fields.values() if not each.label]
                types = await self._rpc.call(f"{WORK}.fields_get", own) if own else {}
                self._works = replace(self._works, types=types, done=_done(states))
                self._writer = Writer(self._rpc, self._works, {kind: _first(states, kind) for kind in ("project", "task")})
            return self._writer


def _first(states: Sequence[Row], kind: str) -> int:
    """The status a new work of this kind gets."""
    fitting = [row for row in states if kind in (row["types"] or ())]
    open_ = [row for row in fitting if not row["progress"]]
    return int(next((row["id"] for row in fitting if row["default"]), next((row["id"] for row in open_ or fitting), 0)))


def _done(states: Sequence[Row]) -> int | None:
    """The status of what is finished, if the server has one."""
    return next((row["id"] for row in states if "task" in (row["types"] or ()) and Decimal(str(row["progress"] or 0)) >= 1), None)


def _note(kind: ItemKind, row: Row | None) -> Remote | None:
    if row is None:
        return None
    message = str(row["message"] or "")
    if kind == "comment":
        return Remote(str(row["id"]), kind, fields={"text": message})
    head, _, text = message.partition("\n\n")
    title, _, status = head.rpartition(" (")
    return Remote(str(row["id"]), kind, fields={"title": title, "status": status.rstrip(")").replace(" ", "_"), "text": text})
