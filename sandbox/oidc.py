"""A stand-in of an OpenID provider: authorization code with PKCE, id tokens signed with RS256. https://openid.net/specs/openid-connect-core-1_0.html

Whoever is `person` agrees to everything at once. What is in `claims` replaces what a token would say; None leaves it out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from sandbox.web import Reply, Request


def new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


class Oidc:
    """`issuer` is the address it is served at, told once that is known. `signs_with` is the key it signs with, published under `key_id`."""

    def __init__(self, clock: Callable[[], datetime], *, client_id: str, client_secret: str, redirect: str) -> None:
        self.clock, self.client_id, self.client_secret, self.redirect = clock, client_id, client_secret, redirect
        self.issuer = ""
        self.person: dict[str, Any] = {"sub": "1", "email": "mia@example.com", "email_verified": True}
        self.key, self.key_id = new_key(), "first"
        self.signs_with: Any = self.key
        self.algorithm = "RS256"
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self._codes: dict[str, dict[str, str]] = {}

    def admit(self, request: Request) -> Reply | None:
        return None

    def release(self, request: Request) -> None: ...

    def handle(self, request: Request) -> Reply:
        match request.method, request.path:
            case "GET", "/.well-known/openid-configuration":
                return Reply.json(200, self._metadata())
            case "GET", "/jwks":
                return Reply.json(200, {"keys": [self._public()]})
            case "GET", "/authorize":
                return self._authorize(request)
            case "POST", "/token":
                return self._token(request)
        return Reply.json(404, {"error": "not_found"})

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            **self.metadata,
        }

    def _public(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {**shown, "kid": self.key_id, "use": "sig", "alg": "RS256"}

    def _authorize(self, request: Request) -> Reply:
        asked = request.query
        if asked.get("client_id") != self.client_id or asked.get("redirect_uri") != self.redirect:
            return Reply.json(400, {"error": "invalid_request"})
        wanted = {"response_type": "code", "code_challenge_method": "S256"}
        if any(asked.get(name) != value for name, value in wanted.items()) or "openid" not in asked.get("scope", "").split():
            return self._back({"error": "invalid_request", "state": asked.get("state", "")})
        code = secrets.token_urlsafe(16)
        self._codes[code] = dict(asked)
        return self._back({"code": code, "state": asked.get("state", "")})

    def _back(self, answer: dict[str, str]) -> Reply:
        return Reply(302, headers={"Location": f"{self.redirect}?{urlencode(answer)}"})

    def _token(self, request: Request) -> Reply:
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return Reply.json(401, {"error": "invalid_client"})
        given = request.form()
        asked = self._codes.pop(given.get("code", ""), None)
        if asked is None or given.get("grant_type") != "authorization_code" or given.get("redirect_uri") != self.redirect:
            return Reply.json(400, {"error": "invalid_grant"})
        challenge = base64.urlsafe_b64encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if challenge != asked.get("code_challenge"):
            return Reply.json(400, {"error": "invalid_grant"})
        return Reply.json(200, {"access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": self._id_token(asked)})

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(self.clock().timestamp())
        usual = {"iss": self.issuer, "aud": self.client_id, "iat": now, "exp": now + 300, "nonce": asked.get("nonce")}
        claims = {name: value for name, value in {**usual, **self.person, **self.claims}.items() if value is not None}
        return jwt.encode(claims, self.signs_with, self.algorithm, headers={"kid": self.key_id})
