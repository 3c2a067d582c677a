"""The hub's database: what comes in from outside while another process has the state. A file beside the state's, or tables beside its tables."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from state.database import Database
from state.engines import opened
from state.schema import HUB


def open_hub(state: Path | str, *, now: datetime, read_only: bool = False) -> Database:
    """The hub's database of a state, made where it is missing; any number of processes may have it open. Raises StateError, or Transient."""
    return opened(place(state), now=now, read_only=read_only, existing=False, schema=HUB)


def place(state: Path | str) -> Path | str:
    """On a server the two share a database."""
    return beside(state) if isinstance(state, Path) else state


def beside(state: Path) -> Path:
    """`handoff.db` → `handoff.hub.db`"""
    return state.with_name(f"{state.stem}.hub{state.suffix}")


def is_there(state: Path | str) -> bool:
    """Whether a state has one already; on a server its tables are there, or will be."""
    return not isinstance(state, Path) or beside(state).exists()
