"""Keep Prefect running for us: its server on loopback, and one process that serves the deployments."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from connectors.base import ConnectorError, Transient
from engine.config import Rules
from flows.processes import Kept
from flows.settings import Settings

ROOT = Path(__file__).parents[1]
PUSH = "push"  # the deployment whose runs follow pushes
NIGHTLY = "30 4 * * *"  # in the rules' time zone; no zone moves its clocks at this hour
_STARTUP = 180.0
_FREED = 5.0  # seconds
_EVENTS = 7  # days; many small rows that nobody looks back at
_LOG = 10_000_000  # bytes after which the server begins a new log when it starts, and keeps the last
_GRACE = 6.0  # seconds; more than a run takes to stop


def run_service(where: Settings, rules: Rules, systems: Sequence[str], *, minutes: int, port: int, hub_port: int | None) -> None:
    """Start the Prefect server (unless $PREFECT_API_URL names one) and the hub (unless it has no port), serve the deployments, follow what
    `systems` push, and stay. Raises ConnectorError."""
    alone = "PREFECT_API_URL" not in os.environ
    _await_free({"--port": port if alone else None, "--hub-port": hub_port})
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    os.environ.update(quiet_settings(where), HANDOFF_STATE=str(where.state))
    with ExitStack() as stack:
        if alone:
            url = stack.enter_context(server(where, port=port, days=rules.retention_days))
            os.environ["PREFECT_API_URL"] = f"{url}/api"
            when = "syncs as rules.yaml says" if rules.schedules else f"syncs every {minutes} minutes"
            sys.stderr.write(f"Prefect UI: {url}   ({when}; Ctrl-C stops)\n")
        if hub_port is not None:
            sys.stderr.write(f"Hub: {stack.enter_context(hub(where, port=hub_port, minutes=minutes))}\n")
        _serve(where, rules, systems, minutes=minutes, alone=alone)


def run_follow(where: Settings, systems: Sequence[str]) -> None:
    """Follow what `systems` push, until a signal says otherwise, by runs of the deployment `sync/push` on the server at $PREFECT_API_URL.
    Raises ConnectorError."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    os.environ.update(quiet_settings(where), HANDOFF_STATE=str(where.state))
    from flows.service_push import PUSHED, dispatching, find  # noqa: PLC0415 - Prefect is imported after its settings are in the environment

    with dispatching(where, asyncio.run(find(PUSHED)), systems):
        sys.stderr.write("Following pushes   (Ctrl-C stops)\n")
        asked.wait()


def _as_ctrl_c(*_: object) -> None:
    """Whoever stops it, everything that was started is ended in order."""
    signal.raise_signal(signal.SIGINT)


def quiet_settings(where: Settings) -> dict[str, str]:
    """Prefect without telemetry, with its data beside our state."""
    home = where.data / "prefect"
    return {
        "PYTHONSAFEPATH": "1",  # nothing is imported from the folder it is started in, which has a `state/` of its own
        "PREFECT_HOME": os.environ.get("PREFECT_HOME", str(home)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # the most often Prefect allows; flows.service_runs listens for them
    }


def server_settings(where: Settings, *, url: str, days: int) -> dict[str, str]:
    """What the server is told beyond that: say when SQLite was busy, which is otherwise a bare 503; forget runs and events older than so many days;
    know after a crash which run holds a place in a limit."""
    return {
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(where.data / "prefect" / "ui"),  # not into the installed package, which may be read-only
        "PREFECT_SERVER_LOG_RETRYABLE_ERRORS": "true",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(days * 86400),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{min(days, _EVENTS)}D",  # this one takes no seconds
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }


@contextmanager
def server(where: Settings, *, port: int, days: int = 90) -> Iterator[str]:
    """A Prefect server on loopback, for as long as the block lasts, started again when it dies; gives its URL once it answers. It keeps runs for so
    many days."""
    url = f"http://127.0.0.1:{port}"
    log = where.data / "prefect" / "server.log"
    if log.exists() and log.stat().st_size > _LOG:
        log.replace(log.with_suffix(".log.1"))
    environment = {**os.environ, **quiet_settings(where), **server_settings(where, url=url, days=days)}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-m", "flows.service_ui", "--port", str(port), "--child"]
    with Kept(command, log, env=environment, ends=20.0) as kept:
        _await_answer(kept.process, f"{url}/api/health", log)
        yield url


@contextmanager
def hub(where: Settings, *, port: int, minutes: int) -> Iterator[str]:
    """The hub on loopback, for as long as the block lasts, started again when it dies; gives its URL. It tells of syncs that do not take place, every
    so many `minutes` where rules.yaml has no schedules."""
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "hub", "--folder", str(where.folder), "--port", str(port), "--every", str(minutes), "--child"]
    with Kept(command, where.data / "hub.log") as kept:
        _await_answer(kept.process, f"{url}/healthz", kept.log)
        yield url


