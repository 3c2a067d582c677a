"""Planning: from changes to the actions they call for, with a reason for each and for everything that was passed over. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.blueprint import Blueprint, Rendered
from engine.config import AddComment, CreateProject, Do, Limits, Notify, SetStatus
from engine.events import Change
from engine.expressions import Template
from engine.filters import ExpressionError
from engine.fit import Abilities, fit
from engine.model import Action, Decision, Item, Notice, Op, Verdict
from engine.parts import main_of, part_of, with_links
from engine.rules import CompiledRule, Rulebook, context

if TYPE_CHECKING:
    from engine.approval import Gated


@dataclass(frozen=True, slots=True)
class Existing:
    """A project already decided on: what its items were last wanted to be, by key; `planned` while it is only in this plan, `visible` once people
    can see it."""

    key: str
    target: str
    blueprint: str
    source: str
    rule: str
    event: str
    event_at: datetime
    url: str
    items: Mapping[str, Item]
    planned: bool = False
    visible: bool = False


@dataclass(frozen=True, slots=True)
class Alarm:
    """A sign that the CRM is at fault rather than that business has changed: in words, and in which records it was seen."""

    reason: str
    sources: tuple[str, ...]


@dataclass(slots=True)
class Plan:
    """What a run would do: the actions in order, every decision, notes about what was assumed or left out (by project key), alarms, and whom it
    would tell what.

    `gated` are the records about which a person is asked first. What is planned for those that wait is none of the plan's own.
    """

    actions: list[Action] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    gated: list[Gated] = field(default_factory=list)

    @property
    def held(self) -> list[Gated]:
        return [one for one in self.gated if one.holds]

    @property
    def digest(self) -> str:
        """Twelve characters that stand for exactly these actions and messages, for whose edits win, and for what caused alarm."""
        essence = [_essence(action) for action in self.actions] + [[alarm.reason, *alarm.sources] for alarm in self.alarms]
        essence += [["notice", notice.channel, notice.source, notice.rule, notice.text] for notice in self.notices]
        text = json.dumps(essence, sort_keys=True, default=str, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def counts(self) -> Counter[str]:
        return Counter(f"{action.op} {action.item.kind}" for action in self.actions)

    def count(self, verdict: Verdict) -> int:
        return sum(1 for decision in self.decisions if decision.verdict == verdict)

    def projects(self) -> list[Action]:
        return [action for action in self.actions if action.op == "create" and action.item.kind == "project"]


class Planner:
    """Plans one change at a time; what it decided earlier in the same plan counts as existing.

    `blueprints` are compiled per (blueprint, target); `texts` hold the compiled texts of comments, statuses and messages per (rule, position, kind).
    """

    def __init__(
        self,
        *,
        rulebook: Rulebook,
        blueprints: Mapping[tuple[str, str], Blueprint],
        texts: Mapping[tuple[str, int, str], Template],
        abilities: Mapping[str, Abilities],
        limits: Limits,
    ) -> None:
        self._rulebook = rulebook
        self._blueprints = blueprints
        self._texts = texts
        self._abilities = abilities
        self._limits = limits

    @property
    def tells(self) -> bool:
        """Whether some rule tells people anything."""
        return any(isinstance(action, Notify) for compiled in self._rulebook.rules for action in compiled.rule.do)

    def plan(
        self,
        change: Change,
        existing: dict[str, Existing],
        plan: Plan,
        *,
        among: Collection[str] | None = None,
        told: Collection[str] = (),
        is_history: bool = False,
    ) -> None:
        """Add what `change` calls for to `plan`, by all rules or those `among` the named.

        `existing` are the projects made from this record or from records merged into it; what is planned here joins them. `told` are the keys of
        notices decided before. Of history (`is_history`) nobody is told.
        """
        before = list(existing.values())
        for compiled, decision in self._rulebook.decide(change):
            if among is not None and compiled.rule.name not in among:
                continue
            if decision.verdict != "acts":
                plan.decisions.append(decision)
                continue
            firing = _Firing(compiled, decision, change, existing, plan, told, is_history)
            for position, action in enumerate(compiled.rule.do):
                plan.decisions.append(self._act(firing, action, position))
        if change.after is not None and not change.record.deleted and change.before is not None:
            for main in [project for project in before if not part_of(project.key)]:
                self._keep_in_step(main, [one for one in before if main_of(one.key) == main.key], change, plan)

    def _act(self, firing: _Firing, action: Do, position: int) -> Decision:
        try:
            if isinstance(action, Notify):
                return self._notify(firing, action, position)
            return self._create(firing, action) if isinstance(action, CreateProject) else self._tell(firing, action, position)
        except ExpressionError as error:
            return firing.says("failed", str(error))

    # projects

    def _create(self, firing: _Firing, action: CreateProject) -> Decision:
        change, key = firing.change, f"{firing.change.source}/{action.create}"
        standing = firing.project(action.create)
        if standing is not None and standing.planned:
            return firing.says("passed", f"its project {standing.key} is made by rule {standing.rule} already, in this plan")
        if standing is not None:
            where = f" ({standing.url})" if standing.url else ""
            return firing.says("passed", f"its project {standing.key} exists already{where}, made by rule {standing.rule}")
        blueprint = self._blueprints[action.create, action.target].placed(action.parts)
        assert blueprint is not None  # noqa: S101 - what the rules name is connected
        rendered = self._render(blueprint, change, firing.decision.event, key)
        most = self._limits.objects_per_project
        for project in rendered.values():
            if len(project.items) > most:
                return firing.says(
                    "failed", f"the project would have {len(project.items)} objects, limits.objects_per_project allows {most}"
                )
        for home, project in rendered.items():
            cause = firing.cause(blueprint.target_of(part_of(home)), action.create)
            items = {item.key: item for item in project.items}
            firing.standing[home] = cause.existing(home, items)
            firing.plan.actions.extend(cause.action("create", item) for item in project.items)
            firing.plan.actions.append(cause.action("publish", items[home]))
            if project.notes:
                firing.plan.notes[home] = project.notes
        parts = [f"{part_of(home)} in {blueprint.target_of(part_of(home))}" for home in rendered if part_of(home)]
        return firing.says("acts", f"creates {action.create} in {', '.join([action.target, *parts])}: {firing.decision.reason}")

    def _render(self, blueprint: Blueprint, change: Change, event: str, key: str) -> dict[str, Rendered]:
        """Each part's project as its tool can hold it, by key."""
        event_on = change.at.astimezone(blueprint.zone).date()
        rendered = blueprint.render(context(change, event), key=key, event_on=event_on).projects()
        targets = {home: blueprint.target_of(part_of(home)) for home in rendered}
        return {home: fit(project, self._abilities[targets[home]], targets[home]) for home, project in rendered.items()}

    # comments and statuses

    def _tell(self, firing: _Firing, action: AddComment | SetStatus, position: int) -> Decision:
        blueprint, _, slot = action.on.partition("/")
        projects = firing.projects(blueprint)
        if not projects:
            return firing.says("passed", f"there is no {blueprint} project for it")
        holding = [project for project in projects if not slot or f"{project.key}/{slot}" in project.items]
        if not holding:
            return firing.says("passed", f"{projects[0].key} has no {slot}")
        told = [self._say(firing, action, position, project, slot) for project in holding]
        return next((one for one in told if one.verdict == "acts"), told[0])

    def _say(self, firing: _Firing, action: AddComment | SetStatus, position: int, project: Existing, slot: str) -> Decision:
        parent = f"{project.key}/{slot}" if slot else project.key
        rule, change = firing.compiled.rule.name, firing.change
        text = self._texts[rule, position, change.record.kind].render(context(change, firing.decision.event)).strip()
        item = _message(action, f"{rule}-{position}-{_identity(change, text)}", parent, project.key, text)
        if item.key in project.items:
            return firing.says("passed", f"this {item.kind} was made already")
        if item.kind not in self._abilities[project.target].kinds:
            return firing.says("passed", f"{project.target} has no way to hold a {item.kind}")
        firing.plan.actions.append(firing.cause(project.target, project.blueprint).action("create", item))
        return firing.says("acts", f"{item.kind} on {parent}: {firing.decision.reason}")

    # messages

    def _notify(self, firing: _Firing, action: Notify, position: int) -> Decision:
        """One for each change that wakes the rule and each text, as with comments."""
        rule, change = firing.compiled.rule.name, firing.change
        if firing.is_history:
            return firing.says("passed", "it is history, of which nobody is told")
        event = firing.decision.event
        text = self._texts[rule, position, change.record.kind].render(context(change, event)).strip()
        if not text:
            return firing.says("passed", "the message is empty")
        key = f"{change.source}#notify-{rule}-{position}-{_identity(change, text)}@{action.notify}"
        if key in firing.told or any(notice.key == key for notice in firing.plan.notices):
            return firing.says("passed", f"{action.notify} was told already")
        firing.plan.notices.append(Notice(key, action.notify, change.source, event, rule, firing.compiled.why, text))
        return firing.says("acts", f"tells {action.notify}: {firing.decision.reason}")

    # keeping in step

    def _keep_in_step(self, main: Existing, projects: Sequence[Existing], change: Change, plan: Plan) -> None:
        """A project and its parts in other tools, which stay where they were made, whatever the rules say by now."""
        placed = self._blueprints.get((main.blueprint, main.target))
        blueprint = placed.placed({part_of(one.key): one.target for one in projects if one is not main}) if placed else None
        if blueprint is None or main.source != change.source:
            return
        try:
            # as on the day it was made: what happened since changes neither its event nor its dates
            rendered = self._render(blueprint, replace(change, at=main.event_at), main.event, main.key)
        except ExpressionError as error:
            plan.decisions.append(Decision(change.source, "", "", "failed", f"{main.key} cannot be kept in step: {error}"))
            return
        for project in projects:
            items = self._linked(rendered[project.key].items, project, projects) if project.key in rendered else ()
            self._keep_one(project, items, blueprint, change, plan)

    def _keep_one(self, project: Existing, items: Sequence[Item], blueprint: Blueprint, change: Change, plan: Plan) -> None:
        keep = blueprint.spec.keep
        cause = _Cause(
            project.target, change.source, project.blueprint, _event(change), change.at, project.rule, f"kept in step with {change.source}"
        )
        plan.actions.extend(_updates(items, project.items, {"project": keep.project, "task": keep.task}, cause))
        if new := _newcomers(items, project.items):
            plan.actions.extend(cause.action("create", item) for item in new)
        gone = project.items.keys() - {item.key for item in items}
        told = tuple(f"{key} would not be made any more; it stays" for key in sorted(gone) if "#" not in key)
        if told:
            plan.notes[project.key] = told

    def _linked(self, items: Sequence[Item], project: Existing, projects: Sequence[Existing]) -> Sequence[Item]:
        """With the addresses of the other parts in the project's notes, as far as people can see those."""
        others = [(one.key, one.target, one.url) for one in projects if one is not project and one.visible and project.visible]
        if not others or "notes" not in self._abilities[project.target].fields.get("project", {"notes"}):
            return items
        lead, *rest = items
        return [replace(lead, fields={**lead.fields, "notes": with_links(lead.fields.get("notes", ""), others)}), *rest]


