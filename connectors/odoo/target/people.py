"""Who works in Odoo. Every e-mail is looked up once; a user without an e-mail is known by the login."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from connectors.odoo.rpc import Row, Rpc

_FIELDS = ("login", "email", "partner_id")


class People:
    """`resolve` e-mails first; then `user`, `partners` and `known` answer. `unknown` holds, as written, those that nobody has."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._lock = asyncio.Lock()
        self._users: dict[str, int] = {}
        self._partner: dict[int, int] = {}
        self._address: dict[int, str] = {}
        self._follower: dict[int, str] = {}
        self.unknown: set[str] = set()

    async def resolve(self, emails: Iterable[str]) -> None:
        """Look up those not met before, in one call."""
        async with self._lock:
            wanted = {email for email in emails if email and email.casefold() not in self._users} - self.unknown
            if not wanted:
                return
            inside = [["share", "=", False], ["active", "=", True]]
            # A login is told apart by case, and may be an e-mail that is written otherwise; a wildcard in one finds too many, which does no harm.
            logins: list[Any] = [["login", "=ilike", email] for email in sorted(wanted)]
            mails = ["email_normalized", "in", sorted(email.casefold() for email in wanted)]
            rows = await self._rpc.search_read("res.users", [*inside, *["|"] * len(logins), *logins, mails], _FIELDS)
            for row in rows:
                self._learn(row)
            self.unknown |= {email for email in wanted if email.casefold() not in self._users}

    async def meet(self, users: Iterable[int], partners: Iterable[int]) -> None:
        """Learn the addresses of users and followers met in records."""
        async with self._lock:
            if users := sorted(set(users) - self._address.keys()):
                for row in await self._rpc.search_read("res.users", [["id", "in", users]], _FIELDS):
                    self._learn(row)
            if partners := sorted(set(partners) - self._follower.keys()):
                for row in await self._rpc.search_read("res.partner", [["id", "in", partners]], ("email",)):
                    self._follower[row["id"]] = str(row["email"] or "")

    def user(self, email: object) -> int:
        """The user's id; 0 when unknown."""
        return self._users.get(str(email or "").casefold(), 0)

    def partners(self, emails: Sequence[str]) -> tuple[int, ...]:
        """The contacts by which those of the e-mails that are users follow."""
        return tuple(self._partner[user] for user in map(self.user, emails) if user)

    def known(self, emails: Iterable[str]) -> set[str]:
        return {email for email in emails if self.user(email)}

    def addresses(self, users: Iterable[int]) -> str | None:
        """Who holds a task: one address as a rule; several stand together, so that a person who added somebody is seen."""
        return ", ".join(sorted(self._address.get(user, f"user {user}") for user in users)) or None

    def followers(self, partners: Iterable[int]) -> tuple[str, ...]:
        return tuple(filter(None, (self._follower.get(partner, "") for partner in partners)))

    def alike(self, ours: object, held: object) -> bool:
        """Whether both name one person, by e-mail or by login."""
        same = str(ours or "").casefold() == str(held or "").casefold()
        return same or bool(self.user(ours) and self.user(ours) == self.user(held))

    def _learn(self, row: Row) -> None:
        user, email, login = int(row["id"]), str(row["email"] or ""), str(row["login"])
        self._address[user] = email or login
        self._partner[user] = int(row["partner_id"])
        self._follower[int(row["partner_id"])] = email or login
        self._users.setdefault(login.casefold(), user)
        if email:
            self._users[email.casefold()] = user
