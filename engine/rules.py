"""Which rules a change wakes, and what each makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.config import Event, Rule
from engine.events import Change
from engine.expressions import Condition, Scope, compile_condition
from engine.filters import ExpressionError
from engine.model import Decision, EventInfo


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its conditions, one per kind of object it may wake for, and the line it stands on."""

    rule: Rule
    conditions: Mapping[str, Condition]
    place: str

    @property
    def why(self) -> str:
        return f"rule {self.rule.name}, {self.place}"


class Rulebook:
    """All rules, by the event that wakes them, in the order they are written."""

    def __init__(self, rules: Sequence[Rule], places: Sequence[str], scopes: Mapping[str, Scope]) -> None:
        self.rules = [_compile(rule, place, scopes) for rule, place in zip(rules, places, strict=True)]
        self._by_event: dict[Event, list[int]] = {}
        for index, compiled in enumerate(self.rules):
            for event in compiled.rule.on if compiled.rule.enabled else ():
                self._by_event.setdefault(event, []).append(index)

    def decide(self, change: Change) -> Iterator[tuple[CompiledRule, Decision]]:
        """Each woken rule and what it decided. A condition that cannot be worked out is a decision of its own: "failed"."""
        woken = {index: event for event in reversed(change.events) for index in self._by_event.get(event, ())}
        contexts = {event: context(change, event) for event in dict.fromkeys(woken.values())}
        for index in sorted(woken):
            compiled, event = self.rules[index], woken[index]
            yield compiled, evaluate(compiled, change, event, contexts[event])


def evaluate(compiled: CompiledRule, change: Change, event: str, values: Mapping[str, Any]) -> Decision:
    """What one rule makes of a change, with the values its condition saw; `values` is the change's context."""
    name, condition = compiled.rule.name, compiled.conditions[change.record.kind]
    title = getattr(values[change.record.kind], "name", "")
    try:
        verdict = condition.evaluate(values)
    except ExpressionError as error:
        return Decision(change.source, event, name, "failed", str(error), title=title)
    if verdict.passed:
        return Decision(change.source, event, name, "acts", compiled.rule.when, title=title)
    return Decision(change.source, event, name, "passed", verdict.reason, verdict.seen, title)


def context(change: Change, event: str) -> dict[str, Any]:
    """The names an expression may use, for this change."""
    after = change.after if change.after is not None else change.before
    kind = change.record.kind
    values: dict[str, Any] = {kind: after, "before": change.before, "event": EventInfo(name=event, at=change.at)}
    if kind != "customer":
        values["customer"] = getattr(after, "customer", None)
    return values


def _compile(rule: Rule, place: str, scopes: Mapping[str, Scope]) -> CompiledRule:
    kinds = {event.split(".")[0] for event in rule.on}
    return CompiledRule(rule, {kind: compile_condition(rule.when, scopes[kind]) for kind in kinds}, place)
