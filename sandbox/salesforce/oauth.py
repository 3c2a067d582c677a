"""The OAuth endpoints: four grants, introspection, and errors in the shape of an object."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt

from sandbox.salesforce.org import Org
from sandbox.web import Reply, Request

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Refused(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(slots=True)
class OAuth:
    """The connected app and its user. `public_key` is PEM; `rotate` gives a new refresh token with each refresh and kills the old one.

    `audiences` are what a JWT may name besides `https://<anything>.salesforce.com`; `run_as` False takes the client-credentials user away.
    """

    client_id: str = "handoff-client"
    client_secret: str = "handoff-secret"
    username: str = "integration@handoff.test"
    password: str = "handoff-password"
    security_token: str = "Tok3n"
    public_key: str = ""
    audiences: set[str] = field(default_factory=set)
    approved: bool = True
    run_as: bool = True
    refresh_tokens: set[str] = field(default_factory=lambda: {"5Aep861-first"})
    rotate: bool = False
    life: float | None = 7200
    issued: int = 0

    def token(self, org: Org, request: Request) -> Reply:
        try:
            return Reply.json(200, self._grant(org, request, request.form()))
        except Refused as refused:
            return Reply.json(400, {"error": refused.error, "error_description": refused.description})

    def introspect(self, org: Org, request: Request) -> Reply:
        token = request.form().get("token", "")
        if token not in org.tokens or is_dead(org, token):
            return Reply.json(200, {"active": False})
        ends = org.tokens[token]
        about = {
            "active": True,
            "client_id": self.client_id,
            "username": self.username,
            "token_type": "access_token",
            "scope": "api refresh_token",
        }
        return Reply.json(200, {**about, "iat": int(org.clock().timestamp())} | ({"exp": int(ends.timestamp())} if ends else {}))

    def _grant(self, org: Org, request: Request, form: Mapping[str, str]) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        match form.get("grant_type"):
            case "client_credentials":
                self._check_client(request, form)
                if not self.run_as:
                    raise Refused("invalid_grant", "no client credentials user enabled")
            case "password":
                self._check_client(request, form)
                if form.get("username") != self.username or form.get("password") not in (
                    self.password,
                    self.password + self.security_token,
                ):
                    raise Refused("invalid_grant", "authentication failure")
            case "refresh_token":
                self._check_client(request, form)
                extra = self._refreshed(form.get("refresh_token", ""))
            case grant if grant == JWT_GRANT:
                self._check_jwt(org, request, form.get("assertion", ""))
            case _:
                raise Refused("unsupported_grant_type", "grant type not supported")
        return {**self._issue(org, request), **extra}

    def _check_client(self, request: Request, form: Mapping[str, str]) -> None:
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, basic = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            client, _, secret = base64.b64decode(basic).decode().partition(":")
        if client != self.client_id:
            raise Refused("invalid_client_id", "client identifier invalid")
        if secret != self.client_secret:
            raise Refused("invalid_client", "invalid client credentials")

    def _check_jwt(self, org: Org, request: Request, assertion: str) -> None:
        try:
            claims = jwt.decode(
                assertion, self.public_key, algorithms=["RS256"], options={"verify_exp": False, "verify_aud": False, "verify_iat": False}
            )
            ends = int(claims["exp"])
        except (jwt.PyJWTError, KeyError, ValueError) as wrong:
            raise Refused("invalid_grant", "invalid assertion") from wrong
        audience = str(claims.get("aud"))
        if not audience.endswith(".salesforce.com") and audience not in self.audiences | {_origin(request)}:
            raise Refused("invalid_grant", "audience is invalid")
        if claims.get("iss") != self.client_id:
            raise Refused("invalid_client_id", "client identifier invalid")
        if not 0 < ends - org.clock().timestamp() <= 300:
            raise Refused("invalid_grant", "expired authorization code" if ends <= org.clock().timestamp() else "invalid assertion")
        if claims.get("sub") != self.username or not self.approved:
            raise Refused("invalid_grant", "user hasn't approved this consumer")

    def _refreshed(self, token: str) -> dict[str, str]:
        if token not in self.refresh_tokens:
            raise Refused("invalid_grant", "expired access/refresh token")
        if not self.rotate:
            return {}
        self.refresh_tokens.remove(token)
        fresh = f"5Aep861-{self.issued + 1:04d}"
        self.refresh_tokens.add(fresh)
        return {"refresh_token": fresh}

    def _issue(self, org: Org, request: Request) -> dict[str, Any]:
        self.issued += 1
        token = f"{org.id[:15]}!AQ{self.issued:06d}.handoff.sandbox"
        org.tokens[token] = None if self.life is None else org.clock() + timedelta(seconds=self.life)
        url = _origin(request)
        return {
            "access_token": token,
            "signature": base64.b64encode(token.encode()[-16:]).decode(),
            "scope": "api refresh_token",
            "instance_url": url,
            "id": f"{url}/id/{org.id}/{org.user_id}",
            "token_type": "Bearer",
            "issued_at": str(int(org.clock().timestamp() * 1000)),
        }


def is_dead(org: Org, token: str) -> bool:
    """Whether a token is unknown, revoked or too old."""
    ends = org.tokens.get(token)
    return token not in org.tokens or (ends is not None and org.clock() >= ends)


def _origin(request: Request) -> str:
    return f"http://{request.headers.get('host', '127.0.0.1')}"
