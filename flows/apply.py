"""Carry out what the outbox holds for one target: parents before children, eldest first, many projects at once, resumable at any point."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from connectors.base import (
    Ambiguous,
    AuthError,
    Conflict,
    ConnectorError,
    Create,
    Gone,
    LeaseLost,
    Publish,
    QuotaExhausted,
    RateLimited,
    Rejected,
    Remote,
    Runtime,
    StateError,
    Target,
    Transient,
    Update,
    Write,
    leaving,
)
from engine.merge import Merged, merge
from engine.model import Item
from flows import logs
from flows.claims import Claims
from flows.commits import Commits
from state import Intent, Lease, Leases, Link, Note, Outbox, Outcome, Store
from state.leases import TERM

_log = logs.get("apply")
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=10)
_WORKERS = 12
_LOOK = timedelta(seconds=1)  # how long at most nobody asks whether to go on waiting
LEAVES_WITHIN = timedelta(seconds=5)


@dataclass(slots=True)
class Stop:
    """Set by a signal: finish what is in flight, start nothing new."""

    asked: bool = False


@dataclass(slots=True)
class Applied:
    """What one drain did.

    `counts` has created, updated, published, kept (a person's edits left alone), parked, adopted, lost (projects another process took over),
    and created by kind.
    """

    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    stopped_by: ConnectorError | None = None


class Drain:
    """One drain of one target's outbox, beside any number of others on the same store: each project is worked on by whoever holds its lease.

    Works until nothing is due, `patience` has passed while only waiting (for look-ups to become conclusive, for a pause the tool asked for),
    a stop was asked for, it is `enough` (asked between requests), or the connector's credentials or quota gave out; what is left stays open for
    the next run.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        *,
        run: str,
        runtime: Runtime,
        stop: Stop | None = None,
        patience: timedelta = timedelta(minutes=3),
        enough: Callable[[], bool] | None = None,
        progress: Callable[[str, int], None] | None = None,
        workers: int = _WORKERS,
        term: timedelta = TERM,
    ) -> None:
        self._outbox = Outbox(store)
        self._store = store
        self._leases = Leases(store, f"{run}-{runtime.random.getrandbits(32):08x}", term=term)
        self._commit = Commits(store, self._leases, runtime.clock)
        self._target = target
        self._run = run
        self._runtime = runtime
        self._stop = stop or Stop()
        self._patience = patience
        self._enough = enough or (lambda: False)
        self._ends = False
        self._progress = progress or (lambda _what, _count: None)
        self._workers = workers
        self.applied = Applied()
        self.touched = 0

    async def __call__(self) -> Applied:
        waited = timedelta()
        while not self._halted():
            touched = self.touched
            if due := self._outbox.due_projects(self._target.system, self._now()):
                await self._drain_all(due)
            moved = self.touched > touched
            pause = self._pause(moved=moved)
            if pause is None or waited + pause > self._patience or self._halted():
                break
            waited = pause if moved else waited + pause
            await self._rest(pause)
        return self.applied

    async def _rest(self, pause: timedelta) -> None:
        until = self._now() + pause
        while not self._halted() and (left := until - self._now()) > timedelta():
            await self._runtime.sleep(min(left, _LOOK).total_seconds())

    def _halted(self) -> bool:
        self._ends = self._ends or self._stop.asked or self.applied.stopped_by is not None or self._enough()
        return self._ends

    def _now(self) -> Any:
        return self._runtime.clock()

    def _pause(self, *, moved: bool) -> timedelta | None:
        """How long until something falls due. None when nothing will: what is due but did not move waits for a person."""
        now = self._now()
        due = self._outbox.next_due(self._target.system, after=None if moved else now)
        return None if due is None else max(due - now, timedelta())

    async def _drain_all(self, projects: Sequence[str]) -> None:
        async with Claims(self._store, self._leases, projects, clock=self._runtime.clock) as claims:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._workers, len(projects))):
                        group.create_task(self._work(claims))
            except BaseExceptionGroup as several:
                raise first(several) from several

    async def _work(self, claims: Claims) -> None:
        while not self._halted() and (lease := claims.next()) is not None:
            try:
                await _Project(self, lease).drain()
            except LeaseLost as lost:
                self.applied.counts["lost"] += 1
                _log.warning("lease lost", extra={"key": lease.name, "error": str(lost)})
            claims.done(lease)


