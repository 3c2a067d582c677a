"""Where a pull stands, and how that is written down.

Odoo stamps a record with the time its transaction began, in whole seconds as far as a client sees, and orders rows of one second by what it does
not show. So nothing here relies on an order of stamps: rows stamped since some moment are read in the order of their ids, and whatever changes
while they are read is stamped late enough to be met by the next scan.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import ConfigError
from connectors.cursor import packed, unpacked
from connectors.odoo.errors import SYSTEM
from engine.model import Problem

REMEMBERED = 10_000  # rows; what is forgotten is yielded once more, never lost
STAMP = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Token:
    """A row in one version: its id, its stamp, and a digest of its content, for a stamp does not tell two changes within a second apart."""

    id: int
    stamp: str
    digest: str

    @property
    def mark(self) -> str:
        return f"{self.id}~{self.digest}"


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` is a stamp that the database's clock had certainly reached when our clock showed `ours` and the server's answer was dated `theirs`."""

    at: str = ""
    ours: str = ""
    theirs: str = ""

    def reached(self, ours: datetime, theirs: datetime | None) -> Moment:
        """The same for now: `at` has moved on by the time that has passed on either clock."""
        passed = [ours - datetime.fromisoformat(self.ours)] if self.ours else [timedelta()]
        passed += [theirs - datetime.fromisoformat(self.theirs)] if self.theirs and theirs else []
        return Moment(_moved(self.at, max(min(passed), timedelta())), ours.isoformat(), theirs.isoformat() if theirs else "")

    def since(self, lookback: timedelta) -> str:
        return _moved(self.at, -lookback)


def _moved(stamp: str, span: timedelta) -> str:
    return (datetime.strptime(stamp, STAMP).replace(tzinfo=UTC) + span).strftime(STAMP) if stamp else ""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything stamped before `moment`, less the look-back, was read; `seen` are the rows read since then (mark → stamp)."""

    moment: Moment = Moment()
    seen: Mapping[str, str] = field(default_factory=dict)

    def knows(self, token: Token) -> bool:
        return self.seen.get(token.mark) == token.stamp

    def past(self, tokens: Iterable[Token]) -> Position:
        return replace(self, seen={**self.seen, **{token.mark: token.stamp for token in tokens}})

    def at(self, moment: Moment, lookback: timedelta) -> Position:
        """Moved on to `moment`. What no scan will meet again is forgotten."""
        floor = moment.since(lookback)
        near = sorted((stamp, mark) for mark, stamp in self.seen.items() if stamp >= floor)
        return Position(moment, {mark: stamp for stamp, mark in near[-REMEMBERED:]})


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan in progress: up to which id it has come, whether it reads everything, and the position it will end at."""

    last: int
    whole: bool
    ends: Moment


@dataclass(frozen=True, slots=True)
class Cursor:
    """The state of one kind's pull. `known` are the living records read so far, `swept` when (by our clock) they were last looked for.
    `pending` are records to read again because a child of theirs changed.
    """

    positions: Mapping[str, Position] = field(default_factory=dict)
    scan: Scan | None = None
    pending: tuple[int, ...] = ()
    known: frozenset[int] = frozenset()
    swept: str = ""
    total: int | None = None

    def at(self, name: str) -> Position:
        return self.positions.get(name, Position())

    def moved(self, name: str, position: Position) -> Cursor:
        return replace(self, positions={**self.positions, name: position})

    def text(self) -> str:
        scan = [self.scan.last, self.scan.whole, _plain_moment(self.scan.ends)] if self.scan else None
        positions = {name: [_plain_moment(each.moment), each.seen] for name, each in self.positions.items()}
        plain = {"scan": scan, "pending": self.pending, "known": packed(self.known), "swept": self.swept, "total": self.total}
        return json.dumps({"v": 1, "positions": positions, **{key: value for key, value in plain.items() if value}}, separators=(",", ":"))


def parse(text: str) -> Cursor:
    """A cursor from its text. Raises ConfigError when it is not one of ours."""
    try:
        data = json.loads(text)
        scan = data.get("scan")
        return Cursor(
            positions={name: Position(Moment(*moment), seen) for name, (moment, seen) in data["positions"].items()},
            scan=Scan(int(scan[0]), bool(scan[1]), Moment(*scan[2])) if scan else None,
            pending=tuple(int(row) for row in data.get("pending", ())),
            known=frozenset(unpacked(data.get("known", ""))),
            swept=data.get("swept", ""),
            total=data.get("total"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as failure:
        problem = Problem("the stored position of Odoo cannot be read", hint="start over with a new baseline")
        raise ConfigError([problem], system=SYSTEM) from failure


def _plain_moment(moment: Moment) -> list[Any]:
    return [moment.at, moment.ours, moment.theirs]
