"""Keep the state small: what happened long ago is forgotten, a little at a time; what was made and what was last seen is not."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from flows.session import Session
from state.approvals import Approvals
from state.codec import moment, stamp
from state.inbox import Inbox

_EVERY = timedelta(days=1)
_BATCH, _BATCHES = 500, 100  # a run is not held up by what a year left behind: the rest is for the next
_MARK = "forgotten"


async def forget(session: Session) -> int:
    """Forget what is older than `retention_days`, once a day, in short transactions; gives how many rows went. What is left over when there is much
    of it goes with the next run. The space is used again; `handoff state compact` gives it back."""
    now, store = session.runtime.clock(), session.store
    last = store.meta(_MARK)
    if last is not None and now - moment(last) < _EVERY:
        return 0
    cut, gone = now - timedelta(days=session.configuration.rules.retention_days), 0
    for _ in range(_BATCHES):
        with session.reader.transaction():
            batch = store.forget_before(cut, _BATCH)
        gone += batch
        if not batch:
            break
        await asyncio.sleep(0)
    else:
        return gone
    gone += _forget_questions(session, cut)
    with session.reader.transaction():
        store.save_meta(_MARK, stamp(now))
    return gone


def _forget_questions(session: Session, cut: datetime) -> int:
    """In the hub's own database: answered approvals, hints nobody took, refusals of old."""
    if session.hub is None:
        return 0
    return Approvals(session.hub).forget_before(cut) + Inbox(session.hub).forget_before(cut)
