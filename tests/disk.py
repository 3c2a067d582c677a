"""A file system with room for little."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own at `place`, of `size` (`512k`), for as long as the block lasts. Skips where nobody may mount one."""
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    words = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if mount is None or umount is None or subprocess.run([mount, *words], capture_output=True, check=False).returncode != 0:  # noqa: S603
        pytest.skip("no right to mount a file system here")
    try:
        yield place
    finally:
        subprocess.run([umount, "--lazy", str(place)], check=True)  # noqa: S603
