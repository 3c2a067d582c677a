"""What a connector is, and the errors it may raise.

An error's type says what is known about the effect and what to do next, never which status code came back:

    ConnectorError
    ├── ConfigError       the configuration is wrong; all problems at once, before any other I/O
    ├── AuthError         credentials refused; this connector stops, intents stay open
    ├── RateLimited       certainly not done; not an attempt; try after `retry_after` seconds
    ├── Transient         certainly not done, or safe to repeat
    ├── Ambiguous         a write whose answer was lost: it may have happened, may still happen, or never
    ├── Rejected          refused for good; parked for a person, the rest goes on
    │   └── Gone          the object does not exist (any more)
    ├── Conflict          two objects carry one key, or somebody changed what was about to be written
    ├── UnsafePlan        the plan is over its limits; nothing was done
    ├── QuotaExhausted    the CRM's daily budget is used up; stop the run, keep the cursor
    ├── LeaseLost         another process has taken over what this one was at; certainly not done by this one
    └── StateError        the store cannot be used: newer than this program, read-only, full
        └── StateHeld     another process has it

Messages say what, where and what to do next. They never hold a token or a whole body.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, Protocol

import httpx

from engine.model import CrmKind, Item, ItemKind, Problem, ProjectStatus, Record, WriteBack


class ConnectorError(Exception):
    """The root. `system` is filled in by whoever knows it."""

    def __init__(self, message: str, *, system: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.system = system


def kind_of(error: BaseException | None) -> str:
    """The name an error goes by here, whatever a connector calls its own; empty for none."""
    return next((kind.__name__ for kind in type(error).__mro__ if not kind.__name__.startswith("_")), "") if error is not None else ""


class ConfigError(ConnectorError):
    """The configuration is wrong. Carries every problem found, each with file, line and column where they are known."""

    def __init__(self, problems: Sequence[Problem], *, system: str = "") -> None:
        super().__init__("\n".join(str(problem) for problem in problems), system=system)
        self.problems = tuple(problems)


class AuthError(ConnectorError):
    """Credentials were refused, or they lack a right that everything needs."""


class RateLimited(ConnectorError):
    """The system refused the call because there were too many. Certainly not done."""

    def __init__(self, message: str, *, retry_after: float, system: str = "") -> None:
        super().__init__(message, system=system)
        self.retry_after = retry_after


class Transient(ConnectorError):
    """Certainly not done, or safe to repeat."""


class Ambiguous(ConnectorError):
    """A write left and no trustworthy answer came back."""


class Rejected(ConnectorError):
    """Refused for good. `field` is the vendor's or our name of the field at fault, where one is known."""

    def __init__(self, message: str, *, field: str = "", system: str = "") -> None:
        super().__init__(message, system=system)
        self.field = field


class Gone(Rejected):
    """The object written to or asked for does not exist (any more)."""


class Conflict(ConnectorError):
    """Two remote objects carry one key (`theirs` names them), or the object moved on since it was read."""

    def __init__(self, message: str, *, theirs: Sequence[str] = (), system: str = "") -> None:
        super().__init__(message, system=system)
        self.theirs = tuple(theirs)


class UnsafePlan(ConnectorError):
    """The plan is above its limits. `reasons` names each limit, what it allows and what was asked.

    `approval` is the number under which a person was asked about it; 0 when nobody was, or has said no.
    """

    def __init__(self, reasons: Sequence[str], *, approval: int = 0) -> None:
        super().__init__("; ".join([*reasons, *([f"it waits for approval {approval}"] if approval else [])]))
        self.reasons, self.approval = tuple(reasons), approval


class QuotaExhausted(ConnectorError):
    """The system's budget of calls is used up, or our share of it."""


class LeaseLost(ConnectorError):
    """Somebody else holds the lease now. What was not committed is not, what was about to be sent is not sent, and the other one goes on."""


class StateError(ConnectorError):
    """The sync-state store cannot be used as asked."""


