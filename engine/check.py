"""Everything that can be known to be wrong before anything runs, over all files at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from engine.calendar import Calendar
from engine.check_blueprint import BlueprintCheck, Vocabulary, near_slot, places
from engine.check_mapping import check_mapping, closed_values, custom_names
from engine.config import AddComment, BlueprintSpec, CreateProject, Currencies, Do, Event, Notify, Rule, Rules, SetStatus, SystemMapping
from engine.document import Document, Path, build
from engine.expressions import Scope, Shape, compile_condition, compile_template
from engine.findings import Findings
from engine.model import Customer, Deal, EventInfo, Feedback, Problem

KINDS: Mapping[str, type[Customer | Deal | Feedback]] = {"customer": Customer, "deal": Deal, "feedback": Feedback}
M = TypeVar("M", bound=BaseModel)
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration without a problem. `mappings` and `blueprints` go by the names of their files."""

    rules: Rules
    mappings: Mapping[str, SystemMapping]
    blueprints: Mapping[str, BlueprintSpec]
    documents: Mapping[str, Document]
    warnings: tuple[Problem, ...]
    scopes: Mapping[str, Scope]

    def scope(self, kind: str) -> Scope:
        """What expressions about a `deal`, `customer` or `feedback` may name; "people" is for role templates, which see all three."""
        return self.scopes[kind]

    def calendar(self, blueprint: str) -> Calendar:
        own = self.blueprints[blueprint].calendar
        return Calendar.named(self.rules.calendar if own is None else own)

    def zone(self, blueprint: str = "") -> ZoneInfo:
        own = self.blueprints[blueprint].timezone if blueprint else None
        return ZoneInfo(own or self.rules.timezone)

    def place(self, rule: int) -> str:
        """Where a rule stands: `rules.yaml:14`."""
        document = self.documents["rules"]
        return f"{document.file}:{document.place(('rules', rule))[0]}"


def check(
    rules: Document, mappings: Mapping[str, Document], blueprints: Mapping[str, Document]
) -> tuple[Configuration | None, list[Problem]]:
    """The configuration, or None and every problem of every file. `mappings` and `blueprints` go by file name without `.yaml`."""
    return _Check(rules, mappings, blueprints).run()


