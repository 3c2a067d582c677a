"""Signing in: three OAuth grants, one login at a time, and refusals explained."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import jwt
from pydantic import SecretStr

from connectors.base import AuthError, ConnectorError, RateLimited, Runtime, Transient
from connectors.http import Answer, Effect, Http, Limiter, judge_status
from connectors.salesforce.connection import Connection
from connectors.salesforce.errors import SYSTEM, explain

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 – an address
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

ADVICE = {
    "no client credentials user enabled": "choose a run-as user in the app's client credentials flow",
    "hasn't approved this consumer": "pre-authorise the user for the app, through a permission set or profile",
    "audience is invalid": "set audience to https://login.salesforce.com, or https://test.salesforce.com for a sandbox",
    "expired access/refresh token": "the refresh token was revoked or used up; authorise the app again and store the new one",
    "authentication failure": "check client_id and client_secret, and that the user is active",
    "assertion": "check the private key, the certificate in the app and this machine's clock",
    "invalid_client": "check client_id and client_secret",
    "invalid_grant": "check username, audience and this machine's clock, and that the app is approved for the user",
    "unsupported_grant_type": "enable this OAuth flow in the app, and use the org's My Domain address as login_url",
}


class Auth:
    """Credentials of a session. Many requests meeting one dead token cause one login; the org's own address comes with the token."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self._connection = connection
        self._runtime = runtime
        self._lock = asyncio.Lock()
        self._token = ""
        self._refresh: SecretStr | None = None
        self.instance_url = ""
        self.user_id = ""
        self.org_id = ""
        limiter = Limiter(runtime=runtime, per_minute=None, slots={"read": 1, "write": 1})
        self.http = Http(system=SYSTEM, base_url=connection.login_url, runtime=runtime, authorize=None, judge=judge_login, limiter=limiter)

    async def headers(self) -> Mapping[str, str]:
        """The Authorization header, after a login when there is no token yet."""
        async with self._lock:
            if not self._token:
                await self._login()
        return {"Authorization": f"Bearer {self._token}"}

    async def renew(self, dead: Mapping[str, str]) -> bool:
        """Replace the token in `dead`, unless another request already has."""
        async with self._lock:
            if dead.get("Authorization") == f"Bearer {self._token}":
                await self._login()
        return True

    async def _login(self) -> None:
        self._token = ""
        answer = await self.http.send("POST", TOKEN_PATH, effect=Effect.REPEATABLE, form=self._grant())
        given = answer.data
        if rotated := given.get("refresh_token"):
            self._keep(SecretStr(rotated))
        self.instance_url = str(given["instance_url"]).rstrip("/")
        self.org_id, self.user_id = ["", "", *str(given.get("id", "")).split("/")][-2:]
        self._token = str(given["access_token"])

    def _grant(self) -> dict[str, str]:
        connection = self._connection
        if connection.auth == "jwt":
            return {"grant_type": JWT_GRANT, "assertion": self._assertion()}
        secret = {"client_secret": connection.client_secret.get_secret_value()} if connection.client_secret else {}
        form = {"grant_type": connection.auth, "client_id": connection.client_id, **secret}
        if connection.auth == "refresh_token":
            form["refresh_token"] = self._newest_refresh_token()
        return form

    def _assertion(self) -> str:
        connection = self._connection
        key = connection.private_key.get_secret_value() if connection.private_key else ""
        claims = {
            "iss": connection.client_id,
            "sub": connection.username,
            "aud": connection.jwt_audience,
            "exp": int(self._runtime.clock().timestamp()) + 180,
        }
        try:
            return jwt.encode(claims, key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError) as failure:
            raise AuthError(
                "private_key cannot be read; it must be an RSA key in PEM form without a passphrase", system=SYSTEM
            ) from failure

    def _newest_refresh_token(self) -> str:
        if self._refresh is None:
            stored = read_secret(self._connection.refresh_token_file)
            self._refresh = SecretStr(stored) if stored else self._connection.refresh_token
        return self._refresh.get_secret_value() if self._refresh else ""

    def _keep(self, token: SecretStr) -> None:
        """A rotated token is the only one left: it is on disk before anything uses it."""
        path = self._connection.refresh_token_file
        if path is not None and token != self._refresh:
            store_secret(path, token.get_secret_value())
            self._refresh = token


def judge_login(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of a token endpoint's answer, with advice for the refusals people meet."""
    if answer.status == 200:
        sound = isinstance(answer.data, Mapping) and answer.data.get("access_token") and answer.data.get("instance_url")
        return None if sound else Transient("the login answer is not a token")
    words, code, _ = explain(answer)
    if "login rate exceeded" in words.lower():
        return RateLimited(words, retry_after=60.0)
    if code and answer.status < 500:
        advice = next((text for sign, text in ADVICE.items() if sign in words), "check the connection section and the app's settings")
        return AuthError(f"Salesforce refused the login ({words}): {advice}")
    return judge_status(answer, effect, words=f"login: {words}")


def read_secret(path: Path | None) -> str:
    """The file's text without surrounding space; empty when there is no file."""
    try:
        return path.read_text().strip() if path else ""
    except FileNotFoundError:
        return ""


def store_secret(path: Path, text: str) -> None:
    """Replace the file in one step, readable by its owner only. Raises AuthError when that is not possible."""
    scratch = ""
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except OSError as failure:
        if scratch:
            with suppress(OSError):
                Path(scratch).unlink()
        raise AuthError(
            f"the new refresh token cannot be stored in {path} ({failure.strerror}); make the folder writable", system=SYSTEM
        ) from failure
