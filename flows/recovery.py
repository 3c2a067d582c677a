"""A state that cannot be sure it is the latest: everything it would do is looked for in the tools before it is done again.

Nothing here creates or changes anything in a tool. What may be there already is recorded as sent in doubt; applying settles doubt as ever:
it looks by key, adopts what it finds, and sends what is not there.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from connectors.base import Create, Target
from engine.model import Action
from engine.plan import Plan
from flows import logs
from flows.pull import Pulled
from flows.session import Session
from state import Doubt, Note

_log = logs.get("recovery")
_LONG_AGO = timedelta(days=1)


def begin(session: Session) -> Doubt | None:
    """Whether the state may be older than what was done with it. Then all it holds as not sent is taken for sent."""
    now = session.runtime.clock()
    with session.reader.transaction():
        found = session.continuity.begin(now)
        if found is not None:
            count = session.outbox.doubt(found.since)
            told = f"the state cannot be sure to be the latest: {found.why}; what it would do is looked for in the tools first"
            session.store.note(session.run, [Note("", "", "", "recovery", told, detail={"open": count})], now)
            _log.warning("state may be old", extra={"since": found.since.isoformat(), "open": count})
    return found


async def look(session: Session, pulled: Pulled, plan: Plan) -> dict[str, datetime]:
    """Planned projects that may be there already, with when they may have been sent.

    Looked for are projects made for history, all while there is a doubt, and later those of records that existed when it was settled: they may
    have come and gone unseen, won and opened again. One listing a tool. What is found, and what could still turn up, is in doubt; and with a
    doubt everything planned for projects that stand already.
    """
    doubt, settled, now = session.continuity.doubt(), session.continuity.settled(), session.runtime.clock()
    since = doubt.since if doubt else now - _LONG_AGO
    history = {change.source for change, _ in pulled.history}
    asked: dict[str, list[Action]] = defaultdict(list)
    for action in plan.projects():
        if doubt or action.source in history or _is_older(pulled, action.source, settled):
            asked[action.target].append(action)
    born = {action.item.key for action in plan.projects()}
    found = {action.item.project for action in plan.actions} - born if doubt else set()
    for name, actions in asked.items():
        there = {action.item.key for action in actions}  # of a tool that cannot be asked, all may be
        with session.apart("target", name):
            there = await _found(session.targets[name], actions, soon=now - since)
        found |= there
    return dict.fromkeys(found, since)


def _is_older(pulled: Pulled, source: str, than: datetime | None) -> bool:
    """Whether a record was there at some time. One that does not say when it was made may have been."""
    change = pulled.changes.get(source)
    made = getattr(change.after, "created_at", None) if change else None
    return than is not None and (made is None or made <= than)


async def _found(target: Target, actions: list[Action], *, soon: timedelta) -> set[str]:
    keys = [action.item.key for action in actions]
    if soon <= target.traits.late_commit + target.traits.find_lag:
        return set(keys)
    answers = await target.find([Create(action.item, "") for action in actions])
    return {key for key, answer in zip(keys, answers, strict=True) if answer is not None}