class StateHeld(StateError):
    """Another process has the store; it is free again when that one ends."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Runtime:
    """The outside world, handed in: clock, sleep, randomness, network. Tests replace any of them.

    `transport` replaces the network under every HTTP client when set. `timeout` is seconds for one request.
    """

    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: random.Random = field(default_factory=random.SystemRandom)
    transport: httpx.AsyncBaseTransport | None = None
    timeout: float = 30.0


async def _at_once() -> None: ...


leaving: ContextVar[Callable[[], Awaitable[None]]] = ContextVar("leaving", default=_at_once)
"""Awaited right before each request that writes leaves, after it waited for its turn. Raises a ConnectorError to hold it back: certainly not done."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` learned: who we are there, facts worth telling, and warnings that do not stop a run."""

    identity: str
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field as the system describes it. `type` is the system's own word; `choices` are its stored values with what people see (both may be
    equal). `path` is how a mapping names it (`partner_id.email`), or the custom field's name for a tool.
    """

    path: str
    label: str
    type: str
    custom: bool = False
    required: bool = False
    writable: bool = True
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object a mapping can read (`crm.lead`), or a kind of item a tool holds (`task`), with its fields. `kind` is ours, where one is meant."""

    name: str
    label: str
    fields: tuple[FieldInfo, ...]
    kind: CrmKind | ItemKind | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline. `status` is what a deal in it counts as, where the system says so."""

    name: str
    pipeline: str = ""
    status: Literal["open", "won", "lost", ""] = ""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who can own or be assigned: `id` is the system's."""

    id: str
    name: str
    email: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """What a system says about itself, for `handoff discover`: its objects and fields, its stages, its people."""

    objects: tuple[ObjectInfo, ...]
    stages: tuple[Stage, ...] = ()
    people: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of records. `cursor` resumes right after it; `total` is the expected number of records of the whole pull, if known."""

    records: tuple[Record, ...]
    cursor: str
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """A system's daily budget of calls as it last told: how many are left, of how many."""

    left: int
    most: int


class Source(Protocol):
    """A CRM, read and written back to. Async context manager; every method may raise any ConnectorError but Ambiguous.

    `pull(kind, None)` starts at the beginning of history (a baseline); with a cursor it yields what changed since, late commits and ties
    included, each page resumable. It may yield a record twice and must never lose one. `write_back` answers in the order of its rows: None
    for done, an error for a row that was refused; it is safe to repeat. `describe` tells what a mapping may name; it only reads.

    One whose calls are counted by the day has a `budget` as well: `Budget | None`, as its last answer told.
    """

    system: str
    kinds: tuple[CrmKind, ...]

    @property
    def calls(self) -> int: ...
    async def __aenter__(self) -> Source: ...
    async def __aexit__(self, *exc: object) -> None: ...
    async def check(self) -> Report: ...
    async def describe(self) -> Description: ...
    def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]: ...
    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]: ...
    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]: ...


@dataclass(frozen=True, slots=True)
class Traits:
    """What a tool can do, known while planning. What it cannot is said in the plan, not met as an error.

    find_lag     how long a look-up may miss an object that exists
    late_commit  how long a write whose answer was lost may still take effect
    provisional  a new project stays invisible to people until it is published
    batch        how many writes one call of `write` carries at best
    kinds        the item kinds it has
    repeatable   kinds whose creation may simply be repeated (set-like)
    fields       per kind, the item fields it can hold
    most_dependencies  how many dependencies one task may take part in, on either side (0: no limit)
    instead      what stands in for a kind (`section`) or for a field (`task.followers`; `parent.due_on`: of a task with sub-tasks) that the
                 tool holds in another form, in words the plan prints ("versions", "a line in the description"); such a kind or field is in
                 `kinds` and `fields` all the same
    unique       kinds of which the tool itself holds one per key at most, however late or often a creation arrives; a second one gives the first
    """

    find_lag: timedelta
    late_commit: timedelta
    provisional: bool
    batch: int
    kinds: frozenset[ItemKind]
    repeatable: frozenset[ItemKind]
    fields: Mapping[ItemKind, frozenset[str]]
    most_dependencies: int = 0
    instead: Mapping[str, str] = field(default_factory=dict)
    unique: frozenset[ItemKind] = frozenset()


