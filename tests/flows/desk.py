"""Somebody at a desk: a configuration folder, both systems answering on loopback, and the `handoff` command as a person or a script runs it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

from typer.testing import CliRunner, Result

from flows.cli import app
from sandbox.web import Sandbox, serve
from tests.flows.files import ASANA, SALESFORCE
from tests.flows.world import Clock, World

HANDOFF = Path(sys.executable).with_name("handoff")
SECRET, TOKEN = "s3cret-of-the-client-app", "t0ken-of-the-project-tool"


class WallClock(Clock):
    """The time it is. A command in a process of its own has no other."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@contextmanager
def own_logs() -> Iterator[None]:
    """What a command sets up for its logs ends with it, as its process would: the stream it writes to is closed then."""
    logger = logging.getLogger("handoff")
    before = logger.handlers[:], logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers[:], logger.level, logger.propagate = before


class Desk:
    """`do` runs a verb in this process, `start` in one of its own. `world` is what stands behind the sandboxes."""

    def __init__(self, path: Path, world: World, crm: str, tool: str) -> None:
        self.path, self.world = path, world
        self._started: list[subprocess.Popen[str]] = []
        self.folder, self.state = world.folder, path / "state.db"
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.env = {**keep, "CRM": crm, "TOOL": f"{tool}/api/1.0", "SECRET": SECRET, **world.env, "HANDOFF_STATE": str(self.state)}

    def do(self, *words: str, **env: str | None) -> Result:
        with own_logs():
            return CliRunner().invoke(app, [*words, "-C", str(self.folder)], env={"COLUMNS": "160", **self.env, **env})

    def told(self, *words: str, **env: str | None) -> Any:
        """The JSON document a verb prints. Anything besides it is an error."""
        done = self.do(*words, "--json", **env)
        assert done.exit_code in {0, 1, 3}, done.output
        return json.loads(done.stdout)

    def start(self, *words: str, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
        command = [str(HANDOFF), *words, "-C", str(self.folder)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603 - the command itself
            command, cwd=cwd, env={**self.env, **env}, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Leave no process behind."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdout is not None and not process.stdout.closed:
                process.communicate()

    def run(self, *words: str, **env: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a verb in a process of its own."""
        process = self.start(*words, cwd=None, **env)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


def wait_for(happened: Callable[[], bool], seconds: float = 20) -> None:
    """Look again and again, until it has happened."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@contextmanager
def desk(path: Path, **asana: Any) -> Iterator[Desk]:
    """A desk with the small world's configuration, its secrets in the environment."""
    world = World(path, clock=WallClock(), **{"per_minute": None, **asana})
    world.sf.oauth.client_secret = SECRET
    world.board.tokens[TOKEN] = world.board.tokens.pop(world.board.token)
    world.env["TOKEN"] = TOKEN
    world.configure(local({}))
    with on_loopback([world.crm, world.tool]) as (crm, tool):
        ready = Desk(path, world, crm, tool)
        try:
            yield ready
        finally:
            ready.end()


def local(files: dict[str, str]) -> dict[str, str]:
    """The small world's mappings, pointed at loopback by the environment."""
    salesforce = SALESFORCE.replace("http://salesforce.test", "${CRM}").replace("handoff-secret", "${SECRET}")
    asana = ASANA.replace("http://asana.test/api/1.0", "${TOOL}\n  per_minute: 1000000")
    return {"mappings/salesforce.yaml": salesforce, "mappings/asana.yaml": asana, **files}


def soon_settled() -> dict[str, str]:
    """A configuration that waits two seconds for what may yet take effect, instead of a minute."""
    mapping = local({})["mappings/asana.yaml"].replace("  workspace:", "  late_commit_seconds: 2\n  workspace:")
    return local({"mappings/asana.yaml": mapping})


@contextmanager
def on_loopback(sandboxes: Sequence[Sandbox]) -> Iterator[list[str]]:
    """The sandboxes' addresses, served by a thread for as long as the block lasts."""
    ready: Queue[tuple[list[str], asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def stay() -> None:
        ended = asyncio.Event()
        async with AsyncExitStack() as stack:
            addresses = [await stack.enter_async_context(serve(sandbox)) for sandbox in sandboxes]
            ready.put((addresses, asyncio.get_running_loop(), ended))
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(stay()))
    thread.start()
    addresses, loop, ended = ready.get(timeout=10)
    try:
        yield addresses
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
