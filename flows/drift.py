"""What people changed in the tools: fields that are theirs now, objects that are gone or there twice. Only told; nothing is written to any tool."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.base import Conflict, Create, Progress, Remote, Target
from engine.merge import merge
from engine.model import ItemKind
from flows.reconciled import Difference, Place, Report, Tool
from flows.session import Session
from flows.view import plain
from state import Link, Note
from state.codec import moment, stamp

_CHUNK = 10
_REST = timedelta(days=30)
_PEOPLE = ("owner", "assignee", "followers")
_GONE = "the tool does not show it any more: deleted, archived or hidden there; it is not made again"
_OVER = frozenset({"complete", "dropped"})


async def look(session: Session, report: Report, *, most_calls: int, saves: bool = True) -> None:
    """Look into the projects of every tool, as many as about `most_calls` each allow, those looked at longest ago first.

    With `saves`, which were looked at is remembered, and what is gone goes into the audit trail, once.
    """
    for name, target in session.standing_targets.items():
        report.tools[name] = Tool()
        with session.apart("target", name):
            await _Look(session, name, target, report.tools[name], until=target.calls + most_calls, saves=saves)()


@dataclass(frozen=True, slots=True)
class _Memory:
    """When a project was last looked at, and what it was then: open, finished or gone."""

    at: str = ""
    state: str = ""

    @staticmethod
    def of(text: str) -> _Memory:
        return _Memory(*text.split(" ", 1))

    def rests(self, now: datetime) -> bool:
        return self.state == "finished" and now - moment(self.at) < _REST


class _Look:
    """One tool."""

    def __init__(self, session: Session, name: str, target: Target, tool: Tool, *, until: int, saves: bool) -> None:
        self._session, self._name, self._target, self._tool = session, name, target, tool
        self._until, self._saves = until, saves
        self._known = {key: _Memory.of(text) for key, text in session.store.metas("drift:").items()}
        self._news: dict[str, str] = {}
        self._notes: list[Note] = []
        self._open: list[Link] = []
        self._asked, self._people = set[str](), set[str]()

    async def __call__(self) -> None:
        begun, due = self._target.calls, self._due()
        try:
            for start in range(0, len(due), _CHUNK):
                if self._is_over():
                    break
                await self._check(due[start : start + _CHUNK])
                self._save()
                self._session.progress(f"looking into {self._name}", min(_CHUNK, len(due) - start), len(due))
            await self._look_for_doubles()
        finally:
            self._tool.left = len(due) - self._tool.checked - self._tool.busy
            self._tool.calls = self._target.calls - begun

    def _due(self) -> list[Link]:
        now, links = self._session.runtime.clock(), self._session.outbox.published(self._name)
        due = [link for link in links if not self._memory(link).rests(now)]
        self._tool.projects, self._tool.resting = len(links), len(links) - len(due)
        return sorted(due, key=lambda link: self._memory(link).at)

    def _memory(self, link: Link) -> _Memory:
        return self._known.get(link.item.key, _Memory())

    def _is_over(self) -> bool:
        """However little is allowed, one is looked into: else it would always be the same one's turn."""
        return self._session.stop.asked or (self._target.calls >= self._until and self._tool.checked > 0)

    async def _check(self, links: Sequence[Link]) -> None:
        ids = [link.remote_id for link in links]
        progress = {one.project: one for one in await self._target.progress(ids)}
        remotes = dict(zip(ids, await self._target.read("project", ids), strict=True))
        for link in links:
            remote, far = remotes[link.remote_id], progress.get(link.remote_id)
            if remote is None or _is_another(remote, link):
                self._lost(link)
            elif far is None or far.archived or _is_finished(far):
                self._ended(link, archived=far is None or far.archived)
            elif not self._is_over():
                await self._look_into(link, remote)

    # what became of a project

    def _seen(self, link: Link, state: str) -> None:
        if self._memory(link).state == "gone" and state != "gone":
            self._tool.back.append(_place(link, link))
            self._notes.append(Note(link.source, "", link.rule, "back", "the tool shows it again", link.item.key))
        self._tool.checked += 1
        self._news[link.item.key] = f"{stamp(self._session.runtime.clock())} {state}"

    def _lost(self, link: Link) -> None:
        self._tool.lost += 1
        if self._memory(link).state != "gone":
            self._tool.gone.append(_place(link, link))
            self._notes.append(Note(link.source, "", link.rule, "gone", _GONE, link.item.key))
        self._seen(link, "gone")

    def _ended(self, link: Link, *, archived: bool) -> None:
        self._tool.archived += archived
        self._tool.finished += not archived
        self._seen(link, "finished")

    async def _look_into(self, project: Link, remote: Remote) -> None:
        """Compare what we wrote with what stands there. A project that we are changing ourselves is left for the next time."""
        outbox, key = self._session.outbox, project.item.key
        links = outbox.project_links(key)
        if not outbox.of_project(key):
            inside = await self._target.children(project.remote_id)
            await self._meet(links.values())
            found = await self._compare(project, links, [remote, *inside])
            if not outbox.of_project(key) and outbox.project_links(key) == links:
                self._add(found)
                self._open.append(project)
                self._seen(project, "open")
                return
        self._tool.busy += 1

    async def _meet(self, links: Iterable[Link]) -> None:
        """Learn which of the people we named the tool has: that it holds somebody else in the others' place is nobody's change."""
        named = {person for link in links for field in _PEOPLE for person in _listed(link.base.get(field))} - self._asked
        if named:
            self._people |= await self._target.people(sorted(named))
            self._asked |= named

    async def _compare(self, project: Link, links: Mapping[str, Link], inside: Sequence[Remote]) -> Tool:
        found, held = Tool(), {(one.kind, one.id): one for one in inside}
        ours = [link for link in links.values() if link.remote_id and link.item.kind in ("project", "section", "task")]
        for link, remote in [*(await self._elsewhere([link for link in ours if _at(link) not in held])).values()]:
            if remote is None:
                found.gone.append(_place(link, project))
            else:
                found.moved.append(_place(link, project))
                held[_at(link)] = remote
        for link in ours:
            if (remote := held.get(_at(link))) is not None:
                found.changed += self._differences(link, project, remote)
        for one in inside:
            mine = links.get(one.key) if one.key else None
            if mine is not None and mine.remote_id and one.kind == mine.item.kind and one.id != mine.remote_id:
                found.twice.append(_place(mine, project, (one.url or one.id,)))
        return found

    async def _elsewhere(self, missing: Sequence[Link]) -> dict[str, tuple[Link, Remote | None]]:
        """What is not in its project any more: where else it is, or None. Tools give ids out again."""
        found: dict[str, tuple[Link, Remote | None]] = {}
        kinds: list[ItemKind] = ["section", "task"]
        for kind in kinds:
            links = [link for link in missing if link.item.kind == kind]
            remotes = await self._target.read(kind, [link.remote_id for link in links]) if links else ()
            for link, remote in zip(links, remotes, strict=True):
                found[link.item.key] = (link, None if remote is None or _is_another(remote, link) else remote)
        return found

    def _differences(self, link: Link, project: Link, remote: Remote) -> Iterator[Difference]:
        kind, written = link.item.kind, _carried(link.base, remote.fields, self._people)
        kept = merge(
            base=written,
            want=written,
            held=remote.fields,
            keep={},
            same=lambda field, ours, held: self._target.same(kind, field, ours, held),
        ).kept
        for field, (ours, theirs) in kept.items():
            yield Difference(_place(link, project), field, _said(ours), _said(theirs))

    def _add(self, found: Tool) -> None:
        for name in ("changed", "gone", "moved", "twice"):
            getattr(self._tool, name).extend(getattr(found, name))

    async def _look_for_doubles(self) -> None:
        """Projects that carry one key, where the tool itself does not rule that out."""
        if "project" in self._target.traits.unique or not self._open:
            return
        answers = await self._target.find([Create(link.item, "") for link in self._open])
        for link, answer in zip(self._open, answers, strict=True):
            if isinstance(answer, Conflict):
                self._tool.twice.append(_place(link, link, answer.theirs))

    def _save(self) -> None:
        if self._saves:
            with self._session.store.transaction():
                for key, text in self._news.items():
                    self._session.store.save_meta(f"drift:{key}", text)
                self._session.store.note(self._session.run, self._notes, self._session.runtime.clock())
        self._news, self._notes = {}, []


