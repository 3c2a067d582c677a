"""One fixture a system: its real server, started once for all tests that ask for it. Where it cannot be had, they are skipped with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.real.hands import MANAGER, KanboardTool, OdooCrm, OdooProjects, RedmineTool, Tool, TrytonCrm
from tests.real.kanboard import Kanboard
from tests.real.kanboard import kanboard as start_kanboard
from tests.real.odoo import Odoo
from tests.real.odoo import server as start_odoo
from tests.real.place import Unavailable
from tests.real.play import Desk
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
    items.sort(key=lambda item: "plays" not in [mark.args[0] for mark in item.iter_markers("xdist_group")])  # the longest first


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the stories came to."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(value)


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


# Who works with them, in whole stories


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    ready = Desk(tmp_path / "desk", {})
    yield ready
    ready.end()


@pytest.fixture(scope="session")
def own_odoo() -> Iterator[Odoo]:
    """The stories have servers of their own: others turn clocks, restart databases, delete everything."""
    yield from _started(start_odoo())


@pytest.fixture(scope="session")
def own_kanboard() -> Iterator[Kanboard]:
    yield from _started(start_kanboard())


@pytest.fixture(scope="session")
def odoo_crm(own_odoo: Odoo) -> Iterator[OdooCrm]:
    hands = OdooCrm(own_odoo)
    hands.add_fields("res.partner", {"x_tier": "char", "x_region": "char"})
    back = {"x_handoff_project_url": "char", "x_handoff_status": "char", "x_handoff_progress": "float", "x_handoff_key": "char"}
    hands.add_fields("crm.lead", {"x_go_live": "date", **back})
    yield hands
    hands.close()


@pytest.fixture(scope="session")
def tools(own_kanboard: Kanboard) -> Iterator[dict[str, Tool]]:
    with contextmanager(_started)(start_redmine()) as redmine:
        found = RedmineTool(redmine), KanboardTool(own_kanboard)
        for tool in found:
            tool.add_person(MANAGER)
        yield {"delivery": found[0], "build": found[1]}
        for tool in found:
            tool.close()


@pytest.fixture(scope="session")
def tryton_crm() -> Iterator[TrytonCrm]:
    with contextmanager(_started)(start_tryton()) as tryton:
        hands = TrytonCrm(tryton)
        yield hands
        hands.close()


@pytest.fixture(scope="session")
def odoo_projects(own_odoo: Odoo) -> Iterator[dict[str, Tool]]:
    tool = OdooProjects(own_odoo)
    tool.add_person(MANAGER)
    yield {"delivery": tool}
    tool.close()
