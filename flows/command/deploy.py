"""`deploy`: for workers of a Prefect work pool, instead of one process that serves everything."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.command.common import Folder, advice, loaded, where


def deploy(
    folder: Folder = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Minutes between two syncs, where rules.yaml has no schedules.")] = 5,
) -> None:
    """Put the deployments on the Prefect server at $PREFECT_API_URL, for workers of the pool `handoff`. Again after an edit of the schedules."""
    with advice():
        there = where(folder, None)
        rules = loaded(there).configuration.rules
        from flows.deploy import run_deploy  # noqa: PLC0415 - Prefect takes seconds to import and no other verb needs it

        run_deploy(there, rules, minutes=every)
        typer.echo("Deployed. Start workers: prefect worker start --pool handoff")