def _updates(items: Iterable[Item], known: Mapping[str, Item], keeps: Mapping[str, Mapping[Any, str]], cause: _Cause) -> Iterator[Action]:
    for item in items:
        before = known.get(item.key)
        keep = keeps.get(item.kind, {})
        if before is None or not keep:
            continue
        changed = _changed(before.fields, item.fields, keep)
        if changed:
            wanted = Item(item.key, item.kind, {**before.fields, **_deep(before.fields, changed)}, item.project, item.parent, item.section)
            yield cause.action("update", wanted, changed, {name: keep[name] for name in changed})


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], keep: Mapping[Any, str]) -> dict[str, Any]:
    changed = {name: after.get(name) for name in keep if name != "custom" and before.get(name) != after.get(name)}
    if "custom" in keep:
        old, new = before.get("custom", {}), after.get("custom", {})
        custom = {name: new.get(name) for name in {**old, **new} if old.get(name) != new.get(name)}
        if custom:
            changed["custom"] = custom
    return changed


def _deep(before: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    return {**changed, **({"custom": {**before.get("custom", {}), **changed["custom"]}} if "custom" in changed else {})}


def _newcomers(items: Sequence[Item], known: Mapping[str, Item]) -> list[Item]:
    """Items a later change added: a task for a new line item, with what hangs on it, and what now waits for it as well."""
    waits: dict[str, set[str]] = {}
    for item in known.values():
        if item.kind == "dependency":
            waits.setdefault(item.parent, set()).update(item.depends_on)
    return [new for item in items if (new := _newcomer(item, known, waits.get(item.parent, set()))) is not None]


def _newcomer(item: Item, known: Mapping[str, Item], waits: Collection[str]) -> Item | None:
    if item.key not in known:
        return item
    more = tuple(key for key in item.depends_on if key not in waits)
    return replace(item, key=f"{item.key}-{_short_hash(' '.join(more))}", depends_on=more) if more else None


def _event(change: Change) -> str:
    return change.events[-1] if change.events else f"{change.record.kind}.updated"


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why an action is taken; shared by all actions of one project."""

    target: str
    source: str
    blueprint: str
    event: str
    at: datetime
    rule: str
    why: str

    def action(self, op: Op, item: Item, changed: Mapping[str, Any] | None = None, keep: Mapping[str, str] | None = None) -> Action:
        return Action(
            op, item, self.target, self.source, self.blueprint, self.event, self.at, self.rule, self.why, changed or {}, keep or {}
        )

    def existing(self, key: str, items: Mapping[str, Item]) -> Existing:
        return Existing(key, self.target, self.blueprint, self.source, self.rule, self.event, self.at, "", items, planned=True)


@dataclass(frozen=True, slots=True)
class _Firing:
    """A rule that acts on a change. `standing` are the projects that exist or are planned already, `told` the notices decided before."""

    compiled: CompiledRule
    decision: Decision
    change: Change
    standing: dict[str, Existing]
    plan: Plan
    told: Collection[str] = ()
    is_history: bool = False

    def project(self, blueprint: str) -> Existing | None:
        return next(iter(self.projects(blueprint)), None)

    def projects(self, blueprint: str) -> list[Existing]:
        """The main project and its parts, where there are some, in this order."""
        found = [project for project in self.standing.values() if project.blueprint == blueprint]
        first = next(iter(found), None)
        return sorted((one for one in found if first and main_of(one.key) == main_of(first.key)), key=lambda one: one.key)

    def cause(self, target: str, blueprint: str) -> _Cause:
        rule = self.compiled
        return _Cause(target, self.change.source, blueprint, self.decision.event, self.change.at, rule.rule.name, rule.why)

    def says(self, verdict: Verdict, reason: str) -> Decision:
        return replace(self.decision, verdict=verdict, reason=reason)


def _message(action: AddComment | SetStatus, mark: str, parent: str, project: str, text: str) -> Item:
    if isinstance(action, AddComment):
        return Item(f"{parent}#comment-{mark}", "comment", {"text": text}, project, parent)
    title = action.set_status.replace("_", " ").capitalize()
    return Item(f"{parent}#status-{mark}", "status", {"status": action.set_status, "title": title, "text": text}, project, parent)


def _identity(change: Change, text: str) -> str:
    """Of what is said of a change, however often that is looked at. A record that waits is compared with the same snapshot each time, whatever
    version it has by then and whatever else was edited; a later change starts from another."""
    before = change.before.model_dump_json(exclude={"customer"}, exclude_defaults=True) if change.before is not None else ""
    return _short_hash(f"{change.since}\n{before}\n{text}")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _essence(action: Action) -> list[Any]:
    item = action.item
    return [
        action.op,
        action.target,
        item.key,
        item.kind,
        dict(item.fields),
        item.parent,
        item.section,
        item.depends_on,
        dict(action.changed),
        *([dict(action.keep)] if action.keep else []),
    ]
