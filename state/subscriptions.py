"""What is subscribed to at the systems that push, and the secrets they gave, encrypted by whoever keeps them here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from state.codec import moment, stamp
from state.database import Database

WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """One subscription as last seen. `sealed` is the encrypted secret of its handshake; a handshake is taken until `open_until`."""

    system: str
    resource: str
    id: str = ""
    sealed: str = ""
    expires_at: datetime | None = None
    checked_at: datetime | None = None
    healthy: bool = True
    detail: str = ""
    open_until: datetime | None = None

    def awaits_handshake(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until


class Subscriptions:
    """By system and resource."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self, system: str | None = None) -> list[Subscribed]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM subscription ORDER BY system, resource").fetchall()  # noqa: S608 - names from below
        return [one for one in map(_subscribed, rows) if system is None or one.system == system]

    def get(self, system: str, resource: str = "") -> Subscribed:
        """What is known of it; nothing yet is no error."""
        statement = f"SELECT {_COLUMNS} FROM subscription WHERE system = ? AND resource = ?"  # noqa: S608 - names from below
        row = self._db.execute(statement, (system, resource)).fetchone()
        return _subscribed(row) if row else Subscribed(system, resource)

    def await_handshake(self, system: str, resource: str, now: datetime) -> None:
        """Take a handshake for some minutes from now, and only then: at any other time it would be somebody else's."""
        self._db.execute(
            "INSERT INTO subscription (system, resource, open_until) VALUES (?, ?, ?) ON CONFLICT (system, resource)"
            " DO UPDATE SET open_until = excluded.open_until",
            (system, resource, stamp(now + WINDOW)),
        )

    def keep_secret(self, system: str, resource: str, sealed: str, now: datetime) -> bool:
        """The handshake took place; another one is not awaited. Whether one was awaited: if not, nothing is kept."""
        statement = "UPDATE subscription SET secret = ?, open_until = '' WHERE system = ? AND resource = ? AND open_until > ?"
        return bool(self._db.execute(statement, (sealed, system, resource, stamp(now))).rowcount)

    def save(self, found: Iterable[Subscribed], now: datetime) -> None:
        """What a system said it holds; secrets stay."""
        self._db.executemany(
            "INSERT INTO subscription (system, resource, id, expires_at, checked_at, healthy, detail) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (system, resource) DO UPDATE SET id = excluded.id, expires_at = excluded.expires_at,"
            " checked_at = excluded.checked_at, healthy = excluded.healthy, detail = excluded.detail",
            [
                (
                    one.system,
                    one.resource,
                    one.id,
                    stamp(one.expires_at) if one.expires_at else "",
                    stamp(now),
                    int(one.healthy),
                    one.detail,
                )
                for one in sorted(found, key=lambda one: (one.system, one.resource))
            ],
        )

    def forget(self, system: str, resources: Iterable[str]) -> None:
        """What a system holds no more."""
        rows = [(system, resource) for resource in sorted(resources)]
        self._db.executemany("DELETE FROM subscription WHERE system = ? AND resource = ?", rows)


_COLUMNS = "system, resource, id, secret, expires_at, checked_at, healthy, detail, open_until"


def _subscribed(row: tuple[str, str, str, str, str, str, int, str, str]) -> Subscribed:
    system, resource, id_, sealed, expires, checked, healthy, detail, until = row
    return Subscribed(system, resource, id_, sealed, _at(expires), _at(checked), bool(healthy), detail, _at(until))


def _at(text: str) -> datetime | None:
    return moment(text) if text else None
