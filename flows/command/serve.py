"""`serve`: the Prefect server and the schedule, for those who want to watch, retry and schedule in its UI."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.command.common import Folder, StateFile, advice, loaded, where


def serve(
    folder: Folder = None,
    state: StateFile = None,
    every: Annotated[
        int, typer.Option("--every", min=1, max=44640, help="Minutes between two syncs, where rules.yaml has no schedules.")
    ] = 5,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the Prefect UI, on this machine only.")] = 4200,
    hub_port: Annotated[int, typer.Option("--hub-port", min=1, max=65535, help="Port of the hub, on this machine only.")] = 8770,
    no_hub: Annotated[bool, typer.Option("--no-hub", help="Do not start the hub; it runs elsewhere, or pushes are not used.")] = False,
) -> None:
    """Start what is needed to see and schedule syncs in the Prefect UI, to take pushes and follow them, and keep running. Stop with Ctrl-C."""
    with advice():
        there = where(folder, state)
        ready = loaded(there)
        from flows.service import run_service  # noqa: PLC0415 - Prefect takes seconds to import and no other verb needs it

        systems = list(dict.fromkeys([*ready.configuration.rules.sources, *ready.targets]))
        run_service(there, ready.configuration.rules, systems, minutes=every, port=port, hub_port=None if no_hub else hub_port)
