"""One run's world: configuration, store, open connectors, clock, and who wants to hear about progress."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from typing import Literal

from connectors.base import (
    AuthError,
    ConfigError,
    ConnectorError,
    LeaseLost,
    QuotaExhausted,
    Runtime,
    Source,
    StateError,
    Target,
    Traits,
    UnsafePlan,
)
from connectors.registry import source_opener, target_opener
from engine.blueprint import Blueprint
from engine.check import Configuration
from engine.config import AddComment, CreateProject, Notify, SetStatus
from engine.expressions import Template, compile_template
from engine.fit import Abilities
from engine.mapping import Mapper, reads, writes
from engine.people import Directory
from engine.plan import Planner
from engine.rules import Rulebook
from flows.apply import Stop
from flows.configuration import Loaded, at
from flows.named import NamedSource, NamedTarget
from flows.reader import Reader
from state import Continuity, Outbox, Store
from state.database import Database
from state.inbox import Inbox
from state.leases import TERM

Progress = Callable[[str, int, int | None], None]
Side = Literal["source", "target"]
Failures = dict[tuple[Side, str], ConnectorError]


def silent(what: str, count: int, total: int | None) -> None:
    del what, count, total


@dataclass(slots=True)
class Session:
    """`progress(what, count, total)` hears of every step; `total` is None while it is not known.

    `term` is how long others wait for a process that went silent before they take over what it was at.
    `awaited` says whether another run waits for this one's end.
    `hub` is the hub's database, where there is a use for it; `begun` are the calls each system had seen before, where it was open already.
    `failures` are the systems that gave out, by what they were used as, and why: they are left alone from then on, the others go on.
    """

    loaded: Loaded
    store: Store
    sources: Mapping[str, Source]
    targets: Mapping[str, Target]
    run: str
    runtime: Runtime
    progress: Progress = silent
    stop: Stop = field(default_factory=Stop)
    term: timedelta = TERM
    failures: Failures = field(default_factory=dict)
    awaited: Callable[[], bool] = lambda: False
    hub: Database | None = None
    begun: Mapping[str, int] = field(default_factory=dict)
    inbox: Inbox | None = field(init=False)
    mappers: dict[str, Mapper] = field(init=False)
    outbox: Outbox = field(init=False)
    reader: Reader = field(init=False)
    continuity: Continuity = field(init=False)
    planner: Planner = field(init=False)

    def __post_init__(self) -> None:
        configuration = self.configuration
        self.mappers = {name: Mapper(configuration.mappings[name], name) for name in self.sources}
        self.inbox = Inbox(self.hub) if self.hub is not None else None
        self.outbox = Outbox(self.store)
        self.reader = Reader(self.store, self.run, self.runtime)
        self.continuity = Continuity(self.store)
        self.planner = _planner(self.loaded, {name: target.traits for name, target in self.targets.items()})

    @property
    def configuration(self) -> Configuration:
        return self.loaded.configuration

    @property
    def zone(self) -> tzinfo:
        return self.configuration.zone()

    # one system that is down holds up only itself

    @contextmanager
    def apart(self, side: Side, name: str) -> Iterator[None]:
        """What one system raises in here is noted as its failure, and ends the block. What the state raises is everybody's."""
        try:
            yield
        except (LeaseLost, StateError, UnsafePlan):
            raise
        except ConnectorError as error:
            if error.system != name:
                raise
            self.fail(side, name, error)

    def fail(self, side: Side, name: str, error: ConnectorError) -> None:
        if isinstance(error, ConfigError):
            error = ConfigError([at(self.configuration, name, problem) for problem in error.problems], system=name)
        self.failures.setdefault((side, name), error)

    def has_failed(self, side: Side, name: str) -> bool:
        return (side, name) in self.failures

    def gave_out(self) -> dict[str, ConnectorError]:
        """The systems that failed, by name."""
        return {name: error for (_, name), error in self.failures.items()}

    def forgive(self, side: Side) -> None:
        """Give those that failed another chance."""
        self.failures = {place: error for place, error in self.failures.items() if place[0] != side}

    @property
    def standing_sources(self) -> dict[str, Source]:
        return {name: source for name, source in self.sources.items() if not self.has_failed("source", name)}

    @property
    def standing_targets(self) -> dict[str, Target]:
        return {name: target for name, target in self.targets.items() if not self.has_failed("target", name)}


