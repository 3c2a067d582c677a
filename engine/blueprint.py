"""From a project template and a CRM object to the items a tool should hold. Deterministic: the same input gives the same items."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from types import MappingProxyType
from typing import Any

from engine.calendar import Calendar
from engine.config import BlueprintSpec, ProjectSpec, SectionSpec, SubtaskSpec, TaskSpec
from engine.dates import Base, DateRule, Found, date_fields, parse_date, resolve
from engine.expressions import Condition, Loop, Scope, Template, compile_condition, compile_loop, compile_template
from engine.filters import ExpressionError, path_of
from engine.model import Item
from engine.parts import part_key, waits_elsewhere
from engine.people import Directory

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Rendered:
    """The items of one project, or of one project a part, parents before children, and what was assumed or left out."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]

    def projects(self) -> dict[str, Rendered]:
        """By the key of each project; what was assumed is told with the first one."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.project, []).append(item)
        return {key: Rendered(tuple(items), () if number else self.notes) for number, (key, items) in enumerate(found.items())}


@dataclass(frozen=True, slots=True)
class _Texts:
    """What a project and a task have in common, compiled."""

    name: Template
    notes: Template
    people: Mapping[str, tuple[str, Template]]
    followers: Sequence[tuple[str, Template]]
    custom: Mapping[str, Template]
    start: DateRule | None
    due: DateRule | None


@dataclass(frozen=True, slots=True)
class _Task:
    spec: SubtaskSpec
    section: str
    part: str
    parent: str
    texts: _Texts
    when: Condition | None
    loop: Loop | None


@dataclass(frozen=True, slots=True)
class _Made:
    """A task that is really made: its key, its parent's, and the values its templates see."""

    task: _Task
    key: str
    parent: str
    values: Mapping[str, Any]


