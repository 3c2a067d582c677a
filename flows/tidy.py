"""Put away what given-up creations left behind in a tool: late commits nobody waits for any more. Nothing is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flows.session import Session
from state import Note
from state.codec import moment, stamp

_WATCH, _EVERY = timedelta(days=3), timedelta(hours=1)


async def sweep(session: Session) -> int:
    """Archive orphans, at most once an hour and tool, for three days after each was given up; gives how many."""
    count, now = 0, session.runtime.clock()
    for name, target in session.standing_targets.items():
        nonces = session.outbox.orphans(name, now - _WATCH)
        mark = f"swept:{name}"
        last = session.store.meta(mark)
        if not nonces or (last is not None and now - moment(last) < _EVERY):
            continue
        gone: Sequence[str] = ()
        with session.apart("target", name):
            gone = await target.sweep(nonces)
        if session.has_failed("target", name):
            continue
        with session.reader.transaction():
            session.store.save_meta(mark, stamp(now))
            session.store.note(
                session.run, [Note("", "", "", "swept", f"archived {id_}, left by a creation that was given up") for id_ in gone], now
            )
        count += len(gone)
    return count
