"""Who may import whom. The law of the house, walked over every module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ("engine", "connectors", "state", "flows", "hub", "sandbox", "bench", "tests")
MODULES = sorted(path for part in HOUSE[:-1] for path in (ROOT / part).rglob("*.py"))
PREFECT = {"flows/sync.py"}


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, anywhere in it, as `package.module`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide who imports whom"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def allowed(module: str, name: str) -> bool:
    """Whether `module` (its path from the root) may import `name`, which is ours."""
    part, *rest = module.removesuffix(".py").split("/")
    if is_in(name, part) and part != "connectors":
        return True
    match part:
        case "engine" | "sandbox":
            return False
        case "connectors":
            own = f"connectors.{rest[0]}" if len(rest) > 1 else ""
            border = ("connectors.base", "connectors.cursor", "connectors.http", "connectors.push")
            borders = {"base": (), "cursor": (), "http": border[:1], "push": border[:1], "registry": ("connectors",)}.get(
                rest[0], (*border, *([own] if own else []))
            )
            return is_in(name, "engine.model") or any(is_in(name, border) for border in borders)
        case "state":
            return is_in(name, "engine.model") or is_in(name, "connectors.base")
        case "flows":
            if is_in(name, "sandbox"):
                return "demo" in module
            return name.split(".", maxsplit=1)[0] in ("engine", "connectors", "state")
        case "hub":
            return name.split(".", maxsplit=1)[0] in ("state", "flows", "engine", "connectors")
        case "bench":
            return not is_in(name, "tests")
    return False


def breaches(path: Path) -> list[str]:
    module = path.relative_to(ROOT).as_posix()
    ours = (name for name in imported(path) if name.split(".")[0] in HOUSE)
    return [f"{module} imports {name}" for name in ours if not allowed(module, name)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_what_it_may(path: Path) -> None:
    assert breaches(path) == []


def test_prefect_is_known_to_its_own_modules_only() -> None:
    known = {path.relative_to(ROOT).as_posix() for path in MODULES if any(is_in(name, "prefect") for name in imported(path))}
    assert {module for module in known if not module.startswith(("flows/sync", "flows/deploy", "flows/service"))} == set()


def test_the_engine_reaches_neither_the_network_nor_a_database_nor_the_clock() -> None:
    out = {"httpx", "aiohttp", "asyncio", "sqlite3", "sqlite_utils", "prefect", "socket", "subprocess", "threading", "random", "time"}
    found = {(path.name, name) for path in (ROOT / "engine").rglob("*.py") for name in imported(path) if name.split(".")[0] in out}
    assert found == set()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("engine/x.py", "state.Store"),
        ("engine/x.py", "connectors.base.Page"),
        ("connectors/base.py", "engine.plan.Plan"),
        ("connectors/base.py", "connectors.http.Http"),
        ("connectors/http.py", "connectors.asana.AsanaTarget"),
        ("connectors/push.py", "connectors.http.Http"),
        ("connectors/cursor.py", "connectors.base.ConfigError"),
        ("connectors/push.py", "state.inbox.Inbox"),
        ("connectors/asana/x.py", "connectors.salesforce.Connection"),
        ("connectors/asana/x.py", "state.Store"),
        ("state/x.py", "engine.plan.Plan"),
        ("state/x.py", "flows.pull.Pulled"),
        ("flows/pull.py", "sandbox.web.Sandbox"),
        ("flows/pull.py", "hub.app.App"),
        ("hub/x.py", "sandbox.web.Sandbox"),
        ("sandbox/x.py", "engine.model.Item"),
        ("bench/x.py", "tests.flows.world.World"),
    ],
)
def test_the_law_forbids_what_it_should(module: str, name: str) -> None:
    assert not allowed(module, name)


def test_the_walk_finds_the_modules() -> None:
    assert len(MODULES) > 80
    assert sys.version_info >= (3, 11)