class Blueprint:
    """A compiled blueprint. `render` raises ExpressionError when a name, a text or a condition cannot be worked out.

    `directories` are the people of every target. `placed` gives it with some parts in other tools, each a project of its own, where people are
    those of that tool; without, everything is one project in `target`.
    """

    def __init__(
        self,
        spec: BlueprintSpec,
        *,
        scope: Scope,
        target: str,
        directories: Mapping[str, Directory],
        calendar: Calendar,
        zone: tzinfo,
        parts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.spec = spec
        self._scope = scope
        self._target = target
        self._directories = directories
        self._calendar = calendar
        self.zone = zone
        self._parts = parts
        self._placed: dict[tuple[tuple[str, str], ...], Blueprint] = {}
        self._slots = {task.slot for section in spec.sections for task in _flat(section)}
        self._part_of = {section.slot: section.part for section in spec.sections if section.part in parts}
        self._projects = {part: self._texts(spec.project, scope, part) for part in ("", *parts)}
        self._anchor = self._date(spec.anchor, scope)
        self._sections = [(section, self._when(section.when, scope), compile_template(section.name, scope)) for section in spec.sections]
        self._tasks = [task for section in spec.sections for task in self._compile_section(section, scope)]
        self._by_slot = {task.spec.slot: task for task in self._tasks}

    def _compile_section(self, section: SectionSpec, scope: Scope) -> Iterator[_Task]:
        for task in section.tasks:
            yield self._compile(task, section.slot, None, scope)
            for inner in task.subtasks:
                yield self._compile(inner, section.slot, task, scope)

    def placed(self, parts: Mapping[str, str]) -> Blueprint | None:
        """With these parts in other targets; None when one of those is not connected."""
        if not parts:
            return self
        if not set(parts.values()) <= self._directories.keys():
            return None
        wanted = tuple(sorted(parts.items()))
        if wanted not in self._placed:
            self._placed[wanted] = self._with(parts)
        return self._placed[wanted]

    def _with(self, parts: Mapping[str, str]) -> Blueprint:
        return Blueprint(
            self.spec,
            scope=self._scope,
            target=self._target,
            directories=self._directories,
            calendar=self._calendar,
            zone=self.zone,
            parts=dict(parts),
        )

    def target_of(self, part: str) -> str:
        return self._parts.get(part, self._target)

    def directory_of(self, part: str) -> Directory:
        return self._directories[self.target_of(part)]

    def _compile(self, spec: SubtaskSpec, section: str, outer: TaskSpec | None, scope: Scope) -> _Task:
        outside = compile_loop(outer.for_each, scope).scope if outer and outer.for_each else scope
        loop = compile_loop(spec.for_each, outside) if spec.for_each else None
        inside = loop.scope if loop else outside
        part = self._part_of.get(section, "")
        return _Task(spec, section, part, outer.slot if outer else "", self._texts(spec, inside, part), self._when(spec.when, inside), loop)

    def _texts(self, spec: ProjectSpec | SubtaskSpec, scope: Scope, part: str) -> _Texts:
        directory = self.directory_of(part)
        role, who = ("owner", spec.owner) if isinstance(spec, ProjectSpec) else ("assignee", spec.assignee)
        return _Texts(
            name=compile_template(spec.name, scope),
            notes=compile_template(spec.notes, scope, markdown=True),
            people={role: (who, directory.compile(who, scope))} if who else {},
            followers=[(name, directory.compile(name, scope)) for name in spec.followers],
            custom={name: compile_template(text, scope) for name, text in spec.custom.items()},
            start=self._date(spec.start, scope) if spec.start else None,
            due=self._date(spec.due, scope) if spec.due else None,
        )

    def _date(self, text: str, scope: Scope) -> DateRule:
        return parse_date(text, slots=self._slots, fields=date_fields(scope.shapes, self.spec.for_kind))

    def _when(self, text: str, scope: Scope) -> Condition | None:
        return compile_condition(text, scope) if text else None

    def render(self, values: Mapping[str, Any], *, key: str, event_on: date) -> Rendered:
        return _Rendering(self, values, key, event_on).run()


class _Rendering:
    """One project in the making."""

    def __init__(self, blueprint: Blueprint, values: Mapping[str, Any], key: str, event_on: date) -> None:
        self._b = blueprint
        self._values = values
        self._key = key
        self._event_on = event_on
        self._notes: dict[str, None] = {}
        self._days: dict[tuple[str, str], date | None] = {}
        self._busy: set[tuple[str, str]] = set()
        self._made: dict[str, list[_Made]] = {}

    def run(self) -> Rendered:
        sections = [(spec, name) for spec, when, name in self._b._sections if when is None or when.passes(self._values)]
        shown = {spec.slot for spec, _ in sections}
        for task in self._b._tasks:
            if task.section in shown:
                self._made[task.spec.slot] = list(self._makings(task))
        items = [self._section_item(spec.slot, name) for spec, name in sections]
        for task in self._b._tasks:
            items.extend(self._task_item(made) for made in self._made.get(task.spec.slot, ()))
        items.extend(self._dependencies())
        found: list[Item] = []
        for part in dict.fromkeys(("", *(self._b._part_of.get(slot, "") for slot in shown))):
            home = part_key(self._key, part)
            inside = sorted((item for item in items if item.project == home), key=_order)
            found += [Item(home, "project", self._project_fields(part), home), *inside]
        return Rendered(tuple(found), tuple(self._notes))

    # which tasks are made

    def _makings(self, task: _Task) -> Iterator[_Made]:
        for outer in self._made.get(task.parent, ()) if task.parent else (None,):
            values = outer.values if outer else self._values
            home = part_key(self._key, task.part)
            prefix = outer.key if outer and outer.task.loop else home
            parent = outer.key if outer else home
            if task.loop is None:
                yield from self._making(_Made(task, f"{prefix}/{task.spec.slot}", parent, values))
                continue
            for row in task.loop.items(values):
                yield from self._making(_Made(task, f"{prefix}/{task.spec.slot}:{row.id}", parent, {**values, task.loop.name: row}))

    def _making(self, made: _Made) -> Iterator[_Made]:
        if made.task.when is None or made.task.when.passes(made.values):
            yield made

    # items

    def _section_item(self, slot: str, name: Template) -> Item:
        home = part_key(self._key, self._b._part_of.get(slot, ""))
        return Item(f"{home}/{slot}", "section", {"name": self._line(name)}, home, home)

    def _task_item(self, made: _Made) -> Item:
        spec, fields = made.task.spec, self._fields(made.task.texts, made.values, made.task)
        if elsewhere := [(self._name_of(other), self._b.target_of(other.task.part)) for other in self._waits(made, elsewhere=True)]:
            fields["notes"] = waits_elsewhere(fields.get("notes", ""), elsewhere)
            self._notes[f"{made.key} waits for a task in another tool: a line in its notes says so, no link can"] = None
        start, due = self._own_days(made)
        if spec.milestone:
            fields["milestone"], start = True, None
        fields.update(_span(start, due))
        home = part_key(self._key, made.task.part)
        section = "" if made.task.parent else f"{home}/{made.task.section}"
        return Item(made.key, "task", fields, home, made.parent, section)

    def _project_fields(self, part: str) -> dict[str, Any]:
        texts = self._b._projects[part]
        fields = self._fields(texts, self._values, None, part)
        if part:
            fields["name"] += f" ({part})"
        days = [self._resolve(rule, "", self._values) if rule else None for rule in (texts.start, texts.due)]
        return {**fields, **_span(*days)}

    def _fields(self, texts: _Texts, values: Mapping[str, Any], task: _Task | None, part: str = "") -> dict[str, Any]:
        directory = self._b.directory_of(task.part if task else part)
        fields: dict[str, Any] = {"name": self._line(texts.name, values) or (task.spec.slot if task else "project")}
        if notes := texts.notes.render(values).strip():
            fields["notes"] = notes
        for role, (called, template) in texts.people.items():
            if email := self._who(directory, called, template, values):
                fields[role] = email
        followers = dict.fromkeys(
            email for called, template in texts.followers if (email := self._who(directory, called, template, values))
        )
        if followers:
            fields["followers"] = tuple(followers)
        custom = {name: text for name, template in texts.custom.items() if (text := self._custom(name, template, values))}
        if custom:
            fields["custom"] = custom
        return fields

    def _line(self, template: Template, values: Mapping[str, Any] | None = None) -> str:
        return _SPACE.sub(" ", template.render(values or self._values)).strip()

    def _who(self, directory: Directory, called: str, template: Template, values: Mapping[str, Any]) -> str:
        found = directory.find(template, called, values)
        if found.note:
            self._notes[found.note] = None
        return found.email

    def _custom(self, name: str, template: Template, values: Mapping[str, Any]) -> str:
        try:
            return template.render(values).strip()
        except ExpressionError as error:
            self._notes[f"field {name} left empty: {error}"] = None
            return ""

    # dependencies

    def _dependencies(self) -> Iterator[Item]:
        for task in self._b._tasks:
            for made in self._made.get(task.spec.slot, ()):
                if waits := tuple(other.key for other in self._waits(made, elsewhere=False)):
                    yield Item(f"{made.key}#after", "dependency", {}, part_key(self._key, task.part), made.key, "", waits)

    def _waits(self, made: _Made, *, elsewhere: bool) -> list[_Made]:
        """The tasks one waits for, each once: those in its own project, or those in other tools."""
        found = {other.key: other for slot in made.task.spec.after for other in self._standing(slot, frozenset())}
        return [other for key, other in found.items() if key != made.key and (other.task.part != made.task.part) is elsewhere]

    def _name_of(self, made: _Made) -> str:
        return self._line(made.task.texts.name, made.values) or made.task.spec.slot

    def _standing(self, slot: str, seen: frozenset[str]) -> Iterator[_Made]:
        """The tasks a slot stands for; one that was not made passes on what it would have waited for."""
        made = self._made.get(slot, [])
        if made or slot in seen:
            yield from made
            return
        for before in self._b._by_slot[slot].spec.after if slot in self._b._by_slot else ():
            yield from self._standing(before, seen | {slot})

    # dates

    def _own_days(self, made: _Made) -> tuple[date | None, date | None]:
        texts, slot = made.task.texts, made.task.spec.slot
        start = self._resolve(texts.start, slot, made.values) if texts.start else None
        due = self._resolve(texts.due, slot, made.values, start=start) if texts.due else None
        return start, due

    def _resolve(self, rule: DateRule, slot: str, values: Mapping[str, Any], *, start: date | None = None) -> date | None:
        found = resolve(
            rule, lambda base: self._base(base, slot, values, start), event=self._event_on, calendar=self._b._calendar, zone=self._b.zone
        )
        if found.note:
            self._notes[f"{slot or 'project'}: {found.note}"] = None
        if found.day and not self._b._calendar.known(found.day.year):
            self._notes[f"holidays of {found.day.year} are not published yet for {self._b._calendar.name}; Monday to Friday counted"] = None
        return found.day

    def _base(self, base: Base, slot: str, values: Mapping[str, Any], start: date | None) -> Found:
        match base.kind:
            case "start":
                return start
            case "anchor":
                return self._slot_day("", "anchor")
            case "after" | "slot_due":
                return self._slot_day(base.name, "due")
            case "slot_start":
                return self._slot_day(base.name, "start")
            case "last_due":
                return self._last_due(except_slot=slot)
        value = path_of(values, base.name)
        return value if isinstance(value, date | str) else None

    def _slot_day(self, slot: str, side: str) -> date | None:
        """A slot's day, the latest one where it is made several times. A slot that is not made still has its days."""
        place = (slot, side)
        if place in self._days or place in self._busy:
            return self._days.get(place)
        self._busy.add(place)
        self._days[place] = self._anchor_day() if side == "anchor" else self._latest(slot, side)
        self._busy.discard(place)
        return self._days[place]

    def _anchor_day(self) -> date | None:
        return self._resolve(self._b._anchor, "", self._values)

    def _latest(self, slot: str, side: str) -> date | None:
        task = self._b._by_slot[slot]
        making = self._made.get(slot) or [_Made(task, slot, self._key, self._values)]
        days = [self._own_days(made)[0 if side == "start" else 1] for made in making]
        return max((day for day in days if day), default=None)

    def _last_due(self, *, except_slot: str) -> date | None:
        slots = [slot for slot in self._made if slot != except_slot and self._made[slot]]
        return max((day for slot in slots if (day := self._slot_day(slot, "due"))), default=None)


def _flat(section: SectionSpec) -> Iterator[SubtaskSpec]:
    for task in section.tasks:
        yield task
        yield from task.subtasks


def _span(start: date | None, due: date | None) -> dict[str, date]:
    """Dates a tool can hold: a start only with a due date, and not after it."""
    if due is None:
        return {}
    return {"start_on": start, "due_on": due} if start is not None and start <= due else {"due_on": due}


_ORDER: Collection[str] = ("project", "section", "task", "dependency")


def _order(item: Item) -> tuple[int, int]:
    return (list(_ORDER).index(item.kind), int(item.kind == "task" and item.parent != item.project))