class _Check:
    """All files under examination."""

    def __init__(self, rules: Document, mappings: Mapping[str, Document], blueprints: Mapping[str, Document]) -> None:
        self.findings = {"rules": Findings(rules)}
        self.findings |= {f"mappings/{name}": Findings(document) for name, document in mappings.items()}
        self.findings |= {f"blueprints/{name}": Findings(document) for name, document in blueprints.items()}
        self.rules = self._build("rules", Rules)
        self.mappings = self._build_all("mappings", mappings, SystemMapping)
        self.blueprints = self._build_all("blueprints", blueprints, BlueprintSpec)
        self.mapping_names = tuple(mappings)
        self.blueprint_names = tuple(blueprints)
        self.scopes = _scopes(self.rules, rules.data, self._sources(), self._unbuilt())
        self.warnings: list[Problem] = []

    def _build(self, name: str, model: type[M]) -> M | None:
        built, wrong = build(self.findings[name].document, model)
        self.findings[name].problems += wrong
        return built

    def _build_all(self, folder: str, names: Iterable[str], model: type[M]) -> dict[str, M]:
        built = {name: self._build(f"{folder}/{name}", model) for name in names}
        return {name: one for name, one in built.items() if one is not None}

    def _sources(self) -> dict[str, SystemMapping]:
        names = self.rules.sources if self.rules and set(self.rules.sources) <= set(self.mapping_names) else self.mappings
        return {name: self.mappings[name] for name in names if name in self.mappings}

    def _unbuilt(self) -> dict[str, frozenset[str]]:
        """The custom names in mappings that are wrong elsewhere, so that one mistake is not told as many."""
        documents = [self.findings[f"mappings/{name}"].document for name in self.mapping_names if name not in self.mappings]
        found: dict[str, frozenset[str]] = {}
        for document in documents:
            for path in document.places:
                if len(path) > 2 and path[0] == "read" and path[-2] == "custom":
                    kind = "contacts" if path[-3] == "contact" else str(path[-3])
                    found[kind] = found.get(kind, frozenset()) | {str(path[-1])}
        return found

    def run(self) -> tuple[Configuration | None, list[Problem]]:
        if self.rules:
            self._settings(self.rules)
            self._rules(self.rules)
        else:
            self._conditions()
        for name, mapping in self.mappings.items():
            check_mapping(mapping, self.findings[f"mappings/{name}"], self.scopes["people"])
        for name, blueprint in self.blueprints.items():
            self._blueprint(name, blueprint)
        problems = [problem for findings in self.findings.values() for problem in findings.in_order()]
        if problems or self.rules is None:
            return None, problems
        documents = {name: findings.document for name, findings in self.findings.items()}
        return Configuration(self.rules, self.mappings, self.blueprints, documents, tuple(self.warnings), self.scopes), []

    # rules.yaml

    def _settings(self, rules: Rules) -> None:
        findings = self.findings["rules"]
        for number, source in enumerate(rules.sources):
            if findings.known("source", source, self.mapping_names, ("sources", number)) and not self._reads(source):
                findings.refuse(f"mappings/{source}.yaml reads nothing", ("sources", number), "a source needs a 'read' section")
        findings.unique("source", ((source, ("sources", number)) for number, source in enumerate(rules.sources)))
        findings.zone(rules.timezone, ("timezone",))
        findings.calendar(rules.calendar, ("calendar",))
        for number, schedule in enumerate(rules.schedules):
            for position, source in enumerate(schedule.sources):
                findings.known("source", source, rules.sources, ("schedules", number, "sources", position))
        for number, channel in enumerate(rules.alerts.to if rules.alerts else ()):
            self._channel(channel, ("alerts", "to", number))
        if rules.currencies:
            _currencies(rules.currencies, findings)

    def _reads(self, source: str) -> bool:
        return source not in self.mappings or bool(self.mappings[source].read)

    def _rules(self, rules: Rules) -> None:
        findings = self.findings["rules"]
        findings.unique("rule name", ((rule.name, ("rules", number, "name")) for number, rule in enumerate(rules.rules)))
        for number, rule in enumerate(rules.rules):
            path: Path = ("rules", number)
            self._events(rule, path)
            self._each_kind(rule, (*path, "when"), lambda scope, rule=rule: compile_condition(rule.when, scope))  # type: ignore[misc]
            for position, action in enumerate(rule.do):
                self._action(rule, action, (*path, "do", position))

    def _conditions(self) -> None:
        """Where rules.yaml cannot be built, what can be read of its conditions is checked all the same."""
        findings = self.findings["rules"]
        data = findings.document.data
        rules = data.get("rules") if isinstance(data, dict) else None
        for number, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict) and isinstance(rule.get("when"), str):
                event = str((rule.get("on") or ["deal"])[0]) if isinstance(rule.get("on"), list) else "deal"
                scope = self.scopes.get(event.partition(".")[0], self.scopes["deal"])
                findings.compiled(("rules", number, "when"), lambda text=rule["when"], scope=scope: compile_condition(text, scope))  # type: ignore[misc]

    def _events(self, rule: Rule, path: Path) -> None:
        read = {kind for mapping in self._sources().values() for kind in mapping.read}
        for number, event in enumerate(rule.on):
            kind = event.partition(".")[0]
            if read and kind not in read:
                hint = f"add {kind} under 'read' in the mapping of a source"
                self.findings["rules"].refuse(f"no source reads a {kind}, so {event} never happens", (*path, "on", number), hint)

    def _each_kind(self, rule: Rule, path: Path, compile_text: Callable[[Scope], object]) -> None:
        """Compile for every kind of object that may wake the rule; what is wrong for two kinds is told once."""
        findings = self.findings["rules"]
        before = len(findings.problems)
        for kind in _kinds(rule):
            if len(findings.problems) == before:
                findings.compiled(path, lambda kind=kind: compile_text(self.scopes[kind]))  # type: ignore[misc]

    def _action(self, rule: Rule, action: Do, path: Path) -> None:
        match action:
            case CreateProject():
                self._create(rule, action, path)
            case AddComment():
                blueprint, _, slot = action.on.partition("/")
                if self._made_from(rule, blueprint, (*path, "on")) and blueprint in self.blueprints:
                    self._slot(slot, self.blueprints[blueprint], (*path, "on"))
                self._markdown(rule, action.comment, (*path, "comment"))
            case SetStatus():
                self._made_from(rule, action.on, (*path, "on"))
                self._markdown(rule, action.text, (*path, "text"))
            case Notify():
                self._channel(action.notify, (*path, "notify"))
                self._markdown(rule, action.text, (*path, "text"))

    def _channel(self, name: str, path: Path) -> None:
        channels = self.rules.channels if self.rules else {}
        if channels:
            self.findings["rules"].known("channel", name, channels, path)
        else:
            self.findings["rules"].refuse(f"unknown channel {name}", path, "rules.yaml has no 'channels' section")

    def _create(self, rule: Rule, action: CreateProject, path: Path) -> None:
        findings = self.findings["rules"]
        self._made_from(rule, action.create, (*path, "create"))
        findings.known("target", action.target, self.mapping_names, (*path, "target"))
        known = _parts(self.blueprints[action.create]) if action.create in self.blueprints else action.parts.keys()
        for part, target in action.parts.items():
            place: Path = (*path, "parts", part)
            findings.known(f"part of {action.create}", part, known, place, at_key=True)
            if findings.known("target", target, self.mapping_names, place) and target == action.target:
                findings.refuse(f"{part} is in {target} anyway", place, "take the line out, or name another tool")

    def _made_from(self, rule: Rule, blueprint: str, path: Path) -> bool:
        """Whether there is such a blueprint; its kind has to be that of the rule's events."""
        findings = self.findings["rules"]
        known = findings.known("blueprint", blueprint, self.blueprint_names, path)
        spec = self.blueprints.get(blueprint)
        odd = [kind for kind in _kinds(rule) if spec and kind != spec.for_kind]
        if spec and odd:
            findings.refuse(f"{blueprint} is made from a {spec.for_kind}, but the rule wakes for a {odd[0]}", path)
        return known

    def _slot(self, slot: str, blueprint: BlueprintSpec, path: Path) -> None:
        if slot not in {place.task.slot for place in places(blueprint)}:
            self.findings["rules"].refuse(f"{blueprint.name} has no slot {slot}", path, near_slot(slot, blueprint))

    def _markdown(self, rule: Rule, text: str, path: Path) -> None:
        self._each_kind(rule, path, lambda scope: compile_template(text, scope, markdown=True))

    # mappings and blueprints

    def _blueprint(self, name: str, blueprint: BlueprintSpec) -> None:
        findings = self.findings[f"blueprints/{name}"]
        if blueprint.name != name:
            findings.refuse(f"the name {blueprint.name} is not that of the file", ("name",), f"write {name}, or rename the file")
        for vocabulary, parts in self._vocabularies(name):
            before = len(findings.problems)
            BlueprintCheck(blueprint, findings, self.scopes[blueprint.for_kind], vocabulary, parts).run()
            if len(findings.problems) > before:
                return
        self._unplaced(name, blueprint)
        if self.rules and name not in self._used():
            self.warnings.append(findings.document.problem(f"no rule uses the blueprint {name}", ("name",)))

    def _unplaced(self, name: str, blueprint: BlueprintSpec) -> None:
        placed = {part for action in self._makings(name) for part in action.parts}
        for number, section in enumerate(blueprint.sections):
            if section.part and section.part not in placed and self._makings(name):
                told = f"no rule gives the part {section.part} to a tool; it stays in the main project"
                self.warnings.append(self.findings[f"blueprints/{name}"].document.problem(told, ("sections", number, "part")))

    def _makings(self, name: str) -> list[CreateProject]:
        actions = [action for rule in (self.rules.rules if self.rules else ()) for action in rule.do]
        return [action for action in actions if isinstance(action, CreateProject) and action.create == name]

    def _used(self) -> set[str]:
        return {
            action.create for rule in (self.rules.rules if self.rules else ()) for action in rule.do if isinstance(action, CreateProject)
        }

    def _vocabularies(self, name: str) -> list[tuple[Vocabulary, Mapping[str, Vocabulary]]]:
        """What each target knows that the blueprint is made in, and the targets of its parts; what any mapping knows when there is none."""
        found = {(action.target, tuple(sorted(action.parts.items()))) for action in self._makings(name)}
        made_in = [(self._vocabulary(target), {part: self._vocabulary(other) for part, other in parts}) for target, parts in sorted(found)]
        known = [(own, {part: one for part, one in parts.items() if one}) for own, parts in made_in if own]
        if known:
            return known  # type: ignore[return-value]
        every = self.mappings.values()
        roles, fields = {role for one in every for role in one.people.roles}, {field for one in every for field in one.fields}
        return [(Vocabulary(roles, fields), {})]

    def _vocabulary(self, target: str) -> Vocabulary | None:
        mapping = self.mappings.get(target)
        return Vocabulary(mapping.people.roles.keys(), mapping.fields.keys(), target) if mapping else None


