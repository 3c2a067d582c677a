"""The guards, each removed by itself. A guard whose absence nothing notices is not guarded by tests, or is not needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.base import Publish
from engine.merge import Merged
from engine.model import Action
from engine.plan import Planner
from flows import apply, pipeline, planning
from flows.apply import Drain
from flows.commits import Commits
from state import Intent, Lease, Leases, Outbox, Outcome, outbox
from state.codec import dump

Break = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`guard` names what `remove` takes away."""

    guard: str
    remove: Break

    @property
    def told(self) -> str:
        return (self.remove.__doc__ or "").strip()


MUTANTS: dict[str, Mutant] = {}


def guard(name: str) -> Callable[[Break], Break]:
    def register(remove: Break) -> Break:
        MUTANTS[name] = Mutant(name, remove)
        return remove

    return register


# T2, and doubt


@guard("sent_at is committed before the request")
def _(patch: pytest.MonkeyPatch) -> None:
    """The mark of a sent request is committed together with its outcome."""
    sent, settle = Outbox.sent, Outbox.settle
    marks: dict[int, Callable[[], None]] = {}

    def postpone(self: Outbox, intents: Sequence[Intent], *rest: Any, **named: Any) -> None:
        marks.update({intent.seq: lambda intent=intent: sent(self, [intent], *rest, **named) for intent in intents})  # type: ignore[misc]

    def mark(self: Outbox, outcomes: Sequence[Outcome], now: datetime) -> None:
        for outcome in outcomes:
            marks.pop(outcome.intent.seq, lambda: None)()
        settle(self, outcomes, now)

    patch.setattr(Outbox, "sent", postpone)
    patch.setattr(Outbox, "settle", mark)


@guard("look before sending again")
def _(patch: pytest.MonkeyPatch) -> None:
    """What is in doubt is sent again at once."""
    patch.setattr(apply._Project, "_in_doubt", lambda _self, _intent: False)