class _Project:
    """The open intents of one project, worked off in batches by the holder of its lease. Raises LeaseLost when that is somebody else by now."""

    def __init__(self, drain: Drain, lease: Lease) -> None:
        self._d = drain
        self._outbox = drain._outbox
        self._target = drain._target
        self._project = lease.name
        self._said = drain._now()
        self._load(lease)

    def _load(self, lease: Lease) -> None:
        """All there is to know, at least as new as the lease's revision."""
        project, self._lease = self._project, lease
        self._open = {intent.seq: intent for intent in self._outbox.of_project(project)}
        self._links = self._outbox.project_links(project)
        self._parked = {intent.key for intent in self._outbox.parked_of(project)}
        self._dismissed = self._outbox.dismissed(project)

    async def drain(self) -> None:
        while not self._d._halted() and (batch := self._ready()):
            doubtful = [intent for intent in batch if self._in_doubt(intent)]
            await (self._resolve(doubtful) if doubtful else self._perform(batch))

    def _in_doubt(self, intent: Intent) -> bool:
        repeatable = self._links[intent.key].item.kind in self._target.traits.repeatable
        return intent.op == "create" and intent.sent_at is not None and not repeatable

    # which are ready

    def _ready(self) -> list[Intent]:
        """The eldest of each key: what was decided later waits, even for one that is not due yet."""
        now = self._d._now()
        eldest: dict[str, Intent] = {}
        for intent in self._open.values():
            eldest.setdefault(intent.key, intent)
        ready = (intent for intent in eldest.values() if intent.due_at <= now and self._is_ready(intent))
        return list(islice(ready, self._target.traits.batch))

    def _is_ready(self, intent: Intent) -> bool:
        link = self._links[intent.key]
        match intent.op:
            case "publish":
                return self._is_complete()
            case "update":
                return bool(link.remote_id and self._links[self._project].published_at)
        item = link.item
        if item.kind == "section" and self._has_section_before(intent):
            return False
        if item.kind in ("comment", "status") and not self._links[self._project].published_at:
            return False
        needs = (item.parent, item.section, *self._waits(item)) if item.kind != "project" else ()
        return all(self._links[key].remote_id for key in needs if key)

    def _has_section_before(self, intent: Intent) -> bool:
        """Whether a section that comes first is in doubt or not due: it may yet take the place this one would take."""
        now = self._d._now()
        before = (other for other in self._open.values() if other.seq < intent.seq and self._links[other.key].item.kind == "section")
        return any(other.op == "create" and (other.sent_at is not None or other.due_at > now) for other in before)

    def _waits(self, item: Item) -> list[str]:
        return [key for key in item.depends_on if key not in self._dismissed]

    def _is_complete(self) -> bool:
        """Everything that is born with the project is there: nothing open, nothing parked before the publishing."""
        waiting = any(intent.op == "create" and self._born_with(intent.key) for intent in self._open.values())
        return not waiting and not any(self._born_with(key) for key in self._parked)

    def _born_with(self, key: str) -> bool:
        return self._links[key].item.kind not in ("comment", "status")

    # doing

    async def _perform(self, batch: Sequence[Intent]) -> None:
        merges = await self._merges([intent for intent in batch if intent.op == "update"])
        writes = {intent.seq: write for intent in batch if (write := self._write(intent, merges)) is not None}
        sending = [intent for intent in batch if intent.seq in writes]
        nonces = {seq: write.nonce for seq, write in writes.items() if isinstance(write, Create)}
        if sending and not await self._mark(sending, nonces):
            return
        answers = await self._send([writes[intent.seq] for intent in sending], lambda: self._leave(sending)) if sending else []
        results: dict[int, Remote | ConnectorError | None] = dict(zip((intent.seq for intent in sending), answers, strict=True))
        outcomes = [self._outcome(intent, results.get(intent.seq), merges.get(intent.seq), writes.get(intent.seq)) for intent in batch]
        stop = next((answer for answer in (*answers, *merges.values()) if isinstance(answer, AuthError | QuotaExhausted)), None)
        if stop is not None:
            self._d.applied.stopped_by = stop
        await self._settle(outcomes, merges, sent=writes)

    async def _send(self, writes: Sequence[Write], leave: Callable[[], Awaitable[None]]) -> Sequence[Remote | ConnectorError]:
        before = leaving.set(leave)
        try:
            await leave()
            return await self._target.write(writes)
        except (AuthError, QuotaExhausted) as error:
            return [error] * len(writes)
        finally:
            leaving.reset(before)

    async def _leave(self, sending: Sequence[Intent]) -> None:
        """A request leaves soon after the commit that says so, or the commit is made again. Raises LeaseLost to hold it back.

        So whoever finds `sent_at` may count from there what can still take effect, however long the request waited for its turn, and nothing
        leaves for somebody whose lease was claimed before. What remains: a process that is stopped between this look at the clock and the write
        to its socket, for longer than `late_commit`, and then goes on over a connection that still stands.
        """
        now = self._d._now()
        if not timedelta() <= now - self._said < LEAVES_WITHIN:
            await self._d._commit(self._lease, lambda _: self._outbox.leaving(sending, now, until=self._settled_by(now)))
            self._said = now

    async def _mark(self, sending: Sequence[Intent], nonces: Mapping[int, str]) -> bool:
        """T2. When somebody has changed the project since it was read, it is read again instead, and nothing may be sent yet."""
        now = self._d._now()

        def work(lease: Lease) -> None:
            if lease.revision == self._lease.revision:
                self._outbox.sent(sending, nonces, now, until=self._settled_by(now))

        lease = await self._d._commit(self._lease, work)
        if lease.revision != self._lease.revision:
            self._load(lease)
            return False
        self._lease, self._said = lease, now
        return True

    def _settled_by(self, sent: datetime) -> datetime:
        """When what was marked as sent can no longer take effect."""
        return sent + LEAVES_WITHIN + self._target.traits.late_commit

    async def _merges(self, updates: Sequence[Intent]) -> dict[int, Merged | ConnectorError]:
        found: dict[int, Merged | ConnectorError] = {}
        by_kind: dict[Any, list[Intent]] = {}
        for intent in updates:
            by_kind.setdefault(self._links[intent.key].item.kind, []).append(intent)
        for kind, intents in by_kind.items():
            try:
                held = await self._target.read(kind, [self._links[intent.key].remote_id for intent in intents])
            except ConnectorError as error:
                found.update((intent.seq, error) for intent in intents)
                continue
            found.update((intent.seq, self._merge(intent, remote)) for intent, remote in zip(intents, held, strict=True))
        return found

    def _merge(self, intent: Intent, held: Remote | None) -> Merged | ConnectorError:
        link = self._links[intent.key]
        if held is None or (held.key and held.key != intent.key):  # tools give ids out again
            return Rejected(f"{link.item.kind} {link.url or link.remote_id} is gone; somebody deleted it in {self._target.system}")
        kind = link.item.kind
        return merge(
            base=link.base,
            want=intent.changed,
            held=held.fields,
            keep=intent.keep,
            same=lambda name, ours, theirs: self._target.same(kind, name, ours, theirs),
        )

    def _write(self, intent: Intent, merges: Mapping[int, Merged | ConnectorError]) -> Write | None:
        link = self._links[intent.key]
        match intent.op:
            case "create":
                if link.item.kind == "dependency" and not self._waits(link.item):
                    return None
                return self._create(link, f"{self._d._runtime.random.getrandbits(64):016x}")
            case "publish":
                again = intent.sent_at is not None
                return Publish(link.remote_id, replace(link.item, fields=link.base) if again else link.item, again=again)
        merged = merges[intent.seq]
        return Update(link.remote_id, link.item.kind, merged.write) if isinstance(merged, Merged) and merged.write else None

    def _create(self, link: Link, nonce: str) -> Create:
        item = link.item
        return Create(
            item,
            nonce,
            project=self._remote(item.project) if item.kind != "project" else "",
            parent=self._remote(item.parent),
            section=self._remote(item.section),
            depends_on=tuple(self._remote(key) for key in self._waits(item)),
        )

    def _remote(self, key: str) -> str:
        return self._links[key].remote_id if key else ""

    # settling doubt

    async def _resolve(self, doubtful: Sequence[Intent]) -> None:
        """Look for what lost answers made: adopt it, or send again once it can no longer turn up."""
        creates = [self._create(self._links[intent.key], intent.nonce) for intent in doubtful]
        try:
            found = await self._target.find(creates)
        except ConnectorError as error:
            outcomes = [Outcome(intent, "doubt", due_at=self._later(intent), error=f"look-up failed: {error}") for intent in doubtful]
            await self._settle(outcomes, {})
            if isinstance(error, AuthError | QuotaExhausted):
                self._d.applied.stopped_by = error
            return
        await self._settle([self._found(intent, answer) for intent, answer in zip(doubtful, found, strict=True)], {})

    def _found(self, intent: Intent, answer: Remote | Conflict | Gone | None) -> Outcome:
        if isinstance(answer, Remote):
            self._d.applied.counts["adopted"] += 1
            link = self._links[intent.key]
            return Outcome(intent, "done", answer.id, answer.url, base=link.base or link.item.fields)
        if isinstance(answer, Conflict):
            return Outcome(intent, "parked", error=f"{answer} ({', '.join(answer.theirs)})")
        if isinstance(answer, Gone):
            return Outcome(intent, "parked", error=f"what it belongs to is gone; somebody deleted it in {self._target.system}")
        now = self._d._now()
        conclusive = self._settled_by(intent.sent_at or now) + self._target.traits.find_lag
        if now < conclusive:
            return Outcome(intent, "doubt", due_at=conclusive, error="the answer was lost; waiting until a look-up is conclusive")
        return Outcome(intent, "again", due_at=now, error="the answer was lost and nothing was made; sending again")

    # what became of them

    def _outcome(
        self, intent: Intent, answer: Remote | ConnectorError | None, merged: Merged | ConnectorError | None, write: Write | None
    ) -> Outcome:
        if isinstance(merged, ConnectorError):
            answer = merged
        if isinstance(answer, ConnectorError):
            return self._failed(intent, answer, write)
        if answer is None:
            wanted = intent.changed if isinstance(merged, Merged) else {}
            return Outcome(intent, "done", base=_without(wanted, merged))
        written = write.item.fields if isinstance(write, Create | Publish) else _without(intent.changed, merged)
        return Outcome(intent, "done", answer.id, answer.url, base=written)

    def _failed(self, intent: Intent, error: ConnectorError, write: Write | None) -> Outcome:
        now, text = self._d._now(), str(error)
        repeatable = self._links[intent.key].item.kind in self._target.traits.repeatable
        match error:
            case RateLimited():
                return Outcome(intent, "again", due_at=now + timedelta(seconds=max(error.retry_after, 1.0)), error=text, counts=False)
            case AuthError() | QuotaExhausted() | LeaseLost() | StateError():
                return Outcome(intent, "again", due_at=now, error=text, counts=False)
            case Ambiguous() if intent.op == "create" and not repeatable:
                return Outcome(intent, "doubt", due_at=now + self._target.traits.find_lag, error=text)
            case Transient() | Ambiguous() if isinstance(write, Update | Publish):
                # one that takes effect late must not undo a newer one
                return Outcome(intent, "again", due_at=max(self._later(intent), self._settled_by(now)), error=text)
            case Transient() | Ambiguous():
                return Outcome(intent, "again", due_at=self._later(intent), error=text)
            case Conflict():
                return Outcome(intent, "parked", error=f"{text} ({', '.join(error.theirs)})" if error.theirs else text)
        return Outcome(intent, "parked", error=text)

    def _later(self, intent: Intent) -> Any:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(intent.attempts, 12))
        return self._d._now() + pause * self._d._runtime.random.uniform(0.5, 1.0)

    async def _settle(
        self, outcomes: Sequence[Outcome], merges: Mapping[int, Merged | ConnectorError], sent: Collection[int] = frozenset()
    ) -> None:
        """T3. What was never sent does not stand when somebody has changed the project since it was read: it is looked at again."""
        now, stand = self._d._now(), [*outcomes]

        def work(lease: Lease) -> None:
            if lease.revision != self._lease.revision:
                stand[:] = [one for one in outcomes if one.intent.seq in sent or one.intent.sent_at is not None]
            self._outbox.settle(stand, now)
            notes = [note for outcome in stand for note in self._notes(outcome, merges.get(outcome.intent.seq))]
            self._d._store.note(self._d._run, notes, now)

        lease = await self._d._commit(self._lease, work)
        self._d.touched += len(outcomes)
        if lease.revision != self._lease.revision:
            self._load(lease)
        else:
            self._refresh(stand)
        self._lease = lease
        self._count(stand)
        self._d._progress(self._project, sum(outcome.verdict == "done" for outcome in stand))

    def _refresh(self, outcomes: Sequence[Outcome]) -> None:
        self._links.update(self._outbox.links([outcome.intent.key for outcome in outcomes]))
        for outcome in outcomes:
            seq = outcome.intent.seq
            match outcome.verdict:
                case "done":
                    del self._open[seq]
                case "parked":
                    self._parked.add(self._open.pop(seq).key)
                case _:
                    self._open[seq] = self._outbox.intent(seq)

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        counts = self._d.applied.counts
        for outcome in outcomes:
            intent = outcome.intent
            if outcome.verdict == "done":
                counts[{"create": "created", "update": "updated", "publish": "published"}[intent.op]] += 1
                if intent.op == "create":
                    counts[f"created {self._links[intent.key].item.kind}"] += 1
            elif outcome.verdict == "parked":
                counts["parked"] += 1
                _log.warning("parked", extra={"key": intent.key, "op": intent.op, "target": intent.target})
            if outcome.error:
                self._d.applied.errors.append(f"{intent.key}: {outcome.error}")

    def _notes(self, outcome: Outcome, merged: Merged | ConnectorError | None) -> list[Note]:
        """The audit trail tells what a project, an update or a refusal came to; a created task is told by its link."""
        intent, link = outcome.intent, self._links[outcome.intent.key]
        notes = []
        if outcome.verdict == "parked":
            notes.append(Note(link.source, link.event, link.rule, "parked", outcome.error, intent.key))
        elif outcome.verdict == "done" and (intent.op != "create" or link.item.kind in ("project", "comment", "status")):
            verdict = {"create": "created", "update": "updated", "publish": "published"}[intent.op]
            notes.append(Note(link.source, link.event, link.rule, verdict, intent.why, intent.key))
        if isinstance(merged, Merged):
            for name, (ours, theirs) in merged.kept.items():
                self._d.applied.counts["kept"] += 1
                detail = {"field": name, "ours": _short(ours), "theirs": _short(theirs)}
                notes.append(
                    Note(link.source, link.event, link.rule, "kept", f"{name} was changed by a person and stays", intent.key, detail)
                )
        return notes


def _without(wanted: Mapping[str, Any], merged: Merged | ConnectorError | None) -> dict[str, Any]:
    """The wanted values that now stand in the tool: all but those a person keeps."""
    kept = merged.kept if isinstance(merged, Merged) else {}
    standing = {name: value for name, value in wanted.items() if name not in kept}
    if "custom" in standing:
        standing["custom"] = {name: value for name, value in standing["custom"].items() if f"custom.{name}" not in kept}
    return standing


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:119] + "…"


def first(group: BaseExceptionGroup[Any]) -> BaseException:
    """One of the errors several tasks ended with."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error
