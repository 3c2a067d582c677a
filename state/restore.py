"""Put a backup in the place of a state file, and keep what stood there."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from connectors.base import StateError
from state.care import backup, verify
from state.lock import Lock
from state.store import Store

_LOGS = ("-wal", "-shm")


def restore(copy: Path, place: Path, *, now: datetime) -> Path | None:
    """Gives where the former state is kept, if there was one. The note of how far it had got stays, so that the next run knows.

    Raises StateError when the copy is not sound, or when somebody uses the state; then nothing is changed.
    """
    with Store(copy, now=now, read_only=True) as old:
        if problems := verify(old).problems:
            raise StateError(f"{copy} is not sound, nothing is changed: {'; '.join(problems)}")
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = Lock(place.with_name(place.name + ".lock"), now=now)
        try:
            fresh = place.with_name(place.name + ".restoring")
            fresh.unlink(missing_ok=True)  # left by somebody who was interrupted
            backup(old, fresh)
            kept = _keep(place, now)
            for end in _LOGS:
                place.with_name(place.name + end).unlink(missing_ok=True)
            fresh.replace(place)
        finally:
            lock.release()
    return kept


def _keep(place: Path, now: datetime) -> Path | None:
    """A copy of what stands there; of a damaged file, all that belongs to it as it is."""
    if not place.exists():
        return None
    kept = place.with_name(f"{place.name}.before-{now:%Y%m%d-%H%M%S}")
    try:
        with Store(place, now=now, read_only=True) as current:
            backup(current, kept)
    except StateError:
        for end in ("", *_LOGS):
            source = place.with_name(place.name + end)
            if source.exists():
                shutil.copy2(source, kept.with_name(kept.name + end))
    return kept
