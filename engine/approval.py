"""What of a plan a person has to say yes to first. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.model import Action, Decision
from engine.plan import Plan

Standing = Literal["asks", "waits", "goes", "passed", "unclear"]


@dataclass(frozen=True, slots=True)
class Gated:
    """Everything planned for one record, of which a rule wants a person's yes. `plan` is that alone, and its digest stands for it.

    asks      nobody was asked about exactly this yet
    waits     somebody was
    goes      it is approved, and part of what is carried out
    passed    it is rejected, or nobody answered in time
    unclear   another rule about the record could not be worked out: nobody is asked about half of a plan

    `number` is the approval's, 0 while there is none; `told` is what came of it, in words.
    """

    source: str
    title: str
    rules: tuple[str, ...]
    plan: Plan
    standing: Standing = "asks"
    number: int = 0
    told: str = ""

    @property
    def holds(self) -> bool:
        """Whether the record stays as it was last seen until a person has answered."""
        return self.standing in ("asks", "waits")


def apart(plan: Plan, asking: Collection[str]) -> list[Gated]:
    """What is planned for each record for which one of the rules `asking` first acts."""
    wanted: dict[str, list[Decision]] = defaultdict(list)
    for decision in plan.decisions:
        if decision.verdict == "acts" and decision.rule in asking:
            wanted[decision.source].append(decision)
    unclear = {decision.source for decision in plan.decisions if decision.verdict == "failed"}
    parts = _parts(plan, wanted)
    return [
        Gated(
            *(source, decisions[0].title, tuple(dict.fromkeys(decision.rule for decision in decisions)), parts[source]),
            standing="unclear" if source in unclear else "asks",
        )
        for source, decisions in wanted.items()
    ]


def settled(plan: Plan, gated: Sequence[Gated], *, unread: Collection[str] = ()) -> Plan:
    """The plan that is carried out now: without what waits, was rejected or is of records that are held and were not read again."""
    known = {one.source: one for one in gated}
    out = {one.source for one in gated if one.standing != "goes"} | {*unread}
    owners = _owners(plan.actions)
    return replace(
        plan,
        actions=[action for action in plan.actions if action.source not in out],
        decisions=[said for decision in plan.decisions if (said := _said(decision, known.get(decision.source))) is not None],
        notes={key: notes for key, notes in plan.notes.items() if _owner(key, owners) not in out},
        notices=[notice for notice in plan.notices if notice.source not in out],
        gated=[*gated],
    )


def _said(decision: Decision, one: Gated | None) -> Decision | None:
    """What stands of a decision about a gated record; of one that is held, its own plan tells."""
    if one is None or one.standing == "goes":
        return decision
    if one.holds:
        return None
    if decision.verdict != "acts":
        return decision
    if one.standing == "unclear":
        return replace(decision, verdict="waits", reason=f"waits until every rule about it can be worked out: {decision.reason}")
    return replace(decision, verdict="passed", reason=one.told)


def _parts(plan: Plan, sources: Collection[str]) -> dict[str, Plan]:
    parts = {source: Plan() for source in sources}
    for action in plan.actions:
        if action.source in parts:
            parts[action.source].actions.append(action)
    for decision in plan.decisions:
        if decision.source in parts:
            parts[decision.source].decisions.append(decision)
    for notice in plan.notices:
        if notice.source in parts:
            parts[notice.source].notices.append(notice)
    owners = _owners(plan.actions)
    for key, notes in plan.notes.items():
        if (owner := _owner(key, owners)) in parts:
            parts[owner].notes[key] = notes
    return parts


def _owners(actions: Sequence[Action]) -> Mapping[str, str]:
    return {action.item.project: action.source for action in actions}


def _owner(project: str, owners: Mapping[str, str]) -> str:
    """The record a project is planned for; one of a merged customer is the other's."""
    return owners.get(project, project.split("/", maxsplit=1)[0])
