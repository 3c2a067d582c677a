"""A real Tryton: from its packages in a virtual environment of its own, on SQLite. Two databases are prepared once, and copied for each start."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx

from connectors.tryton.values import encoded
from tests.real.place import alone, free_port, home, run, running
from tests.real.wire import Wire

PACKAGES = ("trytond==8.0.12", "trytond_sale_opportunity==8.0.1", "trytond_project==8.0.4", "trytond_project_plan>=8.0,<8.1")
MODULES: Mapping[str, tuple[str, ...]] = {
    "crm": ("sale_opportunity", "project"),
    "plan": ("project", "project_plan"),
}
LOGIN, PASSWORD, PERSON = "admin", "admin-secret-password", "ann@example.com"
_VERSION = "2"  # counts up when what is prepared below changes
# What a start brings with it: all else goes when a test begins.
_KEPT = ("party_party", "party_contact_mechanism", "ir_sequence")
_EMPTIED = (
    "project_work",
    "ir_note",
    "ir_model_log",
    "sale_opportunity",
    "sale_opportunity__history",
    "sale_opportunity_line",
    "sale_opportunity_line__history",
    "sale_sale",
    "party_address",
    "project_allocation",
    "project_predecessor_successor",
    "res_user_login_attempt",
)


@dataclass(frozen=True)
class Tryton:
    """A running server with both databases. `folder` holds them; `version` is the server's own."""

    url: str
    folder: Path
    version: str
    login: str = LOGIN
    password: str = PASSWORD
    employee: str = PERSON

    @contextmanager
    def sql(self, database: str) -> Iterator[sqlite3.Connection]:
        """The database itself, for what only SQL can bring about; committed at the end."""
        with closing(sqlite3.connect(self.folder / f"{database}.sqlite", timeout=30)) as connection, connection:
            yield connection

    def wipe(self, database: str) -> None:
        """Back to what the database began with: a company, its employee Ann, and nothing else."""
        with self.sql(database) as connection:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in there.intersection(_EMPTIED):
                connection.execute(f'DELETE FROM "{table}"')  # noqa: S608 - our own names
            for table in there.intersection(_KEPT):
                connection.execute(f'DELETE FROM "{table}" WHERE id > (SELECT count(*) FROM "kept_{table}")')  # noqa: S608
                connection.execute(f'INSERT OR REPLACE INTO "{table}" SELECT * FROM "kept_{table}"')  # noqa: S608

    def person(self, database: str) -> Person:
        """Somebody who works in it, by hand."""
        return Person(self.url, database, self.login, self.password)


