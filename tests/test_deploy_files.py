"""What stands in deploy/: it parses, and what it refers to is there. Containers are not run here."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import Settings as Prefect
from typer.main import get_command

from flows.cli import app
from flows.service_ui import hosts

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted((ROOT / "deploy").glob("*.service"))
OWN = {name: service for name, service in COMPOSE["services"].items() if service.get("image") == "handoff"}


def verbs() -> set[str]:
    return set(getattr(get_command(app), "commands"))  # noqa: B009 - it is a group


def verb(words: list[str]) -> str:
    return next(word for before, word in pairwise(words) if not word.startswith("-") and before != "--log")


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_service_runs_a_command_that_is_there_and_waits_for_those_it_needs(name: str) -> None:
    service = OWN[name]
    if service["command"][0] == "handoff":
        assert verb(service["command"]) in verbs()
    assert service.get("depends_on", {}).keys() <= COMPOSE["services"].keys()
    for other, how in service.get("depends_on", {}).items():
        assert how["condition"] == "service_completed_successfully" or "healthcheck" in COMPOSE["services"][other]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]


def test_the_prefect_server_understands_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {**OWN["prefect"]["environment"], "PREFECT_SERVER_DATABASE_PASSWORD": "secret"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    understood = Prefect()
    server = understood.server
    assert (server.database.host, server.database.name, server.database.driver) == ("postgres", "prefect", "postgresql+asyncpg")
    assert (server.events.messaging_broker, server.events.messaging_cache) == ("prefect_redis.messaging", "prefect_redis.messaging")
    assert server.docket.url == "redis://redis:6379/1"
    known = {name for name in told if name.startswith("PREFECT_SERVER")} - _names(understood.model_dump())
    assert known == set()


def _names(tree: dict[str, Any], start: str = "PREFECT") -> set[str]:
    """Every setting there is, by the name of its variable."""
    found: set[str] = set()
    for key, value in tree.items():
        name = f"{start}_{key.upper()}"
        found |= _names(value, name) if isinstance(value, dict) else {name}
    return found


def test_it_is_reached_by_the_name_that_the_others_use() -> None:
    words = OWN["prefect"]["command"]
    assert "prefect:4200" in hosts(4200, [words[words.index("--name") + 1]])
    assert {service["environment"]["PREFECT_API_URL"] for name, service in OWN.items() if name != "prefect"} == {"http://prefect:4200/api"}


def test_nothing_in_it_is_a_secret_and_nothing_is_open_to_the_network() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if "PASSWORD" in line and ":" in line and not line.startswith("#"):
            assert "${POSTGRES_PASSWORD:?" in line
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_command_that_is_there(unit: Path) -> None:
    lines = dict(line.split("=", 1) for line in unit.read_text(encoding="utf-8").splitlines() if "=" in line and not line.startswith("#"))
    words = shlex.split(lines["ExecStart"])
    assert words[0].startswith("/opt/handoff/.venv/bin/")
    if words[0].endswith("/handoff"):
        assert verb(words) in verbs()
    assert lines["ProtectSystem"] == "strict"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_a_unit(unit: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze here")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text(encoding="utf-8").replace("ExecStart=/opt/handoff/.venv/bin/", "ExecStart=/bin/true "), encoding="utf-8")
    done = subprocess.run([program, "verify", str(copy)], check=False, capture_output=True, text=True)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")
