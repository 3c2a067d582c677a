"""SOQL as text: literals that cannot break out, SELECTs, keyset conditions, and how long a query is in an address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import quote

ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"},
)


def stamp(moment: datetime | str) -> str:
    """A moment as a SOQL datetime in UTC with milliseconds; such texts sort as their moments do. Naive raises ValueError."""
    when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone")
    when = when.astimezone(UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def literal(value: str | bool | int | Decimal | date | datetime | None) -> str:
    """A value as a SOQL literal. A naive datetime raises ValueError."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return f"'{value.translate(ESCAPES)}'"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def among(field: str, values: Iterable[str]) -> str:
    return f"{field} IN ({','.join(literal(value) for value in values)})"


def select(elements: Sequence[str], source: str, *, where: str = "", order: Sequence[str] = (), limit: int | None = None) -> str:
    """A SELECT statement. `elements` are field paths and sub-selects already in parentheses."""
    text = f"SELECT {', '.join(elements)} FROM {source}"  # noqa: S608 – names come from the mapping, values through `literal`
    text += f" WHERE {where}" if where else ""
    text += f" ORDER BY {', '.join(order)}" if order else ""
    return text + (f" LIMIT {limit}" if limit else "")


def after(field: str, key: tuple[str, str]) -> str:
    """Rows behind `key` = (stamp, id) in the order of `field`, Id: the rest of a tie first, then all that is younger."""
    moment, row = key
    return f"({field} = {moment} AND Id > {literal(row)}) OR {field} > {moment}"


def weight(query: str) -> int:
    """Bytes the query takes in an address."""
    return len(quote(query, safe=""))


def is_id(row: str) -> bool:
    """Whether it can be an id at all; a query that names another one is refused whole."""
    return len(row) in (15, 18) and row.isalnum() and row.isascii()


def full_id(row: str) -> str:
    """The 18-character form of an id; what is not a 15-character id is returned as it is."""
    if len(row) != 15 or not is_id(row):
        return row
    chunks = (row[at : at + 5] for at in (0, 5, 10))
    return row + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[sum(c.isupper() << at for at, c in enumerate(chunk))] for chunk in chunks)
