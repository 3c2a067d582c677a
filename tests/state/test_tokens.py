"""Tokens and the secrets of handshakes, on either engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.base import ConfigError
from state.database import Database
from state.hub import open_hub
from state.subscriptions import Subscriptions
from state.tokens import Tokens
from tests.state.conftest import NOW


@pytest.fixture
def db(place: Path | str) -> Iterator[Database]:
    with closing(open_hub(place, now=NOW)) as opened:
        yield opened


def test_a_token_is_known_by_what_it_is_and_only_its_hash_is_kept(db: Database) -> None:
    tokens = Tokens(db)
    tokens.add("ana", "approver", "secret of ana", NOW)
    tokens.add("bot", "reader", "secret of bot", NOW)
    found = tokens.of("secret of ana")
    assert found is not None
    assert (found.name, found.role, found.used_at) == ("ana", "approver", None)
    assert tokens.of("secret of nobody") is None
    assert tokens.of("") is None
    assert "secret" not in repr(db.execute("SELECT * FROM token").fetchall())


def test_a_name_is_taken_once_and_the_next_of_that_name_is_another_token(db: Database) -> None:
    tokens = Tokens(db)
    tokens.add("ana", "reader", "one", NOW)
    with pytest.raises(ConfigError, match="there is a token ana already"):
        tokens.add("ana", "approver", "two", NOW)
    first = tokens.named("ana")
    assert tokens.remove("ana")
    assert not tokens.remove("ana")
    tokens.add("ana", "reader", "two", NOW)
    second = tokens.named("ana")
    assert first is not None
    assert second is not None
    assert first.mark != second.mark


def test_the_use_of_a_token_is_noted_to_the_minute(db: Database) -> None:
    tokens = Tokens(db)
    tokens.add("ana", "reader", "one", NOW)
    for seconds, noted in ((0, 0), (59, 0), (60, 60)):
        token = tokens.named("ana")
        assert token is not None
        tokens.note_use(token, NOW + timedelta(seconds=seconds))
        used = tokens.all()[0].used_at
        assert used == NOW + timedelta(seconds=noted)


def test_a_handshakes_secret_is_kept_while_one_is_awaited_and_once(db: Database) -> None:
    known = Subscriptions(db)
    assert not known.keep_secret("asana", "12", "early", NOW)
    known.await_handshake("asana", "12", NOW)
    assert not known.keep_secret("asana", "12", "late", NOW + timedelta(minutes=5))
    assert known.keep_secret("asana", "12", "in time", NOW + timedelta(minutes=4))
    assert not known.keep_secret("asana", "12", "again", NOW + timedelta(minutes=4))
    assert known.get("asana", "12").sealed == "in time"
