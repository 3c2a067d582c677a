"""`hub`: the web application, a process of its own."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from flows.command.common import Folder, StateFile, advice, where


def hub(
    context: typer.Context,
    folder: Folder = None,
    state: StateFile = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; anything but loopback wants a proxy with TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8770,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="Believe a proxy on a private address whom it speaks for.")] = False,
) -> None:
    """Take in what systems push, and show in a browser where things stand and what waits for approval. Stop with Ctrl-C."""
    with advice():
        there = where(folder, state)
    words = ["-C", str(there.folder), "--host", host, "--port", str(port), *(["--behind-proxy"] if behind_proxy else [])]
    log = str(context.parent.params.get("log") or "") if context.parent else ""
    environment = {**os.environ, "HANDOFF_STATE": str(there.state), **({"HANDOFF_LOG": log} if log else {})}
    # in place of this process: signals reach it, and an address with a password stays off the command line
    os.execve(sys.executable, [sys.executable, "-P", "-m", "hub", *words], environment)  # noqa: S606 - our own interpreter
