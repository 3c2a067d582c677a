"""Checks of `mappings/blueprints/<name>.yaml`: slots, texts, people, dates, and circles among them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.config import BlueprintSpec, ProjectSpec, SubtaskSpec, TaskSpec
from engine.dates import WORDS, Cycle, DateRule, Word, date_fields, order, parse_date
from engine.document import Path
from engine.expressions import Scope, compile_condition, compile_loop, compile_template
from engine.findings import Findings, is_template
from engine.hints import nearest, suggest

_ANCHOR_WORDS: tuple[Word, ...] = ("event",)
_PROJECT_START: tuple[Word, ...] = ("event", "anchor", "after")
_TASK_START: tuple[Word, ...] = ("event", "anchor", "after", "last due")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a blueprint may name in a target it is used with."""

    roles: Collection[str]
    fields: Collection[str]
    target: str = ""


_NO_PARTS: Mapping[str, Vocabulary] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Place:
    """A task and where it stands; `loops` are the `for:` it lies in, outermost first, each with its place."""

    task: SubtaskSpec
    path: Path
    loops: tuple[tuple[str, Path], ...]


def places(blueprint: BlueprintSpec) -> Iterator[Place]:
    """Every task and sub-task, in the order of writing."""
    for number, section in enumerate(blueprint.sections):
        for index, task in enumerate(section.tasks):
            yield from _with_subtasks(task, ("sections", number, "tasks", index))


def _with_subtasks(task: TaskSpec, path: Path) -> Iterator[Place]:
    outer = _loops(task, path)
    yield Place(task, path, outer)
    for index, inner in enumerate(task.subtasks):
        place = (*path, "subtasks", index)
        yield Place(inner, place, (*outer, *_loops(inner, place)))


def _loops(task: SubtaskSpec, path: Path) -> tuple[tuple[str, Path], ...]:
    return ((task.for_each, (*path, "for")),) if task.for_each else ()