def _is_another(remote: Remote, link: Link) -> bool:
    return bool(remote.key) and remote.key != link.item.key


def _is_finished(far: Progress) -> bool:
    return far.completed or far.status in _OVER or 0 < far.total == far.done


def _at(link: Link) -> tuple[ItemKind, str]:
    return link.item.kind, link.remote_id


def _carried(base: Mapping[str, Any], held: Mapping[str, Any], people: Collection[str]) -> dict[str, Any]:
    """Of what we wrote, what the tool can hold and says anything about."""
    carried = {field: value for field, value in base.items() if field in held}
    if "custom" in carried:
        carried["custom"] = {name: value for name, value in carried["custom"].items() if name in held["custom"]}
    named = {field: carried.pop(field) for field in _PEOPLE if field in carried}
    there = {field: tuple(one for one in _listed(value) if one in people) for field, value in named.items()}
    return carried | {
        field: value if isinstance(value, str) else there[field] for field, value in named.items() if there[field] or not value
    }


def _listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else tuple(value or ())


def _place(link: Link, project: Link, others: Sequence[str] = ()) -> Place:
    title = plain(str(project.base.get("name") or project.item.fields.get("name") or project.item.key))
    name = plain(str(link.base.get("name") or link.item.fields.get("name") or link.item.key))
    return Place(link.target, title, link.item.kind, name, link.url or project.url, link.source, tuple(others))


def _said(value: Any) -> str:
    text = plain(", ".join(map(str, value)) if isinstance(value, tuple | list) else "" if value is None else str(value))
    return text if len(text) <= 120 else text[:119] + "…"
