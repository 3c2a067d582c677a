"""Looks through the CSV files somebody brings to the demo, before anything is played: everything wrong with them at once, each in its line."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path

from connectors.base import ConfigError
from engine.model import Problem

MOST = 20
_COLUMNS = {
    "accounts.csv": ("account", "revenue", "employees"),
    "products.csv": ("product", "sales_price"),
    "sales_teams.csv": ("sales_agent", "manager", "regional_office"),
    "sales_pipeline.csv": (
        *("opportunity_id", "sales_agent", "product", "account"),
        *("deal_stage", "created_on|engage_date", "close_date", "close_value"),
    ),
}
_NEEDED = {"accounts.csv": "account", "products.csv": "product", "sales_teams.csv": "sales_agent", "sales_pipeline.csv": "deal_stage"}


def look_through(folder: Path) -> None:
    """Raises ConfigError when a file, a column or a value could not be used as it stands."""
    found = [problem for name in _COLUMNS for problem in _file(folder / name)]
    if found:
        more = [Problem(f"and {len(found) - MOST:,} more", str(folder))] if len(found) > MOST else []
        raise ConfigError([*found[:MOST], *more])


def _file(path: Path) -> Iterator[Problem]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, csv.DictReader(file))
    except UnicodeDecodeError:
        yield Problem("the file is not UTF-8", str(path), hint="save it as UTF-8")
    except csv.Error as error:
        yield Problem(f"this is not CSV: {error}", str(path))
    except OSError as error:
        yield Problem(f"cannot be read ({error.strerror})", str(path), hint="docs/demo.md tells the files and their columns")


def _rows(path: Path, rows: csv.DictReader[str]) -> Iterator[Problem]:
    columns = rows.fieldnames or ()
    missing = [wanted for wanted in _COLUMNS[path.name] if not set(wanted.split("|")) & set(columns)]
    if missing:
        told = " or ".join(missing[0].split("|")) if len(missing) == 1 else ", ".join(name.split("|")[0] for name in missing)
        yield Problem(f"there is no column {told}" if columns else "the file is empty", str(path), 1, hint=f"it needs {_wanted(path)}")
        return
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - counted to the end
        for column, fault in _faults(row, _NEEDED[path.name]):
            yield Problem(f"{column} {fault}", str(path), rows.line_num)
    if not count and path.name == "sales_pipeline.csv":
        yield Problem("there is no deal in it", str(path), 2)


def _wanted(path: Path) -> str:
    return ", ".join(name.replace("|", " or ") for name in _COLUMNS[path.name])


def _faults(row: Mapping[str, str | None], needed: str) -> Iterator[tuple[str, str]]:
    if not row.get(needed):
        yield needed, "is empty"
    for column, (is_sound, what) in _SOUND.items():
        text = row.get(column)
        if text and not is_sound(text):
            yield column, f"is not {what}: {text[:40]!r}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


_NUMBER: tuple[Callable[[str], bool], str] = (_is_number, "a number such as 1000.50")
_DAY: tuple[Callable[[str], bool], str] = (_is_day, "a day such as 2026-11-22")
_SOUND = {
    **dict.fromkeys(("revenue", "employees", "sales_price", "close_value"), _NUMBER),
    **dict.fromkeys(("created_on", "engage_date", "close_date"), _DAY),
}
