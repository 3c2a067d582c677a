"""Values in the two ways Odoo takes them: as JSON by `write`, and as text by `load`, which makes a record together with its external id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Ref:
    """A record another one points at; 0 for none."""

    id: int


@dataclass(frozen=True, slots=True)
class Refs:
    """Records another one points at: all of them, or some that are added to those there."""

    ids: tuple[int, ...]
    added: bool = False


def written(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for `write`."""
    return {name: _json(value) for name, value in values.items()}


def loaded(values: Mapping[str, Any]) -> dict[str, str]:
    """Columns and cells for `load`. Relations go by database id."""
    return {f"{name}/.id" if isinstance(value, Ref | Refs) else name: _cell(value) for name, value in values.items()}


def _json(value: Any) -> Any:
    match value:
        case None:
            return False
        case Ref():
            return value.id or False
        case Refs():
            return [[4, id] for id in value.ids] if value.added else [[6, 0, list(value.ids)]]
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
    return value


def _cell(value: Any) -> str:
    match value:
        case None | "":
            return ""
        case bool():
            return str(int(value))
        case Ref():
            return str(value.id or "")
        case Refs():
            return ",".join(map(str, value.ids))
    return str(value)


_MORNING = time(9)


@dataclass(frozen=True, slots=True)
class Days:
    """Calendar days as the moments Odoo keeps for deadlines: at `at` o'clock in `zone`, stored in UTC."""

    zone: ZoneInfo
    at: time

    def moment(self, day: date | None) -> str | None:
        """When something is due that is due that day."""
        return self._utc(day, self.at)

    def begin(self, day: date | None) -> str | None:
        """When something begins that begins that day: in the morning, or when it is due."""
        return self._utc(day, min(_MORNING, self.at))

    def _utc(self, day: date | None, at: time) -> str | None:
        return f"{datetime.combine(day, at, self.zone).astimezone(UTC):%Y-%m-%d %H:%M:%S}" if day else None

    def day(self, moment: object) -> date | None:
        """The day of a moment or of a date, None of neither."""
        text = str(moment or "")
        if len(text) <= len("2026-12-31"):
            return date.fromisoformat(text) if text else None
        return datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone(self.zone).date()
