"""A real Odoo: Debian's package run in a virtual environment of its own, its database one that was prepared once and is copied for each start.

What is done in it is gone when it ends. Its cron is off, so that it does nothing by itself and calls nobody.
"""

from __future__ import annotations

import ast
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests import postgres
from tests.real import debian
from tests.real.place import Unavailable, free_port, home, must, run, running

DATABASE = "odoo"
# `rpc` serves JSON-RPC beside JSON-2; `sale_crm` gives deals their orders, and so their lines. What Odoo would install besides is left out.
MODULES = ("crm", "project", "base_automation", "sale_crm", "rpc")
_VERSION = "1"  # counts up when what is prepared below changes
_REQUIREMENTS = Path(__file__).with_name("odoo.txt")
_LIBRARY = "usr/lib/python3/dist-packages"
_ADDONS = f"{_LIBRARY}/odoo/addons"
_KEY = """
import datetime
key = env["res.users.apikeys"].with_user(env.ref("base.user_admin"))._generate(
    "rpc", "tests", datetime.datetime.now() + datetime.timedelta(days=3650))
env.ref("base.user_admin").email = "admin@example.com"
env.cr.commit()
print("the key is", key)
"""


@dataclass(frozen=True)
class Odoo:
    """`key` and the password are the administrator's, who may do anything. `dsn` is its database's address, for what only SQL can bring about."""

    url: str
    key: str
    dsn: str
    version: str
    database: str = DATABASE
    login: str = "admin"
    password: str = "admin"


@dataclass(frozen=True)
class _Prepared:
    """Programs, a virtual environment, and what every start begins with."""

    root: Path
    python: Path
    start: Path

    @property
    def library(self) -> Path:
        return self.root / _LIBRARY

    @property
    def key(self) -> str:
        return (self.start / "key").read_text(encoding="utf-8").strip()


@contextmanager
def server() -> Iterator[Odoo]:
    """A running Odoo with the modules above and nothing in them. Raises Unavailable where it cannot be had; any other failure is one."""
    try:
        programs = postgres.programs()
    except postgres.Missing as missing:
        raise Unavailable(str(missing)) from missing
    ready = _prepared(programs)
    with postgres.server(programs, ready.start / "database") as database, _data(ready.start / "files") as data:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        words = [*_odoo(ready, database, data), "--http-interface=127.0.0.1", f"--http-port={port}"]
        with running(words, ready=lambda: _answers(url), log=home() / "odoo" / "server.log", env=_env(ready), within=60):
            version = str(httpx.get(f"{url}/web/version", timeout=60).json()["version"])
            _warm(url, ready.key)
            yield Odoo(url, ready.key, _dsn(database), version)


def _dsn(database: postgres.Server) -> str:
    return f"postgresql://handoff@/{DATABASE}?host={database.folder}"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/web/version", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _warm(url: str, key: str) -> None:
    """The first call loads the modules; it takes seconds, and a test's time-out should not pay for it."""
    ask = {"domain": [], "limit": 1}
    httpx.post(f"{url}/json/2/res.users/search", json=ask, headers={"Authorization": f"bearer {key}"}, timeout=60).raise_for_status()


@contextmanager
def _data(files: Path) -> Iterator[Path]:
    """A copy of Odoo's folder of files."""
    with tempfile.TemporaryDirectory(prefix="handoff-odoo-") as folder:
        place = Path(folder) / "data"
        shutil.copytree(files, place)
        yield place


def _odoo(ready: _Prepared, database: postgres.Server, data: Path, *verb: str) -> list[str]:
    """The command: no configuration of the machine's or the user's is read."""
    return [
        *(str(ready.python), str(ready.root / "usr/bin/odoo"), *verb, f"--config={os.devnull}"),
        *(f"--addons-path={ready.root / _ADDONS}", f"--data-dir={data}"),
        *(f"--db_host={database.folder}", "--db_user=handoff", f"--database={DATABASE}", "--no-database-list"),
        *("--max-cron-threads=0", "--workers=0"),
    ]


def _env(ready: _Prepared) -> dict[str, str]:
    return {"PYTHONPATH": str(ready.library), "PYTHONWARNINGS": "ignore", "ODOO_RC": os.devnull, "TZ": "UTC"}


# Preparing, once


def _prepared(programs: Path) -> _Prepared:
    """All that a start needs; made the first time, by one process."""
    place = home() / "odoo" / _VERSION
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = _once(place / "root", _unpack)
        venv = _once(place / "venv", _install)
        ready = _Prepared(root, venv / "bin/python", place / "start")
        with must("Odoo"):
            _once(ready.start, lambda start: _set_up(programs, ready, start))
    return ready


def _once(place: Path, make: Callable[[Path], None]) -> Path:
    """`place`, made whole or not at all. (A virtual environment knows its place, so that it is made there.)"""
    done = place.with_name(f"{place.name}.done")
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        make(place)
        done.touch()
    return place


def _unpack(root: Path) -> None:
    """The package without what is large in the modules that are not asked for. Their code stays: some of it is imported by others."""
    package = debian.fetch("odoo-19")
    debian.unpack(package, root, "--wildcards", f"./{_ADDONS}/*/__manifest__.py")
    spare = {addon.name for addon in (root / _ADDONS).iterdir()} - _needed(root / _ADDONS, MODULES)
    # `addons` beside `odoo` holds halves of modules, which Odoo would take for whole ones.
    large = [f"./{_ADDONS}/{name}/{part}" for name in spare for part in ("i18n", "static/lib", "static/src")]
    debian.unpack(package, root, *(f"--exclude={path}" for path in (f"./{_LIBRARY}/addons", *large)))


def _needed(addons: Path, modules: Iterable[str]) -> set[str]:
    """The modules and all they depend on."""
    found: set[str] = set()
    todo = list(modules)
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo += ast.literal_eval((addons / name / "__manifest__.py").read_text(encoding="utf-8")).get("depends", ["base"])
    return found


def _install(venv: Path) -> None:
    run([sys.executable, "-m", "venv", venv])
    run([venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", _REQUIREMENTS])


def _set_up(programs: Path, ready: _Prepared, start: Path) -> None:
    """What a start begins with: a database with the modules, the files to it, the administrator's key."""
    start.mkdir(parents=True)
    with postgres.server(programs) as database:
        modules = ("--init", ",".join(MODULES), "--skip-auto-install", "--stop-after-init")
        run([*_odoo(ready, database, start / "files"), *modules, "--no-http"], env=_env(ready))
        said = run([*_odoo(ready, database, start / "files", "shell"), "--no-http", "--log-level=error"], env=_env(ready), text=_KEY)
        (start / "key").write_text(said.split("the key is ")[1].split()[0], encoding="utf-8")
        postgres.backup(programs, database, start / "database")
