from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import rig


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[rig.Hub]:
    with rig.hub(tmp_path) as running:
        yield running
