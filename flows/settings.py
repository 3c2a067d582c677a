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


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HANDOFF_", env_ignore_empty=True)

    home: Path = Path()
    state: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """`folder` holds rules.yaml and mappings/, `state` is the state file, `env` what `${NAME}` refers to: no name without a value."""

    folder: Path
    state: Path
    env: Mapping[str, str]


def settings(folder: Path | None = None, state: Path | None = None) -> Settings:
    """Raises ConfigError when the `.env` file cannot be read. What it says of HANDOFF_STATE counts from the folder it lies in."""
    known = _Environment()
    home = (folder or known.home).absolute()
    dotenv = _dotenv(home / ".env")
    env = {name: value for name, value in {**dotenv, **os.environ}.items() if value}
    chosen = state or known.state or home / (dotenv.get("HANDOFF_STATE") or Path("state", "data", "handoff.db"))
    return Settings(home, chosen, env)


def _dotenv(path: Path) -> dict[str, str]:
    """The file's values as they stand: a `$` in a secret is a `$`."""
    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("the file is not UTF-8", str(path), hint="save it as UTF-8")]) from error
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read ({error.strerror})", str(path), hint="check its permissions")]) from error
