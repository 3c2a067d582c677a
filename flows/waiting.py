"""What waits for a person, in words: what it is, since when, why, what hangs on it, and what one can do about it. No I/O but the store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, cast

from engine.model import CrmKind, ItemKind
from flows.view import plain
from state import Intent, Link, Outbox, Store
from state.rows import STAGES
from state.waiting import Row, in_doubt, parked, refused, undecided

BORN_WITH: tuple[ItemKind, ...] = ("project", "section", "task", "dependency")
_MANY: Mapping[str, str] = {"dependency": "dependencies", "status": "statuses"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits. `ref` names it for `handoff resolve`; `action` is set for an action of the outbox, `row` for anything else.

    `hangs` says what else waits for it, `leaves` what dismissing it comes to; `ways` are the decisions that make sense.
    """

    ref: str
    kind: Literal["action", "write-back", "undecided"]
    source: str
    record: str
    url: str
    since: datetime
    what: str
    why: str
    hangs: str
    leaves: str
    ways: tuple[str, ...]
    project: str = ""
    project_url: str = ""
    action: Intent | None = None
    row: Row | None = None

    def commands(self) -> list[tuple[str, str]]:
        """What to type, and what it means."""
        meanings = {
            "retry": "try it again, once the cause is mended",
            "adopt": "take an object that is there already for it",
            "dismiss": self.leaves,
        }
        option = {"adopt": " --id <its id or address>"}
        return [(f"handoff resolve {self.ref} {way}{option.get(way, '')}", meanings[way]) for way in self.ways]

    def data(self) -> dict[str, object]:
        shown = ("ref", "kind", "source", "record", "url", "since", "what", "why", "hangs", "project", "project_url")
        found: dict[str, object] = {name: getattr(self, name) for name in shown}
        if self.action is not None:
            found |= {"number": self.action.seq, "op": self.action.op, "key": self.action.key, "error": self.why}
        return {**found, "commands": [command for command, _ in self.commands()]}


@dataclass(frozen=True, slots=True)
class Doubt:
    """A creation whose answer was lost. It is looked for again at `until`, by itself."""

    key: str
    what: str
    sent: datetime
    until: datetime
    why: str


def waiting(store: Store) -> list[Waiting]:
    """Everything that waits for a person, actions first."""
    actions, backs, others = parked(store), refused(store), undecided(store)
    book = _Book(store, [intent for intent, _ in actions], [*backs, *others])
    return [*(book.action(*each) for each in actions), *_told_apart([*map(book.write_back, backs), *map(book.undecided, others)])]


def _told_apart(listed: Sequence[Waiting]) -> list[Waiting]:
    """Records of several systems or kinds may have one id: such are named in full."""
    often = Counter(one.ref for one in listed)
    return [replace(one, ref=f"{one.kind}/{one.source}") if often[one.ref] > 1 else one for one in listed]


def doubts(store: Store) -> list[Doubt]:
    intents = in_doubt(store)
    book = _Book(store, intents, [])
    return [Doubt(one.key, book.what(one), one.sent_at or one.due_at, one.due_at, one.error) for one in intents]


