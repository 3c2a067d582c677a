"""A plan as it lies with its approval, made readable: project by project, what is made and what changes from what to what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.view import plain
from state import Link

_DATED = ("start_on", "due_on")
_SHOWN_APART = {"name", "notes", "text", "title", "custom", *_DATED}


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a plan. `changes` are field, old and new; old is None where nobody knows it. `within` is the key of its section, or of the
    task it is part of."""

    op: str
    kind: str
    name: str
    dates: str = ""
    who: str = ""
    text: str = ""
    details: Sequence[tuple[str, str]] = ()
    changes: Sequence[tuple[str, str | None, str]] = ()
    key: str = ""
    within: str = ""


@dataclass(slots=True)
class Sheet:
    """What a plan does to one project, and why."""

    key: str
    name: str
    target: str
    why: list[str] = field(default_factory=list)
    url: str = ""
    is_new: bool = False
    lines: list[Line] = field(default_factory=list)


def keys(plan: Mapping[str, Any]) -> list[str]:
    """Every key it is about, those of the projects included."""
    found = [str(action.get("key", "")) for action in _actions(plan)]
    return list(dict.fromkeys([*found, *map(_project, found)]))


def sheets(plan: Mapping[str, Any], links: Mapping[str, Link]) -> list[Sheet]:
    """Project by project, in the plan's order. `links` are what is known of the plan's keys already."""
    found: dict[str, Sheet] = {}
    for action in _actions(plan):
        project = _project(str(action.get("key", "")))
        sheet = found.setdefault(project, _sheet(project, action, links))
        _enter(sheet, action, links)
    for sheet in found.values():
        sheet.lines = [*_arranged(sheet.lines)]
    return list(found.values())


def _arranged(lines: Sequence[Line]) -> Iterable[Line]:
    """Each thing followed by what lies in it, and otherwise in the plan's order."""
    keys = {line.key for line in lines if line.op == "create"}
    inside: dict[str, list[Line]] = {}
    for line in lines:
        inside.setdefault(line.within if line.within in keys - {line.key} else "", []).append(line)

    def follow(key: str) -> Iterable[Line]:
        for line in inside.pop(key, ()):
            yield line
            if line.op == "create":
                yield from follow(line.key)

    yield from follow("")
    yield from (line for rest in [*inside.values()] for line in rest)


def passed(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the plan does not do, though something was looked at."""
    return [one for one in plan.get("decisions") or () if one.get("verdict") != "acts"]


def _actions(plan: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return plan.get("actions") or ()


def _project(key: str) -> str:
    return "/".join(key.split("/")[:2])


def _sheet(project: str, action: Mapping[str, Any], links: Mapping[str, Link]) -> Sheet:
    link = links.get(project)
    name = str(link.item.fields.get("name") or project) if link else project
    return Sheet(project, plain(name), str(action.get("target", "")), url=link.url if link and link.published_at else "")


def _enter(sheet: Sheet, action: Mapping[str, Any], links: Mapping[str, Link]) -> None:
    fields, key = action.get("fields") or {}, str(action.get("key", ""))
    reason = " · ".join(plain(str(action[name])) for name in ("event", "why") if action.get(name))
    if reason and reason not in sheet.why:
        sheet.why.append(reason)
    if action.get("kind") == "project" and action.get("op") == "create":
        sheet.is_new, sheet.name = True, plain(str(fields.get("name") or sheet.name))
    if action.get("op") != "publish" and action.get("kind") != "dependency":
        sheet.lines.append(_line(action, fields, links.get(key)))


def _line(action: Mapping[str, Any], fields: Mapping[str, Any], link: Link | None) -> Line:
    kind, known = str(action.get("kind", "")), link.item.fields if link else {}
    name = plain(str(fields.get("name") or fields.get("title") or known.get("name") or "")) or str(action.get("key", ""))
    return Line(
        op=str(action.get("op", "")),
        kind=kind,
        key=str(action.get("key", "")),
        within=str(action.get("section") or (action.get("parent", "") if kind == "task" else "")),
        name="" if kind == "comment" else name,
        dates=" → ".join(str(fields[one]) for one in _DATED if fields.get(one)),
        who=str(fields.get("assignee") or fields.get("owner") or ""),
        text=str(fields.get("text") or fields.get("notes") or ""),
        details=[*_details(fields)],
        changes=[(_label(one), _old(link, one), _text(new)) for one, new in (action.get("changed") or {}).items()],
    )


def _details(fields: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    custom = fields.get("custom") or {}
    yield from ((_label(name), _text(value)) for name, value in custom.items() if value not in (None, ""))
    skipped = _SHOWN_APART | {"assignee", "owner"}
    yield from (
        (_label(name), _text(value)) for name, value in fields.items() if name not in skipped and value not in (None, "", [], False)
    )


def _old(link: Link | None, name: str) -> str | None:
    if link is None:
        return None
    outer, _, inner = name.partition(".")
    for held in (link.base, link.item.fields):
        found = held.get(name, held.get(outer, {}).get(inner) if inner and isinstance(held.get(outer), Mapping) else None)
        if found is not None:
            return _text(found)
    return None


def _label(name: str) -> str:
    return name.removeprefix("custom.").replace("_", " ")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_label(str(name))}: {_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "nothing" if value in (None, "") else str(value)
