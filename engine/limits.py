"""What one run may do before a person has to say yes. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from engine.config import Limits, RuleLimits
from engine.model import Action
from engine.plan import Plan

FEW = 10
"""So many are never too many, whatever their share: in a small CRM every share is large."""

_COUNTED = {"projects": "new projects", "updates": "updates", "comments": "comments and statuses"}


def by_rule(plan: Plan) -> dict[str, Counter[str]]:
    """How many projects, updates and comments each rule asks for. What is added to a project that exists is an update of it."""
    new = {action.item.key for action in plan.projects()}
    asked: dict[str, Counter[str]] = defaultdict(Counter)
    for action in plan.actions:
        if counted := _counted(action, new):
            asked[action.rule][counted] += 1
    return dict(asked)


def _counted(action: Action, new: set[str]) -> str:
    if action.item.key in new:
        return "projects" if action.op == "create" else ""
    if action.item.kind in ("comment", "status"):
        return "comments"
    return "" if action.item.project in new else "updates"


def over_limits(plan: Plan, limits: Limits, rules: Mapping[str, RuleLimits], *, projects: int) -> list[str]:
    """Why a plan needs a person's word: its alarms, and the limits it exceeds, each with what it allows and what was asked.

    `projects` is how many exist already.
    """
    asked = by_rule(plan)
    found = [alarm.reason for alarm in plan.alarms]
    found += _above(sum(asked.values(), Counter()), limits, "", "limits")
    for rule, counts in asked.items():
        if rule in rules:
            found += _above(counts, rules[rule], f" by rule {rule}", "its limits")
    touched = len({action.item.project for action in plan.actions} - {action.item.key for action in plan.projects()})
    if above_share(touched, projects, limits.touched_share):
        found.append(f"{touched:,} of {projects:,} projects would be changed, limits.touched_share allows {limits.touched_share:.0%}")
    return found


def above_share(count: int, total: int, share: float) -> bool:
    return count > FEW and count > share * total


def _above(counts: Mapping[str, int], limits: Limits | RuleLimits, by: str, where: str) -> Iterator[str]:
    for what, noun in _COUNTED.items():
        most, count = getattr(limits, f"{what}_per_run"), counts.get(what, 0)
        if most is not None and count > most:
            yield f"{count:,} {noun}{by}, {where}.{what}_per_run allows {most:,}"
