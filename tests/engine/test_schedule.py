"""Schedules in rules.yaml: what is written, and what is wrong with it, at its place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.schedule import Schedule, cron, interval
from tests.engine.test_check import RULES, examine


def told(*lines: str) -> list[str]:
    return examine(rules=RULES.replace("calendar: DE\n", "calendar: DE\n" + "".join(f"{line}\n" for line in lines)))[1]


def test_schedules_are_read() -> None:
    text = "schedules: [{every: 5 minutes}, {cron: '*/10  7-19 * * mon-fri', sources: [salesforce], jitter_seconds: 30}]"
    found, problems = examine(rules=RULES.replace("calendar: DE\n", f"calendar: DE\n{text}\n"))
    assert problems == []
    assert found is not None
    business = Schedule(cron="*/10 7-19 * * mon-fri", sources=["salesforce"], jitter_seconds=30)
    assert found.rules.schedules == [Schedule(every="5 minutes"), business]
    assert found.rules.retention_days == 90


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("schedules: [{every: 5}]", "5:21: 'every' is '5'; it is written as '5 minutes', '1 hour', '30 seconds' or '1 day'"),
        ("schedules: [{every: 5 seconds}]", "5:21: 'every' is '5 seconds'; it can be 30 seconds to 31 days"),
        ("schedules: [{}]", "5:13: 'schedules' needs either 'every' or 'cron'"),
        ("schedules: [{every: 5 minutes, cron: 0 7 * * *}]", "5:13: 'schedules' needs either 'every' or 'cron'"),
        ("schedules: [{evry: 5 minutes}]", "5:14: unknown key 'evry' (did you mean every?; allowed: cron, every, jitter_seconds, sources)"),
        ("schedules: [{every: 1 hour, sources: [zoho]}]", "5:39: unknown source zoho (allowed: salesforce)"),
        (
            "schedules: [{cron: 0 7 * *}]",
            "5:20: 'cron' is '0 7 * *'; it has five fields: minute, hour, day of the month, month, day of the week",
        ),
        ("schedules: [{cron: 0 25 * * *}]", "5:20: 'cron' has '25' for the hour; it is 0-23, *, a range or a list, with /steps"),
        ("schedules: [{cron: 0 0 30 2 *}]", "5:20: 'cron' is '0 0 30 2 *', a day that never comes"),
        ("retention_days: 1", "5:17: 'retention_days' should be greater than or equal to 7"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(line: str, problem: str) -> None:
    assert told(line) == [f"rules.yaml:{problem}"]


@pytest.mark.parametrize(
    "text", ["* * * * *", "0 7 * * 1-5", "*/15 7-19 * * mon-fri", "5,35 0 1,15 jan *", "0 0 29 2 *", "5/10 * * * 7", "0 0 31 2 mon"]
)
def test_a_cron_expression_is_taken_as_it_stands(text: str) -> None:
    assert cron(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "60 * * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "9-5 * * * *",
        "a * * * *",
        "1-2-3 * * * *",
        "-1 * * * *",
        "@daily",
        ", * * * *",
        "/5 * * * *",
    ],
)
def test_another_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"has|is"):
        cron(text)


def test_spans() -> None:
    found = [interval(text) for text in ("30 seconds", "1 minute", "2 hours", "1 day")]
    assert found == [timedelta(seconds=30), timedelta(minutes=1), timedelta(hours=2), timedelta(days=1)]
