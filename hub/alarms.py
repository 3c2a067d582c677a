"""What is wrong with pushes, in words. Polling goes on meanwhile, so nothing is lost; it only takes longer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from state.inbox import Feed
from state.subscriptions import Subscribed

SOON = timedelta(hours=12)


def alarms(feeds: Mapping[str, Feed], subscriptions: Iterable[Subscribed], listened: Sequence[str], now: datetime) -> list[str]:
    """One line each."""
    return [*_feeds(feeds, listened), *_subscriptions(subscriptions, now)]


def _feeds(feeds: Mapping[str, Feed], listened: Sequence[str]) -> Iterator[str]:
    for name in listened:
        feed = feeds.get(name)
        if feed is None:
            yield f"{name} has never pushed anything: `handoff webhooks register` asks it to, `handoff webhooks status` says how it stands"
        elif feed.missed and feed.missed_at and (feed.last_at is None or feed.missed_at > feed.last_at):
            yield f"{name} has gone silent: polling found {feed.missed} changes it had not told of, since its last delivery too"


def _subscriptions(subscriptions: Iterable[Subscribed], now: datetime) -> Iterator[str]:
    for one in subscriptions:
        what = f"{one.system}{f' {one.resource}' if one.resource else ''}"
        if not one.healthy:
            yield f"{what}: {one.detail or 'its subscription is not healthy'}; `handoff webhooks register` mends it"
        elif one.expires_at is not None and one.expires_at - now < SOON:
            yield f"{what}: its subscription expires at {one.expires_at:%Y-%m-%d %H:%M} UTC; `handoff webhooks renew` renews it"
