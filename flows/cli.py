"""The `handoff` command."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from flows import logs
from flows.command import approvals, care, channels, look, reconcile, setup, state, sync, work
from flows.command.access import access
from flows.command.demo import demo
from flows.command.deploy import deploy
from flows.command.discover import discover
from flows.command.follow import follow
from flows.command.hub import hub
from flows.command.serve import serve
from flows.command.webhooks import webhooks

app = typer.Typer(
    name="handoff",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Sync between CRMs and project tools: a won deal becomes a staffed, dated project, exactly once.",
    epilog="Exit codes: 0 done · 1 something waits · 2 configuration · 3 above the limits · 4 credentials · 5 try later · 6 state · 130 stopped",
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"handoff {version('handoff')}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which version this is.")] = False,
    log: Annotated[str, typer.Option(envvar="HANDOFF_LOG", help=f"Log to standard error as JSON lines: {', '.join(logs.LEVELS)}.")] = "",
) -> None:
    """Sync between CRMs and project tools."""
    if log and log not in logs.LEVELS:
        raise typer.BadParameter(f"one of {', '.join(logs.LEVELS)}", param_hint="--log")
    if log:
        logs.configure(log)


for verb in (
    setup.init,
    discover,
    sync.check,
    sync.plan,
    sync.sync,
    work.work,
    reconcile.reconcile,
    look.explain,
    look.status,
    look.history,
    care.retry,
    care.resolve,
    setup.schema,
):
    app.command()(verb)
app.add_typer(approvals.asked, name="approvals")
app.add_typer(state.keeping, name="state")
app.add_typer(channels.telling, name="channels")
app.add_typer(access, name="access")
app.add_typer(webhooks, name="webhooks")
app.command()(hub)
app.command()(serve)
app.command()(deploy)
app.command()(follow)
app.command()(demo)


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show 苏州 is no reason to fail
    app()


if __name__ == "__main__":
    main()
