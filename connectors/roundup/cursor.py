"""Where a pull stands, and how that is written down.

Roundup shows whole seconds, stamps a change before it is committed, and leaves the stamp alone when an item is retired or restored. So nothing
relies on an order of stamps: what was stamped since some moment is read again and compared by content, and ids are compared now and then.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from connectors.base import ConfigError
from connectors.cursor import packed, unpacked
from connectors.roundup.errors import SYSTEM
from engine.model import Problem

STAMP = "%Y-%m-%d.%H:%M:%S"


def moment(stamp: str) -> datetime:
    return datetime.strptime(stamp[:19], STAMP).replace(tzinfo=UTC)


def earlier(stamp: str, span: timedelta) -> str:
    return (moment(stamp) - span).strftime(STAMP) if stamp else ""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything stamped before `at`, less the look-back, was read. `seen` are the digests of items read since then, by id."""

    at: str = ""
    seen: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def knows(self, row: str, digest: str) -> bool:
        return row in self.seen and self.seen[row][1] == digest

    def past(self, row: str, stamp: str, digest: str) -> Position:
        return replace(self, seen={**self.seen, row: (stamp, digest)})

    def without(self, rows: Iterable[str]) -> Position:
        gone = set(rows)
        return replace(self, seen={row: token for row, token in self.seen.items() if row not in gone})

    def moved(self, at: str, lookback: timedelta) -> Position:
        """The same at a later moment, without what no later look will meet."""
        floor = earlier(max(at, self.at), lookback)
        return Position(max(at, self.at), {row: token for row, token in self.seen.items() if token[0] >= floor})


@dataclass(frozen=True, slots=True)
class Cursor:
    """The state of one kind's pull. `known` are the ids of living records, `pending` those to be read yet, `swept` is when ids were compared."""

    main: Position = Position()
    messages: Position = Position()
    known: frozenset[int] = frozenset()
    pending: frozenset[int] = frozenset()
    swept: str = ""

    def text(self) -> str:
        plain = {"known": packed(self.known), "pending": packed(self.pending), "swept": self.swept}
        positions = {"main": [self.main.at, self.main.seen], "messages": [self.messages.at, self.messages.seen]}
        return json.dumps({"v": 1, **positions, **plain}, separators=(",", ":"))


def parse(text: str) -> Cursor:
    """A cursor from its text. Raises ConfigError when it is not one of ours."""
    try:
        data = json.loads(text)
        main, messages = (
            Position(at, {row: (stamp, digest) for row, (stamp, digest) in seen.items()}) for at, seen in (data["main"], data["messages"])
        )
        return Cursor(main, messages, frozenset(unpacked(data["known"])), frozenset(unpacked(data["pending"])), data["swept"])
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as failure:
        problem = Problem("the stored position of Roundup cannot be read", hint="start over with a new baseline")
        raise ConfigError([problem], system=SYSTEM) from failure
