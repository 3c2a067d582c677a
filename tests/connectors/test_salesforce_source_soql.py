"""SOQL as text, and what errors and cursors are made of."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.base import AuthError, ConfigError, Conflict, Gone, QuotaExhausted, RateLimited, Rejected, Transient
from connectors.http import Answer, Effect
from connectors.salesforce.cursor import REMEMBERED, Cursor, Position, parse
from connectors.salesforce.errors import LocatorGone, QueryTimeout, QueryTooLong, SchemaMismatch, judge, row_error
from connectors.salesforce.soql import full_id, literal, select, stamp
from engine.model import Read
from tests.connectors.salesforce_rig import rig


def test_any_text_survives_as_a_literal() -> None:
    crm, make = rig({"customer": Read("Account", ("Name",))})
    crm.org.add_field("Account", "Key__c", external_id=True, unique=True)
    rows: dict[str, str] = {}

    @settings(max_examples=60, deadline=None)
    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40))
    @example("' OR Name != '")
    @example("\\' OR Name != \\'")
    @example('"\\')
    def holds(text: str) -> None:
        rows[text] = rows.get(text) or crm.org.insert("Account", {"Name": text})
        asyncio.run(only(text))

    async def only(text: str) -> None:
        async with make() as source:
            found = await source._rest.get("/query", q=select(["Id", "Name"], "Account", where=f"Name = {literal(text)}"))
        assert rows[text] in [row["Id"] for row in found.data["records"]]
        assert {row["Name"].lower() for row in found.data["records"]} <= {text.lower()}

    holds()


def test_literals_have_their_exact_form() -> None:
    east = datetime(2026, 1, 2, 8, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    values = [None, True, 7, Decimal("1.50"), date(2026, 1, 2), east, "it's\n"]
    assert [literal(value) for value in values] == ["null", "true", "7", "1.50", "2026-01-02", "2026-01-02T00:00:00.123Z", "'it\\'s\\n'"]


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        stamp("2026-01-02T00:00:00")


def test_ids_of_fifteen_characters_get_their_suffix() -> None:
    assert full_id("0015000000Gv7qJ") == "0015000000Gv7qJAAR"
    assert full_id("006D000000CaDjt") == "006D000000CaDjtIAF"
    assert full_id("not an id") == "not an id"


def error(status: int, code: str = "", message: str = "", text: str = "") -> Exception | None:
    data = [{"errorCode": code, "message": message}] if code else None
    return judge(Answer(status, {}, data, text, text.encode()), Effect.READ)


@pytest.mark.parametrize(
    ("status", "code", "message", "meaning"),
    [
        (401, "INVALID_SESSION_ID", "Session expired or invalid", AuthError),
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", QuotaExhausted),
        (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn: Concurrent requests exceeded", RateLimited),
        (403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner", ConfigError),
        (403, "TXN_SECURITY_METERING_ERROR", "blocked by policy", ConfigError),
        (410, "UNSUPPORTED_API_VERSION", "The requested API version is retired", ConfigError),
        (400, "QUERY_TIMEOUT", "too long", QueryTimeout),
        (400, "OPERATION_TOO_LARGE", "exceeded 100000 distinct who/what's", QueryTimeout),
        (400, "INVALID_QUERY_LOCATOR", "", LocatorGone),
        (400, "INVALID_FIELD", "No such column 'X' on entity 'Account'", SchemaMismatch),
        (400, "MALFORMED_QUERY", "unexpected token", SchemaMismatch),
        (404, "NOT_FOUND", "The requested resource does not exist", Gone),
        (500, "UNKNOWN_EXCEPTION", "", Transient),
        (503, "SERVER_UNAVAILABLE", "", Transient),
        (431, "", "", QueryTooLong),
        (414, "", "", QueryTooLong),
        (300, "", "", Conflict),
        (420, "", "", Transient),
        (502, "", "", Transient),
        (200, "", "", Transient),
        (418, "", "", Rejected),
    ],
)
def test_every_answer_has_its_meaning(status: int, code: str, message: str, meaning: type[Exception]) -> None:
    assert type(error(status, code, message)) is meaning


def test_a_whole_page_is_never_repeated_in_an_error() -> None:
    told = error(503, text="<html>" + "secret " * 500)
    assert "secret" not in str(told)
    assert len(str(error(400, "MALFORMED_QUERY", "x" * 5000))) < 600


def test_a_trigger_that_failed_on_a_lock_is_worth_another_try() -> None:
    locked = {"statusCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": "Rollup: UNABLE_TO_LOCK_ROW, unable to obtain", "fields": []}
    assert isinstance(row_error([locked]), Transient)
    assert type(row_error([{**locked, "message": "Rollup: division by zero"}])) is Rejected


def test_a_dangling_reference_is_the_fields_fault_where_a_field_is_named() -> None:
    gone = {"statusCode": "INVALID_CROSS_REFERENCE_KEY", "message": "invalid cross reference id", "fields": []}
    assert isinstance(row_error([gone]), Gone)
    named = row_error([{**gone, "fields": ["OwnerId"]}])
    assert (type(named), getattr(named, "field", "")) == (Rejected, "OwnerId")


LOOK = timedelta(minutes=10)


def test_a_position_never_goes_back() -> None:
    position = Position(at="2026-01-01T12:00:00.000Z").begun("2026-01-01T11:00:00.000Z").ended(LOOK)
    assert position.at == "2026-01-01T12:00:00.000Z"


def test_a_cursor_is_bounded_and_forgets_the_oldest_first() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    rows = [(stamp(at - timedelta(seconds=second)), f"{second}-{row}") for second in range(500) for row in range(50)]
    position = Position(at=stamp(at)).past(None, rows, LOOK).ended(LOOK)
    assert sum(map(len, position.seen.values())) == REMEMBERED
    assert position.knows(*rows[0])
    assert not position.knows(*rows[-1])


def test_a_cursor_remembers_only_what_looking_back_would_meet() -> None:
    at, old = "2026-01-01T12:00:00.000Z", ("2026-01-01T11:49:59.000Z", "old")
    edge = ("2026-01-01T11:50:00.000Z", "edge")
    position = Position(at=at).past(None, [old, edge], LOOK)
    assert (position.knows(*old), position.knows(*edge)) == (False, True)
    begun = position.begun("2026-01-01T12:30:00.000Z")
    later = begun.past(("2026-01-01T12:20:00.000Z", "new"), [], LOOK).ended(LOOK)
    assert (later.at, later.seen) == ("2026-01-01T12:30:00.000Z", {})
    assert begun.ended(LOOK) == position  # it read nothing, so it saw nothing


def test_a_cursor_is_the_same_after_it_was_written_down() -> None:
    position = Position(
        "2026-01-01T12:00:00.000Z", "2026-01-01T12:05:00.000Z", ("2026-01-01T11:59:00.000Z", "006"), {"s": frozenset({"a"})}
    )
    cursor = Cursor({"main": position, "Contact": Position()}, ("006a",), 7)
    assert parse(cursor.text()) == cursor
