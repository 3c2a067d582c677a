"""`serve`: the Prefect server and the schedule, for those who want to watch, retry and schedule in its UI."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.command.common import Folder, StateFile, advice, loaded, where


def serve(
    folder: Folder = None,
    state: StateFile = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Minutes between two syncs, where rules.yaml has no schedules.")] = 5,
    port: Annotated[int, typer.Option("--port", help="Port of the Prefect UI, on this machine only.")] = 4200,
) -> None:
    """Start what is needed to see and schedule syncs in the Prefect UI, and keep running. Stop with Ctrl-C."""
    with advice():
        there = where(folder, state)
        rules = loaded(there).configuration.rules
        from flows.service import run_service  # noqa: PLC0415 - Prefect takes seconds to import and no other verb needs it

        run_service(there, rules, minutes=every, port=port)
