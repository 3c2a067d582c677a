"""Put a backup in the place of a state file, and keep what stood there.

The hub's file is put back only where there is none, or a damaged one. One that is sound knows more than the backup: answers that people gave since,
secrets that systems gave, access that was taken away.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from connectors.base import StateError
from state.care import verify, write_copy
from state.database import Database
from state.hub import beside, open_hub
from state.lock import Lock, turn
from state.store import Store

_LOGS = ("-wal", "-shm")
Keep = Callable[[Path, datetime], Path | None]


@dataclass(frozen=True, slots=True)
class Restored:
    """`kept` is where the former files are kept, those there were; `hub` whether the hub's was put back as well."""

    kept: tuple[Path, ...]
    hub: bool


def restore(copy: Path, place: Path, *, now: datetime) -> Restored:
    """The note of how far the former state had got stays, so that the next run knows.

    Raises StateError when the copy is not sound, or when somebody uses the state; then nothing is changed.
    """
    with Store(copy, now=now, read_only=True) as old:
        if problems := verify(old).problems:
            raise StateError(f"{copy} is not sound, nothing is changed: {'; '.join(problems)}")
        with _hub_to_put_back(copy, place, now) as hub:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = Lock(place.with_name(place.name + ".lock"), now=now)
            try:
                kept = [_put(old.db, place, _keep, now), *([] if hub is None else [_put_hub(hub, beside(place), now)])]
            finally:
                lock.release()
    return Restored(tuple(path for path in kept if path is not None), hub is not None)


@contextmanager
def _hub_to_put_back(copy: Path, place: Path, now: datetime) -> Iterator[Database | None]:
    if not beside(copy).exists() or _is_sound(place, now):
        yield None
        return
    with closing(open_hub(copy, now=now, read_only=True)) as hub:
        if problems := hub.check():
            raise StateError(f"{beside(copy)} is not sound, nothing is changed: {'; '.join(problems)}")
        yield hub


def _is_sound(state: Path, now: datetime) -> bool:
    try:
        with closing(open_hub(state, now=now, read_only=True)) as hub:
            return not hub.check()
    except StateError:
        return False


def _put(db: Database, place: Path, keep: Keep, now: datetime) -> Path | None:
    fresh = place.with_name(place.name + ".restoring")
    fresh.unlink(missing_ok=True)  # left by somebody who was interrupted
    write_copy(db, fresh)
    kept = keep(place, now)
    for end in _LOGS:
        place.with_name(place.name + end).unlink(missing_ok=True)
    fresh.replace(place)
    return kept


def _put_hub(hub: Database, place: Path, now: datetime) -> Path | None:
    with turn(place.with_name(place.name + ".lock")):
        return _put(hub, place, _keep_as_it_is, now)


def _keep(place: Path, now: datetime) -> Path | None:
    """A copy of what stands there; of a damaged file, all that belongs to it as it is."""
    try:
        with Store(place, now=now, read_only=True) as current:
            kept = _kept(place, now)
            write_copy(current.db, kept)
            return kept
    except StateError:
        return _keep_as_it_is(place, now)


def _keep_as_it_is(place: Path, now: datetime) -> Path | None:
    if not place.exists():
        return None
    kept = _kept(place, now)
    for end in ("", *_LOGS):
        source = place.with_name(place.name + end)
        if source.exists():
            shutil.copy2(source, kept.with_name(kept.name + end))
    return kept


def _kept(place: Path, now: datetime) -> Path:
    """Named after the moment; with a number where that is taken."""
    kept = place.with_name(f"{place.name}.before-{now:%Y%m%d-%H%M%S}")
    others = (kept.with_name(f"{kept.name}-{number}") for number in count(2))
    return next(path for path in chain([kept], others) if not path.exists())
