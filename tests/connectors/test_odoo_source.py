"""The parts of the Odoo source that need no server: positions, values, texts, calls for rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import ConfigError, Gone, Rejected, Runtime, Transient
from connectors.odoo import Connection, OdooSource
from connectors.odoo.cursor import Cursor, Moment, Position, Scan, Token, parse
from connectors.odoo.reader import at, plain, project
from connectors.odoo.schema import Field
from connectors.odoo.text import plain_text
from connectors.odoo.write_back import plain as written
from engine.model import Read, WriteBack
from sandbox.web import InProcess, Reply, Request, Sandbox
from tests.conformance.source import Clock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOOKBACK = timedelta(minutes=2)

# Positions


@given(st.sets(st.integers(1, 10**9)), st.lists(st.integers(1, 10**6), unique=True))
def test_a_cursor_is_the_same_when_read_again(known: set[int], pending: list[int]) -> None:
    moment = Moment("2026-11-22 12:00:00", NOON.isoformat(), "")
    position = Position(moment, {"7~ab": "2026-11-22 11:59:59"})
    cursor = Cursor({"main": position}, Scan(5, True, moment), tuple(pending), frozenset(known), NOON.isoformat(), 12)
    assert parse(cursor.text()) == cursor


def test_a_hundred_thousand_known_ids_take_little_room() -> None:
    assert len(Cursor(known=frozenset(range(1, 200_000, 2))).text()) < 1_000


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"positions": {"main": 1}}', '{"positions": {}, "known": "~~~"}'])
def test_a_cursor_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="new baseline"):
        parse(text)


def test_a_position_moves_by_the_time_that_passed_on_the_slower_clock() -> None:
    known = Moment("2026-11-22 12:00:00", NOON.isoformat(), NOON.isoformat())
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    assert known.reached(NOON + minute, NOON + minute).at == "2026-11-22 12:01:00"
    assert known.reached(NOON + hour, NOON + minute).at == "2026-11-22 12:01:00"
    assert known.reached(NOON + minute, NOON + hour).at == "2026-11-22 12:01:00"
    assert known.reached(NOON - hour, NOON + minute).at == "2026-11-22 12:00:00"
    assert known.reached(NOON + minute, None).at == "2026-11-22 12:01:00"


def test_a_position_forgets_what_no_scan_meets_again_and_knows_versions_apart() -> None:
    old, young = Token(1, "2026-11-22 11:57:59", "a"), Token(2, "2026-11-22 11:58:00", "b")
    position = Position().past([old, young]).at(Moment("2026-11-22 12:00:00"), LOOKBACK)
    assert [position.knows(token) for token in (old, young)] == [False, True]
    assert not position.knows(Token(2, "2026-11-22 11:58:00", "c"))
    assert not position.knows(Token(2, "2026-11-22 11:59:00", "b"))


# Values


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("char", False, None),
        ("boolean", False, False),
        ("boolean", True, True),
        ("integer", 0, 0),
        ("date", "2026-12-24", "2026-12-24"),
        ("datetime", "2026-11-22 05:54:38", "2026-11-22T05:54:38+00:00"),
        ("datetime", False, None),
        ("monetary", Decimal("0.10"), Decimal("0.10")),
        ("many2one", 7, 7),
        ("many2many", [], []),
        ("html", "<p>a &lt; b</p>", "a < b"),
    ],
)
def test_odoos_ways_with_values_end_at_the_border(kind: str, raw: Any, value: Any) -> None:
    assert plain(Field("x", kind), raw) == value


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>a<br>b<br/>c</div>", "a\nb\nc"),
        ("<ul><li>a</li><li>b <b>c</b></li></ul>", "- a\n- b c"),
        ("<p>x</p><script>alert(1)</script><style>p{}</style>", "x"),
        ("<p><br></p>", ""),
        ("plain   text\n here", "plain text here"),
        ("<p>京都 &amp; Größe&nbsp;1</p>", "京都 & Größe 1"),
    ],
)
def test_html_is_read_as_its_reader_sees_it(html: str, text: str) -> None:
    assert plain_text(html) == text


def test_paths_lead_through_rows_and_break_off_quietly() -> None:
    row = {"id": 1, "a": {"b": {"c": 5}, "d": 6}, "e": None, "f": [1, 2]}
    assert project(row, ["a.b.c", "a.d", "e.x", "f"]) == {"a": {"b": {"c": 5}, "d": 6}, "e": None, "f": [1, 2]}
    assert (at(row, "a.b.c"), at(row, "e.x"), at(row, "f.g")) == (5, None, None)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, False),
        (Decimal("0.5"), 0.5),
        (Decimal("3.0"), 3),
        (True, True),
        (date(2026, 12, 24), "2026-12-24"),
        (datetime(2026, 12, 24, 9, tzinfo=UTC), "2026-12-24 09:00:00"),
        (["a", "b"], "a, b"),
    ],
)
def test_values_are_written_as_odoo_takes_them(value: Any, sent: Any) -> None:
    assert written(value) == sent
    assert type(written(value)) is type(sent)


# Writing back


class Writes:
    """An Odoo that has some records and writes to those."""

    def __init__(self, *ids: int) -> None:
        self.held: dict[int, Mapping[str, Any]] = {row: {} for row in ids}
        self.sent: list[list[int]] = []
        self.down = False

    def handle(self, request: Request) -> Reply:
        body = json.loads(request.body)
        self.sent.append(body["ids"])
        if self.down:
            return Reply(503, b"<html>")
        for row in body["ids"]:
            if row not in self.held:
                said = f"Record does not exist or has been deleted.\n(Record: crm.lead({row},), User: 2)"
                return Reply.json(404, {"name": "odoo.exceptions.MissingError", "message": said})
        self.held |= dict.fromkeys(body["ids"], body["vals"])
        return Reply.json(200, True)

    def admit(self, request: Request) -> Reply | None:
        return None

    def release(self, request: Request) -> None:
        return None


def source(server: Writes) -> OdooSource:
    clock = Clock()
    connection = Connection.model_validate({"url": "http://odoo.test", "key": "x", "protocol": "json2"})
    runtime = Runtime(clock=clock, sleep=clock.sleep, transport=InProcess({"http://odoo.test": Sandbox(server)}))
    return OdooSource(connection, {"deal": Read("crm.lead", ("name",))}, runtime=runtime)


def rows(*written: tuple[int | str, str]) -> list[WriteBack]:
    return [WriteBack("deal", str(row), {"x_status": text}) for row, text in written]


async def test_a_hundred_equal_rows_are_one_call_and_one_that_is_gone_spoils_none_of_them() -> None:
    server = Writes(*range(1, 101))
    async with source(server) as odoo:
        assert list(await odoo.write_back(rows(*((row, "on track") for row in range(1, 101))))) == [None] * 100
        assert len(server.sent) == 1
        results = await odoo.write_back(rows((1, "a"), (999, "a"), (2, "a"), ("no id", "a")))
    assert [type(result) for result in results] == [type(None), Gone, type(None), Gone]
    assert (server.held[1], server.held[2]) == ({"x_status": "a"}, {"x_status": "a"})


async def test_rows_of_one_record_keep_their_order_whatever_shares_a_call() -> None:
    server = Writes(1, 2)
    async with source(server) as odoo:
        await odoo.write_back(rows((1, "old"), (2, "new"), (1, "new")))
    assert (server.held[1], server.held[2]) == ({"x_status": "new"}, {"x_status": "new"})


async def test_a_server_that_stays_down_fails_each_row_by_itself() -> None:
    server = Writes(1, 2)
    server.down = True
    async with source(server) as odoo:
        results = await odoo.write_back(rows((1, "a"), (2, "a")))
    assert all(isinstance(result, Transient) and not isinstance(result, Rejected) for result in results)
