"""Where a pull stands, per model polled, and how that is written down.

Rows are scanned in the order of (last_modified_at, id), from a span before the position: the server stamps a row with the time its transaction
began. `key` is the last row of a scan in progress; `bound` is the server's time when the scan began, and becomes the position when it ends.
Rows near the position are remembered, so that looking back does not yield them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.base import ConfigError
from connectors.cursor import youngest
from connectors.tryton.errors import SYSTEM
from engine.model import Problem

REMEMBERED = 10_000  # rows; what is forgotten is yielded once more, never lost

Token = tuple[str, str]  # stamp; id and content


def stamp(moment: datetime) -> str:
    """A moment as text whose order is that of time."""
    return moment.isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Position:
    at: str = ""
    bound: str = ""
    key: tuple[str, int] | None = None
    seen: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def start(self, lookback: timedelta) -> str:
        """The stamp a scan begins at; empty for the beginning of history."""
        return _earlier(self.at, lookback)

    def begun(self, bound: str) -> Position:
        return self if self.bound else replace(self, bound=bound)

    def knows(self, token: Token) -> bool:
        return token[1] in self.seen.get(token[0], ())

    def past(self, key: tuple[str, int] | None, read: Iterable[Token], lookback: timedelta) -> Position:
        """The scan went on to `key`, and what was `read` need not be yielded again."""
        floor = _earlier(self.bound or self.at, lookback)
        new: dict[str, set[str]] = {}
        for moment, mark in read:
            if moment >= floor:
                new.setdefault(moment, set()).add(mark)
        return replace(
            self, key=key, seen={**self.seen, **{moment: self.seen.get(moment, frozenset()) | marks for moment, marks in new.items()}}
        )

    def ended(self, lookback: timedelta) -> Position:
        """The scan is complete. One that read nothing leaves the position: what a lost right hides is seen when it is back."""
        at = max(self.at, self.bound or self.key[0]) if self.key else self.at
        floor = _earlier(at, lookback)
        return Position(at, seen=youngest({moment: marks for moment, marks in self.seen.items() if moment >= floor}, REMEMBERED))

    def trimmed(self, lookback: timedelta) -> Position:
        """Without what no later scan will meet: kept small while a long first read goes on."""
        floor = _earlier(self.bound or max(self.at, self.key[0] if self.key else ""), lookback)
        return replace(self, seen=youngest({moment: marks for moment, marks in self.seen.items() if moment >= floor}, REMEMBERED))


def _earlier(moment: str, span: timedelta) -> str:
    return stamp(datetime.fromisoformat(moment) - span) if moment else ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The state of one kind's pull. `pending` are ids to read again because something of theirs changed."""

    objects: Mapping[str, Position]
    pending: tuple[int, ...] = ()

    def at(self, name: str) -> Position:
        return self.objects.get(name, Position())

    def moved(self, name: str, position: Position) -> Cursor:
        return replace(self, objects={**self.objects, name: position})

    def text(self) -> str:
        objects = {name: _plain(position) for name, position in self.objects.items()}
        return json.dumps({"v": 1, "objects": objects, "pending": self.pending}, separators=(",", ":"))


def _plain(position: Position) -> dict[str, Any]:
    seen = {moment: sorted(marks) for moment, marks in position.seen.items()}
    return {name: value for name, value in (("at", position.at), ("bound", position.bound), ("key", position.key), ("seen", seen)) if value}


def parse(text: str) -> Cursor:
    """A cursor from its text. Raises ConfigError when it is not one of ours."""
    try:
        data = json.loads(text)
        objects = {str(name): _position(plain) for name, plain in data["objects"].items()}
        return Cursor(objects, tuple(int(id) for id in data["pending"]))
    except (ValueError, KeyError, TypeError, AttributeError) as failure:
        problem = Problem("the stored position of Tryton cannot be read", hint="start over with a new baseline")
        raise ConfigError([problem], system=SYSTEM) from failure


def _position(plain: Mapping[str, Any]) -> Position:
    key = plain.get("key")
    seen = {moment: frozenset(marks) for moment, marks in plain.get("seen", {}).items()}
    return Position(plain.get("at", ""), plain.get("bound", ""), (key[0], int(key[1])) if key else None, seen)
