"""What cursors are written with: nothing is lost on the way to text, and memory stays bounded."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.cursor import packed, unpacked, youngest

MOMENTS = st.dictionaries(st.text("0123456789", min_size=1, max_size=3), st.frozensets(st.text("ab", max_size=3)), max_size=8)


@given(st.frozensets(st.integers(0, 2**53)))
def test_ids_come_back_as_they_were(ids: frozenset[int]) -> None:
    assert list(unpacked(packed(ids))) == sorted(ids)


def test_dense_ids_take_less_than_a_byte_each() -> None:
    assert len(packed(range(1, 30_001))) < 1000


@pytest.mark.parametrize("text", ["no text of ours!", packed([1, 2])[:-3]])
def test_what_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises((ValueError, zlib.error)):
        list(unpacked(text))


@given(MOMENTS, st.integers(0, 12))
def test_the_youngest_moments_are_kept_whole_as_far_as_there_is_room(seen: dict[str, frozenset[str]], room: int) -> None:
    kept = youngest(seen, room)
    assert sum(map(len, kept.values())) <= room
    assert kept.items() <= seen.items()
    left = sorted(seen.keys() - kept.keys(), reverse=True)
    assert all(moment > left[0] for moment in kept) if left else True
    assert not left or sum(map(len, kept.values())) + len(seen[left[0]]) > room
