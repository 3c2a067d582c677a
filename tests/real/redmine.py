"""A real Redmine: Debian's packages in a root directory of their own, SQLite, one puma. Prepared once, then started from a copy within seconds."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx

from tests.real import debian
from tests.real.place import alone, free_port, home, must, need, run, running

SUITE = os.environ.get("HANDOFF_REDMINE", "trixie")  # 6.0; bookworm has 5.0, sid the newest
PACKAGES = ("redmine", "redmine-sqlite", "puma", "dash", "coreutils")
_INSTANCES = "var/lib/redmine"
_FOLDERS = ("config", "log", "files", "plugins", "public/assets", "tmp")
_DATABASE = "redmine.sqlite3"
_SEED = Path(__file__).with_suffix(".rb")


@dataclass(frozen=True)
class Redmine:
    """A running server. `key` is the integration's, an administrator's; `person_key` is another administrator's, `ann_key` a plain user's."""

    url: str
    key: str
    person_key: str
    ann_key: str
    users: Mapping[str, int]
    version: str
    key_field: int
    database: Path


@contextmanager
def redmine() -> Iterator[Redmine]:
    """The server, for as long as the block lasts, with data of its own. Raises Unavailable."""
    need("chroot", *(() if os.geteuid() == 0 else ("unshare",)), hint="Redmine runs in a root directory of its own")
    root = home() / "redmine" / SUITE
    seeded = root / "tmp" / f"seeded-{sha256(_SEED.read_bytes()).hexdigest()[:12]}.json"
    with alone("redmine"):
        if not seeded.exists():
            _prepare(root, seeded)
    port = free_port()
    name = f"run-{os.getpid()}-{port}"
    place, url = root / _INSTANCES / name, f"http://127.0.0.1:{port}"
    # One thread: waiting for SQLite's lock, a thread would hold up the one that has it.
    serve = f"cd /usr/share/redmine && exec puma -e production -b tcp://127.0.0.1:{port} -t 1:1 config.ru"
    words = [*debian.within(root), "/bin/sh", "-c", serve]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        shutil.copytree(root / _INSTANCES / "template", place)
        _point(place)
        stack.enter_context(running(words, ready=lambda: _answers(url), log=place / "puma.log", env=_environment(name)))
        yield Redmine(url, database=place / _DATABASE, **json.loads(seeded.read_text(encoding="utf-8")))


def _prepare(root: Path, seeded: Path) -> None:
    """Unpack, do what the packages' scripts would, fill the database with Redmine's own defaults and what the tests need."""
    shutil.rmtree(root, ignore_errors=True)
    debian.tree(PACKAGES, root, SUITE)
    run([*debian.within(root), "/usr/bin/ruby", "--version"])
    place = root / _INSTANCES / "template"
    for folder in _FOLDERS:
        (place / folder).mkdir(parents=True)
    (place / "config/secret_key.txt").write_text("0123456789abcdef" * 4, encoding="utf-8")
    _point(place)
    quiet = root / "usr/share/redmine/config/additional_environment.rb"
    quiet.write_text("config.log_level = :error\n", encoding="utf-8")
    shutil.copy(_SEED, root / "tmp/seed.rb")
    for command in (
        "bundle install --local --quiet",
        "bundle exec rake db:migrate",
        "bundle exec rake redmine:load_default_data",
        "bundle exec rails runner /tmp/seed.rb",
    ):
        with must("Redmine"):
            run([*debian.within(root), "/bin/sh", "-c", f"cd /usr/share/redmine && {command}"], env=_environment("template"))
    (root / "tmp/seeded.json").rename(seeded)


def _point(place: Path) -> None:
    """Let the instance in this folder use the database in this folder."""
    inside = f"/{_INSTANCES}/{place.name}/{_DATABASE}"
    settings = f"production:\n  adapter: sqlite3\n  database: {inside}\n  timeout: 20000\n"
    (place / "config/database.yml").write_text(settings, encoding="utf-8")


def _environment(instance: str) -> dict[str, str]:
    words = {"RAILS_ENV": "production", "REDMINE_INSTANCE": instance, "REDMINE_LANG": "en", "SCHEMA": "/dev/null", "HOME": "/tmp"}  # noqa: S108
    return {**words, "LANG": "C.UTF-8", "PATH": "/usr/bin:/usr/sbin:/bin:/sbin"}


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/login", timeout=20.0).status_code == 200
    except httpx.HTTPError:
        return False
