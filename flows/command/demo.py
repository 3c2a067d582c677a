"""`demo`: the main job with no account and no network."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.command.common import Bars, Exit, advice
from flows.settings import Settings


def demo(
    data: Annotated[Path | None, typer.Option("--data", help="Folder with CSV files of a CRM, instead of the sample.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Where the report and the configuration go.")] = Path("demo-output"),
    staying: Annotated[bool, typer.Option("--stay", help="Keep the stand-ins afterwards, for the other verbs, until Ctrl-C.")] = False,
) -> None:
    """Play a day of CRM changes against sandboxes on loopback: baseline, plan, Prefect flow, projects, and nothing left to do."""
    with advice(), tempfile.TemporaryDirectory(prefix="handoff-demo-prefect-") as home:
        _quieten(Path(home))
        from flows.demo import run  # noqa: PLC0415 - imported after Prefect's settings are in the environment

        console = Console(highlight=False, width=None if Console().is_terminal else 120)
        with Bars(quiet=False) as bars:
            code = run(out, data=data, staying=staying, console=console, bars=bars)
    raise typer.Exit(Exit.OK if code == 0 else Exit.ATTENTION)


def _quieten(home: Path) -> None:
    """Prefect for one process: its own home, no telemetry, no chatter, no server of somebody else's."""
    from flows.service import quiet_settings  # noqa: PLC0415 - not needed by other verbs

    os.environ.pop("PREFECT_API_URL", None)
    os.environ.update(quiet_settings(Settings(home, home / "state", {})))
    os.environ.update(
        {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}
    )
