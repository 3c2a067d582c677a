"""Looking after the state: is it sound, a copy of it, making it small again."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from connectors.base import StateError
from state.database import Database
from state.hub import beside, is_there, open_hub
from state.store import Store

_TABLES = ("snapshot", "link", "intent", "audit", "run", "recheck", "write_back")
_RULES = (
    ("SELECT count(*) FROM intent LEFT JOIN link USING (key) WHERE link.key IS NULL", "intents without a link"),
    ("SELECT count(*) FROM link WHERE remote_id <> '' AND done_at = ''", "links to an object with no time of making"),
    (
        "SELECT count(*) FROM link WHERE remote_id = '' AND key NOT IN (SELECT key FROM intent WHERE op = 'create')",
        "links that are not made and that nothing will make",
    ),
    (
        "SELECT count(*) FROM (SELECT 1 FROM link WHERE remote_id <> '' AND kind <> 'dependency'"
        " GROUP BY target, kind, remote_id HAVING count(*) > 1) AS twice",
        "objects that stand for two keys",
    ),
    ("SELECT count(*) FROM link AS child WHERE parent <> '' AND parent NOT IN (SELECT key FROM link)", "links whose parent is unknown"),
)


@dataclass(frozen=True, slots=True)
class Health:
    problems: tuple[str, ...]
    counts: dict[str, int]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(store: Store) -> Health:
    """The engine's own check, then that the tables agree with each other."""
    found = store.db.check()
    for statement, what in _RULES:
        if count := store.db.execute(statement).fetchone()[0]:
            found.append(f"{count} {what}")
    counts = {table: store.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in _TABLES}  # noqa: S608 - names from above
    return Health(tuple(found), counts)


def backup(store: Store, to: Path, now: datetime) -> dict[Path, int]:
    """Consistent copies of a state file and of the hub's beside it, if there is one, also while writers work; gives their sizes in bytes.

    All or nothing, and never over a file that is there. A server's raises StateError.
    """
    if beside(to).exists():
        raise StateError(f"cannot write {beside(to)} (File exists); name a new file")
    with ExitStack() as stack:
        copies = {to: write_copy(store.db, to)}
        stack.callback(to.unlink)  # unless all of it comes to be
        if isinstance(store.where, Path) and is_there(store.where):
            with closing(open_hub(store.where, now=now)) as hub:
                copies[beside(to)] = write_copy(hub, beside(to))
        stack.pop_all()
    return copies


def write_copy(db: Database, to: Path) -> int:
    """A consistent copy of one file, also while a writer works; gives its size in bytes. Never overwrites."""
    try:
        to.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise StateError(f"cannot write {to} ({error.strerror}); name a new file in a folder you may write to") from error
    try:
        db.backup(to)
    except StateError:
        to.unlink()
        raise
    return to.stat().st_size


def compact(store: Store, *, keep_days: int, now: datetime) -> tuple[int, int, int]:
    """Drop history older than `keep_days` and give the space back: rows gone, bytes before, bytes after."""
    before = store.db.size()
    gone = store.forget_before(now - timedelta(days=keep_days))
    store.db.vacuum()
    return gone, before, store.db.size()
