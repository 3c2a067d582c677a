"""Where things are, from the command line, the environment (`HANDOFF_…`) or a `.env` file beside rules.yaml, in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from pydantic_settings import BaseSettings, SettingsConfigDict


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HANDOFF_")

    home: Path = Path()
    state: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """`folder` holds rules.yaml and mappings/, `state` is the state file, `env` what `${NAME}` refers to."""

    folder: Path
    state: Path
    env: Mapping[str, str]


def settings(folder: Path | None = None, state: Path | None = None) -> Settings:
    known = _Environment()
    home = (folder or known.home).absolute()
    dotenv = {name: value for name, value in dotenv_values(home / ".env").items() if value is not None}
    env = {**dotenv, **os.environ}
    chosen = (
        state or known.state or (Path(dotenv["HANDOFF_STATE"]) if "HANDOFF_STATE" in dotenv else home / "state" / "data" / "handoff.db")
    )
    return Settings(home, chosen, env)