def _hurried(patch: pytest.MonkeyPatch, **traits: Any) -> None:
    make = Drain.__init__

    def init(self: Drain, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        self._target.traits = replace(self._target.traits, **traits)

    patch.setattr(Drain, "__init__", init)


@guard("wait for the look-up lag")
def _(patch: pytest.MonkeyPatch) -> None:
    """A look-up that misses what was just made is believed."""
    _hurried(patch, find_lag=timedelta())


@guard("wait for late commits")
def _(patch: pytest.MonkeyPatch) -> None:
    """A look-up is believed while the lost request may still take effect."""
    _hurried(patch, late_commit=timedelta())


def _verdicts(patch: pytest.MonkeyPatch, change: Callable[[Outcome], Outcome]) -> None:
    settle = Outbox.settle
    patch.setattr(Outbox, "settle", lambda self, outcomes, now: settle(self, [change(outcome) for outcome in outcomes], now))


@guard("an update is repeated when the lost one can no longer take effect")
def _(patch: pytest.MonkeyPatch) -> None:
    """It is repeated at once, and the lost one may come after a newer one."""
    failed = apply._Project._failed

    def hurry(self: apply._Project, intent: Intent, *rest: Any) -> Outcome:
        outcome = failed(self, intent, *rest)
        return replace(outcome, due_at=self._d._now()) if outcome.verdict == "again" and intent.op != "create" else outcome

    patch.setattr(apply._Project, "_failed", hurry)


@guard("a lost answer keeps the doubt")
def _(patch: pytest.MonkeyPatch) -> None:
    """A request whose answer was lost counts as not done."""
    _verdicts(patch, lambda one: replace(one, verdict="again") if one.verdict == "doubt" and "look-up" not in one.error else one)


@guard("a failed look-up keeps the doubt")
def _(patch: pytest.MonkeyPatch) -> None:
    """A look-up that fails counts as one that found nothing."""
    _verdicts(patch, lambda one: replace(one, verdict="again") if "look-up failed" in one.error else one)


# T1


def _torn(patch: pytest.MonkeyPatch, first: Callable[[Any, Any], None]) -> None:
    commit = planning.commit

    def torn(session: Any, pulled: Any, *rest: Any, **named: Any) -> Any:
        with session.store.transaction():
            first(session, pulled)
        return commit(session, pulled, *rest, **named)

    patch.setattr(pipeline, "commit", torn)


@guard("the cursor is committed with the intents")
def _(patch: pytest.MonkeyPatch) -> None:
    """The cursor is committed before them."""

    def first(session: Any, pulled: Any) -> None:
        for (system, kind), cursor in pulled.cursors.items():
            session.store.save_cursor(system, kind, cursor, session.runtime.clock())

    _torn(patch, first)


@guard("the snapshots are committed with the intents")
def _(patch: pytest.MonkeyPatch) -> None:
    """The snapshots are committed before them."""

    def first(session: Any, pulled: Any) -> None:
        for (system, kind), snapshots in pulled.snapshots.items():
            session.store.save_snapshots(system, kind, list(snapshots.values()), session.runtime.clock())

    _torn(patch, first)


@guard("a key is born once")
def _(patch: pytest.MonkeyPatch) -> None:
    """The planner does not see that a project exists, and a birth takes the place of an earlier one."""
    plan_create, decide_create = Planner._create, Outbox._create

    def forget(self: Outbox, actions: Sequence[Action], run: str, now: datetime) -> None:
        for table in ("intent", "link"):
            self._db.executemany(f"DELETE FROM {table} WHERE key = ?", [(action.item.key,) for action in actions])  # noqa: S608
        decide_create(self, actions, run, now)

    patch.setattr(Planner, "_create", lambda self, firing, action: plan_create(self, replace(firing, standing={}), action))
    patch.setattr(Outbox, "_create", forget)


@guard("a plan above its limits is refused")
def _(patch: pytest.MonkeyPatch) -> None:
    """Whatever was planned is carried out."""
    patch.setattr(pipeline, "excess", lambda _session, _plan: [])


# T3


@guard("link and done are committed together")
def _(patch: pytest.MonkeyPatch) -> None:
    """An intent is done in one transaction, what it made is noted in the next."""
    done, flush = outbox._SETTLE["done"], Commits._flush
    later: list[Callable[[], None]] = []

    def half(self: Outbox, outcomes: Sequence[Outcome], now: datetime) -> None:
        self._db.executemany("UPDATE intent SET state = 'done' WHERE seq = ?", [(outcome.intent.seq,) for outcome in outcomes])
        later.append(lambda: done(self, outcomes, now))

    def twice(self: Commits) -> None:
        later.clear()
        flush(self)
        with self._store.transaction():
            for rest in later:
                rest()

    patch.setitem(outbox._SETTLE, "done", half)
    patch.setattr(Commits, "_flush", twice)


# the order of things


@guard("order per key")
def _(patch: pytest.MonkeyPatch) -> None:
    """What was decided last about an object is done first."""
    of_project = Outbox.of_project
    patch.setattr(Outbox, "of_project", lambda self, project: sorted(of_project(self, project), key=lambda one: (one.stage, -one.seq)))


@guard("children wait for their parents")
def _(patch: pytest.MonkeyPatch) -> None:
    """Every creation is ready at once."""
    is_ready = apply._Project._is_ready
    patch.setattr(apply._Project, "_is_ready", lambda self, intent: intent.op == "create" or is_ready(self, intent))


@guard("a project is shown when it is complete")
def _(patch: pytest.MonkeyPatch) -> None:
    """Publishing waits for nothing but the project itself."""
    patch.setattr(apply._Project, "_is_complete", lambda self: bool(self._links[self._project].remote_id))


@guard("three-way merge")
def _(patch: pytest.MonkeyPatch) -> None:
    """What is wanted is written over whatever stands there."""
    patch.setattr(apply, "merge", lambda *, want, **_: Merged(want, {}))


@guard("an older update that waits holds back the newer one")
def _(patch: pytest.MonkeyPatch) -> None:
    """An update that is not due yet is overtaken by the next."""
    ready = apply._Project._ready

    def overtake(self: apply._Project) -> list[Intent]:
        whole, now = self._open, self._d._now()
        self._open = {seq: one for seq, one in whole.items() if one.op != "update" or one.due_at <= now}
        try:
            return ready(self)
        finally:
            self._open = whole

    patch.setattr(apply._Project, "_ready", overtake)


@guard("a refused update that is tried again brings what is wanted by then")
def _(patch: pytest.MonkeyPatch) -> None:
    """It brings what was wanted when it was refused."""
    patch.setattr(outbox, "_latest", lambda changed, _want: dict(changed))


@guard("what a creation carries is noted when it is sent")
def _(patch: pytest.MonkeyPatch) -> None:
    """A creation that turns out to have been carried out is taken to hold what is wanted by then."""
    sent = Outbox.sent

    def forget(self: Outbox, intents: Sequence[Intent], *rest: Any, **named: Any) -> None:
        before = self.links([intent.key for intent in intents])
        sent(self, intents, *rest, **named)
        self._db.executemany("UPDATE link SET base = ? WHERE key = ?", [(dump(link.base), key) for key, link in before.items()])

    patch.setattr(Outbox, "sent", forget)


@guard("a publishing that is repeated carries what it carried at first")
def _(patch: pytest.MonkeyPatch) -> None:
    """It carries what is wanted by then."""
    write = apply._Project._write

    def latest(self: apply._Project, intent: Intent, merges: Any) -> Any:
        made = write(self, intent, merges)
        return replace(made, item=self._links[intent.key].item) if isinstance(made, Publish) else made

    patch.setattr(apply._Project, "_write", latest)


# many workers


@guard("a lease is confirmed by its fence")
def _(patch: pytest.MonkeyPatch) -> None:
    """Who has lost a lease goes on as if it held it still."""
    confirm = Leases.confirm

    def trust(self: Leases, leases: Collection[Lease], now: datetime) -> Mapping[str, Lease]:
        return {**{lease.name: lease for lease in leases}, **confirm(self, leases, now)}

    patch.setattr(Leases, "confirm", trust)


@guard("a project is claimed by one worker")
def _(patch: pytest.MonkeyPatch) -> None:
    """Everybody gets the lease of every project, and all of them hold it."""
    patch.setattr(Leases, "claim", lambda self, names, now: [Lease(name, 1, 0, now + self.term) for name in names])
    patch.setattr(Leases, "confirm", lambda _self, leases, _now: {lease.name: lease for lease in leases})
