"""Calling Odoo: two protocols behind one call, and errors told by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.base import Ambiguous, AuthError, ConfigError, ConnectorError, Gone, RateLimited, Rejected, Runtime, Transient
from connectors.http import Effect
from connectors.odoo import Connection
from connectors.odoo.errors import Denied, NotThere, WrongRequest
from connectors.odoo.rpc import Rpc
from sandbox.web import InProcess, Reply, Request, Sandbox
from tests.conformance.source import Clock

URL = "http://odoo.test"
KEY = "0123456789abcdef"


class Server:
    """Answers by path, and keeps what it was asked."""

    def __init__(self, answers: Mapping[str, Reply]) -> None:
        self.answers = answers
        self.asked: list[Request] = []

    def handle(self, request: Request) -> Reply:
        self.asked.append(request)
        return self.answers.get(request.path) or Reply(404, b"<h1>Not Found</h1>", {"Content-Type": "text/html"})

    def admit(self, request: Request) -> Reply | None:
        return None

    def release(self, request: Request) -> None:
        return None

    def bodies(self) -> list[Any]:
        return [json.loads(each.body) for each in self.asked if each.body]


def rpc(server: Server, **settings: object) -> Rpc:
    clock = Clock()
    connection = Connection.model_validate({"url": URL, "key": KEY, "protocol": "json2", **settings})
    return Rpc(connection, Runtime(clock=clock, sleep=clock.sleep, transport=InProcess({URL: Sandbox(server)})))


def fault(name: str, message: str = "no", status: int = 500) -> Reply:
    return Reply.json(
        status, {"name": name, "message": message, "arguments": [], "context": {}, "debug": "Traceback in /opt/odoo/secret.py"}
    )


def envelope(**content: object) -> Reply:
    return Reply.json(200, {"jsonrpc": "2.0", "id": 1, **content})


async def told(reply: Reply, effect: Effect = Effect.READ) -> tuple[ConnectorError, int]:
    """The error a call ends with, and how often it was sent."""
    server = Server({"/json/2/crm.lead/write": reply})
    async with rpc(server) as client:
        with pytest.raises(ConnectorError) as caught:
            await client.call("crm.lead", "write", effect=effect, ids=[1], vals={})
        return caught.value, client.calls


async def test_json2_carries_the_key_the_database_and_one_flat_body() -> None:
    server = Server({"/json/2/crm.lead/write": Reply.json(200, True)})
    async with rpc(server, database="acme") as client:
        assert await client.call("crm.lead", "write", effect=Effect.REPEATABLE, ids=[7], vals={"name": "Größe"}) is True
    (request,) = server.asked
    assert request.headers["authorization"] == f"bearer {KEY}"
    assert request.headers["x-odoo-database"] == "acme"
    assert server.bodies() == [{"ids": [7], "context": {"lang": "en_US", "active_test": False}, "vals": {"name": "Größe"}}]


async def test_jsonrpc_signs_in_once_and_gives_by_place_what_older_servers_want_there() -> None:
    server = Server({"/jsonrpc": envelope(result=2)})
    async with rpc(server, protocol="jsonrpc", database="acme", login="bot") as client:
        for _ in range(2):
            await client.call("crm.lead", "create", effect=Effect.CREATE, vals_list=[{"name": "x"}])
    services = [body["params"]["service"] for body in server.bodies()]
    assert services == ["common", "object", "object"]
    args = server.bodies()[-1]["params"]["args"]
    context = {"lang": "en_US", "active_test": False}
    assert args == ["acme", 2, KEY, "crm.lead", "create", [[{"name": "x"}]], {"context": context}]


async def test_the_servers_version_decides() -> None:
    new = Server({"/web/version": Reply.json(200, {"version_info": [19, 0, 0, "final", 0, ""]}), "/json/2/m/f": Reply.json(200, [1])})
    async with rpc(new, protocol="auto") as client:
        assert await client.call("m", "f", effect=Effect.READ) == [1]
    old = Server({"/jsonrpc": envelope(result={"server_version_info": ["saas~16", 3, 0, "final", 0, ""]})})
    async with rpc(old, protocol="auto") as client:
        assert await client.version() == (16, 3)
        with pytest.raises(ConfigError, match="older than JSON-2"):
            await client.call("m", "f", effect=Effect.READ)


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("werkzeug.exceptions.Unauthorized", 401, AuthError),
        ("odoo.exceptions.AccessDenied", 403, AuthError),
        ("odoo.exceptions.AccessError", 403, Denied),
        ("odoo.exceptions.MissingError", 404, Gone),
        ("odoo.exceptions.ValidationError", 422, Rejected),
        ("werkzeug.exceptions.NotFound", 404, NotThere),
        ("builtins.ValueError", 500, WrongRequest),
        ("builtins.TypeError", 500, WrongRequest),
    ],
)
async def test_an_error_is_what_its_name_says_and_is_not_sent_again(name: str, status: int, kind: type[ConnectorError]) -> None:
    for effect in Effect:
        error, sent = await told(fault(name, status=status), effect)
        assert isinstance(error, kind)
        assert (sent, error.system) == (1, "odoo")
        assert "Traceback" not in str(error)
    over = Server({"/jsonrpc": envelope(error={"code": 0, "message": "Odoo Server Error", "data": {"name": name, "message": "no"}})})
    async with rpc(over, protocol="jsonrpc", database="acme", login="bot") as client:
        with pytest.raises(kind):
            await client.call("crm.lead", "write", effect=Effect.READ, ids=[1], vals={})
    assert len(over.asked) == 1


@pytest.mark.parametrize("name", ["psycopg2.errors.SerializationFailure", "odoo.exceptions.ConcurrencyError"])
async def test_a_conflict_of_transactions_was_not_done_and_is_tried_again_where_that_is_harmless(name: str) -> None:
    error, sent = await told(fault(name), Effect.REPEATABLE)
    assert isinstance(error, Transient)
    assert sent == 5
    error, sent = await told(fault(name), Effect.CREATE)
    assert isinstance(error, Transient)
    assert sent == 1


@pytest.mark.parametrize("reply", [fault("psycopg2.OperationalError"), Reply(502, b"<html>"), Reply(200, b"<html>"), Reply(200, b"")])
async def test_an_answer_that_tells_nothing_leaves_a_creation_in_doubt(reply: Reply) -> None:
    assert isinstance((await told(reply, Effect.CREATE))[0], Ambiguous)
    assert isinstance((await told(reply, Effect.READ))[0], Transient)


async def test_a_method_that_returns_nothing_is_done() -> None:
    async with rpc(Server({"/json/2/crm.lead/action_set_lost": Reply(200, b"null")})) as client:
        assert await client.call("crm.lead", "action_set_lost", effect=Effect.REPEATABLE, ids=[1]) is None
    server = Server({"/jsonrpc": envelope(result=2)})
    async with rpc(server, protocol="jsonrpc", database="acme", login="bot") as client:
        await client.uid()
        server.answers = {"/jsonrpc": envelope()}
        assert await client.call("crm.lead", "action_set_lost", effect=Effect.REPEATABLE, ids=[1]) is None


async def test_an_address_without_an_odoo_names_the_setting() -> None:
    for reply in (Reply(404, b"<h1>nothing here"), Reply(301, b"", {"Location": "https://odoo.test/"})):
        error, _ = await told(reply)
        assert isinstance(error, ConfigError)
        assert error.problems[0].path == ("connection", "url")


async def test_too_many_requests_is_waited_for() -> None:
    error, sent = await told(Reply(429, b"slow down", {"Retry-After": "3"}), Effect.CREATE)
    assert isinstance(error, RateLimited)
    assert (error.retry_after, sent) == (3.0, 5)


def test_a_connection_says_what_is_missing_and_shows_no_secret() -> None:
    connection = Connection.model_validate({"url": URL, "key": KEY, "password": "hunter2"})
    assert KEY not in repr(connection)
    assert "hunter2" not in repr(connection)
    wrong: list[tuple[dict[str, str], str]] = [
        ({"url": URL}, "key is needed"),
        ({"url": "odoo.test", "key": KEY}, "url must be"),
        ({"url": "http://me:pw@odoo.test", "key": KEY}, "url must be"),
        ({"url": "http://odoo.test/odoo/crm", "key": KEY}, "url must be"),
        ({"url": URL, "password": "x", "protocol": "json2"}, "key is needed"),
        ({"url": URL, "key": KEY, "protocol": "jsonrpc"}, "login and database"),
    ]
    for settings, words in wrong:
        with pytest.raises(ValidationError, match=words) as caught:
            Connection.model_validate(settings)
        assert KEY not in str(caught.value)


def test_a_key_that_would_travel_in_the_clear_is_warned_of() -> None:
    told = {
        url: Connection.model_validate({"url": url, "key": KEY}).warnings for url in (URL, "http://127.0.0.1:8069", "https://odoo.test")
    }
    assert [bool(warnings) for warnings in told.values()] == [True, False, False]
