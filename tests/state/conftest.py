"""Every test of the store and the outbox runs on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from state import Outbox, Store

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a state may be made."""
    return tmp_path / "s.db" if request.param == "sqlite" else request.getfixturevalue("fresh_state")()


@pytest.fixture
def store(place: Path | str) -> Iterator[Store]:
    with Store(place, now=NOW) as opened:
        yield opened


@pytest.fixture
def outbox(store: Store) -> Outbox:
    return Outbox(store)
