"""A real Kanboard on SQLite, unpacked from Debian's packages: PHP and its libraries of this machine's release, the application of sid."""

from __future__ import annotations

import json
import platform
import re
import shutil
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.real.debian import closure, fetch, unpack
from tests.real.place import alone, free_port, home, must, running

_PHP = [
    "php-cli",
    "php-sqlite3",
    "php-mbstring",
    "php-gd",
    "php-xml",
    "php-curl",
    "composer",
    "php-christianriesen-otp",
    "php-eluceo-ical",
    "php-parsedown",
    "php-gregwar-captcha",
    "php-matthiasmullie-minify",
    "php-pimple",
    "php-psr-log",
    "php-swiftmailer",
    "php-symfony-console",
    "php-symfony-event-dispatcher",
    "php-symfony-finder",
    "php-symfony-string",
    "php-symfony-deprecation-contracts",
    "php-symfony-service-contracts",
]
_EXTENSIONS = [
    "ctype",
    "curl",
    "dom",
    "fileinfo",
    "gd",
    "iconv",
    "mbstring",
    "pdo",
    "pdo_sqlite",
    "phar",
    "posix",
    "simplexml",
    "sockets",
    "sqlite3",
    "tokenizer",
    "xml",
    "xmlreader",
    "xmlwriter",
]
_PREPARED = "2"  # counts up when what is prepared changes
_TOKEN = "kanboard-api-token-of-the-tests"
# Of the passwords admin has and ann gets, at the least cost: a user's is worked out for every call.
_HASHES = {
    "admin": "$2y$04$eu9DDUq3BXS9wiR7yP4KW.A4PC5HqddJGPO3cjN1IKsUa/9V1LNFe",
    "ann": "$2y$04$jzqUUCplaJBJjOzcFY7TCOi5B.QGbIpGfRz6/xuEaZryoWLS8WA9y",
}