def worst(errors: Iterable[ConnectorError]) -> ConnectorError:
    """Of several systems' errors the one that needs a person most."""
    return min(errors, key=lambda error: next((rank for rank, kind in enumerate(_WORST) if isinstance(error, kind)), len(_WORST)))


_WORST = (ConfigError, AuthError, QuotaExhausted)


def _planner(loaded: Loaded, traits: Mapping[str, Traits]) -> Planner:
    """Compiled once for each configuration: run follows run."""
    for known, planner in loaded.planners:
        if known == traits:
            return planner
    loaded.planners.append((traits, planner := make_planner(loaded.configuration, traits)))
    return planner


def make_planner(configuration: Configuration, traits: Mapping[str, Traits]) -> Planner:
    rules = configuration.rules
    places = [configuration.place(index) for index in range(len(rules.rules))]
    scopes = {kind: configuration.scope(kind) for kind in ("deal", "customer", "feedback")}
    return Planner(
        rulebook=Rulebook(rules.rules, places, scopes),
        blueprints=_blueprints(configuration, traits),
        texts=_texts(configuration),
        abilities={name: Abilities(t.kinds, t.fields, t.most_dependencies, t.instead) for name, t in traits.items()},
        limits=rules.limits,
    )


def _blueprints(configuration: Configuration, traits: Mapping[str, Traits]) -> dict[tuple[str, str], Blueprint]:
    pairs = {(a.create, a.target) for rule in configuration.rules.rules for a in rule.do if isinstance(a, CreateProject)}
    directories = {target: Directory(configuration.mappings[target].people, configuration.scope("people")) for target in traits}
    return {
        (name, target): Blueprint(
            configuration.blueprints[name],
            scope=configuration.scope(configuration.blueprints[name].for_kind),
            target=target,
            directories=directories,
            calendar=configuration.calendar(name),
            zone=configuration.zone(name),
        )
        for name, target in pairs
    }


def _texts(configuration: Configuration) -> dict[tuple[str, int, str], Template]:
    found: dict[tuple[str, int, str], Template] = {}
    for rule in configuration.rules.rules:
        for kind in {event.split(".")[0] for event in rule.on}:
            for position, action in enumerate(rule.do):
                if isinstance(action, AddComment | SetStatus | Notify):
                    text = action.comment if isinstance(action, AddComment) else action.text
                    found[rule.name, position, kind] = compile_template(text, configuration.scope(kind), markdown=True)
    return found


@asynccontextmanager
async def connect(loaded: Loaded, runtime: Runtime) -> AsyncIterator[tuple[dict[str, Source], dict[str, Target]]]:
    """Every source and target the rules name, open for the length of a run."""
    async with AsyncExitStack() as stack:
        sources = {name: await stack.enter_async_context(open_source(loaded, name, runtime)) for name in loaded.configuration.rules.sources}
        targets = {name: await stack.enter_async_context(open_target(loaded, name, runtime)) for name in loaded.targets}
        yield {**sources}, {**targets}


def open_source(loaded: Loaded, name: str, runtime: Runtime) -> NamedSource:
    """One source by itself, an async context manager."""
    mapping = loaded.configuration.mappings[name]
    opener = source_opener(mapping.system)
    assert opener is not None  # noqa: S101 - checked when the configuration was loaded
    return NamedSource(name, opener(loaded.connections[name], reads=reads(mapping), write_back=writes(mapping), runtime=runtime))


def open_target(loaded: Loaded, name: str, runtime: Runtime) -> NamedTarget:
    """One target by itself, an async context manager."""
    mapping = loaded.configuration.mappings[name]
    opener = target_opener(mapping.system)
    assert opener is not None  # noqa: S101 - checked when the configuration was loaded
    return NamedTarget(
        name, opener(loaded.connections[name], fields={n: f.model_dump() for n, f in mapping.fields.items()}, runtime=runtime)
    )
