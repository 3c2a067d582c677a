"""A project tool with awkward ways, and the memory of everything people could ever see in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from connectors.base import (
    Ambiguous,
    Changed,
    Conflict,
    ConnectorError,
    Create,
    Locate,
    Progress,
    Publish,
    RateLimited,
    Rejected,
    Remote,
    Traits,
    Transient,
    Update,
    Write,
    nowhere,
)
from engine.model import ItemKind
from tests.conformance.memory_tool import MemoryTarget, MemoryTool, Outcome, Thing, kind_of

KINDS: frozenset[ItemKind] = frozenset({"project", "section", "task", "dependency", "comment", "status"})
_NAMED = frozenset({"name", "notes", "start_on", "due_on"})
FIELDS: dict[ItemKind, frozenset[str]] = {
    "project": _NAMED | {"owner", "followers"},
    "section": frozenset({"name"}),
    "task": _NAMED | {"assignee", "followers", "milestone"},
    "dependency": frozenset(),
    "comment": frozenset({"text"}),
    "status": frozenset({"status", "title", "text"}),
}


@dataclass(frozen=True, slots=True)
class Ways:
    """How awkward a tool is: look-ups that lag, lost writes that still take effect, projects seen from birth, small batches; and what it has:
    kinds, fields, kinds that may be made again, kinds it holds one of per key.
    """

    lag: timedelta = timedelta()
    late: timedelta = timedelta(seconds=60)
    provisional: bool = True
    batch: int = 3
    kinds: frozenset[ItemKind] = KINDS
    fields: Mapping[ItemKind, frozenset[str]] = field(default_factory=lambda: FIELDS, hash=False)
    repeatable: frozenset[ItemKind] = frozenset({"dependency"})
    unique: frozenset[ItemKind] = frozenset()

    @property
    def traits(self) -> Traits:
        return Traits(self.lag, self.late, self.provisional, self.batch, self.kinds, self.repeatable, self.fields, unique=self.unique)

    @classmethod
    def of(cls, traits: Traits) -> Ways:
        """Those of a tool with these traits; what it is written is held as it is."""
        fields = {kind: traits.fields.get(kind, FIELDS[kind]) & FIELDS[kind] for kind in traits.kinds}
        return cls(
            traits.find_lag, traits.late_commit, traits.provisional, traits.batch, traits.kinds, fields, traits.repeatable, traits.unique
        )


class Wire(Protocol):
    """What a request goes through. Gives the trouble it meets, if any; what `act` does is done in between."""

    async def __call__(self, operation: str, act: Callable[[str], Any]) -> Any: ...


async def undisturbed(operation: str, act: Callable[[str], Any]) -> Any:
    del operation
    return act("")


class AwkwardTool(MemoryTool):
    """`wrongs` are the things that must never be, noticed as they happen. `complete` says which keys a project must hold when it is shown."""

    def __init__(self, clock: Callable[[], datetime], ways: Ways) -> None:
        super().__init__()
        self.clock = clock
        self.ways = ways
        self.born: dict[str, datetime] = {}
        self.shown: defaultdict[str, list[str]] = defaultdict(list)
        self.edits: dict[tuple[str, str], Any] = {}
        self.wrongs: list[str] = []
        self.pending: list[tuple[datetime, Callable[[], object]]] = []
        self.complete: Callable[[str], Collection[str]] = lambda _key: ()
        self.now = clock()

    # time

    def arrive(self) -> None:
        """Late commits whose time has come take effect, each at its own moment."""
        while self.pending and self.pending[0][0] <= self.clock():
            self.now, act = self.pending.pop(0)
            act()
        self.now = self.clock()

    def postpone(self, act: Callable[[], object], delay: timedelta) -> None:
        self.pending.append((self.clock() + delay, act))
        self.pending.sort(key=lambda entry: entry[0])

    async def settle(self) -> None:
        for _, act in self.pending:
            act()
        self.pending.clear()

    def can_be_found(self, thing: Thing) -> bool:
        return self.born[thing.id] + self.ways.lag <= self.clock()

    # what people see

    def add(self, thing: Thing) -> Thing:
        super().add(thing)
        self.born[thing.id] = self.now
        if thing.kind == "project":
            if not self.ways.provisional:
                self.see(thing)
            return thing
        if thing.project not in self.things:
            self.wrongs.append(f"{thing.kind} without its project")
        elif self.things[thing.project].public or not self.ways.provisional:
            self.see(thing)
        if any(other not in self.things for other in (thing.parent or thing.project, thing.section) if other):
            self.wrongs.append(f"{thing.kind} without its parent")
        return thing

    def see(self, thing: Thing) -> None:
        ids = self.shown[thing.key]
        if thing.id not in ids:
            ids.append(thing.id)
        if len(ids) > 1:
            self.wrongs.append(f"duplicate {thing.kind}")

    def show(self, thing: Thing) -> None:
        super().show(thing)
        inside = [other for other in self.things.values() if other.project == thing.id]
        for one in (thing, *inside):
            self.see(one)
        if missing := set(self.complete(thing.key)) - {other.key for other in inside}:
            self.wrongs.append(f"partial project shown, without {', '.join(sorted(missing))}")

    # what people do

    def edit(self, kind: ItemKind, id: str, field: str, value: Any) -> None:
        super().edit(kind, id, field, value)
        self.edits[id, field] = value

    def put(self, thing: Thing, fields: dict[str, Any]) -> None:
        """Write fields over what stands there."""
        if any((thing.id, name) in self.edits and self.edits[thing.id, name] != value for name, value in fields.items()):
            self.wrongs.append("a person's edit overwritten")
        thing.fields |= fields


class AwkwardTarget(MemoryTarget):
    system = "tool"

    def __init__(self, tool: AwkwardTool, wire: Wire = undisturbed) -> None:
        super().__init__(tool)
        self.awkward = tool
        self.wire = wire
        self.traits = tool.ways.traits

    async def ask(self, operation: str, act: Callable[[str], Any]) -> Any:
        def arrived(trouble: str) -> Any:
            self.awkward.arrive()
            self.calls += 1
            return act(trouble)

        return await self.wire(operation, arrived)

    # writing

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        self.enter()
        if self.tool.cut:
            return [Transient("cannot reach the tool", system=self.system) for _ in writes]
        return await self.ask("write", lambda trouble: self.meet(trouble, writes))  # type: ignore[no-any-return]

    def meet(self, trouble: str, writes: Sequence[Write]) -> list[Outcome]:
        """The writes under a trouble: `late` and `late:40` (seconds) commit without an answer, `refused:1` refuses the second write."""
        what, _, detail = (trouble or self.tool.strike([kind_of(write, self.tool) for write in writes]) or "").partition(":")
        match what:
            case "":
                return [self.carry(write) for write in writes]
            case "busy":
                return self.send(writes) if not trouble else [RateLimited("too many", retry_after=5.0, system=self.system) for _ in writes]
            case "refused":
                return [Rejected("no", system=self.system) if at == int(detail) else self.carry(write) for at, write in enumerate(writes)]
            case "late":
                delay = timedelta(seconds=float(detail)) if detail else self.awkward.ways.late
                self.awkward.postpone(lambda: [self.carry(write) for write in writes], min(delay, self.awkward.ways.late))
            case "broken" | "never":
                pass
            case _:
                for write in writes:
                    self.carry(write)
        return [self.doubt(write) for write in writes]

    def create(self, create: Create) -> Outcome:
        if create.item.kind == "dependency" and not {create.parent, *create.depends_on} <= self.tool.things.keys():
            self.awkward.wrongs.append("dependency without its tasks")
            return Rejected("no such task", system=self.system)
        if create.item.kind not in self.traits.kinds:
            self.awkward.wrongs.append(f"{create.item.kind} sent to a tool without any")
        if unheld := create.item.fields.keys() - self.traits.fields.get(create.item.kind, create.item.fields.keys()):
            self.awkward.wrongs.append(f"{', '.join(sorted(unheld))} sent to a tool that cannot hold it")
        twins = [thing for thing in self.tool.of(create.item.kind) if thing.key == create.item.key]
        return self.told(twins[0]) if twins and create.item.kind in self.traits.unique else super().create(create)

    def update(self, update: Update) -> Outcome:
        thing = self.tool.things.get(update.id)
        if thing is None or thing.archived:
            return super().update(update)
        self.awkward.put(thing, self.held(update.fields))
        return super().update(update)

    def publish(self, publish: Publish) -> Outcome:
        """What an earlier attempt has shown is people's; so is what they changed where a project is seen from birth."""
        thing = self.tool.things[publish.id]
        if thing.public and publish.again:
            return self.told(thing)
        born_public = not self.traits.provisional
        fields = {
            name: value for name, value in publish.item.fields.items() if not (born_public and (thing.id, name) in self.awkward.edits)
        }
        self.awkward.put(thing, self.held(fields))
        thing.public = True
        self.tool.events.append(thing.id)
        self.awkward.show(thing)
        return self.told(thing)

    # looking

    async def find(self, creates: Sequence[Create]) -> list[Remote | Conflict | None]:
        return await self.ask("find", lambda trouble: self.unless(trouble, lambda: [self.look(create) for create in creates]))  # type: ignore[no-any-return]

    def is_ours(self, thing: Thing, create: Create) -> bool:
        return super().is_ours(thing, create) and self.awkward.can_be_found(thing)

    async def read(self, kind: ItemKind, ids: Sequence[str]) -> list[Remote | None]:
        return await self.ask("read", lambda trouble: self.unless(trouble, lambda: [self.shown(kind, id) for id in ids]))  # type: ignore[no-any-return]

    def shown(self, kind: ItemKind, id: str) -> Remote | None:
        thing = self.tool.things.get(id)
        return Remote(thing.id, kind, "", thing.key, dict(thing.fields)) if thing else None

    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        await self.ask("changes", lambda trouble: self.unless(trouble, lambda: None))
        return await super().changes(cursor, locate=locate)

    async def progress(self, projects: Sequence[str]) -> list[Progress]:
        await self.ask("progress", lambda trouble: self.unless(trouble, lambda: None))
        return await super().progress(projects)

    def unless(self, trouble: str, act: Callable[[], Any]) -> Any:
        """Reading meets fewer troubles than writing: it is refused for now, or it fails."""
        if trouble == "busy":
            raise RateLimited("too many", retry_after=5.0, system=self.system)
        if trouble:
            raise Transient("no answer", system=self.system)
        return act()

    def doubt(self, write: Write) -> ConnectorError:
        if isinstance(write, Create) and write.item.kind not in self.traits.repeatable:
            return Ambiguous("no answer", system=self.system)
        return Transient("no answer", system=self.system)
