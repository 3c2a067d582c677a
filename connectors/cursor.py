"""What cursors of several systems are written with."""

from __future__ import annotations

import zlib
from base64 import b85decode, b85encode
from collections.abc import Iterable, Iterator, Mapping


def packed(ids: Iterable[int]) -> str:
    """Ids as text: their distances, compressed, about a byte each and less where they are dense."""
    distances, last = [], 0
    for row in sorted(ids):
        distances.append(str(row - last))
        last = row
    return b85encode(zlib.compress(",".join(distances).encode())).decode() if distances else ""


def unpacked(text: str) -> Iterator[int]:
    """The ids again, in their order. Raises ValueError or zlib.error for what is none of ours."""
    last = 0
    for distance in zlib.decompress(b85decode(text)).decode().split(",") if text else ():
        last += int(distance)
        yield last


def youngest(seen: Mapping[str, frozenset[str]], room: int) -> dict[str, frozenset[str]]:
    """Of the rows seen at each moment those of the youngest moments, as many moments as hold no more than `room` rows together."""
    kept: dict[str, frozenset[str]] = {}
    for moment in sorted(seen, reverse=True):
        room -= len(seen[moment])
        if room < 0:
            break
        kept[moment] = seen[moment]
    return kept
