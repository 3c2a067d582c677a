"""`python -m hub`, which is `handoff hub`: the hub in a process of its own."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from ipaddress import ip_address
from typing import Annotated

import typer

from connectors.base import StateError
from flows import logs
from flows.command.common import Exit, Folder, StateFile, advice, loaded, where
from flows.endpoints import endpoints
from flows.processes import wait_for_parent
from flows.settings import Settings
from hub.app import create_app, listening
from hub.serving import server

_TURN = 0.0005  # seconds; the thread that commits needs the interpreter often and for a moment, and waits this long each time


def hub(  # noqa: PLR0917 - the options of a verb are its parameters
    folder: Folder = None,
    state: StateFile = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8770,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="Believe a proxy on a private address whom it speaks for.")] = False,
    log: Annotated[str, typer.Option("--log", envvar="HANDOFF_LOG")] = "",
    every: Annotated[int, typer.Option("--every", hidden=True)] = 0,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Take in what systems push and show the pages, until it is stopped."""
    if child:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    with advice():
        there = where(folder, state)
        logs.configure(log if log in logs.LEVELS else "warning")
        _run(there, host, port, behind_proxy=behind_proxy, every=every)


def _run(there: Settings, host: str, port: int, *, behind_proxy: bool, every: int) -> None:
    ready = loaded(there)
    for line in warnings(host, there.hub_url):
        sys.stderr.write(f"{line}\n")
    app = create_app(there, ready, endpoints(there), systems=listening(ready), hosts=_names(there, host), every=every)
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: asked.append(got))  # the server hears of it first, ends in order and passes it on
    gc.freeze()  # what is loaded by now stays
    sys.setswitchinterval(_TURN)
    serving = server(app, host=host, port=port, behind_proxy=behind_proxy, ready=lambda: _tell(host, port))
    try:
        serving.run()
    except SystemExit as end:
        raise StateError(f"the hub could not start on {host}:{port}, see above; if the port is taken, choose another with --port") from end
    if not serving.started:
        raise StateError("the hub could not start; the log says why")
    raise typer.Exit(Exit.STOPPED if asked else Exit.OK)


def _end_with_parent() -> None:
    """A parent that was killed leaves no hub behind that would hold its port: standard input ends, however the parent does."""
    wait_for_parent()
    while True:
        os.kill(os.getpid(), signal.SIGTERM)  # once more, where the server was not there yet to hear of it
        time.sleep(1)


def _tell(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(f"Hub: http://{shown}:{port}   (Ctrl-C stops)\n")


def _names(there: Settings, host: str) -> list[str]:
    """What the hub may be asked for as: where it listens, and whatever HANDOFF_HUB_HOSTS adds."""
    return [host, *there.env.get("HANDOFF_HUB_HOSTS", "").replace(",", " ").split()]


def warnings(host: str, url: str) -> list[str]:
    """What is dangerous about listening there."""
    if is_loopback(host) or url.startswith("https://"):
        return []
    return [
        f"Warning: the hub listens on {host}, so whoever reaches this machine reaches it, without TLS: tokens and cookies can be read on the way.",
        "Put a proxy with TLS in front of it and say so: HANDOFF_HUB_URL=https://… (docs/security.md).",
    ]


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    typer.run(hub)
