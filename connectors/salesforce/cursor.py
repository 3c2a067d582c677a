"""Where a pull stands, per Salesforce object polled, and how that is written down.

An object is scanned in the order of (stamp, Id), from `lookback` before its position. `key` is the last row of a scan in progress; `bound`
is the server's time when the scan began, and becomes the position when it ends. Rows near the position are remembered by token, so that
looking back does not yield them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.base import ConfigError
from connectors.cursor import youngest
from connectors.salesforce.errors import SYSTEM
from connectors.salesforce.soql import stamp
from engine.model import Problem

REMEMBERED = 10_000  # rows; what is forgotten is yielded once more, never lost

Key = tuple[str, str]
Seen = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Position:
    """`at`, `bound` and the keys of `seen` are stamps as `soql.stamp` writes them; empty: none yet."""

    at: str = ""
    bound: str = ""
    key: Key | None = None
    seen: Seen = field(default_factory=dict)

    def start(self, lookback: timedelta) -> str:
        """The stamp a scan begins at; empty for the beginning of history."""
        return _earlier(self.at, lookback)

    def begun(self, bound: str) -> Position:
        return self if self.bound else replace(self, bound=bound)

    def knows(self, moment: str, token: str) -> bool:
        return token in self.seen.get(moment, ())

    def past(self, key: Key | None, read: Iterable[Key], lookback: timedelta) -> Position:
        """The scan went on to `key`, and `read` (stamp, token) need not be yielded again."""
        floor = _earlier(self.bound or self.at or (key[0] if key else ""), lookback)
        new: dict[str, set[str]] = {}
        for moment, token in read:
            if moment >= floor:
                new.setdefault(moment, set()).add(token)
        seen = {moment: self.seen.get(moment, frozenset()) | tokens for moment, tokens in new.items()}
        return replace(self, key=key, seen={**self.seen, **seen})

    def ended(self, lookback: timedelta) -> Position:
        """The scan is complete. Without a server's time the youngest row read is as far as it is known. Where no row was read the position stays:
        a CRM that shows nothing, because a permission is lost for a while, may hold changes that are seen when it is back."""
        known = self.bound or (self.key[0] if self.key else "")
        at = max(self.at, known) if self.key or not self.at else self.at
        floor = _earlier(at, lookback)
        return Position(at, seen=youngest({moment: tokens for moment, tokens in self.seen.items() if moment >= floor}, REMEMBERED))


def _earlier(moment: str, span: timedelta) -> str:
    return stamp(datetime.fromisoformat(moment) - span) if moment else ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The state of one kind's pull. `pending` are main ids to re-read because a child of theirs changed."""

    objects: Mapping[str, Position]
    pending: tuple[str, ...] = ()
    total: int | None = None

    def text(self) -> str:
        objects = {name: _plain(position) for name, position in self.objects.items()}
        rest = {"pending": self.pending, "total": self.total}
        return json.dumps({"v": 1, "objects": objects, **{k: v for k, v in rest.items() if v}}, separators=(",", ":"))

    def at(self, name: str) -> Position:
        return self.objects.get(name, Position())

    def moved(self, name: str, position: Position) -> Cursor:
        return replace(self, objects={**self.objects, name: position})


RESTART = Cursor({}).text()
"""The cursor of a first read that must begin anew when it is interrupted."""


def _plain(position: Position) -> dict[str, Any]:
    seen = {moment: sorted(tokens) for moment, tokens in position.seen.items()}
    plain = {"at": position.at, "bound": position.bound, "key": position.key, "seen": seen}
    return {name: value for name, value in plain.items() if value}


def parse(text: str) -> Cursor:
    """A cursor from its text. Raises ConfigError when it is not one of ours."""
    try:
        data = json.loads(text)
        objects = {str(name): _position(plain) for name, plain in data["objects"].items()}
        return Cursor(objects, tuple(data.get("pending", ())), data.get("total"))
    except (ValueError, KeyError, TypeError, AttributeError) as failure:
        problem = Problem("the stored position of Salesforce cannot be read", hint="start over with a new baseline")
        raise ConfigError([problem], system=SYSTEM) from failure


def _position(plain: Mapping[str, Any]) -> Position:
    key = plain.get("key")
    seen = {moment: frozenset(tokens) for moment, tokens in plain.get("seen", {}).items()}
    return Position(plain.get("at", ""), plain.get("bound", ""), (key[0], key[1]) if key else None, seen)
