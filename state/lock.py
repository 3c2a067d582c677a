"""One writer: an advisory lock of the operating system beside the state file. It goes away with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from connectors.base import StateError, StateHeld


class Lock:
    """Held from construction to `release`. Raises StateHeld naming the holder when somebody else has it."""

    def __init__(self, path: Path, *, now: datetime) -> None:
        self._path = path
        self._file = _open(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 500).decode("utf-8", "replace").strip()
            os.close(self._file)
            raise StateHeld(
                f"the state is in use by {holder or 'another process'}; wait for it to end, or use another state file"
            ) from error
        note = f"process {os.getpid()} ({Path(sys.argv[0]).name} {' '.join(sys.argv[1:2])}, since {now:%Y-%m-%d %H:%M:%S} UTC)"
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, note.encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until nobody else has the lock at `path`, and have it for the length of the block."""
    with _opened(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def queued(path: Path) -> Iterator[None]:
    """For the length of the block, whoever has what `path` stands for can see that somebody waits for it."""
    with _opened(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def is_awaited(path: Path) -> bool:
    """Whether some process is queued at `path` just now."""
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = _open(path)
    try:
        yield file
    finally:
        os.close(file)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateError(f"cannot open {path} ({error.strerror}); check that the folder exists and may be written") from error
