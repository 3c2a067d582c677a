"""Keys as external ids, days as moments, and texts that read the same whatever Odoo makes of their HTML."""

from __future__ import annotations

from datetime import date, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.odoo.target.keys import external_id, key_of, milestone_id
from connectors.odoo.target.text import line, markup, normal
from connectors.odoo.target.values import Days


@given(st.text(min_size=1).filter(lambda key: key.isprintable()))
@example("salesforce:deal:006.5/onboarding/kick off")
@example("odoo:deal:1/x!milestone")
def test_a_key_is_told_by_its_external_id(key: str) -> None:
    external = external_id(key)
    assert key_of(external) == key
    assert external.count(".") == 1
    assert " " not in external
    assert key_of(milestone_id(key)) == ""


@pytest.mark.parametrize("other", ["", "__export__.project_task_1_ab", "project.default", "handoff"])
def test_other_peoples_external_ids_are_no_keys(other: str) -> None:
    assert key_of(other) == ""


@given(st.text(max_size=200))
def test_wrappers_attributes_and_aliases_are_no_edit(text: str) -> None:
    html = markup(text)
    wrapped = (
        html.replace("<p>", '<div class="o"><p style="x">')
        .replace("</p>", "</p></div>\n")
        .replace("<strong>", "<b>")
        .replace("</strong>", "</b>")
    )
    assert normal(wrapped) == normal(html)
    assert normal(normal(html)) == normal(html)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("- a\n- b", "- a\n- c"),
        ("**a**", "a"),
        ("[a](https://x.test/1)", "[a](https://x.test/2)"),
        ("# a", "a"),
        ("1. a", "- a"),
        ("ab", "a b"),
        ("", "a"),
    ],
)
def test_what_reads_otherwise_is_an_edit(one: str, other: str) -> None:
    assert normal(markup(one)) != normal(markup(other))


def test_markup_is_safe() -> None:
    html = markup("<script>alert(1)</script> [x](javascript:alert(1)) ![p](https://x.test/p.png)\x07")
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert "\x07" not in html


def test_a_name_is_one_line() -> None:
    assert line("a\r\n b\tc\x00 ") == "a b c"
    assert line(None) == ""


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Los_Angeles", "Pacific/Auckland", "Europe/Berlin"])
@given(day=st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_a_day_is_the_same_day_in_its_zone_again(zone: str, day: date) -> None:
    for at in (time(0, 0), time(8, 30), time(23, 59)):
        days = Days(ZoneInfo(zone), at)
        assert days.day(days.moment(day)) == day
        assert days.day(days.begin(day)) == day
        assert (days.begin(day) or "") <= (days.moment(day) or "")


def test_no_moment_is_no_day() -> None:
    days = Days(ZoneInfo("UTC"), time(17))
    assert days.moment(None) is None
    assert days.day(False) is None
    assert days.day("2026-03-02") == date(2026, 3, 2)
