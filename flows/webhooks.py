"""How pushes stand, and what is wrong with them: from what is known here, nobody is asked.

Polling is the truth all the while. What is wrong here costs time, and no change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from connectors.registry import heartbeat
from flows.configuration import Loaded
from state.database import Database
from state.inbox import Feed, Inbox
from state.subscriptions import Subscribed, Subscriptions

LATE_BEAT = timedelta(hours=1)
EXPIRING = timedelta(hours=24)  # within RENEWED, so that somebody failed to renew it
STUCK = timedelta(hours=1)

Kind = Literal["unasked", "silent", "expired", "expiring", "unhealthy", "stuck"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the push of one system stands. `feed` is None until it was asked for, or pushed by itself; `waiting` are hints that nobody read yet."""

    name: str
    system: str
    subscriptions: tuple[Subscribed, ...]
    feed: Feed | None
    waiting: int
    waiting_since: datetime | None
    silence: timedelta
    heartbeat: timedelta | None

    @property
    def heard(self) -> datetime | None:
        """When it last said anything; before it did, since when it is expected to."""
        return (self.feed.last_at or self.feed.since) if self.feed is not None else None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that makes changes come late until somebody sees to it. `told` says what, and what to do."""

    name: str
    kind: Kind
    told: str

    def __str__(self) -> str:
        return f"{self.name}: {self.told}"


def standings(loaded: Loaded, db: Database) -> list[Standing]:
    """Every system with a `push:` section."""
    feeds, waiting, held = Inbox(db).feeds(), Inbox(db).waiting(), Subscriptions(db).all()
    found = []
    for name, settings in loaded.pushes.items():
        system = loaded.pushed_by(name)
        count, since = waiting.get(name, (0, None))
        ours = tuple(one for one in held if one.system == name)
        silence = timedelta(hours=settings.silence_hours)
        found.append(Standing(name, system, ours, feeds.get(name), count, since, silence, heartbeat(system)))
    return found


def alarms(stand: Iterable[Standing], now: datetime) -> list[Alarm]:
    """What is wrong, of every system."""
    return [alarm for one in stand for found in (_silence, _broken, _stuck) for alarm in found(one, now)]


def _silence(one: Standing, now: datetime) -> Iterator[Alarm]:
    if one.feed is None or one.heard is None:
        yield Alarm(one.name, "unasked", f"it has a `push:` section, and nobody asked it to push: handoff webhooks register {one.name}")
        return
    quiet, since = now - one.heard, f"{one.heard:%Y-%m-%d %H:%M} UTC"
    alive = any(each.id for each in one.subscriptions)
    if one.heartbeat is not None and alive and quiet > one.heartbeat + LATE_BEAT:
        told = f"no sign of life since {since}, though it gives one every {_hours(one.heartbeat)}: is the hub running, and reached from outside?"
        yield Alarm(one.name, "silent", told)
    elif one.feed.missed_at is not None and one.feed.missed_at > one.heard and quiet > one.silence:
        told = f"nothing was pushed since {since}, and polling found changes since then: is the hub running, and reached from outside?"
        yield Alarm(one.name, "silent", told)


def _broken(one: Standing, now: datetime) -> Iterator[Alarm]:
    expired = [each for each in one.subscriptions if each.expires_at is not None and each.expires_at <= now]
    if expired:
        yield Alarm(one.name, "expired", f"its subscription has expired ({_named(expired)}): handoff webhooks renew {one.name}")
    soon = [each for each in one.subscriptions if each.expires_at is not None and now < each.expires_at <= now + EXPIRING]
    if soon:
        told = (
            f"its subscription expires at {min(each.expires_at for each in soon if each.expires_at):%Y-%m-%d %H:%M} UTC and was not renewed"
        )
        yield Alarm(one.name, "expiring", f"{told} ({_named(soon)}): handoff webhooks renew {one.name}")
    broken = [each for each in one.subscriptions if not each.healthy]
    if broken:
        yield Alarm(one.name, "unhealthy", f"{_named(broken)}: {broken[0].detail or 'its subscription is not healthy'}")


def _stuck(one: Standing, now: datetime) -> Iterator[Alarm]:
    if one.waiting_since is not None and now - one.waiting_since > STUCK:
        told = (
            f"{one.waiting:,} hints wait since {one.waiting_since:%Y-%m-%d %H:%M} UTC, and nobody reads them: is `handoff serve` running?"
        )
        yield Alarm(one.name, "stuck", told)


def _named(rows: Sequence[Subscribed]) -> str:
    names = [each.resource or "all of it" for each in rows]
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g} hours"
