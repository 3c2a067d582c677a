"""The smallest project tool that keeps every promise of a target, all in memory. The suite's own yardstick: broken variants are made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from connectors.base import (
    Ambiguous,
    AuthError,
    Changed,
    Conflict,
    ConnectorError,
    Create,
    Description,
    Gone,
    Locate,
    Progress,
    Publish,
    RateLimited,
    Rejected,
    Remote,
    Report,
    Traits,
    Transient,
    Update,
    Write,
    nowhere,
)
from engine.model import ItemKind
from tests.conformance.target import Trouble

SECRET = "memory-secret-token"
Outcome = Remote | ConnectorError


@dataclass
class Thing:
    id: str
    kind: ItemKind
    key: str
    project: str
    parent: str = ""
    section: str = ""
    nonce: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    public: bool = False
    archived: bool = False
    done: bool = False
    waits: list[str] = field(default_factory=list)


class MemoryTool:
    known = "ann@example.com"
    unknown = "nobody@elsewhere.test"
    secrets: tuple[str, ...] = (SECRET,)

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.seen: list[str] = []
        self.events: list[str] = []
        self.epoch = 0
        self.cut = False
        self.dead = False
        self.troubles: dict[ItemKind, tuple[Trouble, int]] = {}
        self.later: list[Callable[[], object]] = []

    def strike(self, kinds: Iterable[ItemKind]) -> Trouble | None:
        for kind in kinds:
            what, times = self.troubles.get(kind, ("lost", 0))
            if times:
                self.troubles[kind] = (what, times - 1)
                return what
        return None

    def trouble(self, what: Trouble, kind: ItemKind, *, times: int = 1) -> None:
        self.troubles[kind] = (what, times)

    def unplug(self) -> None:
        self.cut = True

    def revoke(self) -> None:
        self.dead = True

    def forget(self) -> None:
        self.epoch += 1

    async def settle(self) -> None:
        for act in self.later:
            act()

    def of(self, kind: ItemKind) -> list[Thing]:
        return [thing for thing in self.things.values() if thing.kind == kind]

    def count(self, kind: ItemKind) -> int:
        return len(self.of(kind))

    def visible(self) -> list[str]:
        return self.seen

    def sections(self, project: str) -> list[str]:
        return [thing.fields["name"] for thing in self.of("section") if thing.project == project]

    def where(self, task: str) -> tuple[str, str]:
        thing = self.things[task]
        return thing.project, self.things[thing.section].fields["name"] if thing.section else ""

    def waits_for(self, task: str) -> set[str]:
        assert len(set(self.things[task].waits)) == len(self.things[task].waits)
        return set(self.things[task].waits)

    def edit(self, kind: ItemKind, id: str, field: str, value: Any) -> None:
        self.things[id].fields[field] = value

    def finish(self, task: str) -> None:
        self.things[task].done = True
        self.events.append(self.things[task].project)

    def delete(self, kind: ItemKind, id: str) -> None:
        del self.things[id]

    def add(self, thing: Thing) -> Thing:
        self.things[thing.id] = thing
        return thing

    def show(self, thing: Thing) -> None:
        if thing.fields["name"] not in self.seen:
            self.seen.append(thing.fields["name"])


class MemoryTarget:
    system: str = "memory"
    page = 1000

    def __init__(self, tool: MemoryTool) -> None:
        self.tool = tool
        self.calls = 0
        kinds: frozenset[ItemKind] = frozenset({"project", "section", "task", "dependency", "comment", "status"})
        self.traits = Traits(timedelta(0), timedelta(seconds=60), True, 10, kinds, frozenset({"dependency"}), {})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def check(self) -> Report:
        self.enter()
        return Report("Memory")

    async def describe(self) -> Description:
        return Description(())

    async def people(self, emails: Sequence[str]) -> set[str]:
        return set(emails) - {self.tool.unknown}

    def enter(self) -> None:
        if self.tool.dead:
            raise AuthError("the token was refused; put a valid one into the mapping", system="memory")

    # writing

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        self.enter()
        if self.tool.cut:
            return [Transient("cannot reach the tool", system="memory") for _ in writes]
        return self.send(writes)

    def send(self, writes: Sequence[Write], tries: int = 3) -> list[Outcome]:
        what = self.tool.strike([kind_of(write, self.tool) for write in writes])
        match what:
            case None:
                return [self.carry(write) for write in writes]
            case "busy":
                return self.send(writes, tries - 1) if tries else [RateLimited("too many", retry_after=5.0) for _ in writes]
            case "late":
                self.tool.later += [lambda write=write: self.carry(write) for write in writes]  # type: ignore[misc]
            case "lost" | "broken_after" | "garbled":
                for write in writes:
                    self.carry(write)
        return [self.doubt(write) for write in writes]

    def doubt(self, write: Write) -> ConnectorError:
        if isinstance(write, Create) and write.item.kind != "dependency":
            return Ambiguous("no answer", system="memory")
        return Transient("no answer", system="memory")

    def carry(self, write: Write) -> Outcome:
        match write:
            case Create():
                return self.create(write)
            case Update():
                return self.update(write)
        return self.publish(write)

    def create(self, create: Create) -> Outcome:
        item = create.item
        if item.kind == "dependency":
            waits = self.tool.things[create.parent].waits
            waits += [other for other in create.depends_on if other not in waits]
            return Remote(create.parent, "dependency")
        if refusal := refused(item.fields):
            return refusal
        thing = Thing(f"m{len(self.tool.things) + 1}-{create.nonce}", item.kind, item.key, create.project, create.parent, create.section)
        thing.nonce, thing.fields = create.nonce, self.held(item.fields)
        return self.told(self.tool.add(thing))

    def update(self, update: Update) -> Outcome:
        thing = self.tool.things.get(update.id)
        if thing is None:
            return Gone("no such object", system="memory")
        if refusal := refused({**thing.fields, **update.fields}):
            return refusal
        thing.fields |= self.held(update.fields)
        return self.told(thing)

    def publish(self, publish: Publish) -> Outcome:
        thing = self.tool.things[publish.id]
        thing.public, thing.fields = True, thing.fields | self.held(publish.item.fields)
        self.tool.show(thing)
        return self.told(thing)

    def held(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Fields without the people nobody knows."""
        known: dict[str, Any] = {name: value if value != self.tool.unknown else None for name, value in fields.items()}
        if "followers" in known:
            known["followers"] = tuple(one for one in known["followers"] if one != self.tool.unknown)
        return known

    def told(self, thing: Thing) -> Remote:
        return Remote(thing.id, thing.kind, f"memory:{thing.id}", thing.key)

    # looking

    async def find(self, creates: Sequence[Create]) -> list[Remote | Conflict | None]:
        return [self.look(create) for create in creates]

    def look(self, create: Create) -> Remote | Conflict | None:
        ours = [thing for thing in self.tool.of(create.item.kind)[: self.page] if self.is_ours(thing, create)]
        ours = [thing for thing in ours if thing.public] or [thing for thing in ours if thing.nonce == create.nonce] or ours
        return self.settle(ours)

    def settle(self, ours: Sequence[Thing]) -> Remote | Conflict | None:
        if len(ours) > 1:
            return Conflict("two of them", theirs=[thing.id for thing in ours])
        return self.told(ours[0]) if ours else None

    def is_ours(self, thing: Thing, create: Create) -> bool:
        return thing.key == create.item.key and not thing.archived

    async def read(self, kind: ItemKind, ids: Sequence[str]) -> list[Remote | None]:
        found = (self.tool.things.get(id) for id in ids)
        return [Remote(thing.id, kind, "", thing.key, dict(thing.fields)) if thing else None for thing in found]

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return bool(self.held({field: ours})[field] == held)

    async def children(self, project: str) -> list[Remote]:
        kinds = ("section", "task")
        return [self.told(thing) for thing in self.tool.things.values() if thing.project == project and thing.kind in kinds]

    async def sweep(self, nonces: Sequence[str]) -> list[str]:
        orphans = [thing for thing in self.tool.of("project") if thing.nonce in nonces and not thing.archived]
        for thing in orphans:
            thing.archived = True
        return [thing.id for thing in orphans]

    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        epoch, _, index = (cursor or "-1:0").partition(":")
        now = f"{self.tool.epoch}:{len(self.tool.events)}"
        if int(epoch) != self.tool.epoch:
            return Changed(frozenset(), now, complete=False)
        return Changed(frozenset(self.tool.events[int(index) :]), now)

    async def progress(self, projects: Sequence[str]) -> list[Progress]:
        return [self.count(project) for project in projects if project in self.tool.things]

    def count(self, project: str) -> Progress:
        tasks = [thing for thing in self.tool.of("task")[: self.page] if thing.parent == project]
        return Progress(project, sum(task.done for task in tasks), len(tasks))


def refused(fields: Mapping[str, Any]) -> Rejected | None:
    start, due = fields.get("start_on"), fields.get("due_on")
    return Rejected("the start comes after the due date", field="start_on", system="memory") if start and due and start > due else None


def kind_of(write: Write, tool: MemoryTool) -> ItemKind:
    return write.kind if isinstance(write, Update) else write.item.kind
