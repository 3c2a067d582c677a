"""A hub on loopback, listening to small systems of the tests' own, and whoever calls on it."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from connectors.asana import push as asana
from connectors.base import Runtime
from connectors.push import TOOL, Delivery, Endpoint, Received, Refused
from connectors.salesforce import push as salesforce
from engine.model import Hint
from flows.configuration import Loaded, load
from flows.endpoints import Endpoints
from flows.settings import Settings
from hub.app import create_app
from hub.body import Limits
from hub.hooks import Listening
from hub.serving import server
from state.database import Database
from state.hub import open_hub
from state.tokens import Role, Tokens
from tests.flows.files import write_files

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = "the sender's key"
SECRET = "s" * 40
TOKENS: Mapping[Role, str] = {"reader": "handoff_reads", "approver": "handoff_approves"}


@dataclass(slots=True)
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)


def signed(body: bytes, key: str = KEY) -> dict[str, str]:
    return {"x-signature": hmac.digest(key.encode(), body, hashlib.sha256).hex()}


def told(*ids: str) -> bytes:
    return json.dumps({"ids": ids}, ensure_ascii=False).encode()


def receive(settings: Any, endpoint: Endpoint, delivery: Delivery) -> Received:
    """A CRM that signs with a key it shares, or with the one of a handshake."""
    if secret := delivery.headers.get("x-hook-secret"):
        if not endpoint.awaited:
            raise Refused(403, "unexpected")
        return Received(handshake=secret, status=204, headers={"X-Hook-Secret": secret})
    if not hmac.compare_digest(delivery.headers.get("x-signature", ""), signed(delivery.body, endpoint.secret or settings)["x-signature"]):
        raise Refused(401, "signature", "the signature is not right")
    ids = json.loads(delivery.body)["ids"]
    return Received(tuple(Hint("deal", id_) for id_ in ids), events=len(ids), body=delivery.url.encode())


def receive_tool(settings: Any, endpoint: Endpoint, delivery: Delivery) -> Received:
    del settings, endpoint, delivery
    return Received((TOOL,), events=1)


SYSTEMS: Mapping[str, Listening] = {
    "salesforce": Listening(receive, KEY, lambda hint: True),
    "asana": Listening(receive_tool, None, lambda hint: True),
    "unread": Listening(receive, KEY, lambda hint: False),
}


def settings(path: Path, url: str = "https://hub.example.com", state: Path | str | None = None, **env: str) -> Settings:
    return Settings(path / "home", state or path / "s.db", env, url)


def configuration(path: Path) -> Loaded:
    folder = path / "home"
    if not folder.exists():
        write_files(folder, {})
    pushes = {"salesforce": salesforce.Settings(organization="00D000000000001"), "asana": asana.Settings()}
    return replace(load(folder, {}, connect=False), pushes=pushes)


@dataclass(slots=True)
class Hub:
    """A hub that answers at `url`. `paths` are its endpoints; `db` reads and writes its database from outside."""

    url: str
    state: Path | str
    endpoints: Endpoints
    clock: Clock
    client: httpx.Client
    clients: list[httpx.Client] = field(default_factory=list)

    def path(self, name: str, resource: str = "") -> str:
        return self.endpoints.path(name, resource)

    def deliver(self, *ids: str, name: str = "salesforce", key: str = KEY, resource: str = "", **options: Any) -> httpx.Response:
        body = told(*ids)
        return self.client.post(self.path(name, resource), content=body, headers=signed(body, key), **options)

    def look(self, work: Callable[[Database], Any]) -> Any:
        with closing(open_hub(self.state, now=self.clock())) as db:
            return work(db)

    def token(self, role: Role = "reader", name: str = "") -> str:
        """A token of somebody's, made the first time."""
        name = name or f"a {role}"
        secret = f"{TOKENS[role]}-{name}"
        if not self.look(lambda db: Tokens(db).named(name)):
            self.look(lambda db: Tokens(db).add(name, role, secret, self.clock()))
        return secret

    def bearer(self, role: Role = "reader", name: str = "") -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(role, name)}"}

    def browser(self) -> httpx.Client:
        """Somebody with cookies of their own."""
        made = httpx.Client(base_url=self.url, timeout=10)
        self.clients.append(made)
        return made

    def signed_in(self, role: Role = "reader", name: str = "") -> httpx.Client:
        made = self.browser()
        answer = made.post("/sign-in", data={"token": self.token(role, name)})
        assert answer.status_code == 303, answer.text
        return made


@contextmanager
def hub(
    path: Path,
    *,
    systems: Mapping[str, Listening] = SYSTEMS,
    url: str = "https://hub.example.com",
    limits: Limits | None = None,
    state: Path | str | None = None,
    behind_proxy: bool = False,
    **env: str,
) -> Iterator[Hub]:
    where, clock = settings(path, url, state, **env), Clock()
    endpoints = Endpoints(SECRET, where.hub_url)
    app = create_app(
        where,
        configuration(path),
        endpoints,
        systems=systems,
        runtime=Runtime(clock=clock),
        limits=limits,
        seconds=clock.seconds,
    )
    ready = threading.Event()
    serving = server(app, host="127.0.0.1", port=0, behind_proxy=behind_proxy, ready=ready.set)
    thread = threading.Thread(target=serving.run)
    thread.start()
    try:
        assert ready.wait(20), "the hub did not start"
        port = serving.servers[0].sockets[0].getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, timeout=10) as client:
            made = Hub(base, where.state, endpoints, clock, client)
            yield made
            for each in made.clients:
                each.close()
    finally:
        serving.should_exit = True
        thread.join(20)
    assert not thread.is_alive()
