"""One fixture a system: its real server, started once for all tests that ask for it. Where it cannot be had, they are skipped with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from tests.real.kanboard import Kanboard
from tests.real.kanboard import kanboard as start_kanboard
from tests.real.odoo import Odoo
from tests.real.odoo import server as start_odoo
from tests.real.place import Unavailable
from tests.real.redmine import Redmine
from tests.real.redmine import redmine as start_redmine
from tests.real.roundup import Roundup
from tests.real.roundup import server as start_roundup
from tests.real.tryton import Tryton
from tests.real.tryton import server as start_tryton

S = TypeVar("S")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever comes first waits for a server to be installed."""
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.timeout(1200))


def _started(server: AbstractContextManager[S]) -> Iterator[S]:
    try:
        ready = server.__enter__()
    except Unavailable as why:
        pytest.skip(str(why))
    try:
        yield ready
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def kanboard() -> Iterator[Kanboard]:
    yield from _started(start_kanboard())


@pytest.fixture(scope="session")
def odoo() -> Iterator[Odoo]:
    yield from _started(start_odoo())


@pytest.fixture(scope="session")
def redmine() -> Iterator[Redmine]:
    yield from _started(start_redmine())


@pytest.fixture(scope="session")
def roundup() -> Iterator[Roundup]:
    yield from _started(start_roundup())


@pytest.fixture(scope="session")
def tryton() -> Iterator[Tryton]:
    yield from _started(start_tryton())
