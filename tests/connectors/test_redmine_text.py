"""Redmine's texts, names, answers and cursors, without a server."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.base import Ambiguous, AuthError, ConnectorError, Gone, RateLimited, Rejected, Transient
from connectors.http import Answer, Effect
from connectors.redmine import Connection
from connectors.redmine.drafts import dropped
from connectors.redmine.errors import Forbidden, Invalid, judge
from connectors.redmine.fields import same_value
from connectors.redmine.progress import Cursor, cursor_in
from connectors.redmine.shapes import depth_first, fields_of, instead_of
from connectors.redmine.text import Texts, identifier, key_in, line, mark, normal, short_mark
from connectors.redmine.textile import textile

KEY = "salesforce:deal:006A/onboarding/kick off"
MARKDOWN, TEXTILE = Texts("markdown"), Texts("textile")


# Identifiers and keys


def test_an_identifier_is_readable_and_always_the_same() -> None:
    assert identifier("salesforce:deal:006/onboarding").startswith("salesforce-deal-006-onboarding-")
    assert identifier(KEY) == identifier(KEY)


def test_keys_that_differ_in_case_or_signs_alone_get_identifiers_of_their_own() -> None:
    assert len({identifier(key) for key in ("crm:deal:00A", "crm:deal:00a", "crm/deal/00a", "crm-deal-00a")}) == 4


@given(st.text(min_size=1, max_size=300))
def test_any_key_gives_an_identifier_that_redmine_takes(key: str) -> None:
    made = identifier(key)
    assert len(made) <= 100
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not made.startswith("-")


@pytest.mark.parametrize("texts", [MARKDOWN, TEXTILE])
@given(key=st.text(min_size=1, max_size=60), notes=st.text(max_size=80))
def test_a_key_is_read_out_of_the_text_that_carries_it(texts: Texts, key: str, notes: str) -> None:
    key = key.encode(errors="ignore").decode() or "k"
    held = texts.document(notes, key=key).replace("\n", "\r\n")
    assert key_in(held) == key
    assert normal(held) == texts.normal(notes)


def test_the_last_key_in_a_text_counts() -> None:
    assert key_in(MARKDOWN.document(f"As in {mark('crm:deal:1')} said", key=KEY)) == KEY


def test_a_key_too_long_for_a_line_is_marked_by_its_hash_which_is_no_key() -> None:
    marker = short_mark("k" * 300)
    assert len(marker) <= 255
    assert key_in(marker) == ""
    assert short_mark(KEY) == mark(KEY)


# Texts


def test_an_edit_of_a_person_shows_and_white_space_does_not() -> None:
    held = MARKDOWN.document("- one\n- two", key=KEY)
    assert normal(held.replace("\n", " \r\n") + "\r\n") == MARKDOWN.normal("- one\n- two")
    assert normal(held.replace("two", "three")) != MARKDOWN.normal("- one\n- two")


def test_a_text_is_cut_before_it_is_too_long_for_the_column_and_says_so() -> None:
    held = MARKDOWN.document("ü" * 50_000, key=KEY)
    assert len(held.encode()) < 65_535
    assert "(cut here: the whole text has 50000 characters)" in held
    assert key_in(held) == KEY


def test_a_name_is_one_line() -> None:
    assert line(" a\nb\x07\tc ") == "a b c"
    assert len(line("x" * 300)) == 255


@pytest.mark.parametrize(
    ("markdown", "wanted"),
    [
        ("# Title", "h1. Title"),
        ("**bold** and *slanted* and ~~gone~~ and `code`", "*bold* and _slanted_ and -gone- and @code@"),
        ("- one\n- two\n  - inner\n  1. first", "* one\n* two\n** inner\n*# first"),
        ("1. one\n2. two", "# one\n# two"),
        ("[Deal](https://crm.test/1)", '"Deal":https://crm.test/1'),
        ("```\nx = 1\n```", "<pre>\nx = 1\n</pre>"),
        ("> said\n> so", "bq. said\nso"),
        ("| a | b |\n|:--|--:|\n| 1 | 2 |", "|_. a|_. b|\n|1|2|"),
        ("one\n\n---\n\ntwo", "one\n\n---\n\ntwo"),
        ("![logo](https://x.test/l.png)", "!https://x.test/l.png!"),
    ],
)
def test_markdown_becomes_textile(markdown: str, wanted: str) -> None:
    assert textile(markdown) == wanted


# What answers mean


def said(status: int, data: object = None, **headers: str) -> Answer:
    return Answer(status, headers, data, "" if data is not None else "<html>")


@pytest.mark.parametrize(
    ("answer", "effect", "meaning"),
    [
        (said(401), Effect.READ, AuthError),
        (said(403), Effect.UPDATE, Forbidden),
        (said(404), Effect.UPDATE, Gone),
        (said(422, {"errors": ["Subject cannot be blank"]}), Effect.CREATE, Invalid),
        (said(429), Effect.CREATE, RateLimited),
        (said(409, {}), Effect.UPDATE, Rejected),
        (said(302), Effect.CREATE, Rejected),
        (said(500), Effect.CREATE, Ambiguous),
        (said(502), Effect.UPDATE, Transient),
        (said(200), Effect.READ, Transient),
        (said(200), Effect.CREATE, Ambiguous),
        (said(200, {"status": "ok"}), Effect.CREATE, Ambiguous),
        (said(201, {"issue": {"subject": "without an id"}}), Effect.CREATE, Ambiguous),
        (said(200, {"issue": {"id": 1}}), Effect.UPDATE, Transient),
    ],
)
def test_each_answer_means_what_is_known_about_the_effect(answer: Answer, effect: Effect, meaning: type[ConnectorError]) -> None:
    assert type(judge(answer, effect)) is meaning


@pytest.mark.parametrize(
    ("answer", "effect"),
    [
        (said(204), Effect.UPDATE),
        (said(204), Effect.CREATE),
        (said(201, {"issue": {"id": 1}}), Effect.CREATE),
        (said(200, {"issues": []}), Effect.READ),
    ],
)
def test_what_is_done_is_no_error(answer: Answer, effect: Effect) -> None:
    assert judge(answer, effect) is None


def test_a_refusal_without_words_says_so() -> None:
    """That is how Redmine answers a lock_version, whatever its value."""
    assert "no explanation" in str(judge(said(422, {"errors": []}), Effect.UPDATE))


def test_what_was_dropped_is_named_whatever_its_form() -> None:
    row = {
        "subject": "A",
        "description": "one\r\ntwo",
        "start_date": None,
        "assigned_to": {"id": 5},
        "tracker": {"id": 1},
        "custom_fields": [{"id": 1, "value": "k"}, {"id": 2, "value": ["b", "a"]}],
    }
    kept = {"subject": "A", "description": "one\ntwo", "start_date": "", "assigned_to_id": 5, "tracker_id": 1}
    values = [{"id": 1, "value": "k"}, {"id": 2, "value": ["a", "b"]}]
    assert dropped({**kept, "custom_fields": values}, row) == []
    lost = [{"id": 1, "value": "x"}, {"id": 9, "value": "y"}]
    assert dropped({**kept, "tracker_id": 2, "assigned_to_id": "", "custom_fields": lost}, row) == [
        "assigned_to_id",
        "tracker_id",
        "custom field 1",
        "custom field 9",
    ]


# Values, cursors, settings


def test_values_are_the_same_whatever_their_form() -> None:
    assert same_value(Decimal("12.50"), "12.5")
    assert same_value(["b", "a"], ["a", "b"])
    assert same_value(date(2026, 3, 1), "2026-03-01")
    assert same_value("", None)
    assert not same_value("12", "13")


def test_a_cursor_survives_as_text_and_rubbish_is_none() -> None:
    cursor = Cursor("2026-03-01T10:00:00Z", {"5": "abc"}, frozenset({3, 1}))
    assert cursor_in(cursor.text()) == cursor
    assert [cursor_in(text) for text in (None, "", "7", "{}", json.dumps({"v": 0}))] == [None] * 5


def test_parents_come_before_their_own() -> None:
    rows: list[dict[str, Any]] = [{"id": 1, "parent": {"id": 3}}, {"id": 2, "parent": {"id": 1}}, {"id": 3}]
    assert [row["id"] for row in depth_first(rows)] == [3, 1, 2]


def connection(**more: object) -> Connection:
    return Connection.model_validate({"base_url": "http://redmine.test", "api_key": "k", **more})


def test_what_redmine_is_not_set_up_for_is_left_out_of_its_traits() -> None:
    plain, full = connection(modules=("issue_tracking",)), connection(milestone_tracker="Milestone")
    assert "milestone" not in fields_of(plain)["task"]
    assert "status" not in fields_of(plain)
    assert "milestone" in fields_of(full)["task"]
    assert instead_of(full)["task.milestone"] == "the tracker Milestone"


@pytest.mark.parametrize("wrong", [{"key": "custom_field"}, {"modules": ("news",)}, {"relation": "relates"}, {"base_url": ""}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        connection(**wrong)
