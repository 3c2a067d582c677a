"""Who may do what: a person with a session, or a program with a token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from hub.records import Records
from hub.sessions import Session, Sessions
from state.database import Database
from state.tokens import Role, Token, Tokens


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. `session` is None for a program with a bearer token."""

    name: str
    role: Role
    session: Session | None = None

    @property
    def may_approve(self) -> bool:
        return self.role == "approver"


@dataclass(frozen=True, slots=True)
class People:
    """Who of those an OpenID provider vouches for may come in, by e-mail: addresses, or patterns like `*@example.com`."""

    approvers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    @staticmethod
    def listed(env: Mapping[str, str]) -> People:
        """From HANDOFF_OIDC_APPROVERS and HANDOFF_OIDC_READERS, with commas or blanks between."""
        named = (env.get(f"HANDOFF_OIDC_{role}", "").replace(",", " ").lower().split() for role in ("APPROVERS", "READERS"))
        return People(*map(tuple, named))

    def role_of(self, email: str) -> Role | None:
        roles: tuple[tuple[Role, tuple[str, ...]], ...] = (("approver", self.approvers), ("reader", self.readers))
        return next((role for role, patterns in roles if any(fnmatchcase(email.lower(), one) for one in patterns)), None)


class Access:
    """Raises what the database raises: StateError, Transient."""

    def __init__(self, records: Records, sessions: Sessions, people: People, clock: Callable[[], datetime]) -> None:
        self._records, self._sessions, self._people, self._clock = records, sessions, people, clock

    async def by_token(self, secret: str) -> Visitor | None:
        """Whoever holds the token. What is no token of ours is nobody's."""
        token = await self._records(lambda db: self._used(db, secret)) if secret else None
        return Visitor(token.name, token.role) if token else None

    async def by_cookie(self, cookie: str) -> Visitor | None:
        """Whoever began the session, as long as they may come in: a token that is removed ends its sessions."""
        session = self._sessions.read(cookie) if cookie else None
        if session is None:
            return None
        role = self._people.role_of(session.name) if session.via == "oidc" else await self._role(session)
        return Visitor(session.name, role, session) if role else None

    async def begin(self, secret: str) -> str | None:
        """The cookie of a new session for whoever holds the token."""
        token = await self._records(lambda db: self._used(db, secret))
        return self._sessions.begin(token.name, token.mark) if token else None

    def begin_as(self, email: str) -> str | None:
        """Likewise for somebody a provider vouches for; None where they are not on the list."""
        return self._sessions.begin(email, "oidc") if self._people.role_of(email) else None

    async def _role(self, session: Session) -> Role | None:
        token = await self._records(lambda db: Tokens(db).named(session.name))
        return token.role if token and token.mark == session.via else None

    def _used(self, db: Database, secret: str) -> Token | None:
        tokens = Tokens(db)
        token = tokens.of(secret)
        if token is not None:
            tokens.note_use(token, self._clock())
        return token
