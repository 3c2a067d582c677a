"""What holds for the whole installation: its time zone, its kinds of links, and its people. Asked once, in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.base import Member, Rejected
from connectors.kanboard.connection import Connection
from connectors.kanboard.rpc import Api, Forbidden, Json, read, whole


@dataclass(frozen=True, slots=True)
class _User:
    """What is kept of a user. Kanboard hands out password hashes and tokens with them, which are dropped here."""

    id: int
    login: str
    name: str
    email: str


class Site:
    """`load` first; then everything else answers. `unknown` holds, as written, the e-mails nobody active has."""

    def __init__(self, api: Api, connection: Connection) -> None:
        self._api = api
        self._connection = connection
        self._lock = asyncio.Lock()
        self._loaded = False
        self._users: dict[int, _User] = {}
        self._ids: dict[str, int] = {}
        self._links: dict[str, int] = {}
        self.zone: tzinfo = UTC
        self.unknown: set[str] = set()

    async def load(self) -> None:
        async with self._lock:
            if not self._loaded:
                zone, links, users = await self._ask()
                self.zone = _zone(zone)
                self._links = {row["label"]: row["id"] for row in links}
                self._users = {row["id"]: _user(row) for row in users if row["is_active"]}
                self._ids = {user.email.casefold(): user.id for user in self._users.values() if user.email}
                self._loaded = True

    async def _ask(self) -> tuple[str, list[Json], list[Json]]:
        replies = await self._api.run([read("getTimezone"), read("getAllLinks"), read("getAllUsers")])
        if any(isinstance(reply, Forbidden) for reply in replies):
            raise Rejected("the user may not list people and links; use the application's token, or one of an administrator", field="token")
        zone, links, users = map(whole, replies)
        return str(zone or "UTC"), list(links or ()), list(users or ())

    # people

    def resolve(self, emails: Iterable[str]) -> None:
        """Note those that belong to nobody."""
        self.unknown |= {email for email in emails if email and email.casefold() not in self._ids}

    def user(self, email: str) -> int:
        """The id of somebody active with this e-mail; 0 when there is none."""
        return 0 if email in self.unknown else self._ids.get(email.casefold(), 0)

    def known(self, emails: Sequence[str]) -> list[int]:
        return [user for email in emails if (user := self.user(email))]

    def disown(self, user: int) -> None:
        """Kanboard would not have them after all: they were switched off a moment ago."""
        gone = self._users.pop(user, None)
        if gone is not None and gone.email:
            self._ids.pop(gone.email.casefold(), None)
            self.unknown.add(gone.email)

    def email(self, user: int) -> str:
        """Their e-mail, or a stand-in that tells them apart; empty for nobody."""
        if not user:
            return ""
        found = self._users.get(user)
        return (found.email or found.login) if found else f"user {user}"

    def members(self) -> list[Member]:
        return [Member(str(user.id), user.name or user.login, user.email) for user in self._users.values()]

    # links

    def link(self, label: str) -> int:
        """The id of a kind of links."""
        if label not in self._links:
            known = ", ".join(sorted(self._links)) or "none"
            raise Rejected(f"Kanboard has no kind of links called {label!r}; it has {known}", field="link")
        return self._links[label]

    @property
    def labels(self) -> frozenset[str]:
        return frozenset(self._links)

    # days

    def at(self, day: date | None, time: str) -> str:
        """A day as it is sent: always with a time, or Kanboard adds the present one. Empty clears."""
        return f"{day.isoformat()} {time}" if day else ""

    def day(self, moment: int | None) -> date | None:
        """The day of a moment, where the application is."""
        return datetime.fromtimestamp(int(moment), self.zone).date() if moment else None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _user(row: Json) -> _User:
    return _User(row["id"], str(row["username"]), str(row["name"] or ""), str(row["email"] or ""))