def _parts(blueprint: BlueprintSpec) -> list[str]:
    return list(dict.fromkeys(section.part for section in blueprint.sections if section.part))


def _kinds(rule: Rule) -> list[str]:
    return list(dict.fromkeys(event.partition(".")[0] for event in rule.on))


def _rates(rules: Rules | None, unread: Any) -> dict[str, Decimal]:
    """The exchange rates. Where rules.yaml is wrong elsewhere, its currencies count as known, so that one mistake is not told as many."""
    if rules:
        return {rules.currencies.base: Decimal(1), **rules.currencies.rates} if rules.currencies else {}
    currencies = unread.get("currencies") if isinstance(unread, dict) else None
    rates = currencies.get("rates") if isinstance(currencies, dict) else None
    return {str(code): Decimal(1) for code in (currencies.get("base"), *(rates if isinstance(rates, dict) else ()))} if currencies else {}


def _scopes(
    rules: Rules | None, unread: Any, sources: Mapping[str, SystemMapping], more: Mapping[str, Collection[str]]
) -> dict[str, Scope]:
    rates = _rates(rules, unread)
    named = custom_names(sources)
    custom = {kind: {*named.get(kind, ()), *more.get(kind, ())} for kind in (*named, *more)}
    values = {**closed_values(sources), "event.name": get_args(Event)}

    def scope(*kinds: str, before: str = "") -> Scope:
        names: dict[str, type | Shape] = {kind: KINDS[kind] for kind in kinds}
        if before:
            names |= {"before": KINDS[before], "event": EventInfo}
        return Scope(names, custom, rates, values)

    found = {kind: scope(*dict.fromkeys((kind, "customer")), before=kind) for kind in KINDS}
    return {**found, "people": scope(*KINDS)}


def _currencies(currencies: Currencies, findings: Findings) -> None:
    for code, path in ((currencies.base, ("currencies", "base")), *((code, ("currencies", "rates", code)) for code in currencies.rates)):
        if not _CURRENCY.fullmatch(code):
            findings.refuse(f"{code} is not a currency code", path, "three capital letters, such as EUR", at_key=len(path) == 3)
    for code, rate in currencies.rates.items():
        if not rate.is_finite() or rate <= 0:
            findings.refuse(f"the rate of {code} has to be above zero", ("currencies", "rates", code))
    if currencies.rates.get(currencies.base, Decimal(1)) != 1:
        findings.refuse(f"one {currencies.base} is worth one {currencies.base}", ("currencies", "rates", currencies.base))
