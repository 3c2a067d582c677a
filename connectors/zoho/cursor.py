"""Where a pull stands, and how that is written down.

A module is scanned in the order of Modified_Time, from `lookback` before its position. `key` is the stamp a scan in progress has come to.
Rows near the position, and all of the stamp a scan stopped at, are remembered by token, so that looking back does not yield them again.
Deletions have a position of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from connectors.base import ConfigError
from connectors.zoho.errors import SYSTEM
from connectors.zoho.values import earlier
from engine.model import Problem

REMEMBERED = 20_000  # rows besides those of the stamp a scan stopped at; what is forgotten is yielded once more, never lost

Key = tuple[str, str]  # a stamp and a token
Seen = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Position:
    """`at`, `key` and the keys of `seen` are stamps as `values.stamp` writes them; empty: none yet."""

    at: str = ""
    key: str = ""
    seen: Seen = field(default_factory=dict)

    def start(self, lookback: timedelta) -> str:
        """The stamp a scan begins at, or goes on from; empty for the beginning of history."""
        return self.key or earlier(self.at, lookback)

    def knows(self, key: Key) -> bool:
        return key[1] in self.seen.get(key[0], ())

    def tokens(self) -> set[str]:
        return {token for tokens in self.seen.values() for token in tokens}

    def past(self, key: str, read: Iterable[Key], lookback: timedelta) -> Position:
        """The scan went on to `key` (empty: no further), and `read` need not be yielded again."""
        new: dict[str, set[str]] = {}
        for moment, token in read:
            new.setdefault(moment, set()).add(token)
        key = key or self.key
        seen = {**self.seen, **{moment: self.seen.get(moment, frozenset()) | tokens for moment, tokens in new.items()}}
        floor = min(key or self.at, earlier(max(key, self.at), lookback))
        return replace(self, key=key, seen=_youngest({moment: tokens for moment, tokens in seen.items() if moment >= floor}, key))

    def ended(self, now: str, lookback: timedelta) -> Position:
        """The scan is complete, as far as its youngest row or, later, until `lookback` ago: this clock and the CRM's may differ by as much.
        Never ahead of `now`, whatever a migrated record is stamped with. Where nothing was read the position stays: a CRM that shows nothing,
        because a permission is lost for a while, may hold changes that are seen when it is back."""
        at = max(self.at, min(now, max(self.key, earlier(now, lookback)))) if self.key else self.at
        floor = earlier(at, lookback)
        return Position(at, seen=_youngest({moment: tokens for moment, tokens in self.seen.items() if moment >= floor}, ""))


def _youngest(seen: Seen, always: str) -> Seen:
    room, kept = REMEMBERED, {}
    for moment in sorted(seen, reverse=True):
        room -= len(seen[moment]) if moment != always else 0
        if room >= 0 or moment == always:
            kept[moment] = seen[moment]
    return kept


@dataclass(frozen=True, slots=True)
class Cursor:
    """The state of one kind's pull: its records, and those deleted. `total` is expected of a first read."""

    main: Position = field(default_factory=Position)
    gone: Position = field(default_factory=Position)
    total: int | None = None

    def text(self) -> str:
        rest = {"total": self.total} if self.total is not None else {}
        return json.dumps({"v": 1, "main": _plain(self.main), "gone": _plain(self.gone), **rest}, separators=(",", ":"))


def _plain(position: Position) -> dict[str, Any]:
    plain = {"at": position.at, "key": position.key, "seen": {moment: sorted(tokens) for moment, tokens in position.seen.items()}}
    return {name: value for name, value in plain.items() if value}


def parse(text: str) -> Cursor:
    """A cursor from its text. Raises ConfigError when it is not one of ours."""
    try:
        data = json.loads(text)
        if data["v"] != 1:
            raise ValueError
        return Cursor(_position(data["main"]), _position(data["gone"]), data.get("total"))
    except (ValueError, KeyError, TypeError, AttributeError) as failure:
        problem = Problem("the stored position of Zoho CRM cannot be read", hint="start over with a new baseline")
        raise ConfigError([problem], system=SYSTEM) from failure


def _position(plain: Mapping[str, Any]) -> Position:
    seen = {moment: frozenset(tokens) for moment, tokens in plain.get("seen", {}).items()}
    return Position(plain.get("at", ""), plain.get("key", ""), seen)