@dataclass(frozen=True, slots=True)
class Kanboard:
    """A running server. `token` is the application's, `known` the e-mail of somebody who can be assigned; everybody's password is `password`."""

    url: str
    token: str
    database: Path
    version: str
    known: str = "ann@example.com"
    password: str = "a-password-of-the-tests"

    def call(self, method: str, /, **params: Any) -> Any:
        """The result of one call, with the application's rights."""
        return _call(self.url, f"jsonrpc:{self.token}", method, params)

    def call_as(self, login: str, method: str, /, **params: Any) -> Any:
        """The result of one call with the rights of one of its people."""
        return _call(self.url, f"{login}:{self.password}", method, params)

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Straight from the database, or into it."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.row_factory = sqlite3.Row
            connection.execute("pragma foreign_keys = on")
            return connection.execute(query, values).fetchall()

    def push(self, url: str) -> None:
        """Have all that happens told there; nowhere when it is empty."""
        self.rows("insert or replace into settings (option, value) values ('webhook_url', ?)", url)

    def wipe(self) -> None:
        """No projects, and no people but the two it starts with. Ids start again."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.execute("pragma foreign_keys = on")
            connection.execute("delete from projects")
            connection.execute("delete from users where username not in ('admin', 'ann')")
            connection.execute("update users set is_active = 1, notifications_enabled = 0, nb_failed_login = 0, lock_expiration_date = 0")
            connection.execute("delete from user_has_notification_types")
            connection.execute("delete from user_has_unread_notifications")
            connection.execute("delete from settings where option in ('application_timezone', 'board_columns')")
            connection.execute("delete from seen")
        self.rows("pragma wal_checkpoint(truncate)")  # Kanboard leaves its log to grow


@contextmanager
def kanboard() -> Iterator[Kanboard]:
    """A server on a free port with an empty database. Raises Unavailable where its packages cannot be had; any other failure is one."""
    with alone("kanboard"):
        place = _prepared()
    port = free_port()
    data = home() / "kanboard" / f"data-{port}"
    shutil.rmtree(data, ignore_errors=True)
    for folder in ("data", "plugins", "files", "cache"):
        (data / folder).mkdir(parents=True)
    url = f"http://127.0.0.1:{port}"
    words = [_php(place), "-c", place / "php.ini", "-S", f"127.0.0.1:{port}", "-t", place / "app"]
    env = {
        "KANBOARD_DATA": str(data),
        "LD_LIBRARY_PATH": str(place / "root/usr/lib" / f"{platform.machine()}-linux-gnu"),
        "PHP_CLI_SERVER_WORKERS": "2",
        "PHP_INI_SCAN_DIR": "",
    }
    try:
        with running(words, ready=lambda: _answers(url), log=data / "server.log", env=env, cwd=place / "app"):
            yield _seeded(url, data / "data" / "db.sqlite")
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _prepared() -> Path:
    """Program and libraries, unpacked once."""
    place = home() / "kanboard"
    if (place / "prepared").exists() and (place / "prepared").read_text() == _PREPARED:
        return place
    shutil.rmtree(place, ignore_errors=True)
    packages = (*closure(_PHP), fetch("kanboard"))
    with must("Kanboard"):
        for package in packages:
            unpack(package, place / "root")
    app, share = place / "app", place / "root/usr/share"
    shutil.copytree(share / "kanboard", app, symlinks=True)
    for name in ("config.php", ".htaccess", "vendor/app/functions.php"):
        (app / name).unlink()
    (app / "vendor/app/functions.php").symlink_to("../../app/functions.php")
    loader = app / "vendor/autoload.php"
    loader.write_text(re.sub(r"require_once '/usr/share/php/", "require_once '", loader.read_text(encoding="utf-8")), encoding="utf-8")
    (app / "config.php").write_text(_CONFIG, encoding="utf-8")
    (place / "php.ini").write_text(_ini(place, share / "php"), encoding="utf-8")
    (place / "prepared").write_text(_PREPARED)
    return place


_CONFIG = f"""<?php
$data = getenv('KANBOARD_DATA');
define('DATA_DIR', $data.'/data');
define('PLUGINS_DIR', $data.'/plugins');
define('CACHE_DIR', $data.'/cache');
define('FILES_DIR', $data.'/files');
define('DB_DRIVER', 'sqlite');
define('DB_FILENAME', $data.'/data/db.sqlite');
define('API_AUTHENTICATION_TOKEN', '{_TOKEN}');
define('WEBHOOK_ALLOW_PRIVATE_NETWORKS', true);
define('MAIL_CONFIGURATION', false);
define('PLUGIN_INSTALLER', false);
define('SESSION_HANDLER', 'db');
define('LOG_DRIVER', 'stderr');
"""


def _ini(place: Path, share: Path) -> str:
    """The settings of the unpacked PHP; of one that was installed already, just where more libraries are."""
    lines = [f'include_path = ".:{share}:/usr/share/php"', "log_errors = On", "display_errors = Off"]
    if found := sorted((place / "root/usr/lib/php").glob("*/pdo_sqlite.so")):
        lines += [f'extension_dir = "{found[-1].parent}"', *(f"extension = {name}" for name in _EXTENSIONS)]
        lines += ["zend_extension = opcache", "opcache.enable_cli = 1", "opcache.jit = off"]
    return "\n".join(lines) + "\n"


def _php(place: Path) -> Path:
    found = sorted((place / "root/usr/bin").glob("php[0-9]*.[0-9]"))
    return found[-1] if found else Path(shutil.which("php") or "php")


def _answers(url: str) -> bool:
    try:
        return bool(_call(url, f"jsonrpc:{_TOKEN}", "getVersion", {}))
    except (URLError, OSError):
        return False


def _seeded(url: str, database: Path) -> Kanboard:
    server = Kanboard(url, _TOKEN, database, str(_call(url, f"jsonrpc:{_TOKEN}", "getVersion", {})))
    server.call("createUser", username="ann", password=server.password, name="Ann Lee", email=server.known)
    for login, cheap in _HASHES.items():
        server.rows("update users set password = ? where username = ?", cheap, login)
    server.rows("create table seen (name text not null)")  # what any member of a project could ever read as its name
    server.rows(
        "create trigger shown after insert on project_has_users begin"
        " insert into seen select name from projects where id = new.project_id; end"
    )
    server.rows(
        "create trigger renamed after update of name on projects when exists (select 1 from project_has_users where project_id = new.id) begin"
        " insert into seen values (new.name); end"
    )
    return server


def _call(url: str, credentials: str, method: str, params: dict[str, Any]) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "method": method, "id": 1, "params": params}).encode()
    headers = {"Authorization": "Basic " + b64encode(credentials.encode()).decode(), "Content-Type": "application/json"}
    with urlopen(Request(f"{url}/jsonrpc.php", body, headers), timeout=30) as answer:  # noqa: S310 - our own address
        said = json.load(answer)
    if "error" in said:
        raise AssertionError(said["error"])
    return said["result"]
