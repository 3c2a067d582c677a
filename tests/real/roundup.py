"""A real Roundup: its tracker is prepared once, on SQLite, and copied for each start. It refuses to run as root, and is then run as nobody."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.real.place import Unavailable, alone, free_port, home, run, running

PACKAGE = "roundup==2.6.0"
ADMIN, LOGIN, PASSWORD, PERSON = "admin", "handoff", "a-secret-password", "ann@example.com"
_VERSION = "1"  # counts up when what is prepared below changes
_EMPTIED = ("_bug", "_msg", "bug__journal", "msg__journal", "bug_messages", "bug_nosy", "bug_keywords")


@dataclass(frozen=True)
class Roundup:
    """A running tracker. `ann` is the id of somebody who owns bugs."""

    url: str
    folder: Path
    ann: str
    login: str = LOGIN
    password: str = PASSWORD
    version: str = PACKAGE.partition("==")[2]

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """The database itself, for what only SQL can bring about; committed at the end."""
        with closing(sqlite3.connect(self.folder / "db/db", timeout=30)) as connection, connection:
            yield connection

    def text(self, message: int, content: str) -> None:
        """Put the text of a message where the server keeps it."""
        place = self.folder / f"db/files/msg/{message // 1000}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"msg{message}").write_text(content)
        _give(self.folder / "db/files")

    def wipe(self) -> None:
        """Back to what the tracker began with. Ids go on: the server never gives one out again."""
        with self.sql() as sql:
            for table in _EMPTIED:
                sql.execute(f'DELETE FROM "{table}"')  # noqa: S608 - our own names
            sql.execute("UPDATE _user SET _roles = 'Coordinator', _timezone = NULL WHERE _username = ?", (LOGIN,))

    def person(self) -> Person:
        """Somebody who works in it, by hand."""
        return Person(self.url)


class Person:
    """The administrator, apart from the connector."""

    def __init__(self, url: str) -> None:
        parts = httpx.URL(url)
        headers = {"X-Requested-With": "rest", "Origin": f"http://{parts.netloc.decode()}", "Referer": f"{url}/"}
        base = f"{url}/rest/data"
        self._http = httpx.Client(base_url=base, auth=(ADMIN, PASSWORD), headers=headers, timeout=60, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def held(self, item: str) -> dict[str, object]:
        found: dict[str, object] = self._call("GET", item)["data"]["attributes"]
        return found

    def change(self, item: str, **values: object) -> None:
        self._call("PATCH", item, tag=self._tag(item), body=values)

    def retire(self, item: str) -> None:
        self._call("DELETE", item, tag=self._tag(item))

    def restore(self, item: str) -> None:
        self._call("PATCH", item, tag=self._tag(item), body={"@op": "action", "@action_name": "restore"})

    def make(self, name: str, **values: object) -> str:
        return str(self._call("POST", name, body=values)["data"]["id"])

    def _tag(self, item: str) -> str:
        return str(self._call("GET", item)["data"]["@etag"])

    def _call(self, method: str, item: str, *, tag: str = "", body: object = None) -> dict[str, dict[str, dict[str, object]]]:
        answer = self._http.request(method, f"/{item}", headers={"If-Match": tag} if tag else {}, json=body)
        assert answer.status_code < 300, answer.text
        data: dict[str, dict[str, dict[str, object]]] = answer.json()
        return data


@contextmanager
def server() -> Iterator[Roundup]:
    """A running Roundup without bugs. Raises Unavailable where it cannot be had."""
    place, python = _prepared()
    with tempfile.TemporaryDirectory(prefix="roundup-", dir=home()) as name:
        folder, port = Path(name) / "tr", free_port()
        shutil.copytree(place / "tr", folder)
        url = f"http://127.0.0.1:{port}/tr"
        _set(folder, "web", f"{url}/")  # it takes no request that comes from elsewhere
        _give(Path(name))
        words = [python, "-m", "roundup.scripts.roundup_server", "-n", "127.0.0.1", "-p", port, f"tr={folder}"]
        with running(words, ready=lambda: _answers(url), log=place / "log", env=_env(place), user=_user(), cwd=Path(name)):
            with closing(sqlite3.connect(folder / "db/db")) as sql:
                (ann,) = sql.execute("SELECT id FROM _user WHERE _address = ?", (PERSON,)).fetchone()
            yield Roundup(url, folder, str(ann))


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/", timeout=5, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


def _prepared() -> tuple[Path, str]:
    place, python = home() / "roundup", _python()
    with alone("roundup"):
        if not (place / f"ready-{_VERSION}").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", place / "lib", PACKAGE])
            _give(place)
            _make(place, python)
            (place / f"ready-{_VERSION}").touch()
    return place, python


def _make(place: Path, python: str) -> None:
    """A tracker of the template for developers, with a field more, as our pages say to add it, and quick to sign in to."""
    tracker = place / "tr"

    def admin(*words: str) -> None:
        run([python, "-m", "roundup.scripts.roundup_admin", "-i", tracker, *words], env=_env(place), user=_user(), cwd=place)

    admin(
        "install",
        "devel",
        "sqlite",
        "mail_domain=example.org,tracker_web=http://127.0.0.1:1/tr/,admin_email=a@example.org,mail_host=localhost",
    )
    schema = (tracker / "schema.py").read_text()
    (tracker / "schema.py").write_text(
        schema.replace(
            'bug = IssueClass(db, "bug",',
            'bug = IssueClass(db, "bug", handoff_status=String(), handoff_project_url=String(), handoff_key=String(),',
        )
    )
    _set(tracker, "password_pbkdf2_default_rounds", "1000")  # each request checks the password: 250,000 rounds take a tenth of a second
    _set(tracker, "api_failed_login_limit", "1000")  # four wrong passwords lock a user out for minutes
    admin("initialise", PASSWORD)
    admin("create", "user", f"username={LOGIN}", f"password={PASSWORD}", "address=handoff@example.org", "roles=Coordinator")
    admin("create", "user", "username=ann", "realname=Ann Arbor", f"password={PASSWORD}", f"address={PERSON}", "roles=Developer")


def _set(tracker: Path, name: str, value: str) -> None:
    path = tracker / "config.ini"
    path.write_text(re.sub(rf"^{name} *=.*$", f"{name} = {value}", path.read_text(), count=1, flags=re.MULTILINE))


def _env(place: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(place / "lib"), "HOME": str(place)}


def _user() -> str | None:
    return "nobody" if os.geteuid() == 0 else None


def _give(folder: Path) -> None:
    """To the server's user."""
    if user := _user():
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)


def _python() -> str:
    """A Python that the server's user may run: the one of these tests may be root's own."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run([python, "-c", "import sqlite3"], user=_user(), cwd="/", capture_output=True, check=False)  # noqa: S603
        except OSError:
            continue
        if done.returncode == 0:
            return python
    raise Unavailable("Roundup refuses to run as root, and nobody may run no Python here (install python3)")
