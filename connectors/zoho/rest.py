"""The organisation's REST API: one authorised client, its addresses, the daily credits watched on every answer, and waiting when told to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectors.base import Budget, ConnectorError, QuotaExhausted, RateLimited, Runtime
from connectors.http import Answer, Effect, Http, Limiter
from connectors.zoho.auth import Auth
from connectors.zoho.connection import Connection
from connectors.zoho.errors import SYSTEM, explain, judge
from connectors.zoho.sdk import SdkTransport

ROOT, BULK = "/crm/v8", "/crm/bulk/v8"
LONGEST_WAIT = 60.0


class Credits:
    """The organisation's daily budget. Zoho tells what is left of it once half is used (X-API-CREDITS-REMAINING)."""

    def __init__(self, connection: Connection) -> None:
        self._daily = connection.allowance.credits
        self._spare = round(self._daily * (1 - connection.quota_share))
        self.left: int | None = None

    def note(self, headers: Mapping[str, str]) -> None:
        told = headers.get("x-api-credits-remaining", "")
        self.left = int(told) if told.isdigit() else self.left

    def spare(self) -> None:
        """Raise QuotaExhausted when one more call would go into what is left for others."""
        if self.left is not None and self.left <= self._spare:
            raise self.used_up()

    def used_up(self) -> QuotaExhausted:
        words = f"{self.left or 0} API credits are left, and of {self._daily} a day {self._spare} are left for others"
        return QuotaExhausted(f"{words}; the run goes on from here once the 24-hour window frees credits", system=SYSTEM)

    @property
    def budget(self) -> Budget | None:
        return Budget(self.left, self._daily) if self.left is not None else None

    def __str__(self) -> str:
        return f"{self.left} API credits left" if self.left is not None else ""


class Rest:
    """Sends to the API server the token is good for. Paths are relative to the versioned root, or absolute on the host (`/crm/…`)."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self.auth = Auth(connection, runtime)
        self.credits = Credits(connection)
        self._refusals = 0
        at_once = connection.allowance.at_once
        self._sdk = SdkTransport(at_once) if connection.backend == "zcrmsdk" else None
        self._http = Http(
            system=SYSTEM,
            base_url=connection.api,
            runtime=replace(runtime, transport=self._sdk) if self._sdk else runtime,
            authorize=self.auth,
            judge=self._judge,
            limiter=Limiter(runtime=runtime, per_minute=None, slots={"read": max(at_once - 1, 1), "write": 1}),
        )

    @property
    def calls(self) -> int:
        return self._http.calls + self.auth.http.calls

    async def open(self) -> None:
        await self._http.__aenter__()
        await self.auth.http.__aenter__()

    async def close(self) -> None:
        await self.auth.http.__aexit__(None, None, None)
        await self._http.__aexit__(None, None, None)
        if self._sdk:
            await self._sdk.aclose()

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
        self.credits.spare()
        await self.auth.headers()  # the API's address comes with the token
        address = self.auth.api_url + (path if path.startswith("/crm/") else ROOT + path)
        return await self._http.send(method, address, effect=effect, params=params, body=body, headers=headers)

    def _judge(self, answer: Answer, effect: Effect) -> ConnectorError | None:
        self.credits.note(answer.headers)
        if answer.status == 429:
            return self._too_many(answer)
        self._refusals = 0
        return judge(answer, effect)

    def _too_many(self, answer: Answer) -> ConnectorError:
        """Either the credits are used up, or too many calls are under way. Zoho does not say how long to wait: longer each time."""
        if self.credits.left is not None and self.credits.left <= 0:
            return self.credits.used_up()
        self._refusals += 1
        words, _, _ = explain(answer)
        return RateLimited(words, retry_after=min(LONGEST_WAIT, 2.0**self._refusals), system=SYSTEM)
