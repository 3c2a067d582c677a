"""What any test may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests import postgres


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
