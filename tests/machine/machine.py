"""Deals change, people edit, runs die and answers get lost, in any order; some things must never be seen, and after a quiet time all must be well."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from state import Outbox
from tests.conformance.memory_tool import Thing
from tests.machine.files import PROJECTS_PER_RUN
from tests.machine.tool import Ways
from tests.machine.world import Nap, Troubles, World

MOST_DEALS = 4  # the one of old included
_seconds = st.sampled_from([0, 30])
_ways = st.builds(
    lambda lag, late, provisional, batch: Ways(timedelta(seconds=lag), timedelta(seconds=late), provisional, batch),
    *(_seconds, st.sampled_from([60, 60, 0]), st.booleans(), st.integers(1, 3)),
)
# deaths come early: what matters most is the order of the first commits and requests
_death = st.one_of(st.integers(1, 16), st.integers(1, 60))
_trouble = st.sampled_from(["lost", "never", "late:45", "late:59", "late:10", "busy", "refused:0"])
_on_writes = st.dictionaries(st.tuples(st.just("write"), st.integers(1, 3)), _trouble, min_size=1, max_size=2)
_on_reads = st.dictionaries(
    st.tuples(st.sampled_from(["find", "find", "read", "pull", "changes", "write back"]), st.integers(1, 2)), _trouble, max_size=2
)
_troubles = st.builds(lambda writes, reads: {**writes, **reads}, _on_writes, _on_reads)
_patience = st.sampled_from([180, 0])
_naps = st.builds(Nap, st.integers(0, 4), st.sampled_from([200, 20]))
_rest = st.sampled_from([1, 70, 1200])  # seconds; what a dead process had leased is free again after a minute
_pick = st.integers(0, 2)


class Wrong(AssertionError):
    """What must never be, or what is missing after a quiet time. The message begins with a name for it."""


class Sync(RuleBasedStateMachine):
    """`examples` counts the machines made, for those who want to know how many a fault needed. `wears`: the tool has always these ways."""

    examples: ClassVar[int] = 0
    wears: ClassVar[Ways | None] = None

    def __init__(self) -> None:
        super().__init__()
        Sync.examples += 1
        self.folder = tempfile.TemporaryDirectory(prefix="handoff-machine-")
        self.edits = 0
        self.names = 0
        self.born_with: dict[str, set[str]] = {}

    @initialize(ways=_ways)
    def begin(self, ways: Ways = Ways()) -> None:  # noqa: B008 - frozen
        """First contact: what is there already is history, and nothing follows from it. Then a deal is won."""
        self.world = World(Path(self.folder.name, "state.db"), self.wears or ways)
        self.world.tool.complete = lambda key: self.born_with.get(key, set())
        self.world.crm.add("Old", won=True)
        self.world.sync()
        self._later(20)
        self.win_new()

    # the CRM

    @precondition(lambda self: len(self.world.crm.deals) < MOST_DEALS)
    @rule(lines=st.integers(0, 2))
    def win_new(self, lines: int = 0) -> None:
        self._win(self.world.crm.add(self._name(), lines=[f"line {at}" for at in range(lines)]))

    @precondition(lambda self: len(self.world.crm.deals) < MOST_DEALS)
    @rule()
    def open_new(self) -> None:
        self.world.crm.add(self._name())

    @precondition(lambda self: len(self.world.crm.deals) == 2)
    @rule()
    def flood(self) -> None:
        """More won deals at once than a run may act on."""
        for _ in range(PROJECTS_PER_RUN + 1):
            self._win(self.world.crm.add(self._name()))

    @precondition(lambda self: self._deals())
    @rule(pick=_pick)
    def win(self, pick: int = 0) -> None:
        """Win an open deal; a won one is open for a while and then won again."""
        deal = self._deal(pick)
        if self.world.crm.deals[deal].won:
            self.world.crm.change(deal, won=False)
            self.run()
        self._win(deal)

    @precondition(lambda self: self._deals())
    @rule(pick=_pick)
    def rename(self, pick: int = 0) -> None:
        self.world.crm.change(self._deal(pick), name=self._name())

    @precondition(lambda self: self._deals())
    @rule(pick=_pick)
    def add_line(self, pick: int = 0) -> None:
        deal = self._deal(pick)
        lines = self.world.crm.deals[deal].lines
        self.world.crm.change(deal, lines=(*lines, f"line {len(lines)}"))

    @precondition(lambda self: self._deals())
    @rule(pick=_pick)
    def raise_amount(self, pick: int = 0) -> None:
        deal = self._deal(pick)
        self.world.crm.change(deal, amount=self.world.crm.deals[deal].amount + 1)

    # people

    @precondition(lambda self: self._visible())
    @rule(pick=_pick, field=st.sampled_from(["name", "notes"]))
    def edit(self, pick: int = 0, field: str = "name") -> None:
        """Somebody writes over what is there; from then on it is theirs."""
        things = self._visible()
        thing = things[pick % len(things)]
        self.edits += 1
        self.world.tool.edit(thing.kind, thing.id, field, f"by hand {self.edits}")

    @rule()
    def try_parked_again(self) -> None:
        self._retry()

    # runs

    @rule(patience=_patience, rest=_rest)
    def run(self, patience: float = 0, rest: float = 1) -> None:
        with self._within_limits():
            self.world.sync(patience=patience)
        self._later(rest / 60)

    @rule(at=_death, troubles=st.one_of(st.just({}), _troubles), rest=_rest)
    def die(self, at: int = 1, troubles: Troubles | None = None, rest: float = 1) -> None:
        """A run that ends before or after its n-th commit or request."""
        with self._within_limits():
            self.world.sync(crash_at=at, troubles=troubles)
        self._later(rest / 60)

    @rule(troubles=_troubles, patience=_patience, rest=_rest)
    def suffer(self, troubles: Troubles | None = None, patience: float = 0, rest: float = 1) -> None:
        with self._within_limits():
            self.world.sync(troubles=troubles, patience=patience)
        self._later(rest / 60)

    @rule(at=st.one_of(st.just(0), _death), troubles=_on_reads, nap=_naps, rest=_rest)
    def share(self, at: int = 0, troubles: Troubles | None = None, nap: Nap = Nap(), rest: float = 1) -> None:  # noqa: B008 - frozen
        """Two workers on one store; one may be paused for longer than its lease."""
        with self._within_limits():
            self.world.share(crash_at=at, troubles=troubles, nap=nap)
        self._later(rest / 60)

    @contextmanager
    def _within_limits(self) -> Iterator[None]:
        before = len(self.world.decided)
        yield
        if (born := len(self.world.decided) - before) > PROJECTS_PER_RUN:
            raise Wrong(f"limit passed: {born} projects in one run")

    # what must be

    @invariant()
    def nothing_wrong_was_seen(self) -> None:
        if self.world.tool.wrongs:
            raise Wrong(self.world.tool.wrongs[0])

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.all_well_after_all()
        finally:
            self.folder.cleanup()

    def all_well_after_all(self) -> None:
        self._quiet()
        self._all_well()

    def _quiet(self) -> None:
        """Nothing goes wrong any more, a person says yes to what waits, and runs follow each other until there is nothing to do."""
        for _ in range(12):
            self._retry()
            self._later(20)
            summary = self.world.sync(patience=180, force=True)
            self.nothing_wrong_was_seen()
            if summary is not None and summary.result == "nothing to do":
                return
        raise Wrong(f"never quiet: {summary and (summary.result, summary.errors, str(summary.error))}")

    def _all_well(self) -> None:
        if any(self.world.outbox()[name] for name in ("open", "in_doubt", "parked")):
            raise Wrong(f"left open: {self.world.outbox()}")
        if problems := self.world.problems():
            raise Wrong(f"state unsound: {', '.join(problems)}")
        if self.world.tool.shown.get("crm:deal:d1/onboarding"):
            raise Wrong("history acted on")
        for deal in self._deals():
            if self.world.crm.deals[deal].won:
                self._is_served(deal)

    def _is_served(self, deal: str) -> None:
        """All that is due for a won deal stands in the tool, in its place, as the CRM or a person has it."""
        row, project = self.world.crm.deals[deal], _key(deal)
        things = self._things()
        if project not in things or not things[project].public:
            raise Wrong(f"won deal never acted on: {deal}")
        kinds = self.world.tool.ways.kinds
        wanted = self._wanted(project, row.name, row.lines)
        if missing := wanted.keys() - things.keys():
            raise Wrong(f"missing: {', '.join(sorted(missing))}")
        for key, (parent, section, fields) in wanted.items():
            thing = things[key]
            if key != project and (thing.project, thing.parent) != (things[project].id, things[parent].id):
                raise Wrong(f"wrong parent: {key}")
            if "section" in kinds and thing.section != (things[section].id if section else ""):
                raise Wrong(f"wrong section: {key}")
            self._is_current(thing, fields)
        for at in range(len(row.lines) if "dependency" in kinds else 0):
            if things[f"{project}/line:line {at}"].waits != [things[f"{project}/kickoff"].id]:
                raise Wrong(f"wrong dependencies: {project}/line:line {at}")
        if self.world.crm.told.get(deal, {}).get("Key") != project:
            raise Wrong(f"CRM not told: {deal}")

    def _is_current(self, thing: Thing, fields: dict[str, Any]) -> None:
        for name, ours in fields.items():
            value = self.world.tool.edits.get((thing.id, name), ours)
            if thing.fields.get(name) != value:
                raise Wrong(f"stale {name}: {thing.key} says {thing.fields.get(name)!r}, not {value!r}")

    # hands

    def _name(self) -> str:
        self.names += 1
        return f"Deal {self.names}"

    def _deals(self) -> list[str]:
        return list(self.world.crm.deals)[1:]

    def _deal(self, pick: int) -> str:
        return self._deals()[pick % len(self._deals())]

    def _wanted(self, project: str, name: str, lines: Sequence[str]) -> dict[str, tuple[str, str, dict[str, Any]]]:
        """What the tool can hold of what a project consists of."""
        section = "section" in self.world.tool.ways.kinds
        return {key: value for key, value in _wanted(project, name, lines).items() if section or key != f"{project}/begin"}

    def _win(self, deal: str) -> None:
        self.world.crm.change(deal, won=True)
        row = self.world.crm.deals[deal]
        self.born_with.setdefault(_key(deal), set(self._wanted(_key(deal), "", row.lines)) - {_key(deal)})

    def _visible(self) -> list[Thing]:
        tool = self.world.tool
        shown = [tool.things[id_] for ids in tool.shown.values() for id_ in ids]
        return [thing for thing in shown if thing.kind in ("project", "task")]

    def _things(self) -> dict[str, Thing]:
        return {thing.key: thing for thing in self.world.tool.things.values() if not thing.archived}

    def _retry(self) -> None:
        def retry(store: Any) -> None:
            outbox = Outbox(store)
            with store.transaction():
                for intent in outbox.parked():
                    outbox.retry(intent.seq, self.world.clock())

        self.world.look(retry)

    def _later(self, minutes: float) -> None:
        self.world.clock.move(minutes=minutes)
        self.world.tool.arrive()


def _key(deal: str) -> str:
    return f"crm:deal:{deal}/onboarding"


def _wanted(project: str, name: str, lines: Sequence[str]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """What a project consists of: key → parent's key, section's key, fields."""
    return {
        project: ("", "", {"name": f"{name} onboarding", "notes": f"Deal {name}"}),
        f"{project}/begin": (project, "", {"name": "Begin"}),
        f"{project}/kickoff": (project, f"{project}/begin", {"name": f"Kick off {name}"}),
        f"{project}/agenda": (f"{project}/kickoff", "", {"name": "Agenda"}),
        **{f"{project}/line:{line}": (project, f"{project}/begin", {"name": f"Deliver {line}"}) for line in lines},
    }
