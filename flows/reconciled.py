"""What a reconciliation found: kept as JSON in the state, told in one line by `handoff status`, there for whoever shows more of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from state import Store

NOTED = "reconciled"
MOST_LISTED = 200
_CLAIMS = {"missed", "hidden", "back", "changed", "gone", "twice", "moved"}


@dataclass(frozen=True, slots=True)
class Mention:
    """A record of a CRM, and what is to be said of it."""

    source: str
    title: str
    url: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """An object we made in a tool, by the project it belongs to. `url` is its own, where it has one. `others` are where else its key was found."""

    tool: str
    project: str
    kind: str
    name: str
    url: str
    source: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that a person changed: what we wrote last, and what stands there."""

    place: Place
    field: str
    ours: str
    theirs: str


@dataclass(slots=True)
class Kind:
    """How the reading of one kind of record went. `hidden` counts all that is known and not shown, told tonight or before; `whole`: to its end."""

    shown: int = 0
    whole: bool = True
    hidden: int = 0


@dataclass(slots=True)
class Crm:
    """What one CRM told. `kinds` are those read again; one whose history or mapping is new is not."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    missed: list[Mention] = field(default_factory=list)
    hidden: list[Mention] = field(default_factory=list)
    back: list[Mention] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calls: int = 0


@dataclass(slots=True)
class Tool:
    """What one tool told. `projects` are all that people can see, `checked` those looked into; `resting` are finished ones looked at a while ago,
    `left` those left for later, `busy` those being changed by ourselves. `lost` counts the projects not shown any more, told tonight or before."""

    projects: int = 0
    checked: int = 0
    resting: int = 0
    left: int = 0
    busy: int = 0
    finished: int = 0
    archived: int = 0
    lost: int = 0
    changed: list[Difference] = field(default_factory=list)
    gone: list[Place] = field(default_factory=list)
    moved: list[Place] = field(default_factory=list)
    back: list[Place] = field(default_factory=list)
    twice: list[Place] = field(default_factory=list)
    calls: int = 0


@dataclass(slots=True)
class Report:
    """One reconciliation. `result` is the run's, `told` what went wrong in it."""

    run: str
    at: str
    result: str = ""
    told: str = ""
    crms: dict[str, Crm] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """For scripts and for keeping: lists are cut, and how long they were is told."""
        found = asdict(self)
        for one in (*found["crms"].values(), *found["tools"].values()):
            lists = {name: value for name, value in one.items() if isinstance(value, list) and name in _CLAIMS}
            one.update({name: value[:MOST_LISTED] for name, value in lists.items()})
            one["counts"] = {name: len(value) for name, value in lists.items()}
        return found

    def text(self) -> str:
        return json.dumps(self.data(), ensure_ascii=False)

    def line(self) -> str:
        return line(self.data())


def last(store: Store) -> dict[str, Any] | None:
    """The last reconciliation's report; None when there was none."""
    text = store.meta(NOTED)
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found


def line(report: Mapping[str, Any]) -> str:
    """One line of it: `2026-11-30 02:00 UTC: 3 changes had been missed, 1 project gone in asana, 12 fields changed by people`."""
    at = f"{report['at'][:16].replace('T', ' ')} UTC"
    ended = "" if report["result"] in ("", "done", "nothing to do") else f" ({report['result']})"
    return f"{at}{ended}: {', '.join(_findings(report)) or 'nothing had been missed'}"


def _findings(report: Mapping[str, Any]) -> Iterator[str]:
    crms, tools = report["crms"], report["tools"]
    if count := _sum(crms, "missed"):
        yield f"{_many(count, 'change')} had been missed"
    for name, crm in crms.items():
        if count := crm["counts"]["hidden"]:
            yield f"{_many(count, 'record')} not visible any more in {name}"
        if count := crm["counts"]["back"]:
            yield f"{_many(count, 'record')} visible again in {name}"
        yield from (f"{name}: {note}" for note in crm["notes"])
    for name, tool in tools.items():
        for kind in ("project", "section", "task"):
            if count := sum(one["kind"] == kind for one in tool["gone"]):
                yield f"{_many(count, kind)} gone in {name}"
        if count := tool["counts"]["twice"]:
            yield f"{_many(count, 'object')} there twice in {name}"
    if count := _sum(tools, "changed"):
        yield f"{_many(count, 'field')} changed by people"
    if left := sum(tool["left"] for tool in tools.values()):
        yield f"{_many(left, 'project')} left for the next time"


def _sum(systems: Mapping[str, Any], what: str) -> int:
    return sum(one["counts"][what] for one in systems.values())


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def mentions(report: Report, what: str) -> Sequence[Mention]:
    return [one for crm in report.crms.values() for one in getattr(crm, what)]


def places(report: Report, what: str) -> Sequence[Place]:
    return [one for tool in report.tools.values() for one in getattr(tool, what)]
