"""Values survive the way into the state file and back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.codec import dump, load, moment, stamp

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.dates()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(min_size=2).filter(lambda k: k[0] != "$"), inner)
)


@given(VALUES)
def test_everything_comes_back_as_it_went(value: Any) -> None:
    assert load(dump(value)) == value


def test_types_are_kept_and_not_only_their_looks() -> None:
    back = load(dump({"a": Decimal("1.50"), "b": date(2026, 3, 2), "c": "2026-03-02", "d": ["x"]}))
    assert back == {"a": Decimal("1.50"), "b": date(2026, 3, 2), "c": "2026-03-02", "d": ("x",)}
    assert str(back["a"]) == "1.50"
    assert type(back["c"]) is str


def test_equal_values_give_equal_text_whatever_their_order() -> None:
    assert dump({"b": 1, "a": 2}) == dump({"a": 2, "b": 1})
    assert dump({"x": {"b", "a"}}) == dump({"x": frozenset({"a", "b"})})


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot store a object"):
        dump(object())


@given(st.lists(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)), min_size=2))  # noqa: DTZ001
def test_stamps_sort_as_time_does(moments: list[datetime]) -> None:
    assert [stamp(each) for each in sorted(moments)] == sorted(stamp(each) for each in moments)


def test_a_moment_of_any_zone_is_stored_as_the_same_moment() -> None:
    shanghai = datetime(2026, 3, 2, 1, 0, tzinfo=timezone(timedelta(hours=8)))
    assert stamp(shanghai) == "2026-03-01T17:00:00.000000Z"
    assert moment(stamp(shanghai)) == shanghai
