"""Carrying writes out: creations together in one transaction, everything else one by one; and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.base import AuthError, Conflict, ConnectorError, Create, Gone, Publish, Rejected, Remote, Transient, Update, Write
from connectors.http import Effect
from connectors.tryton.errors import SYSTEM
from connectors.tryton.rpc import Row, Rpc
from connectors.tryton.text import clean, key_in, line, number
from connectors.tryton.works import NOTE, WORK, Works, note

Outcome = Remote | ConnectorError
_STEP = 1000
_CHANGEABLE = ("project", "section", "task")


class Writer:
    """Answers in the order of the writes, whose people are resolved. What fails before a write has left is true of that write: not done."""

    def __init__(self, rpc: Rpc, works: Works, default: Mapping[str, int]) -> None:
        self._rpc = rpc
        self._works = works
        self._default = default

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Raises AuthError when it met every write."""
        outcomes: dict[int, Outcome] = {}
        creates = {at: write for at, write in enumerate(writes) if isinstance(write, Create) and write.item.kind != "dependency"}
        for of_notes in (False, True):
            lot = {at: create for at, create in creates.items() if (create.item.kind in ("comment", "status")) == of_notes}
            outcomes |= await self._make(lot, NOTE if of_notes else WORK)
        for at, write in enumerate(writes):
            if at not in creates:
                outcomes[at] = await self._one(write)
        refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, AuthError)]
        if refusals and len(refusals) == len(writes):
            raise refusals[0]
        return [outcomes[at] for at in range(len(writes))]

    # creating

    async def _make(self, creates: Mapping[int, Create], model: str) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        rows: dict[int, Row] = {}
        try:
            places = await self._places([create for create in creates.values() if create.item.kind in ("section", "task")])
        except ConnectorError as error:
            return dict.fromkeys(creates, error)
        for at, create in creates.items():
            try:
                rows[at] = self._note(create) if model == NOTE else self._works.created(create, self._default, places.get(create.item.key))
            except Rejected as refusal:
                outcomes[at] = refusal
        return outcomes | await self._insert(model, {at: creates[at] for at in rows}, rows)

    async def _insert(self, model: str, creates: Mapping[int, Create], rows: Mapping[int, Row]) -> dict[int, Outcome]:
        """All in one transaction; when the server refuses that, each by itself. A refused one may be there already: its number is unique."""
        if not rows:
            return {}
        try:
            made = await self._rpc.call(f"{model}.create", list(rows.values()), effect=Effect.CREATE)
        except Rejected as refusal:
            if len(rows) == 1:
                return {at: await self._there(create) or refusal for at, create in creates.items()}
            single: dict[int, Outcome] = {}
            for at in rows:
                single |= await self._insert(model, {at: creates[at]}, {at: rows[at]})
            return single
        except ConnectorError as error:
            return dict.fromkeys(creates, error)
        return {at: self._told(create, int(id)) for (at, create), id in zip(creates.items(), made, strict=True)}

    async def _there(self, create: Create) -> Remote | ConnectorError | None:
        """What carries the key already: made by an attempt whose answer was lost."""
        if create.item.kind not in _CHANGEABLE:
            return None
        sought = number(create.item.key, section=create.item.kind == "section")
        try:
            rows = await self._rpc.rows(WORK, [["number", "=", sought]], ("number",))
        except ConnectorError as error:
            return error
        return self._told(create, rows[0]["id"]) if rows else None

    def _told(self, create: Create, id: int) -> Remote:
        kind = create.item.kind
        place = self._rpc.connection.address(WORK, id) if kind in _CHANGEABLE else ""
        return Remote(str(id), kind, place, create.item.key)

    def _note(self, create: Create) -> Row:
        return {"resource": f"{WORK},{int(create.parent or create.project)}", "message": note(create.item)}

    async def _places(self, creates: Sequence[Create]) -> dict[str, int]:
        """Where each new section and task stands among its siblings. A task has its section's place: born later, it stands below it."""
        sections = {int(create.section) for create in creates if create.section}
        projects = {int(create.project) for create in creates if create.item.kind == "section"}
        domain = ["OR", ["id", "in", sorted(sections)], [["parent", "in", sorted(projects)], ["number", "like", number("%", section=True)]]]
        rows = await self._rpc.rows(WORK, [domain], ("parent", "sequence")) if sections or projects else []
        at = {row["id"]: int(row["sequence"] or 0) for row in rows}
        last = {project: max([at[row["id"]] for row in rows if row["parent"] == project], default=0) for project in projects}
        places: dict[str, int] = {}
        for create in creates:
            if create.item.kind == "section":
                last[int(create.project)] += _STEP
                places[create.item.key] = last[int(create.project)]
            elif create.section:
                places[create.item.key] = at.get(int(create.section), 0)
        return places

    # changing

    async def _one(self, write: Write) -> Outcome:
        try:
            match write:
                case Create():
                    return await self._wait(write)
                case Update():
                    return await self._update(write)
            return await self._publish(write)
        except Conflict as error:
            return Transient(error.message, system=SYSTEM)
        except ConnectorError as error:
            return error

    async def _update(self, update: Update) -> Outcome:
        if update.kind in ("comment", "status"):
            await self._rpc.call(f"{NOTE}.write", [int(update.id)], {"message": clean(str(update.fields["text"]))}, effect=Effect.UPDATE)
            return Remote(update.id, update.kind)
        row = await self._held(update.id)
        values = self._works.values(update.kind, update.fields, row)
        if values:
            await self._rpc.call(f"{WORK}.write", [row["id"]], values, effect=Effect.UPDATE)
        return Remote(update.id, update.kind, self._rpc.connection.address(WORK, update.id), key_in(row.get("number")))

    async def _held(self, id: str) -> Row:
        rows = await self._rpc.rows(WORK, [["id", "=", int(id)]], self._works.ask)
        if not rows:
            raise Gone(f"there is no project or task {id} in Tryton (any more)", system=SYSTEM)
        return rows[0]

    async def _publish(self, publish: Publish) -> Outcome:
        """The project's final content. It was seen before: Tryton hides nothing."""
        row = await self._held(publish.id)
        if not (publish.again and await self._written(publish.id)):
            values = self._works.values("project", publish.item.fields, row)
            await self._rpc.call(f"{WORK}.write", [row["id"]], {"name": row["name"], **values}, effect=Effect.UPDATE)
        return Remote(publish.id, "project", self._rpc.connection.address(WORK, publish.id), key_in(row.get("number")))

    async def _written(self, id: str) -> bool:
        """Whether it was published, or renamed by a person, since it was made: the server's log has the fields of every write."""
        domain = [["resource", "=", f"{WORK},{id}"], ["event", "=", "write"], ["target", "like", "%name%"]]
        return bool(await self._rpc.rows("ir.model.log", domain, (), limit=1))

    async def _wait(self, create: Create) -> Outcome:
        """Let a task wait for others. Tryton takes a circle, and then never comes to an end planning it: a circle is refused here."""
        waiting, others = int(create.parent), {int(other) for other in create.depends_on}
        row = await self._held(create.parent)
        before = await self._predecessors(row)
        new = others - before.get(waiting, set())
        if waiting in _reached(others, before):
            raise Rejected(f"{line(row['name'])!r} would wait for itself, in a circle", field="depends_on", system=SYSTEM)
        if new:
            await self._rpc.call(f"{WORK}.write", [waiting], {"predecessors": [["add", sorted(new)]]}, effect=Effect.REPEATABLE)
        return Remote(create.parent, "dependency", key=create.item.key)

    async def _predecessors(self, row: Row) -> dict[int, set[int]]:
        """Who waits for whom among the siblings: Tryton lets no others wait for each other."""
        rows = await self._rpc.rows(WORK, [["parent", "=", row["parent"]]], ("predecessors",))
        return {each["id"]: set(each["predecessors"]) for each in rows}


def _reached(start: set[int], edges: Mapping[int, set[int]]) -> set[int]:
    seen, open_ = set[int](), set(start)
    while open_:
        seen |= open_
        open_ = {other for one in open_ for other in edges.get(one, ())} - seen
    return seen