def _await_free(ports: Mapping[str, int | None]) -> None:
    """What answers there may be somebody else's server, to be taken for ours. One of ours that was killed is given time to end."""
    for option, port in ports.items():
        deadline = time.monotonic() + _FREED
        while port is not None and not _is_free(port):
            if time.monotonic() > deadline:
                raise Transient(f"port {port} is taken by another program; stop that, or choose another port with {option}")
            time.sleep(0.5)


def _is_free(port: int) -> bool:
    with socket.socket() as wanted:
        wanted.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            wanted.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _await_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _STARTUP
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ConnectorError(f"what should answer at {url} ended at once; {log} says why (is the port free?)")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise ConnectorError(f"nothing answered at {url} within {_STARTUP:.0f} s; see {log}")


def run_parameters(where: Settings) -> dict[str, str]:
    """What a run is started with, and Prefect shows: no address, which may hold a password and goes by the environment."""
    return {"folder": str(where.folder), **({"state": str(where.state)} if isinstance(where.state, Path) else {})}


async def _deployments(where: Settings, rules: Rules, *, minutes: int) -> list[Any]:
    from flows.deploy import ONE_AT_A_TIME, nightly, schedules  # noqa: PLC0415 - Prefect is imported after its settings are in the environment
    from flows.sync import plan, sync  # noqa: PLC0415
    from flows.sync_approval import approval  # noqa: PLC0415
    from flows.sync_reconcile import reconcile  # noqa: PLC0415

    parameters = run_parameters(where)
    return [
        await sync.ato_deployment(
            name="handoff",
            schedules=[*schedules(rules, minutes=minutes)],
            parameters=parameters,
            description="Sync on a schedule.",
            concurrency_limit=ONE_AT_A_TIME,
        ),
        await plan.ato_deployment(name="handoff", parameters=parameters, description="Show what a sync would do."),
        await approval.ato_deployment(name="handoff", parameters=parameters, description="Ask a person about one plan."),
        await reconcile.ato_deployment(
            name="handoff",
            schedules=[nightly(rules)],
            parameters=parameters,
            description="Read everything again, every night.",
            concurrency_limit=ONE_AT_A_TIME,
        ),
        await sync.ato_deployment(name=PUSH, parameters=parameters, description="Sync what pushes told of, at once."),
    ]


def _serve(where: Settings, rules: Rules, systems: Sequence[str], *, minutes: int, alone: bool) -> None:
    from prefect import get_client  # noqa: PLC0415 - likewise
    from prefect.runner import Runner  # noqa: PLC0415

    from flows.service_push import dispatching  # noqa: PLC0415
    from flows.service_runs import prepare  # noqa: PLC0415

    async def stay() -> None:
        async with get_client() as client:
            await prepare(client, alone=alone)
        runner = Runner(pause_on_shutdown=False, limit=4)
        runner.handle_sigterm = _as_ctrl_c  # type: ignore[method-assign]  # its own way out kills the run under way
        known = {
            deployment.name: await runner.aadd_deployment(deployment) for deployment in await _deployments(where, rules, minutes=minutes)
        }
        serving = asyncio.create_task(runner.start())
        try:
            with dispatching(where, known[PUSH], systems):
                await asyncio.shield(serving)
        finally:
            await _end_runs(runner)
            serving.cancel()
            await asyncio.wait({serving})

    asyncio.run(stay())


async def _end_runs(runner: Any) -> None:
    """Ask the runs under way to stop and give them time, while there is somebody yet to hear how they end; Prefect itself would kill them."""
    manager = runner._process_manager
    await asyncio.gather(*(manager.kill(run, grace_seconds=_GRACE) for run in list(manager._process_map)))