class Person:
    """Calls the server as its own client does, apart from the connector."""

    def __init__(self, url: str, database: str, login: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._database = database
        self._login = login
        self._password = password
        self._headers: dict[str, str] = {}
        self._context: dict[str, Any] = {}

    def call(self, method: str, *args: Any, **context: Any) -> Any:
        """The result of `model.…` or `wizard.…`; an assertion holds that the server did not refuse."""
        data = self.ask(method, *args, **context)
        assert "error" not in data, str(data)[:500]
        return data["result"]

    def ask(self, method: str, *args: Any, **context: Any) -> dict[str, Any]:
        answer = self._post(method, [*args, {**self._context, **context}])
        if answer.status_code == 401:
            self.log_in()
            answer = self._post(method, [*args, {**self._context, **context}])
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()
        return data

    def log_in(self) -> None:
        """Also after the sessions were deleted."""
        user, token, *_ = self._post("common.db.login", [self._login, {"password": self._password}, "en"]).json()["result"]
        self._headers = {"Authorization": f"Session {b64encode(f'{self._login}:{user}:{token}'.encode()).decode()}"}
        (found,) = self._post("model.res.user.read", [[user], ["company", "employee"], {}]).json()["result"]
        self._context = {name: found[name] for name in ("company", "employee") if found[name]}
        self._context |= {"companies": [found["company"]]} if found["company"] else {}

    def _post(self, method: str, params: list[Any]) -> httpx.Response:
        body = {"id": 1, "method": method, "params": encoded(params)}
        return self._http.post(f"/{self._database}/rpc/", json=body, headers=self._headers)

    def close(self) -> None:
        self._http.close()


class Line(Wire):
    """A wire that logs in once: the server takes a third of a second for each login. A session that ended is begun anew."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[tuple[str, bytes], httpx.Response] = {}
        self.clock: Callable[[], datetime] | None = None  # what the answers say the time is, if not the server's own

    def reset(self) -> None:
        """As new, but for the sessions."""
        self.faults.clear()
        self.sent.clear()
        self.late.clear()
        self.cut = False
        self.clock = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if method(request) != "common.db.login" or self.cut:
            answer = await super().handle_async_request(request)
            if self.clock is not None:
                answer.headers["Date"] = format_datetime(self.clock(), usegmt=True)
            return answer
        asked = (request.url.path, request.content)
        if asked not in self.sessions:
            answer = await super().handle_async_request(request)
            if answer.status_code != 200:
                return answer
            self.sessions[asked] = answer
        kept = self.sessions[asked]
        return httpx.Response(200, headers={"Content-Type": "application/json"}, content=kept.content, request=request)


def method(request: httpx.Request) -> str:
    return str(json.loads(request.content)["method"]) if request.content else ""


@contextmanager
def server() -> Iterator[Tryton]:
    """A running Tryton whose databases hold a company and one employee. Raises Unavailable where it cannot be had."""
    place = _prepared()
    with tempfile.TemporaryDirectory(prefix="tryton-", dir=home()) as name:
        folder = Path(name)
        for database in MODULES:
            shutil.copyfile(place / f"{database}.sqlite", folder / f"{database}.sqlite")
        with _started(place, folder) as url:
            yield Tryton(url, folder, _installed(place))


def _installed(place: Path) -> str:
    return next(place.glob("venv/lib/python*/site-packages/trytond-*.dist-info")).name.split("-")[1].removesuffix(".dist")


@contextmanager
def _started(place: Path, folder: Path) -> Iterator[str]:
    port = free_port()
    settings = _settings(folder, f"127.0.0.1:{port}")
    words = [place / "venv/bin/trytond", "-c", settings, "-d", *MODULES]
    with running(words, ready=lambda: _answers(f"http://127.0.0.1:{port}"), log=folder / "log"):
        yield f"http://127.0.0.1:{port}"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/", timeout=2, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


def _settings(folder: Path, listen: str) -> Path:
    path = folder / "trytond.conf"
    path.write_text(f"[database]\nuri = sqlite://\npath = {folder}\n[web]\nlisten = {listen}\n[session]\nauthentications = password\n")
    return path


def _prepared() -> Path:
    place = home() / "tryton"
    with alone("tryton"):
        if not (place / f"ready-{_VERSION}").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            run([sys.executable, "-m", "venv", place / "venv"])
            run([place / "venv/bin/python", "-m", "pip", "install", "--quiet", *PACKAGES])
            for database, modules in MODULES.items():
                _create(place, database, modules)
            _seed(place)
            (place / f"ready-{_VERSION}").touch()
    return place


def _create(place: Path, database: str, modules: tuple[str, ...]) -> None:
    (place / f"{database}.sqlite").touch()
    (place / "password").write_text(PASSWORD)
    words = [place / "venv/bin/trytond-admin", "-c", _settings(place, "127.0.0.1:0"), "-d", database, "-u", "ir", "res", *modules]
    run([*words, "--activate-dependencies", "--email", "admin@example.org"], env={"TRYTONPASSFILE": str(place / "password")})


def _seed(place: Path) -> None:
    """A currency, a company and its employee; then a note of it, to come back to."""
    with _started(place, place) as url:
        for database in MODULES:
            person = Person(url, database, LOGIN, PASSWORD)
            person.log_in()
            _found_company(person)
            person.close()
    for database in MODULES:
        with closing(sqlite3.connect(place / f"{database}.sqlite")) as connection, connection:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in there.intersection(_KEPT):
                connection.execute(f'CREATE TABLE "kept_{table}" AS SELECT * FROM "{table}"')  # noqa: S608


def _found_company(person: Person) -> None:
    rate = {"date": {"__class__": "date", "year": 2020, "month": 1, "day": 1}, "rate": {"__class__": "Decimal", "decimal": "1"}}
    euro = {"name": "Euro", "code": "EUR", "symbol": "€", "rates": [["create", [rate]]]}
    (currency,) = person.call("model.currency.currency.create", [euro])
    mail = {"type": "email", "value": PERSON}
    parties = [{"name": "Us"}, {"name": "Ann", "contact_mechanisms": [["create", [mail]]]}]
    ours, ann = person.call("model.party.party.create", parties)
    (company,) = person.call("model.company.company.create", [{"party": ours, "currency": currency}])
    (employee,) = person.call("model.company.employee.create", [{"party": ann, "company": company}], company=company)
    values = {"companies": [["add", [company]]], "company": company, "employees": [["add", [employee]]], "employee": employee}
    person.call("model.res.user.write", [1], values)
