"""The hub as a process: it starts by its verb, ends in order when asked to, and what it acknowledged survives being killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from connectors.base import utc_now
from flows.endpoints import endpoints
from flows.settings import Settings
from hub.command import warnings
from state.hub import open_hub
from state.inbox import Inbox
from tests.flows.desk import HANDOFF, wait_for
from tests.flows.files import ASANA, SALESFORCE, write_files

ORGANIZATION = "00D000000000001"
SECRET = "s" * 40


def message(*ids: str) -> bytes:
    told = "".join(
        f'<Notification><Id>n{id_}</Id><sObject xsi:type="sf:Opportunity"><sf:Id>{id_}</sf:Id></sObject></Notification>' for id_ in ids
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"<OrganizationId>{ORGANIZATION}</OrganizationId>{told}</notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


class Running:
    """A hub in a process of its own."""

    def __init__(self, path: Path, *words: str, command: Sequence[str] = (str(HANDOFF), "hub"), **env: str) -> None:
        self.path, self.state = path, path / "s.db"
        if not (path / "home").exists():
            push = f"push:\n  organization: {ORGANIZATION}\nread:"
            write_files(path / "home", {"mappings/salesforce.yaml": SALESFORCE.replace("read:", push, 1), "mappings/asana.yaml": ASANA})
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(  # noqa: S603 - the command itself
            [*command, "-C", str(path / "home"), "--state", str(self.state), "--port", str(self.port), *words],
            env={**keep, "HANDOFF_HUB_SECRET": SECRET, "TOKEN": "t", "WORKSPACE": "1", "TEAM": "2", **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.path_of = endpoints(Settings(path, self.state, {"HANDOFF_HUB_SECRET": SECRET})).path

    def up(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def deliver(self, client: httpx.Client, *ids: str) -> bool:
        """Whether it was acknowledged."""
        try:
            answer = client.post(f"{self.url}{self.path_of('salesforce')}", content=message(*ids), headers={"content-type": "text/xml"})
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and b"<Ack>true</Ack>" in answer.content

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out, err

    def kept(self) -> set[str]:
        with closing(open_hub(self.state, now=utc_now())) as db:
            return {told.hint.id for told in Inbox(db).take(["salesforce"], most=1_000_000)}


@contextmanager
def running(path: Path, *words: str, command: Sequence[str] = (str(HANDOFF), "hub"), **env: str) -> Iterator[Running]:
    made = Running(path, *words, command=command, **env)
    try:
        wait_for(made.up, 40)
        yield made
    finally:
        if made.process.poll() is None:
            os.killpg(made.process.pid, signal.SIGKILL)
        if made.process.stdout is not None and not made.process.stdout.closed:
            made.process.communicate()


def test_what_was_acknowledged_survives_a_kill_in_the_middle(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    with running(tmp_path) as hub:

        def send(crowd: int) -> None:
            with httpx.Client(timeout=10) as client:
                number = 0
                while hub.deliver(client, id_ := f"006{crowd:02}{number:010}"):
                    acknowledged.add(id_)
                    number += 1

        threads = [threading.Thread(target=send, args=(crowd,)) for crowd in range(6)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(acknowledged) > 400, 60)
        hub.process.kill()
        for thread in threads:
            thread.join()
        assert acknowledged - hub.kept() == set()
        assert len(acknowledged) > 400


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_when_it_is_asked_to(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as hub, httpx.Client() as client:
        assert hub.deliver(client, "006000000000001")
        with socket.create_connection(("127.0.0.1", hub.port)) as idle:
            idle.sendall(f"POST {hub.path_of('salesforce')} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n".encode())
            code, _, err = hub.end(number)
        assert code == 130
        assert "Traceback" not in err
        assert hub.kept() == {"006000000000001"}


def test_as_a_child_of_a_service_that_was_killed_it_ends(tmp_path: Path) -> None:
    with running(tmp_path, command=(sys.executable, "-m", "hub", "--child")) as hub:
        assert hub.process.stdin is not None
        hub.process.stdin.close()
        hub.process.stdin = None
        assert hub.process.wait(timeout=30) == 130


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        second = Running(tmp_path, "--port", str(hub.port))
        _, err = second.process.communicate(timeout=40)
        assert second.process.returncode == 6
        assert "choose another with --port" in err
        assert "Traceback" not in err


def test_a_state_that_cannot_be_is_said_so_before_it_listens(tmp_path: Path) -> None:
    (tmp_path / "s.hub.db").write_text("something else entirely")
    made = Running(tmp_path)
    _, err = made.process.communicate(timeout=40)
    assert made.process.returncode == 6
    assert "not a handoff state file" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("host", "url", "warned"),
    [
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),  # noqa: S104
        ("192.168.1.4", "http://hub.example.com", True),
        ("0.0.0.0", "https://hub.example.com", False),  # noqa: S104
    ],
)
def test_listening_where_others_reach_it_without_tls_is_warned_of(host: str, url: str, warned: bool) -> None:
    assert bool(warnings(host, url)) == warned


def test_the_verb_takes_no_state_of_the_folder_it_is_started_in_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "hub.py").write_text("raise SystemExit('not me')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hub", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0
    assert "Take in what systems push" in done.stdout