@dataclass(frozen=True, slots=True)
class Create:
    """Make `item`. Keys are already resolved to remote ids: the project it belongs to, the task it is under, its section, what it waits for.

    `nonce` is random per attempt and tells attempts of one key apart. For a dependency `parent` is the waiting task, `depends_on` the others.
    """

    item: Item
    nonce: str
    project: str = ""
    parent: str = ""
    section: str = ""
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Set exactly these fields of an existing object, absolutely. Fields have the names `Item` documents."""

    id: str
    kind: ItemKind
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Publish:
    """Show a finished project to people: its final name, owner, dates, sharing. Safe to repeat.

    `again`: an earlier attempt may have shown it already; what people changed since then is theirs and stays.
    """

    id: str
    item: Item
    again: bool = False


Write = Create | Update | Publish


@dataclass(frozen=True, slots=True)
class Remote:
    """An object as the tool holds it, in `Item`'s field names. Fields it does not carry are absent; `key` is empty when unreadable."""

    id: str
    kind: ItemKind
    url: str = ""
    key: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a project has come. `done` and `total` count its top-level tasks."""

    project: str
    done: int
    total: int
    status: ProjectStatus | None = None
    completed: bool = False
    due_on: date | None = None
    archived: bool = False

    @property
    def is_complete(self) -> bool:
        """Called so, or all that is to be done is done."""
        return self.completed or 0 < self.total == self.done


@dataclass(frozen=True, slots=True)
class Changed:
    """Projects touched since the last cursor. `complete` is False when the tool forgot part of the story: every project may have changed."""

    projects: frozenset[str]
    cursor: str
    complete: bool = True


Locate = Callable[[Collection[str]], Mapping[str, str]]


def nowhere(ids: Collection[str]) -> Mapping[str, str]:
    """The `Locate` of somebody who knows no object."""
    del ids
    return {}


class Target(Protocol):
    """A project tool. Async context manager.

    `write` carries out up to `traits.batch` writes and answers in their order: the object, or the error that is true of that one write.
    It raises only what concerns all of them (AuthError). The created object's `url` is filled in. Update and Publish are safe to repeat,
    so their lost answers are Transient; a lost Create is Ambiguous unless its kind is `repeatable`.
    `find` looks up what lost Creates made, in their order: the object, None, Conflict when two carry the key, or Gone when what it would be in
    is not there any more.
    `read` answers in the order of ids, None for what is gone. `same` says whether a value we wrote or want (`ours`) is what `read` shows
    (`held`), whatever the tool does to white space or formatting; one custom field is asked for as `custom.<name>`.
    `changes` may ask `locate` for the projects of objects it meets (object id → project id, what is unknown left out) before asking the tool.
    `progress` omits projects that are gone. `sweep` puts away what given-up creates left behind; it never deletes, and gives the ids.
    `describe` tells what a blueprint can set and who can be assigned; it only reads. `people` gives those of the e-mails that somebody in the tool
    has; `same` takes one that nobody has, once it was asked for, for written where nobody is held.
    """

    system: str
    traits: Traits

    @property
    def calls(self) -> int: ...
    async def __aenter__(self) -> Target: ...
    async def __aexit__(self, *exc: object) -> None: ...
    async def check(self) -> Report: ...
    async def describe(self) -> Description: ...
    async def people(self, emails: Sequence[str]) -> set[str]: ...
    async def write(self, writes: Sequence[Write]) -> Sequence[Remote | ConnectorError]: ...
    async def find(self, creates: Sequence[Create]) -> Sequence[Remote | Conflict | Gone | None]: ...
    async def read(self, kind: ItemKind, ids: Sequence[str]) -> Sequence[Remote | None]: ...
    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool: ...
    async def children(self, project: str) -> Sequence[Remote]: ...
    async def sweep(self, nonces: Sequence[str]) -> Sequence[str]: ...
    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed: ...
    async def progress(self, projects: Sequence[str]) -> Sequence[Progress]: ...
