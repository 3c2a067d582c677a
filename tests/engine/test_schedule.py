"""Schedules in rules.yaml: what is written, and what is wrong with it, at its place."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.server.schemas.schedules import CronSchedule

from engine.schedule import Schedule, cron, due_after, interval
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


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        ("*/10 * * * *", "2026-03-02T09:00:00+00:00", "2026-03-02T09:10:00+00:00"),
        ("0 7 * * mon-fri", "2026-03-06T07:30:00+01:00", "2026-03-09T07:00:00+01:00"),
        ("0 0 1 * *", "2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"),
        ("0 0 29 2 *", "2026-03-02T09:00:00+01:00", "2028-02-29T00:00:00+01:00"),
        ("0 12 15 * sun", "2026-03-09T00:00:00+01:00", "2026-03-15T12:00:00+01:00"),
        ("0 12 */1 * sun", "2026-03-09T00:00:00+01:00", "2026-03-15T12:00:00+01:00"),
        ("0 12 12 * */1", "2026-03-09T00:00:00+01:00", "2026-03-12T12:00:00+01:00"),
        ("0 12 * * 7", "2026-03-09T00:00:00+01:00", "2026-03-15T12:00:00+01:00"),
        # clocks go forward: Prefect starts what is not there an hour earlier
        ("30 2 * * *", "2026-03-29T01:31:00+01:00", "2026-03-30T02:30:00+02:00"),
        ("*/10 * * * *", "2026-03-29T01:50:00+01:00", "2026-03-29T03:00:00+02:00"),
        # clocks go back: what is there twice may run the second time
        ("30 2 * * *", "2026-10-24T03:00:00+02:00", "2026-10-25T02:30:00+01:00"),
        ("*/10 * * * *", "2026-10-25T02:50:00+02:00", "2026-10-25T03:00:00+01:00"),
        ("*/10 * * * *", "2026-10-25T01:50:00+02:00", "2026-10-25T02:00:00+01:00"),
    ],
)
def test_when_cron_is_due_next(text: str, after: str, due: str) -> None:
    assert due_after(Schedule(cron=text), datetime.fromisoformat(after), BERLIN) == datetime.fromisoformat(due)


def test_a_span_is_counted_in_elapsed_time() -> None:
    before = datetime.fromisoformat("2026-10-25T02:50:00+02:00")
    assert due_after(Schedule(every="30 minutes"), before, BERLIN) == before + timedelta(minutes=30)


def _words(first: int, last: int) -> st.SearchStrategy[str]:
    numbers = st.integers(first, last)
    spans = st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.tuples(st.just("*") | spans, st.integers(1, last)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.one_of(st.just("*"), st.lists(numbers.map(str) | spans, min_size=1, max_size=3).map(",".join), steps)


EXPRESSIONS = st.tuples(_words(0, 59), _words(0, 23), _words(1, 28), _words(1, 12), _words(0, 6)).map(" ".join)


def _between(first: str, last: str) -> st.SearchStrategy[datetime]:
    return st.datetimes(datetime.fromisoformat(first), datetime.fromisoformat(last))


EVER = _between("2026-01-01", "2027-12-31")
NIGHTS = _between("2026-03-28T22:00", "2026-03-29T02:00") | _between("2026-10-24T22:00", "2026-10-25T02:00")
OFTEN = st.sampled_from(["* * * * *", "*/10 * * * *", "30 * * * *", "30 2 * * *", "0 */2 * * *", "15,45 1-3 * * *"])


@settings(deadline=None)
@given(text=EXPRESSIONS | OFTEN, start=EVER | NIGHTS)
def test_nothing_is_expected_before_prefect_starts_it(text: str, start: datetime) -> None:
    """Across both changes of the clocks: from one start to the next, whatever Prefect makes of it."""
    after = start.replace(tzinfo=UTC)
    starts = sorted(asyncio.run(CronSchedule(cron=text, timezone=BERLIN).get_dates(n=4, start=after)))
    for one, following in pairwise(starts):
        assert due_after(Schedule(cron=text), one, BERLIN) >= following
