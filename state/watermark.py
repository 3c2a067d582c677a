"""How far the state had got, noted beside it. A state that is behind its note is an older copy: what it does not know of may be done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from connectors.base import StateError
from state.codec import moment, stamp

_WIDTH = 64  # always as long: rewriting it needs no room on the disk


@dataclass(frozen=True, slots=True)
class Mark:
    """How many times writes left for a tool, and when they last did."""

    count: int
    at: datetime

    def __str__(self) -> str:
        return f"{self.count} {stamp(self.at)}"

    @staticmethod
    def read(text: str) -> Mark | None:
        """None for what is no mark."""
        count, _, at = text.strip("\0 \n").partition(" ")
        try:
            return Mark(int(count), moment(at))
        except ValueError:
            return None


class Watermark:
    """A small file beside the state. It is not synced to disk: after a power cut it may lag behind the state, which is harmless."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> Mark | None:
        try:
            return Mark.read(self._path.read_text(encoding="ascii", errors="replace"))
        except OSError:
            return None

    def write(self, mark: Mark) -> None:
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            os.pwrite(self._file, f"{mark}\n".ljust(_WIDTH).encode(), 0)
        except OSError as error:
            raise StateError(f"cannot write {self._path} ({error.strerror}); check the disk and the folder's permissions") from error

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
