"""The vendor's own client as a backend: it sends, and does nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
import urllib3

from connectors.base import ConfigError, Runtime, Transient
from connectors.zoho import ZohoSource, sdk
from connectors.zoho.sdk import SdkTransport
from engine.model import Read
from tests.conformance.source import Rig, pull, some
from tests.connectors.zoho_rig import Street, rig, street

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def over() -> Iterator[Street]:
    with street() as built:
        yield built


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """In a process of its own: the client's log, its field descriptions and its stand-in driver are gone when it is ready."""
    code = (
        "import os, sys, logging; from connectors.zoho.sdk import sdk; sdk();"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'mysql'];"
        "assert logging.getLogger('SDKLogger').handlers == []; print(os.listdir('.'), os.listdir(os.environ['TMPDIR']))"
    )
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch), "HOME": str(work), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=env, capture_output=True, text=True, check=False)  # noqa: S603 – ours
    assert done.stdout.strip() == "[] []", done.stderr


async def test_what_it_logs_is_not_heard(over: Street, caplog: pytest.LogCaptureFixture) -> None:
    crm, make = rig(over=over, backend="zcrmsdk")
    crm.add(["deal"])
    with caplog.at_level(logging.DEBUG):
        await pull(Rig(crm, make))
    told = caplog.text
    assert not [secret for secret in crm.secrets if secret in told]
    assert not [record for record in caplog.records if record.name == "SDKLogger"]


async def test_it_goes_over_the_vendors_client_and_keeps_its_connections(over: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    fired = 0
    real = sdk.sdk().connector.fire_request

    def counting(self: object, converter: object) -> object:
        nonlocal fired
        fired += 1
        return real(self, converter)

    monkeypatch.setattr(sdk.sdk().connector, "fire_request", counting)
    opened: list[object] = []
    connect = urllib3.connection.HTTPConnection.connect

    def noting(self: urllib3.connection.HTTPConnection) -> None:
        opened.append(self)
        connect(self)

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", noting)
    crm, make = rig({"deal": Read("Deals", ("Deal_Name",))}, over=over, backend="zcrmsdk")
    crm.add(some(90))
    await pull(Rig(crm, make))
    assert fired == sum(count for name, count in crm.app.calls.items() if name != "token") > 20
    assert len(opened) == 1, "requests after one another share a connection"


async def test_a_server_that_is_silent_does_not_hold_it_for_ever() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        transport = SdkTransport(2)
        async with httpx.AsyncClient(transport=transport, timeout=0.3) as client:
            began = time.monotonic()
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"http://127.0.0.1:{silent.getsockname()[1]}/crm/v8/Deals")
            assert time.monotonic() - began < 5


async def test_a_connection_that_was_never_made_is_told_from_one_that_broke() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    async with httpx.AsyncClient(transport=SdkTransport(2)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/crm/v8/Deals")


async def test_two_accounts_at_once_keep_their_tokens_apart(over: Street) -> None:
    (one, make_one), (other, make_other) = rig(over=over, backend="zcrmsdk"), rig(over=over, backend="zcrmsdk")
    one.add(["one"])
    other.add(["other"])
    other.app.oauth.issued = 500
    mine, theirs = await asyncio.gather(pull(Rig(one, make_one)), pull(Rig(other, make_other)))
    assert [one.name(record) for record in mine.records] == ["one"]
    assert [other.name(record) for record in theirs.records] == ["other"]


async def test_no_redirect_takes_the_token_elsewhere_and_no_netrc_replaces_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            seen.append(connection.recv(65_536))
            connection.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
            )

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        transport = SdkTransport(1)
        async with httpx.AsyncClient(transport=transport) as client:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}/crm/v8/Deals?fields=a%2Cb"
            answer = await client.get(address, headers={"Authorization": "Zoho-oauthtoken t"})
        thread.join()
    assert answer.status_code == 302
    assert b"GET /crm/v8/Deals?fields=a%2Cb HTTP/1.1" in seen[0]
    assert b"Authorization: Zoho-oauthtoken t" in seen[0]
    assert b"Basic" not in seen[0]


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "_ready", None)
    monkeypatch.setattr(sdk, "PARTS", {"connector": "zcrmsdk_that_is_not_there"})
    with pytest.raises(ConfigError) as caught:
        rig(backend="zcrmsdk")[1]()
    (problem,) = caught.value.problems
    assert "handoff[zcrmsdk]" in problem.hint
    assert problem.path == ("connection", "backend")


async def test_used_without_a_server_it_is_transient(over: Street) -> None:
    crm, make = rig(over=over, backend="zcrmsdk")
    made = make()
    settings = made._connection.model_copy(update={"api_url": "http://127.0.0.1:1"})
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep)
    async with ZohoSource(settings, made._reads, runtime=runtime) as source:
        with pytest.raises(Transient, match="cannot reach"):
            await source.read("deal", ["1"])


async def test_others_in_the_process_who_use_the_client_are_not_disturbed(over: Street) -> None:
    crm, make = rig(over=over, backend="zcrmsdk")
    crm.add(["deal"])
    await pull(Rig(crm, make))
    connector = sys.modules[sdk.PARTS["connector"]]
    assert connector.requests.get is requests.get
    assert connector.requests.Session is requests.Session
