"""A plan for scripts and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from engine.limits import by_rule
from engine.model import Action
from engine.plan import Plan

MOST_ACTIONS = 500
"""So many a person is shown of what is laid before them; the counts and the digest are of all."""


def plan_data(result: Plan, *, most: int | None = None) -> Mapping[str, Any]:
    """The plan as JSON can hold it; of its actions, decisions and notes the first `most`, and how many actions that leaves out."""
    return {
        "digest": result.digest,
        "counts": dict(result.counts()),
        "by_rule": {rule: dict(counts) for rule, counts in by_rule(result).items()},
        "actions": [_action(action) for action in result.actions[:most]],
        **({"left_out": left} if most is not None and (left := len(result.actions) - most) > 0 else {}),
        "decisions": [
            {"source": d.source, "event": d.event, "rule": d.rule, "verdict": d.verdict, "reason": d.reason, "seen": dict(d.seen)}
            for d in result.decisions[:most]
        ],
        "notes": {key: list(notes) for key, notes in islice(result.notes.items(), most)},
        "notices": [asdict(notice) for notice in result.notices[:most]],
        **({"approvals": [_gated(one, most) for one in result.gated]} if result.gated else {}),
    }


def _action(a: Action) -> dict[str, Any]:
    named = {"op": a.op, "kind": a.item.kind, "key": a.item.key, "target": a.target, "source": a.source, "event": a.event, "why": a.why}
    lies = {name: value for name, value in (("parent", a.item.parent), ("section", a.item.section)) if value}
    return {**named, **lies, **({"fields": dict(a.item.fields)} if a.op == "create" else {"changed": dict(a.changed)})}


def _gated(one: Any, most: int | None) -> dict[str, Any]:
    shown = {name: getattr(one, name) for name in ("source", "title", "standing", "number", "told")}
    return {**shown, "rules": list(one.rules), "plan": plan_data(one.plan, most=most)}
