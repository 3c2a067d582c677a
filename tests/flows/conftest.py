from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows import desk as a_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[a_desk.Desk]:
    """A configuration folder, both systems on loopback, and the command."""
    with a_desk.desk(tmp_path) as ready:
        yield ready
