"""Roundup without a server: what an answer means, how a position is written down, what a mapping may say of the connection."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from connectors.base import AuthError, ConfigError, Conflict, ConnectorError, Gone, RateLimited, Rejected, Transient
from connectors.http import Answer, Effect
from connectors.roundup import Connection
from connectors.roundup.cursor import Cursor, Position, earlier, parse
from connectors.roundup.errors import Denied, judge


def answer(status: int, message: str = "", *, text: str = "", headers: dict[str, str] | None = None) -> Answer:
    body = None if text else {"error": {"status": status, "msg": message}}
    return Answer(status, headers or {}, body, text, (text or json.dumps(body)).encode())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (answer(400, "'Unknown property: nothing'"), Rejected),
        (answer(401, text="Invalid Login - Invalid login"), AuthError),
        (answer(403, "Forbidden."), Denied),
        (answer(404, "no such bug 77"), Gone),
        (answer(404, text="<html>no such page</html>"), ConfigError),
        (answer(412, "If-Match is missing or does not match."), Conflict),
        (answer(429, "Api rate limits exceeded."), RateLimited),
        (answer(500, text="<html>An error occurred</html>"), Transient),
        (answer(200, text="<html>please wait</html>"), Transient),
    ],
)
@pytest.mark.parametrize("effect", [Effect.READ, Effect.REPEATABLE])
def test_an_answer_means(given: Answer, meant: type[ConnectorError], effect: Effect) -> None:
    assert type(judge(given, effect)) is meant


def test_a_good_answer_has_data() -> None:
    assert judge(Answer(200, {}, {"data": {}}, "", b"{}"), Effect.READ) is None
    assert isinstance(judge(Answer(200, {}, {}, "", b"{}"), Effect.READ), Transient)


def test_a_rate_limit_says_when_to_come_again() -> None:
    error = judge(answer(429, "Api rate limits exceeded.", headers={"retry-after": "17"}), Effect.READ)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 17


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("'Unknown property: assignee.shoes'", "assignee.shoes"),
        ("Property nothing not found in class bug", "nothing"),
        ("property status: 'nonsense' is not a status.", "status"),
        ("Multilink Traversal not allowed: messages.author", "messages.author"),
        ("something else", ""),
    ],
)
def test_a_refusal_names_the_field(message: str, field: str) -> None:
    error = judge(answer(400, message), Effect.REPEATABLE)
    assert isinstance(error, Rejected)
    assert error.field == field


def test_a_cursor_is_the_same_after_being_written_down() -> None:
    position = Position("2026-11-22.10:00:00", {"7": ("2026-11-22.09:59:00", "abc")})
    cursor = Cursor(position, Position(), frozenset({7, 8, 90_000}), frozenset({8}), "2026-11-22T10:00:00+00:00")
    assert parse(cursor.text()) == cursor


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"main": 1}', '{"v": 1, "main": ["", {}], "messages": ["", {}], "known": "?"}'])
def test_a_position_that_is_not_ours_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="new baseline"):
        parse(text)


def test_a_position_forgets_what_no_look_will_meet_and_never_goes_back() -> None:
    position = Position("2026-11-22.10:00:00").past("1", "2026-11-22.10:00:00", "a").past("2", "2026-11-22.10:05:00", "b")
    later = position.moved("2026-11-22.10:06:00", timedelta(minutes=2))
    assert later.knows("2", "b")
    assert not later.knows("1", "a")
    assert later.moved("2026-11-22.09:00:00", timedelta(minutes=2)) == later


def test_the_beginning_has_nothing_earlier() -> None:
    assert earlier("", timedelta(minutes=2)) == ""
    assert earlier("2026-11-22.00:00:30", timedelta(minutes=1)) == "2026-11-21.23:59:30"


@pytest.mark.parametrize("url", ["bugs.example.com", "https://ann:secret@bugs.example.com/tr", "ftp://bugs.example.com"])
def test_an_address_that_is_none_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Connection.model_validate({"url": url, "login": "handoff", "password": "very-secret"})
    assert "secret" not in str(caught.value)


def test_an_address_in_the_clear_is_warned_of() -> None:
    plain = {"login": "handoff", "password": "x"}
    assert Connection.model_validate({"url": "http://bugs.example.com/tr", **plain}).warnings
    assert not Connection.model_validate({"url": "https://bugs.example.com/tr/", **plain}).warnings
