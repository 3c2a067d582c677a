"""Who is signed in, in a signed cookie: nothing of it is kept here, so any process with the hub's secret knows its own."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

LASTS = timedelta(hours=12)
_ALGORITHM = "HS256"


@dataclass(frozen=True, slots=True)
class Session:
    """`via` is `oidc`, or the mark of the token somebody signed in with. `id` is the session's own."""

    id: str
    name: str
    via: str


class Sessions:
    """`key` signs, `clock` says when one is over. What is signed for one purpose is good for no other."""

    def __init__(self, key: bytes, clock: Callable[[], datetime]) -> None:
        self._key, self._clock = key, clock

    def begin(self, name: str, via: str) -> str:
        return self.sign("session", {"sub": name, "via": via, "jti": secrets.token_urlsafe(16)}, LASTS)

    def read(self, cookie: str) -> Session | None:
        """None for one that is over, or was never ours."""
        claims = self.verify("session", cookie)
        return Session(claims["jti"], claims["sub"], claims["via"]) if claims else None

    def form_token(self, session: Session) -> str:
        """What every form of a session carries: another page cannot know it."""
        return hmac.digest(self._key, f"form:{session.id}".encode(), hashlib.sha256).hex()

    def is_form_token(self, session: Session, given: str) -> bool:
        return hmac.compare_digest(self.form_token(session).encode(), given.encode())

    def sign(self, purpose: str, claims: dict[str, Any], lasts: timedelta) -> str:
        until = int((self._clock() + lasts).timestamp())
        return jwt.encode({**claims, "aud": purpose, "exp": until}, self._key, _ALGORITHM)

    def verify(self, purpose: str, text: str) -> dict[str, Any] | None:
        options: Any = {"require": ["exp", "aud"], "verify_exp": False}  # by our own clock, below
        try:
            claims: dict[str, Any] = jwt.decode(text, self._key, [_ALGORITHM], audience=purpose, options=options)
        except jwt.InvalidTokenError:
            return None
        return claims if self._clock().timestamp() < claims["exp"] else None
