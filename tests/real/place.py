"""Where real servers are kept and how they are run: a folder of their own, a loopback port each, gone with the process that started them."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# A server ends when its standard input does: however its parent ends, nothing is left behind.
_UNTIL_EOF = '"$@" <&- & server=$!; read -r _; kill -s TERM -- -$$'


class Unavailable(Exception):
    """This server cannot be had or run here; says why, and what would make it possible."""


def home() -> Path:
    """Holds downloads, programs and data of all servers: `.real` in the project, or what HANDOFF_REAL names. Safe to delete."""
    place = Path(os.environ.get("HANDOFF_REAL") or Path(__file__).resolve().parents[2] / ".real")
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Only one process at a time is in such a block of this name."""
    with (home() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def need(*programs: str, hint: str = "") -> None:
    """Raises Unavailable when one of the programs is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}" + (f" ({hint})" if hint else ""))


def run(
    words: Sequence[object], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, user: str | None = None, text: str = ""
) -> str:
    """What the command printed. Raises Unavailable with its last lines when it fails."""
    done = subprocess.run(  # noqa: S603 - our own words
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        user=user,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise Unavailable(f"{' '.join(str(word) for word in words[:4])} … ended with {done.returncode}:\n{said}")
    return done.stdout


@contextmanager
def must(system: str) -> Iterator[None]:
    """All there is to be had is there: what does not work now is broken, not unavailable."""
    try:
        yield
    except Unavailable as why:
        raise RuntimeError(f"{system} could be had and does not work: {why}") from why


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(
    words: Sequence[object],
    *,
    ready: Callable[[], bool],
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    within: float = 120.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """The server, for as long as the block lasts. `ready` is asked until it says yes.

    Raises RuntimeError when it ends or stays silent: it could be had.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own words
            ["sh", "-c", _UNTIL_EOF, "server", *(str(word) for word in words)],  # noqa: S607
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            user=user,
            start_new_session=True,
        )
    try:
        _await(process, ready, log, within)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], *, within: float = 20.0) -> None:
    """End the server and all it started, and wait until they are gone: what they had in hand is on disk then."""
    end = time.monotonic() + within
    _signal(process, signal.SIGTERM)
    while _signal(process, 0) and time.monotonic() < end:
        process.poll()  # else it stays as a zombie, and counts
        time.sleep(0.02)
    _signal(process, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether there was somebody of the server's group to get it."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _await(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, within: float) -> None:
    end = time.monotonic() + within
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            raise RuntimeError(f"the server did not start; see {log}:\n{tail}")
        time.sleep(0.1)
