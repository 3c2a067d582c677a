"""Where things are, from the command line, the environment (`HANDOFF_…`) or a `.env` file beside rules.yaml, in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.base import ConfigError
from engine.model import Problem
from state.engines import place

_DATA = Path("state", "data")
STATE = _DATA / "handoff.db"  # in the folder, unless somebody says otherwise


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HANDOFF_", env_ignore_empty=True)

    home: Path = Path()
    state: str | None = None
    hub_url: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """`folder` holds rules.yaml and mappings/, `env` is what `${NAME}` refers to: no name without a value.

    `state` is the state's file, or the URL of a PostgreSQL database: with a password in it, so it is never shown. `hub_url` is where the hub is
    reached from outside, without a slash at the end; empty when nobody said.
    """

    folder: Path
    state: Path | str
    env: Mapping[str, str]
    hub_url: str = ""

    @property
    def data(self) -> Path:
        """The folder for what else is kept: beside the state, where that is a file."""
        return self.state.parent if isinstance(self.state, Path) else self.folder / _DATA


def settings(folder: Path | None = None, state: str | None = None) -> Settings:
    """What the `.env` file says of HANDOFF_STATE counts from the folder it lies in.

    Raises ConfigError when that file cannot be read, or the state is at an address of another kind.
    """
    known = _Environment()
    home = (folder or known.home).absolute()
    dotenv = _dotenv(home / ".env")
    env = {name: value for name, value in {**dotenv, **os.environ}.items() if value}
    hub_url = (known.hub_url or dotenv.get("HANDOFF_HUB_URL", "")).rstrip("/")
    if chosen := state or known.state:
        return Settings(home, _located(chosen), env, hub_url)
    return Settings(home, _located(dotenv.get("HANDOFF_STATE") or str(STATE), home), env, hub_url)


def _located(text: str, home: Path = Path()) -> Path | str:
    """Where a state is, from what a person wrote: a file, counted from `home`, or a URL. Raises ConfigError."""
    found = place(text)
    if isinstance(found, str):
        return found
    if "://" in text:
        scheme = text.partition("://")[0]
        raise ConfigError([Problem(f"a state cannot be at {scheme}://…", hint="name a file, or postgresql://user@host/database")])
    return home / found


def _dotenv(path: Path) -> dict[str, str]:
    """The file's values as they stand: a `$` in a secret is a `$`."""
    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("the file is not UTF-8", str(path), hint="save it as UTF-8")]) from error
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read ({error.strerror})", str(path), hint="check its permissions")]) from error
