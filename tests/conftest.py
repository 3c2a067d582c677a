"""What any test may ask for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import postgres

_MEMORY, _ROOM = Path("/dev/shm"), 4 * 1024**3  # noqa: S108 - folders with names of their own are made there

if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ["TMPDIR"], tempfile.tempdir = str(_MEMORY), None  # some ten thousand databases are made


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    try:
        programs = postgres.programs()
    except postgres.Missing as why:
        pytest.skip(str(why))
    with postgres.server(programs) as ready:
        yield ready


@pytest.fixture
def fresh_state(postgres_server: postgres.Server) -> Callable[[], str]:
    """Makes an empty place for a state on PostgreSQL; gives its URL."""
    return postgres_server.fresh_state
