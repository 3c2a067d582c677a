"""`follow`: what systems push, where workers of a Prefect server of yours do the rest."""

from __future__ import annotations

import typer

from flows.command.common import Exit, Folder, StateFile, advice, loaded, where


def follow(folder: Folder = None, state: StateFile = None) -> None:
    """Sync at once what systems push, until stopped; for a Prefect server of yours ($PREFECT_API_URL). `handoff serve` does so by itself."""
    with advice():
        there = where(folder, state)
        ready = loaded(there)
        systems = list(dict.fromkeys([*ready.configuration.rules.sources, *ready.targets]))
        from flows.service import run_follow  # noqa: PLC0415 - Prefect takes seconds to import and no other verb needs it

        run_follow(there, systems)
        raise typer.Exit(Exit.STOPPED)
