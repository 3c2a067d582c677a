"""The org's REST API: one authorised client, addresses, the server's clock, and the daily quota watched on every answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.base import Budget, ConnectorError, QuotaExhausted, Runtime
from connectors.http import Answer, Effect, Http, Limiter
from connectors.salesforce.auth import Auth
from connectors.salesforce.connection import Connection
from connectors.salesforce.errors import SYSTEM, judge


class Quota:
    """The org's daily budget of calls, as the last answer told it."""

    def __init__(self, connection: Connection) -> None:
        self._share, self._run_share = connection.quota_share, connection.run_share
        self._usage: list[tuple[int, int]] = []

    def note(self, headers: Mapping[str, str]) -> None:
        told = re.findall(r"api-usage=(\d+)/(\d+)", headers.get("sforce-limit-info", ""))
        self._usage = [(int(used), int(most)) for used, most in told] or self._usage

    def spare(self, spent: int) -> None:
        """Raise QuotaExhausted when one more call would go above the shares allowed. `spent` is what this run has used."""
        for used, most in self._usage:
            if used >= most * self._share:
                raise QuotaExhausted(f"{used} of {most} daily API calls are used, above the share of {self._share:.0%}", system=SYSTEM)
        if self._usage and spent >= self._usage[0][1] * self._run_share:
            most = self._usage[0][1]
            raise QuotaExhausted(f"this run has used {spent} of {most} daily API calls, its share is {self._run_share:.0%}", system=SYSTEM)

    @property
    def budget(self) -> Budget | None:
        return next((Budget(most - used, most) for used, most in self._usage), None)

    def __str__(self) -> str:
        return ", ".join(f"{used} of {most} daily API calls used" for used, most in self._usage[:1])


class Rest:
    """Sends to the org named by the token. Paths are relative to the versioned root, or absolute on the host (`/services/…`)."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self.auth = Auth(connection, runtime)
        self.quota = Quota(connection)
        self.root = f"/services/data/v{connection.api_version}"
        self._http = Http(
            system=SYSTEM,
            base_url=connection.login_url,
            runtime=runtime,
            authorize=self.auth,
            judge=self._judge,
            limiter=Limiter(runtime=runtime, per_minute=None, slots={"read": 5, "write": 5}),
        )
        self._begun = 0

    @property
    def calls(self) -> int:
        return self._http.calls + self.auth.http.calls

    async def open(self) -> None:
        await self._http.__aenter__()
        await self.auth.http.__aenter__()
        self._begun = self.calls

    async def close(self) -> None:
        await self.auth.http.__aexit__(None, None, None)
        await self._http.__aexit__(None, None, None)

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None, **params: str) -> Answer:
        return await self.send("GET", path, effect=Effect.READ, params=params or None, headers=headers)

    async def send(
        self,
        method: str,
        path: str,
        *,
        effect: Effect,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        self.quota.spare(self.calls - self._begun)
        await self.auth.headers()  # the org's address comes with the token
        return await self._http.send(method, self._address(path), effect=effect, params=params, body=body, headers=headers)

    def _address(self, path: str) -> str:
        """Always on the org's own host, whatever a next-page link says: the token goes nowhere else."""
        parts = urlsplit(path)
        local = parts.path + (f"?{parts.query}" if parts.query else "")
        return self.auth.instance_url + (local if local.startswith("/services/") else self.root + local)

    def _judge(self, answer: Answer, effect: Effect) -> ConnectorError | None:
        self.quota.note(answer.headers)
        return judge(answer, effect)


def server_time(answer: Answer) -> datetime | None:
    """The server's clock when it answered, None when it did not say."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None
