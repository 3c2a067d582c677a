"""Signing in by way of an OpenID provider: authorization code with PKCE. https://openid.net/specs/openid-connect-core-1_0.html"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from requests import RequestException

from connectors.base import ConfigError
from engine.model import Problem

_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
_LEEWAY = 60  # seconds that clocks may be apart
_KEPT = timedelta(hours=1)
_TIMEOUT = 10.0
_AT_ONCE = 3  # of the five threads that the smallest machine has
_NEEDED = ("iss", "sub", "aud", "exp", "iat", "nonce")


class NotVouched(Exception):
    """The provider did not say who it is, or not so that it can be believed. Says why, and nothing secret."""


@dataclass(frozen=True, slots=True)
class Client:
    """What the hub is at the provider. `redirect` is where people come back to; `verified`: only e-mails count that the provider has verified."""

    issuer: str
    id: str
    secret: str
    redirect: str
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """What has to be remembered while somebody is at the provider."""

    state: str
    nonce: str
    verifier: str


def client(env: Mapping[str, str], hub_url: str) -> Client | None:
    """From HANDOFF_OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET; None where there is no issuer. Raises ConfigError."""
    issuer = env.get("HANDOFF_OIDC_ISSUER", "").rstrip("/")
    if not issuer:
        return None
    lacking = [name for name in ("HANDOFF_OIDC_CLIENT_ID", "HANDOFF_OIDC_CLIENT_SECRET") if not env.get(name)]
    problems = [Problem(f"the environment variable {name} is not set", hint="HANDOFF_OIDC_ISSUER needs it") for name in lacking]
    if not hub_url:
        problems.append(Problem("HANDOFF_HUB_URL is not set", hint="the provider sends people back there"))
    if not _is_private(issuer):
        problems.append(Problem("HANDOFF_OIDC_ISSUER is not an https address"))
    if not any(env.get(f"HANDOFF_OIDC_{role}") for role in ("APPROVERS", "READERS")):
        problems.append(
            Problem("nobody may come in", hint="list them in HANDOFF_OIDC_READERS or HANDOFF_OIDC_APPROVERS, like *@example.com")
        )
    if problems:
        raise ConfigError(problems)
    trusts = env.get("HANDOFF_OIDC_UNVERIFIED_EMAIL", "").lower() in {"1", "yes", "true"}
    redirect = f"{hub_url}/sign-in/back"
    return Client(issuer, env["HANDOFF_OIDC_CLIENT_ID"], env["HANDOFF_OIDC_CLIENT_SECRET"], redirect, not trusts)


class Provider:
    """What it says of itself and its keys are asked for when they are needed, and kept for an hour. Raises NotVouched."""

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self._client, self._clock = client, clock
        self._metadata: tuple[dict[str, Any], datetime] | None = None
        self._keys: tuple[jwt.PyJWKSet, datetime] | None = None
        self._asking = 0

    async def begin(self) -> tuple[str, Attempt]:
        """Where to send somebody, and what to remember meanwhile."""
        attempt = Attempt(*(secrets.token_urlsafe(48) for _ in range(3)))
        return await self._apart(self._address, attempt), attempt

    async def finish(self, url: str, attempt: Attempt) -> str:
        """The e-mail of whoever came back at `url`."""
        return await self._apart(self._vouched, url, attempt)

    async def _apart(self, work: Callable[..., str], *given: Any) -> str:
        """In a thread, of which there are few and others need them: a provider that stalls holds up nobody but those who sign in."""
        if self._asking >= _AT_ONCE:
            raise NotVouched("too many people are signing in just now")
        self._asking += 1
        try:
            return await asyncio.to_thread(work, *given)
        finally:
            self._asking -= 1

    def _address(self, attempt: Attempt) -> str:
        with self._session() as session:
            endpoint = self._about(session)["authorization_endpoint"]
            url, _ = session.create_authorization_url(endpoint, state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.verifier)
        return str(url)

    def _vouched(self, url: str, attempt: Attempt) -> str:
        try:
            with self._session() as session:
                about = self._about(session)
                given = session.fetch_token(
                    about["token_endpoint"],
                    authorization_response=url,
                    state=attempt.state,
                    code_verifier=attempt.verifier,
                    timeout=_TIMEOUT,
                    allow_redirects=False,
                )
                return self._email(self._claims(session, str(given.get("id_token", "")), attempt.nonce))
        except (AuthlibBaseError, RequestException, ValueError, KeyError) as error:
            raise NotVouched(f"signing in at the provider did not work ({type(error).__name__})") from error

    def _session(self) -> OAuth2Session:
        it = self._client
        return OAuth2Session(it.id, it.secret, scope="openid email", redirect_uri=it.redirect, code_challenge_method="S256")

    def _about(self, session: OAuth2Session) -> dict[str, Any]:
        """https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig"""
        if self._metadata is None or self._clock() - self._metadata[1] > _KEPT:
            found = self._got(session, f"{self._client.issuer}/.well-known/openid-configuration")
            addresses = [str(found.get(name, "")) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
            if str(found.get("issuer", "")).rstrip("/") != self._client.issuer or not all(map(_is_private, addresses)):
                raise NotVouched("the provider says of itself that it is another one, or somewhere without TLS")
            self._metadata = (found, self._clock())
        return self._metadata[0]

    def _got(self, session: OAuth2Session, url: str) -> dict[str, Any]:
        try:
            answer = session.get(url, withhold_token=True, timeout=_TIMEOUT, allow_redirects=False)
            answer.raise_for_status()
            found = answer.json()
        except (RequestException, ValueError) as error:
            raise NotVouched(f"the provider does not answer ({type(error).__name__})") from error
        if not isinstance(found, dict):
            raise NotVouched("the provider does not answer as it should")
        return found

    def _claims(self, session: OAuth2Session, token: str, nonce: str) -> dict[str, Any]:
        """What the token says, if it is signed by the provider, for us, now, and for this attempt."""
        try:
            options: Any = {
                "require": list(_NEEDED),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            }  # by our own clock, below
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(session, jwt.get_unverified_header(token).get("kid")),
                list(_ALGORITHMS),
                audience=self._client.id,
                issuer=self._about(session)["issuer"],
                options=options,
            )
        except jwt.PyJWTError as error:
            raise NotVouched(f"what the provider said cannot be believed ({type(error).__name__})") from error
        now = self._clock().timestamp()
        if not float(claims["iat"]) - _LEEWAY <= now <= float(claims["exp"]) + _LEEWAY:
            raise NotVouched("what the provider said is out of date")
        if not secrets.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise NotVouched("what the provider said was about another attempt")
        if claims.get("azp", self._client.id) != self._client.id:
            raise NotVouched("what the provider said was meant for somebody else")
        return claims

    def _key(self, session: OAuth2Session, key_id: str | None) -> jwt.PyJWK:
        """By its id; one that is not known yet is looked for anew, once a minute at most."""
        for least in (_KEPT, timedelta(minutes=1)):
            if self._keys is None or self._clock() - self._keys[1] >= least:
                self._keys = (jwt.PyJWKSet.from_dict(self._got(session, self._about(session)["jwks_uri"])), self._clock())
            found = next((key for key in self._keys[0].keys if key.key_id == key_id and key.public_key_use in {None, "sig"}), None)
            if found is not None:
                return found
        raise NotVouched("what the provider said is signed with a key it does not have")

    def _email(self, claims: Mapping[str, Any]) -> str:
        email = claims.get("email")
        if not isinstance(email, str) or "@" not in email:
            raise NotVouched("the provider did not say which e-mail it is")
        if self._client.verified and claims.get("email_verified") is not True:
            raise NotVouched("the provider has not verified the e-mail")
        return email.lower()


def _is_private(url: str) -> bool:
    """Nobody reads along: TLS, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"})
