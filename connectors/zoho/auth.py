"""Access tokens: one at a time, shared, never more than Zoho gives; and refusals explained."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from connectors.base import AuthError, ConnectorError, RateLimited, Runtime, Transient
from connectors.http import Answer, Effect, Http, Limiter, judge_status
from connectors.zoho.connection import Connection, is_vendors
from connectors.zoho.errors import SYSTEM
from connectors.zoho.tokens import Kept, Memory, Token, TokenFile, seconds

TOKEN_PATH = "/oauth/v2/token"  # noqa: S105 – an address
WINDOW, MINTS = 600.0, 9  # of ten, one is left for people
NEARLY_OVER = 60.0  # seconds before its end a token is not begun with any more

ADVICE = {
    "invalid_client": "check client_id, and that region is the one the client was made in",
    "invalid_client_secret": "check client_secret",
    "invalid_code": "the refresh token was revoked or belongs to another client or region; make a new one",
    "invalid_token": "the refresh token was revoked or belongs to another client or region; make a new one",
    "unauthorized_client": "the client may not do this; make a self client in the API console",
}


class Auth:
    """Credentials of a connection. Many requests and processes that meet one dead token cause one new token."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self._connection = connection
        self._runtime = runtime
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._kept = TokenFile(connection.token_file, _whose(connection), runtime) if connection.token_file else Memory()
        limiter = Limiter(runtime=runtime, per_minute=None, slots={"read": 1, "write": 1})
        self.http = Http(
            system=SYSTEM, base_url=connection.accounts, runtime=runtime, authorize=None, judge=judge_token, limiter=limiter, tries=1
        )

    @property
    def api_url(self) -> str:
        """Where the API is: as set, or as the token's answer says when that is a server of the vendor."""
        told = self._token.api if self._token else ""
        return told if told and not self._connection.api_url and is_vendors(told) else self._connection.api

    async def headers(self) -> Mapping[str, str]:
        """The Authorization header, with a token that lives on for a while."""
        async with self._lock:
            if self._token is None or self._token.ends - self._now() < NEARLY_OVER:
                await self._find("")
            return self._header()

    async def renew(self, dead: Mapping[str, str]) -> bool:
        """Replace the token in `dead`, unless another request or process already has."""
        async with self._lock:
            if self._token is not None and dead == self._header():
                await self._find(self._token.text)
        return True

    def _header(self) -> Mapping[str, str]:
        return {"Authorization": f"Zoho-oauthtoken {self._token.text if self._token else ''}"}

    async def _find(self, dead: str) -> None:
        async with self._kept.alone():
            kept = self._kept.read()
            token = kept.token
            if token is None or token.text == dead or token.ends - self._now() < NEARLY_OVER:
                token = await self._mint(kept)
            self._token = token

    async def _mint(self, kept: Kept, tries: int = 3) -> Token:
        """A new token. That it is asked for is written down first: an answer that is lost counts, too."""
        now = self._now()
        asked = tuple(each for each in kept.asked if now - WINDOW < each <= now)
        if len(asked) >= MINTS:
            raise RateLimited(
                f"{len(asked)} tokens were asked for within ten minutes, and Zoho gives ten; give token_file, so that processes share one",
                retry_after=asked[0] + WINDOW - now,
                system=SYSTEM,
            )
        kept = Kept(asked=(*asked, now))
        self._kept.write(kept)
        try:
            answer = await self.http.send("POST", TOKEN_PATH, effect=Effect.READ, form=self._grant())
        except Transient:
            if tries == 1:
                raise
            await self._runtime.sleep(self._runtime.random.uniform(0.5, 2.0))
            return await self._mint(kept, tries - 1)
        token = _token(answer.data, self._now())
        self._kept.write(replace(kept, token=token))
        return token

    def _grant(self) -> dict[str, str]:
        connection = self._connection
        return {
            "grant_type": "refresh_token",
            "client_id": connection.client_id,
            "client_secret": connection.client_secret.get_secret_value(),
            "refresh_token": connection.refresh_token.get_secret_value(),
        }

    def _now(self) -> float:
        return seconds(self._runtime.clock())


def _token(given: Mapping[str, Any], now: float) -> Token:
    return Token(str(given["access_token"]), str(given.get("api_domain") or "").rstrip("/"), now + float(given.get("expires_in") or 3600))


def _whose(connection: Connection) -> str:
    """Tells connections apart without saying anything of their secrets."""
    parts = (connection.accounts, connection.client_id, connection.refresh_token.get_secret_value())
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def judge_token(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of the accounts server's answer. It refuses with status 200, too (https://www.zoho.com/accounts/protocol/oauth)."""
    data = answer.data if isinstance(answer.data, Mapping) else {}
    if answer.status == 200 and data.get("access_token"):
        return None
    code = str(data.get("error") or "")
    if code.lower() in ("access denied", "access_denied"):
        return RateLimited("Zoho gives no token: too many were asked for within ten minutes", retry_after=WINDOW)
    if code and answer.status < 500:
        advice = ADVICE.get(code, "check the connection section and the self client")
        return AuthError(f"Zoho refused a token ({code[:80]}): {advice}")
    if answer.status < 300:
        return Transient("the answer to the token request is not a token")
    return judge_status(answer, effect, words=f"token: status {answer.status}")
