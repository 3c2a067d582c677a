"""Who is who in Redmine. Every e-mail and every user is looked up once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from connectors.base import Rejected
from connectors.redmine.api import Api


class People:
    """`resolve` e-mails and `learn` ids first; then the others answer. `unknown` holds, as written, the e-mails nobody has."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._ids: dict[str, int] = {}
        self._mails: dict[int, str] = {}
        self._lock = asyncio.Lock()
        self.unknown: set[str] = set()

    async def resolve(self, emails: Iterable[str]) -> None:
        """Look up those not met before. Raises when a look-up itself failed."""
        async with self._lock:
            wanted = sorted({email for email in emails if email} - self.unknown - self._ids.keys())
            for email, id_ in zip(wanted, await asyncio.gather(*map(self._look_up, wanted)), strict=True):
                if id_ is None:
                    self.unknown.add(email)
                else:
                    self._ids[email] = id_

    async def _look_up(self, email: str) -> int | None:
        """Redmine looks for part of an address, and in names: only the whole address counts. People who are locked are not found."""
        rows = await self._api.every("/users.json", "users", name=email)
        self._mails |= {row["id"]: str(row["mail"]) for row in rows if row.get("mail")}
        return next((row["id"] for row in rows if str(row.get("mail") or "").casefold() == email.casefold()), None)

    async def learn(self, ids: Iterable[int]) -> None:
        """Look up the e-mails of users."""
        unmet = sorted(set(ids) - self._mails.keys())
        self._mails |= zip(unmet, await asyncio.gather(*map(self._mail, unmet)), strict=True)

    async def _mail(self, id_: int) -> str:
        """Their e-mail; empty for a group, and for somebody deleted."""
        try:
            row = await self._api.get(f"/users/{id_}.json", "user")
        except Rejected:
            return ""
        return str(row.get("mail") or "")

    def known(self, emails: Sequence[str]) -> list[int]:
        """The users of those e-mails, resolved before, that somebody has."""
        return list(dict.fromkeys(self._ids[email] for email in emails if email in self._ids))

    def id(self, email: str) -> int | None:
        return self._ids.get(email)

    def mail(self, id_: int) -> str:
        """The e-mail of somebody learned before; what tells them apart when there is none."""
        return self._mails.get(id_) or f"user {id_}"

    def disown(self, email: str) -> None:
        """Redmine does not take them after all."""
        self._ids.pop(email, None)
        self.unknown.add(email)
