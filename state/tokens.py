"""Who may look at the hub by a token. Of a token only its hash is kept, so it is shown once and never again."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from connectors.base import ConfigError
from engine.model import Problem
from state.codec import moment, stamp
from state.database import Database

Role = Literal["reader", "approver"]
_NOTED = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Token:
    """`mark` tells this token from a later one of the same name."""

    name: str
    role: Role
    mark: str
    created_at: datetime
    used_at: datetime | None = None


class Tokens:
    """By name. The tokens themselves are long and random: what a hash of one is good for ends with the token."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, name: str, role: Role, secret: str, now: datetime) -> None:
        """Raises ConfigError where the name is taken."""
        with self._db.atomic():
            if self.named(name) is not None:
                hint = f"`handoff access remove {name}` first, or take another name"
                raise ConfigError([Problem(f"there is a token {name} already", hint=hint)])
            self._db.execute(
                "INSERT INTO token (name, hash, role, created_at) VALUES (?, ?, ?, ?)", (name, _hash(secret), role, stamp(now))
            )

    def of(self, secret: str) -> Token | None:
        """Whose token it is; None for nobody's."""
        hashed = _hash(secret)
        return next((_token(row) for row in self._rows() if hmac.compare_digest(row[1], hashed)), None)

    def named(self, name: str) -> Token | None:
        return next((one for one in self.all() if one.name == name), None)

    def all(self) -> list[Token]:
        return [_token(row) for row in self._rows()]

    def note_use(self, token: Token, now: datetime) -> None:
        """When it was last used, to the minute."""
        if token.used_at is None or now - token.used_at >= _NOTED:
            self._db.execute("UPDATE token SET used_at = ? WHERE name = ?", (stamp(now), token.name))

    def remove(self, name: str) -> bool:
        """Whether there was one."""
        return bool(self._db.execute("DELETE FROM token WHERE name = ?", (name,)).rowcount)

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        return self._db.execute("SELECT name, hash, role, created_at, used_at FROM token ORDER BY name").fetchall()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: tuple[str, str, str, str, str]) -> Token:
    name, hashed, role, created, used = row
    return Token(name, cast("Role", role), hashed[:16], moment(created), moment(used) if used else None)