class _Family:
    """The links of one project, by what they live in and by what they wait for."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._inside: dict[str, list[Link]] = {}
        self._after: dict[str, list[Link]] = {}
        for link in links.values():
            for home in {link.item.parent, link.item.section}:
                self._inside.setdefault(home, []).append(link)
            for key in link.item.depends_on:
                self._after.setdefault(key, []).append(link)

    def given_up(self, key: str) -> dict[str, Link]:
        """What lives in an object that is not made, and so goes with it."""
        found: dict[str, Link] = {}
        heads = [key]
        while heads:
            inside = [link for link in self._inside.get(heads.pop(), ()) if link.item.key not in found]
            found |= {link.item.key: link for link in inside}
            heads += [link.item.key for link in inside]
        return {one: link for one, link in found.items() if not link.remote_id}

    def held_up(self, key: str) -> dict[str, Link]:
        """That, and what only waits for it."""
        waits = {link.item.key: link for link in self._after.get(key, ()) if not link.remote_id}
        return {**self.given_up(key), **waits}


class _Book:
    """The links and names the words need, looked up once."""

    def __init__(self, store: Store, intents: Sequence[Intent], rows: Sequence[Row]) -> None:
        outbox = Outbox(store)
        self._parked = Counter(intent.project for intent in intents if intent.op != "update")
        self._links = {project: outbox.project_links(project) for project in {intent.project for intent in intents}}
        sources = {link.source for links in self._links.values() for link in links.values()} | {row.source for row in rows}
        self._names = dict(_names(store, sources))
        self._families = {project: _Family(links) for project, links in self._links.items()}
        self._dismissed = {project: outbox.dismissed(project) for project in self._links}

    def action(self, intent: Intent, since: datetime) -> Waiting:
        links = self._links[intent.project]
        link, project = links[intent.key], links[intent.project]
        record, url = self._names.get(link.source, ("", ""))
        adopts = intent.op == "create" and link.item.kind in ("project", "section", "task")
        return Waiting(
            ref=str(intent.seq),
            kind="action",
            source=link.source,
            record=record,
            url=url,
            since=since,
            what=self.what(intent),
            why=intent.error,
            hangs=self._hangs(intent),
            leaves=self._leaves(intent),
            ways=("retry", "adopt", "dismiss") if adopts else ("retry", "dismiss"),
            project=_name(project),
            project_url=project.url if project.published_at else "",
            action=intent,
        )

    def write_back(self, row: Row) -> Waiting:
        record, url = self._names.get(row.source, ("", ""))
        what = f"tell {row.kind} {_quoted(record or row.id)} about its project ({', '.join(row.fields)})"
        leaves = "leave it untold; what changes later is told again"
        hangs = "nothing else waits for it"
        ways = ("retry", "dismiss")
        ref = f"write-back/{row.id}"
        return Waiting(ref, "write-back", row.source, record, url, row.since, what, row.why, hangs, leaves, ways, row=row)

    def undecided(self, row: Row) -> Waiting:
        record, url = self._names.get(row.source, ("", ""))
        what = f"decide what {row.kind} {_quoted(record or row.id)} calls for"
        leaves = "give it up until the record changes again"
        hangs = "mend the rule or the record; each sync looks at it again by itself"
        ref = f"undecided/{row.id}"
        return Waiting(ref, "undecided", row.source, record, url, row.since, what, row.why, hangs, leaves, ("dismiss",), row=row)

    # words

    def what(self, intent: Intent) -> str:
        """`create task "Kick off" in project "Big deal onboarding" for deal "Big deal"`."""
        links = self._links[intent.project]
        link = links[intent.key]
        parts = [self._does(intent, link, links)]
        if intent.key != intent.project:
            parts.append(f"in project {_quoted(_name(links[intent.project]))}")
        kind, (name, _) = link.source.split(":")[1], self._names.get(link.source, ("", ""))
        return " ".join([*parts, f"for {kind} {_quoted(name or link.source)}"])

    def _does(self, intent: Intent, link: Link, links: Mapping[str, Link]) -> str:
        item = link.item
        if intent.op == "publish":
            return f"show project {_quoted(_name(link))} to people"
        if intent.op == "update":
            return f"update {', '.join(sorted(intent.changed))} of {_kind(link)} {_quoted(_name(link))}"
        match item.kind:
            case "dependency":
                others = ", ".join(_quoted(_name(links[key])) for key in item.depends_on)
                return f"make {_quoted(_name(links[item.parent]))} wait for {others}"
            case "comment":
                return f"comment on {_quoted(_name(links[item.parent]))}"
            case "status":
                return f"set the status to {_quoted(str(item.fields.get('title', '')))}"
        return f"create {_kind(link)} {_quoted(_name(link))}"

    def _hangs(self, intent: Intent) -> str:
        links = self._links[intent.project]
        hidden = not links[intent.project].published_at and links[intent.key].item.kind in BORN_WITH
        held = self._families[intent.project].held_up(intent.key).values() if intent.op == "create" else ()
        told = [f"{_counted(held)} {'waits' if len(held) == 1 else 'wait'} for it"] if held else []
        if hidden:
            told.append("nobody sees the project before this is decided")
        return "; ".join(told) or "nothing else waits for it"

    def _leaves(self, intent: Intent) -> str:
        links = self._links[intent.project]
        link = links[intent.key]
        if intent.op == "update":
            return "leave it as it is in the tool"
        if intent.op == "publish":
            return "leave the project invisible for good"
        if intent.key == intent.project:
            return "give the whole project up"
        inside = [
            one for key, one in self._families[intent.project].given_up(intent.key).items() if key not in self._dismissed[intent.project]
        ]
        along = f", and with it {_counted(inside)}" if inside else ""
        if links[intent.project].published_at or link.item.kind not in BORN_WITH:
            return f"leave it out{along}"
        appears = ", once the others are decided too" if self._parked[intent.project] > 1 else " it"
        return f"leave it out{along}; the project appears without{appears}"


def _names(store: Store, sources: Iterable[str]) -> Iterable[tuple[str, tuple[str, str]]]:
    """Name and address of each record, as last seen."""
    places: dict[tuple[str, CrmKind], list[str]] = {}
    for source in sources:
        system, kind, id_ = source.split(":", 2)
        places.setdefault((system, cast("CrmKind", kind)), []).append(id_)
    for (system, kind), ids in places.items():
        for id_, snapshot in store.snapshots(system, kind, ids).items():
            data = json.loads(snapshot.data)
            yield f"{system}:{kind}:{id_}", (data.get("name") or data.get("subject") or "", data.get("url") or "")


def _name(link: Link) -> str:
    return str(link.item.fields.get("name") or link.item.key)


def _kind(link: Link) -> str:
    return "sub-task" if link.item.kind == "task" and link.item.parent != link.item.project else link.item.kind


def _counted(links: Iterable[Link]) -> str:
    counts = Counter(map(_kind, sorted(links, key=lambda link: STAGES[link.item.kind])))
    return ", ".join(f"{count} {kind if count == 1 else _MANY.get(kind, f'{kind}s')}" for kind, count in counts.items())


def _quoted(name: str) -> str:
    return f'"{plain(name)}"'
