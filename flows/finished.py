"""Projects that are finished: complete for a week, and the CRM knows. Of those no push is needed; should one be taken up again, polling notices."""

from __future__ import annotations

from datetime import datetime, timedelta

from connectors.base import Progress
from flows.session import Session
from state import Link, Outbox, Store
from state.codec import moment, stamp

REST = timedelta(days=7)  # what is taken up again soon after keeps its push
_SINCE = "complete:"


def note(session: Session, link: Link, progress: Progress) -> None:
    """Since when a project is complete, as far as polling knows."""
    mark = f"{_SINCE}{link.item.key}"
    if progress.is_complete != bool(session.store.meta(mark)):
        session.store.save_meta(mark, stamp(session.runtime.clock()) if progress.is_complete else "")


def finished(store: Store, now: datetime) -> list[Link]:
    """Those that people can see and that are finished by now."""
    since = {key: moment(at) for key, at in store.metas(_SINCE).items() if at}
    untold = {":".join(row) for row in store.db.execute("SELECT system, kind, id FROM write_back WHERE want <> done").fetchall()}
    over = {key for key, at in since.items() if now - at >= REST}
    return [link for link in Outbox(store).published() if link.item.key in over and link.source not in untold]
