"""Carrying writes out: what must be known first, the calls, and what became of each write."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from connectors.asana.batch import Action, Api, Json, get, post
from connectors.asana.fields import Fields
from connectors.asana.people import People
from connectors.asana.sections import Sections
from connectors.asana.shapes import BORN, PATHS, Shapes
from connectors.asana.writes import PEOPLE, Drafts, Held, custom, emails, is_provisional, is_subtask, named, needs_held, without_people
from connectors.base import AuthError, ConnectorError, Create, Publish, Rejected, Remote, Update, Write
from connectors.http import Effect
from engine.model import ItemKind

Outcome = Remote | ConnectorError
_REMEMBERED = 100_000


class Writer:
    """Answers in the order of the writes. What fails before a write has left is true of that write: certainly not done."""

    def __init__(self, api: Api, drafts: Drafts, shapes: Shapes, sections: Sections) -> None:
        self._api = api
        self._drafts = drafts
        self._fields: Fields = drafts.fields
        self._people: People = drafts.people
        self._shapes = shapes
        self._sections = sections
        self._keys: dict[str, str] = {}

    def remember(self, gid: str, key: str) -> None:
        """Keep the key of an object, so that its marker can be written again without reading it first."""
        if len(self._keys) >= _REMEMBERED:
            self._keys.clear()
        if key:
            self._keys[gid] = key

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Sections project by project, publishing one by one, all else together. Raises AuthError when it met every write."""
        lanes: defaultdict[str, list[int]] = defaultdict(list)
        for at, write in enumerate(writes):
            lanes[_lane(at, write)].append(at)
        answers = await asyncio.gather(*(self._carry([writes[at] for at in lane]) for lane in lanes.values()))
        outcomes = {at: outcome for lane, lot in zip(lanes.values(), answers, strict=True) for at, outcome in zip(lane, lot, strict=True)}
        refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, AuthError)]
        if refusals and len(refusals) == len(writes):
            raise refusals[0]
        return [outcomes[at] for at in range(len(writes))]

    async def _carry(self, writes: Sequence[Write]) -> list[Outcome]:
        first = writes[0]
        try:
            if isinstance(first, Create) and first.item.kind == "section":
                return await self._sections.make(first.project, [write for write in writes if isinstance(write, Create)])
            if isinstance(first, Publish):
                return [await self._publish(first)]
            return await self._together(writes)
        except ConnectorError as error:  # while preparing: nothing has left
            return [error] * len(writes)

    async def _together(self, writes: Sequence[Write]) -> list[Outcome]:
        held = await self._prepare(writes)
        drafts = [self._draft(write, held.get(at, Held())) for at, write in enumerate(writes)]
        replies = iter(await self._send([action for draft in drafts if isinstance(draft, list) for action in draft]))
        outcomes: list[Outcome] = []
        for write, draft in zip(writes, drafts, strict=True):
            done = [draft] if isinstance(draft, ConnectorError) else [next(replies) for _ in draft]
            outcomes.append(self._outcome(write, done))
        return outcomes

    def _draft(self, write: Write, held: Held) -> list[Action] | Rejected:
        try:
            return self._drafts.draft(write, held)
        except Rejected as refusal:
            return refusal

    async def _prepare(self, writes: Sequence[Write]) -> dict[int, Held]:
        await self._people.resolve(set[str]().union(*(emails(write) for write in writes if not _is_birth(write))))
        if any(custom(write) for write in writes) or self._drafts.connection.key == "custom_field":
            await self._fields.load()
        held = await self._held(writes)
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for at, write in enumerate(writes):
            wanted[_project(write, held.get(at))] |= self._wanted(write)
        await asyncio.gather(*(self._fields.attach(project, gids) for project, gids in wanted.items() if project and gids))
        return held

    def _wanted(self, write: Write) -> set[str]:
        """Gids of the custom fields a write sets. What cannot be set is refused later, by itself."""
        key = isinstance(write, Create) and write.item.kind == "task" and not is_subtask(write)
        try:
            return {gid for gid in (*self._fields.encode(custom(write)), self._drafts.key_field() if key else "") if gid}
        except Rejected:
            return set()

    async def _held(self, writes: Sequence[Write]) -> dict[int, Held]:
        """What is in Asana now of the objects whose update depends on it."""
        held: dict[int, Held] = {}
        ask: dict[int, Action] = {}
        for at, write in enumerate(writes):
            if isinstance(write, Update) and needs_held(write):
                if write.id in self._keys and set(write.fields) <= {"notes", "name", "assignee", "owner", "followers", "due_on"}:
                    held[at] = Held(self._keys[write.id])
                else:
                    ask[at] = get(f"{PATHS[write.kind]}/{write.id}", (*self._shapes.ask(write.kind), "projects.gid"))
        for at, reply in zip(ask, await self._api.run(list(ask.values())), strict=True):
            write = writes[at]
            if isinstance(reply, dict) and isinstance(write, Update):
                held[at] = self._seen(write.kind, reply["data"])
            elif isinstance(reply, ConnectorError) and not isinstance(reply, Rejected):
                raise reply
        return held

    def _seen(self, kind: ItemKind, row: Json) -> Held:
        self.remember(row["gid"], self._shapes.key(kind, row))
        return Held(
            self._keys.get(row["gid"], ""),
            row.get("start_on"),
            row.get("due_on"),
            next((one["gid"] for one in row.get("projects") or ()), ""),
        )

    async def _send(self, actions: Sequence[Action]) -> list[Json | ConnectorError]:
        """Run the calls; those refused for a person they name are sent once more without that person."""
        replies = await self._api.run(actions)
        again = {at: reply.field for at, reply in enumerate(replies) if isinstance(reply, Rejected) and reply.field in PEOPLE}
        again = {at: field for at, field in again.items() if named(actions[at], field)}
        for at, field in again.items():
            self._people.disown(named(actions[at], field))
        for at, reply in zip(again, await self._api.run([without_people(actions[at], again[at]) for at in again]), strict=True):
            replies[at] = reply
        if any(isinstance(reply, Rejected) and reply.field == "custom_fields" for reply in replies):
            self._fields.forget()
        return replies

    def _outcome(self, write: Write, replies: Sequence[Json | ConnectorError]) -> Outcome:
        failed = next((reply for reply in replies if isinstance(reply, ConnectorError)), None)
        if failed is not None:
            return failed
        first = replies[0]
        row = first["data"] if isinstance(first, dict) else {}
        if isinstance(write, Update):
            return Remote(write.id, write.kind, row.get("permalink_url") or "", self._keys.get(write.id, ""))
        kind, key = write.item.kind, write.item.key
        if kind == "dependency" and isinstance(write, Create):
            return Remote(write.parent, kind, key=key)
        self.remember(row["gid"], key)
        if kind == "project" and isinstance(write, Create):
            self._fields.fresh(row["gid"])
        return Remote(row["gid"], kind, row.get("permalink_url") or "", key)

    async def _publish(self, publish: Publish) -> Outcome:
        """Final content first, then who else shares it: nobody ever sees a half-named project. Every call may be repeated."""
        connection, people = self._drafts.connection, self._people
        await people.resolve({*emails(publish), *connection.members})
        await self._prepare([publish])
        shown = await self._shown(publish.id) if publish.again else None
        reply = shown or (await self._send([self._drafts.published(publish)]))[0]
        outcome = self._outcome(publish, [reply])
        if isinstance(outcome, ConnectorError):
            return outcome
        team = [connection.team] if connection.team and connection.sharing == "membership" else []
        members = [*team, *filter(None, map(people.gid, connection.members))]
        followers = people.known(publish.item.fields.get("followers") or ())
        actions = [_membership(publish.id, member) for member in members]
        replies = await self._send([*actions, *self._drafts.joined(f"/projects/{publish.id}", followers)])
        return await self._shared(publish.id, members, replies) or outcome

    async def _shared(self, project: str, members: Sequence[str], replies: Sequence[Json | ConnectorError]) -> ConnectorError | None:
        """What went wrong with the sharing. A refusal is none when the member is there already."""
        for at, reply in enumerate(replies):
            shared = at < len(members) and isinstance(reply, Rejected) and await self._is_member(project, members[at])
            if isinstance(reply, ConnectorError) and not shared:
                return reply
        return None

    async def _is_member(self, project: str, member: str) -> bool:
        return bool(await self._api.every("/memberships", (), parent=project, member=member))

    async def _shown(self, project: str) -> Json | None:
        """The project, if an earlier attempt has published it; its content is people's from then on."""
        reply = await self._api.one(get(f"/projects/{project}", ("name", "privacy_setting", *BORN)))
        return None if is_provisional(reply["data"]) else reply


def _membership(project: str, member: str) -> Action:
    return post("/memberships", {"parent": project, "member": member, "access_level": "editor"}, effect=Effect.REPEATABLE)


def _lane(at: int, write: Write) -> str:
    if isinstance(write, Create) and write.item.kind == "section":
        return f"section {write.project}"
    return f"publish {at}" if isinstance(write, Publish) else ""


def _is_birth(write: Write) -> bool:
    """A provisional project names nobody yet."""
    return isinstance(write, Create) and write.item.kind == "project"


def _project(write: Write, held: Held | None) -> str:
    match write:
        case Create():
            return write.project
        case Publish():
            return write.id
    return write.id if write.kind == "project" else held.project if held else ""