class BlueprintCheck:
    """One blueprint under examination, as it is used with one target, and further ones for parts of it."""

    def __init__(
        self,
        blueprint: BlueprintSpec,
        findings: Findings,
        scope: Scope,
        vocabulary: Vocabulary,
        parts: Mapping[str, Vocabulary] = _NO_PARTS,
    ) -> None:
        self.blueprint = blueprint
        self.findings = findings
        self.scope = scope
        self.vocabulary = vocabulary
        self.parts = parts
        self.places = list(places(blueprint))
        self.slots = {place.task.slot for place in self.places}
        self._fields: dict[Scope, Mapping[str, str]] = {}
        self._dates: dict[str, list[str]] = {f"{slot}.{side}": [] for slot in self.slots for side in ("start", "due")}
        self._where: dict[str, Path] = {}

    def run(self) -> None:
        self.findings.unique("slot", self._all_slots())
        self._settings()
        self._project(self.blueprint.project, ("project",))
        for number, section in enumerate(self.blueprint.sections):
            self._text(section.name, ("sections", number, "name"), self.scope)
            self._when(section.when, ("sections", number, "when"), self.scope)
        for place in self.places:
            self._task(place)
        self._circles()

    def _all_slots(self) -> Iterator[tuple[str, Path]]:
        for number, section in enumerate(self.blueprint.sections):
            yield section.slot, ("sections", number, "slot")
        for place in self.places:
            yield place.task.slot, (*place.path, "slot")

    def _settings(self) -> None:
        if self.blueprint.calendar is not None:
            self.findings.calendar(self.blueprint.calendar, ("calendar",))
        if self.blueprint.timezone is not None:
            self.findings.zone(self.blueprint.timezone, ("timezone",))
        self._date(self.blueprint.anchor, ("anchor",), self.scope, _ANCHOR_WORDS, slots=())

    def _project(self, project: ProjectSpec, path: Path) -> None:
        self._texts(project, path, self.scope)
        self._who(project.owner, (*path, "owner"), self.scope)
        self._date(project.start, (*path, "start"), self.scope, _PROJECT_START)
        self._date(project.due, (*path, "due"), self.scope, WORDS if project.start else _TASK_START)

    def _task(self, place: Place) -> None:
        task, path, scope = place.task, place.path, self._scope(place)
        self._texts(task, path, scope)
        self._who(task.assignee, (*path, "assignee"), scope)
        self._when(task.when, (*path, "when"), scope)
        for number, slot in enumerate(task.after):
            if self.findings.known("slot", slot, self.slots, (*path, "after", number)) and slot == task.slot:
                self.findings.refuse(f"{slot} cannot wait for itself", (*path, "after", number))
        for side, text in (("start", task.start), ("due", task.due)):
            words = WORDS if side == "due" and task.start else _TASK_START
            rule = self._date(text, (*path, side), scope, words)
            if rule:
                self._remember(task.slot, side, rule, (*path, side))

    def _scope(self, place: Place) -> Scope:
        scope = self.scope
        for text, path in place.loops:

            def compile_here(text: str = text, scope: Scope = scope) -> Scope:
                return compile_loop(text, scope).scope

            scope = self.findings.compiled(path, compile_here) or scope
        return scope

    def _texts(self, spec: ProjectSpec | SubtaskSpec, path: Path, scope: Scope) -> None:
        self._text(spec.name, (*path, "name"), scope)
        self._text(spec.notes, (*path, "notes"), scope, markdown=True)
        for number, follower in enumerate(spec.followers):
            self._who(follower, (*path, "followers", number), scope)
        for name, text in spec.custom.items():
            lacking = next((one for one in self._vocabularies(path) if name not in one.fields), self.vocabulary)
            of = f" of {lacking.target}" if self.parts else ""
            self.findings.known(f"custom field{of}", name, lacking.fields, (*path, "custom", name), at_key=True)
            self._text(text, (*path, "custom", name), scope)

    def _text(self, text: str, path: Path, scope: Scope, *, markdown: bool = False) -> None:
        self.findings.compiled(path, lambda: compile_template(text, scope, markdown=markdown))

    def _when(self, text: str, path: Path, scope: Scope) -> None:
        if text:
            self.findings.compiled(path, lambda: compile_condition(text, scope))

    def _who(self, text: str, path: Path, scope: Scope) -> None:
        lacking = next((one for one in self._vocabularies(path) if text not in one.roles), None)
        if not text or lacking is None:
            return
        if is_template(text):
            self._text(text, path, scope)
        elif "@" in text:
            self.findings.email(text, path)
        else:
            of = f" of {lacking.target}" if self.parts else ""
            self.findings.refuse(f"unknown role{of} {text}", path, suggest(text, lacking.roles))

    def _vocabularies(self, path: Path) -> list[Vocabulary]:
        """Of the tool that gets this; the project itself is made in each."""
        if path[0] != "sections" or not isinstance(path[1], int):
            return [self.vocabulary, *self.parts.values()]
        return [self.parts.get(self.blueprint.sections[path[1]].part, self.vocabulary)]

    # dates

    def _date(self, text: str, path: Path, scope: Scope, words: Collection[Word], slots: Collection[str] | None = None) -> DateRule | None:
        if not text:
            return None
        if scope not in self._fields:
            self._fields[scope] = date_fields(scope.shapes, self.blueprint.for_kind)
        known, fields = self.slots if slots is None else slots, self._fields[scope]
        return self.findings.compiled(path, lambda: parse_date(text, slots=known, fields=fields, words=words))

    def _remember(self, slot: str, side: str, rule: DateRule, path: Path) -> None:
        self._where[f"{slot}.{side}"] = path
        if rule.base.kind == "last_due":
            self._dates[f"{slot}.{side}"] = [f"{other}.due" for other in self.slots if other != slot]
        elif rule.base.kind == "start":
            self._dates[f"{slot}.{side}"] = [f"{slot}.start"]
        elif rule.waits_for:
            self._dates[f"{slot}.{side}"] = [rule.waits_for]

    def _circles(self) -> None:
        after = {place.task.slot: [slot for slot in place.task.after if slot != place.task.slot] for place in self.places}
        where: dict[str, Path] = {place.task.slot: (*place.path, "after") for place in self.places}
        for what, graph, spots in (("tasks wait", after, where), ("dates count", self._dates, self._where)):
            try:
                order(graph)
            except Cycle as cycle:
                first = min(cycle.names, key=lambda name: self.findings.document.place(spots.get(name, ())))
                self.findings.refuse(f"{what} for each other in a circle: {' → '.join(_from(first, cycle.names))}", spots[first])


def _from(first: str, circle: Collection[str]) -> list[str]:
    """A circle told from `first` on."""
    names = list(circle)[:-1]
    start = names.index(first)
    return [*names[start:], *names[:start], first]


def near_slot(name: str, blueprint: BlueprintSpec) -> str:
    close = nearest(name, [place.task.slot for place in places(blueprint)])
    return f"did you mean {close}?" if close else ""
