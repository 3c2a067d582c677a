"""Tryton's connector without a server: values, texts, what answers mean, cursors."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Ambiguous, AuthError, ConfigError, Conflict, Create, Gone, RateLimited, Rejected, Runtime, Transient
from connectors.http import Answer, Effect
from connectors.tryton import Connection, TrytonTarget
from connectors.tryton.cursor import Cursor, Position, parse, stamp
from connectors.tryton.errors import Denied, WrongRequest, judge, judge_login
from connectors.tryton.lines import joined, split, with_line
from connectors.tryton.records import project, stages
from connectors.tryton.text import is_section, key_in, name, normal, number
from connectors.tryton.values import decoded, encoded, plain
from connectors.tryton.works import comparable, typed
from engine.model import Item

MOMENT = datetime(2026, 3, 2, 9, 30, 0, 442608, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [date(2026, 12, 24), MOMENT, Decimal("12500.00"), timedelta(hours=7.5), None, "x", 3, [1, date(2026, 1, 1)]]
)
def test_what_is_sent_is_what_comes_back(value: Any) -> None:
    assert decoded(encoded(value)) == value


def test_what_a_dotted_path_brought_stands_under_its_name() -> None:
    row = {"id": 1, "party": 4, "party.": {"id": 4, "name": "Acme"}, "lines.": [{"id": 9, "unit.": None}]}
    assert decoded(row) == {"id": 1, "party": {"id": 4, "name": "Acme"}, "lines": [{"id": 9, "unit": None}]}


def test_records_hold_plain_values() -> None:
    assert plain({"at": MOMENT, "for": [timedelta(minutes=90)]}) == {"at": "2026-03-02T09:30:00.442608+00:00", "for": [Decimal("1.5")]}


def _answer(status: int, data: Any = None, **headers: str) -> Answer:
    return Answer(status, headers, data, "")


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (_answer(200, {"id": 1, "result": None}), None),
        (_answer(200, {"id": 1, "error": ["UserError", ["Too much", "", None]]}), Rejected),
        (
            _answer(200, {"id": 1, "error": ["UserError", ['You are trying to read records "9" of "Party" that don\'t exist.', "", None]]}),
            Gone,
        ),
        (_answer(200, {"id": 1, "error": ["UserError", ['You are not allowed to access "Party.Name".', "", None]]}), Denied),
        (_answer(200, {"id": 1, "error": ["UserWarning", ["name", "Are you sure?", ""]]}), Rejected),
        (_answer(200, {"id": 1, "error": ["ConcurrencyException", "Records were modified in the meanwhile"]}), Conflict),
        (_answer(200, {"id": 1, "error": ["'nope'", ""]}), WrongRequest),
        (_answer(200), Ambiguous),
        (_answer(200, {"hello": 1}), Ambiguous),
        (_answer(401), AuthError),
        (_answer(403), Denied),
        (_answer(404), ConfigError),
        (_answer(429, **{"retry-after": "7"}), RateLimited),
        (_answer(502), Ambiguous),
    ],
)
def test_what_an_answer_to_a_creation_means(answer: Answer, means: type[Exception] | None) -> None:
    error = judge(answer, Effect.CREATE)
    assert type(error) is means if means else error is None


def test_a_refusal_says_its_sentence_and_nothing_of_what_follows() -> None:
    """The server sends its whole model along."""
    error = judge(_answer(200, {"error": ["UserError", ["It is\ntoo much", "", [["x"], {"secret": "y" * 9000}]]]}), Effect.READ)
    assert str(error) == "Tryton: It is too much"


def test_what_is_unclear_matters_for_creations_only() -> None:
    assert isinstance(judge(_answer(200), Effect.READ), Transient)
    assert isinstance(judge(_answer(503), Effect.UPDATE), Transient)


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (_answer(200, {"result": [1, "token", None]}), None),
        (_answer(200, {"result": None}), AuthError),
        (_answer(200, {"error": ["LoginException", ["device_code", "", "char"]]}), AuthError),
        (_answer(401), AuthError),
        (_answer(429), RateLimited),
        (_answer(404), ConfigError),
    ],
)
def test_what_an_answer_to_a_login_means(answer: Answer, means: type[Exception] | None) -> None:
    error = judge_login(answer, Effect.READ)
    assert type(error) is means if means else error is None


@given(st.text())
def test_a_number_gives_its_key_back(key: str) -> None:
    assert key_in(number(key)) == key_in(number(key, section=True)) == key
    assert not is_section(number(key))
    assert is_section(number(key, section=True))


@pytest.mark.parametrize("text", [None, "", "42", "PRJ-7"])
def test_a_number_of_trytons_own_carries_no_key(text: str | None) -> None:
    assert not key_in(text)


@given(st.text())
def test_a_name_is_one_line_without_backslashes(text: str) -> None:
    kept = name(text)
    assert not set("\\\n\r\t\x07").intersection(kept)
    assert name(kept) == kept


@given(st.text())
def test_a_text_has_one_normal_form(text: str) -> None:
    assert normal(normal(text)) == normal(text)
    assert normal(text.replace("\n", "\r\n").replace("\r\r", "\r")) == normal(text)


@pytest.mark.parametrize(
    ("text", "value", "then"),
    [
        ("", "on track", "Delivery: on track"),
        ("Mine", "on track", "Mine\nDelivery: on track"),
        ("Mine\nDelivery: old\nMine, too", "new", "Mine\nDelivery: new\nMine, too"),
        ("Mine\r\nDelivery: old", None, "Mine"),
        ("Delivery: a\nx\nDelivery: b", Decimal("0.5"), "Delivery: 0.5\nx"),
        ("Delivery:", date(2026, 3, 2), "Delivery: 2026-03-02"),
        ("", "two\nlines", "Delivery: two lines"),
        ("", True, "Delivery: yes"),
    ],
)
def test_a_line_of_a_text_is_kept(text: str, value: Any, then: str) -> None:
    assert with_line(text, "Delivery", value) == then
    assert with_line(then, "Delivery", value) == then


LABELS = {"customer": "Customer", "tier": "Customer tier"}


@given(st.text(), st.fixed_dictionaries({}, optional={"customer": st.text("abc", min_size=1), "tier": st.text("abc", min_size=1)}))
def test_lines_below_a_text_are_told_from_it(text: str, values: dict[str, str]) -> None:
    notes, found = split(joined(text.replace("\r", ""), values, LABELS), LABELS)
    assert found == values
    assert normal(notes) == normal(text.replace("\r", ""))


def test_a_line_that_a_person_added_below_is_theirs() -> None:
    assert split("Notes\n\nCustomer: Acme\nCall me", LABELS) == ("Notes\n\nCustomer: Acme\nCall me", {})


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        ("integer", "7", 7),
        ("many2one", "7", 7),
        ("float", Decimal("0.5"), 0.5),
        ("numeric", "12.50", Decimal("12.50")),
        ("date", "2026-03-02", date(2026, 3, 2)),
        ("timedelta", Decimal("1.5"), timedelta(minutes=90)),
        ("char", "a\nb", "a b"),
        ("text", ["a", "b"], "a, b"),
        ("boolean", 1, True),
        ("char", "", None),
    ],
)
def test_a_value_becomes_what_its_field_takes(kind: str, value: Any, becomes: Any) -> None:
    given_ = typed({"type": kind}, value, "field")
    assert given_ == becomes
    assert comparable(given_) == comparable(decoded(encoded(given_)))


@pytest.mark.parametrize(("kind", "value"), [("integer", "many"), ("numeric", "much"), ("date", "soon"), ("one2many", [1])])
def test_a_value_that_does_not_fit_names_its_field(kind: str, value: Any) -> None:
    with pytest.raises(Rejected) as caught:
        typed({"type": kind}, value, "field")
    assert caught.value.field == "field"


def test_the_first_row_of_a_list_stands_for_it_on_a_path() -> None:
    row = {"id": 1, "addresses": [{"id": 2, "city": "Liège"}, {"id": 3, "city": "Paris"}], "employee": None}
    assert project(row, ["addresses.city", "employee.party.name", "nope"]) == {
        "addresses": {"city": "Liège"},
        "employee": None,
        "nope": None,
    }


def test_the_log_makes_a_history() -> None:
    later = MOMENT + timedelta(hours=1)
    lines = [
        {"id": 3, "event": "button", "target": "lost", "create_date": later},
        {"id": 1, "event": "button", "target": "opportunity", "create_date": MOMENT},
        {"id": 2, "event": "transition", "target": "state:opportunity", "create_date": MOMENT},
        {"id": 4, "event": "transition", "target": "invoice_state:lost", "create_date": later},
    ]
    assert [(row["state"], row["at"]) for row in stages(lines)] == [("opportunity", MOMENT), ("lost", later)]


def test_a_cursor_survives_as_text() -> None:
    position = Position(stamp(MOMENT), "", (stamp(MOMENT), 7), {stamp(MOMENT): frozenset({"7~ab"})})
    cursor = Cursor({"main": position, "deleted": Position()}, (3, 4))
    assert parse(cursor.text()) == cursor


@pytest.mark.parametrize("text", ["", "{}", '{"v":1,"objects":3}', "[]", '{"objects":{"main":{"key":3}},"pending":[]}'])
def test_a_cursor_that_is_none_of_ours_is_told(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


async def test_a_session_that_ended_is_begun_again_once_for_all_calls() -> None:
    tokens = iter(["first", "second", "third"])
    dead = {"Session YW5uOjE6Zmlyc3Q="}

    def serve(request: httpx.Request) -> httpx.Response:
        if b"common.db.login" in request.content:
            return httpx.Response(200, json={"id": 0, "result": [1, next(tokens), None]})
        if request.headers["Authorization"] in dead:
            return httpx.Response(401, html="<h1>Unauthorized</h1>")
        own = b"get_preferences" in request.content
        return httpx.Response(200, json={"id": 1, "result": {"company": 1, "employee": 2} if own else []})

    connection = Connection(url="http://tryton.test", database="acme", login="ann", password="secret")
    async with TrytonTarget(connection, fields={}, runtime=Runtime(transport=httpx.MockTransport(serve))) as target:
        assert await target.find([Create(Item("crm:deal:7/a", "project", {"name": "A"}, "crm:deal:7/a"), "n")]) == [None]
    assert next(tokens) == "third"


@pytest.mark.parametrize("wrong", [{"url": "tryton.example.com"}, {"database": ""}, {"colour": "red"}])
def test_a_connection_that_is_wrong_is_told_without_its_password(wrong: dict[str, str]) -> None:
    given_ = {"url": "https://tryton.example.com", "database": "acme", "login": "ann", "password": "secret-word", **wrong}
    with pytest.raises(ValueError, match="validation error") as caught:
        Connection.model_validate(given_)
    assert "secret-word" not in str(caught.value)
