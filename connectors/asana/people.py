"""Who the workspace knows. Every e-mail is looked up once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from connectors.asana.batch import Api, get
from connectors.base import ConnectorError, Rejected


class People:
    """`resolve` e-mails first; then `known` and `gid` answer. `unknown` holds, as written, the e-mails nobody in the workspace has."""

    def __init__(self, api: Api, workspace: str) -> None:
        self._api = api
        self._workspace = workspace
        self._gids: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self.unknown: set[str] = set()

    async def resolve(self, emails: Iterable[str]) -> None:
        """Look up those not met before; raises when a look-up itself failed."""
        async with self._lock:
            wanted = sorted({email for email in emails if email} - self.unknown - self._gids.keys())
            asks = [get(f"/users/{quote(email, safe='@')}", ("email",), workspace=self._workspace) for email in wanted]
            for email, reply in zip(wanted, await self._api.run(asks), strict=True):
                if isinstance(reply, Rejected):
                    self.unknown.add(email)
                elif isinstance(reply, ConnectorError):
                    raise reply
                else:
                    self._gids[email] = reply["data"]["gid"]

    def known(self, emails: Sequence[str]) -> list[str]:
        """Those of the e-mails, resolved before, that belong to somebody."""
        return [email for email in emails if email in self._gids]

    def gid(self, email: str) -> str:
        """The user's gid; empty when unknown."""
        return self._gids.get(email, "")

    def disown(self, emails: Iterable[str]) -> None:
        """Asana refused these after all (a guest, somebody who left)."""
        for email in emails:
            self._gids.pop(email, None)
            self.unknown.add(email)
