"""Addresses and secrets made from one: the same each time, unguessable, each its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.base import ConfigError
from flows.endpoints import Endpoints, endpoints, hub_secret
from flows.settings import Settings

SECRET = "s" * 32
HERE = Endpoints(SECRET, "https://hub.example.com/")


def test_an_address_is_the_same_each_time_and_different_for_each_system_resource_and_secret() -> None:
    paths = [HERE.path("asana"), HERE.path("zoho"), HERE.path("asana", "12"), Endpoints("t" * 32, "").path("asana")]
    assert len(set(paths)) == 4
    assert HERE.path("asana") == Endpoints(SECRET, "").path("asana")
    assert HERE.path("asana", "12").endswith("/12")
    assert all(len(path.split("/")[3]) == 26 for path in paths)


def test_an_endpoint_has_its_public_address_its_token_and_the_secret_of_its_handshake() -> None:
    sealed = HERE.seal("from asana")
    assert "from asana" not in sealed
    made = HERE.endpoint("asana", {}, resource="12", sealed=sealed)
    assert made.url == f"https://hub.example.com{HERE.path('asana', '12')}"
    assert (made.secret, len(made.token), made.token.isalnum()) == ("from asana", 40, True)
    assert Endpoints("t" * 32, "").endpoint("asana", {}, sealed=sealed).secret == ""


def test_a_secret_is_made_once_and_readable_by_nobody_else(tmp_path: Path) -> None:
    where = Settings(tmp_path, tmp_path / "data" / "s.db", {}, "https://hub.example.com")
    first = hub_secret(where)
    assert (len(first), hub_secret(where)) == (64, first)
    assert (tmp_path / "data" / "hub.secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["hub.secret"]
    assert endpoints(where).path("a") == Endpoints(first, "").path("a")


def test_a_secret_from_the_environment_wins_and_a_short_one_is_refused(tmp_path: Path) -> None:
    assert hub_secret(Settings(tmp_path, tmp_path / "s.db", {"HANDOFF_HUB_SECRET": SECRET})) == SECRET
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="at least 32 characters"):
        hub_secret(Settings(tmp_path, tmp_path / "s.db", {"HANDOFF_HUB_SECRET": "short"}))
