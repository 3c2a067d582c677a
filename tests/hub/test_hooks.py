"""What comes in by push, over a real socket: what is genuine is stored before it is acknowledged, anything else is refused and counted."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base import StateError
from connectors.push import Delivery, Endpoint, Received
from engine.model import Hint
from hub import serving
from hub.body import Limits
from hub.hooks import Listening
from state.hub import open_hub
from state.inbox import Inbox, Told
from state.subscriptions import Subscriptions
from tests import disk
from tests.flows.desk import wait_for
from tests.hub import rig
from tests.hub.rig import Hub, signed, told


def hints(hub: Hub, *systems: str) -> list[Told]:
    return list(hub.look(lambda db: Inbox(db).take(systems or ["salesforce", "asana", "unread"])))


def refused(hub: Hub) -> dict[tuple[str, str], int]:
    found = hub.look(lambda db: Inbox(db).refusals())
    return {place: count for place, count in found.items() if count}


def will_be_refused(hub: Hub, expected: dict[tuple[str, str], int]) -> bool:
    wait_for(lambda: refused(hub) == expected, 10)
    return True


def test_a_genuine_delivery_is_in_the_database_once_it_is_acknowledged(hub: Hub) -> None:
    answer = hub.deliver("1", "2")
    assert answer.status_code == 200
    assert [one.source for one in hints(hub)] == ["salesforce:deal:1", "salesforce:deal:2"]
    feed = hub.look(lambda db: Inbox(db).feeds())["salesforce"]
    assert (feed.deliveries, feed.events, feed.last_at) == (1, 2, hub.clock())


def test_the_delivery_is_read_with_the_address_the_sender_called(hub: Hub) -> None:
    body = told("1")
    answer = hub.client.post(f"{hub.path('salesforce')}?a=b%20c", content=body, headers=signed(body) | {"host": "elsewhere.example"})
    assert answer.text == f"https://hub.example.com{hub.path('salesforce')}?a=b%20c"


def test_many_at_once_share_commits_and_each_is_stored(hub: Hub) -> None:
    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(lambda number: hub.deliver(str(number % 50)).status_code, range(400)))
    assert set(answers) == {200}
    assert sum(one.count for one in hints(hub)) == 400
    assert len(hints(hub)) == 50


@pytest.mark.parametrize(
    "change", [lambda p: p[:-1] + "x", lambda p: f"{p}/9", lambda p: p.replace("salesforce", "asana"), lambda p: "/hooks/a"]
)
def test_a_path_that_is_not_one_is_not_found_and_counted_without_a_name(hub: Hub, change: Callable[[str], str]) -> None:
    body = told("1")
    answer = hub.client.post(change(hub.path("salesforce")), content=body, headers=signed(body))
    assert (answer.status_code, hints(hub)) == (404, [])
    assert will_be_refused(hub, {("", "path"): 1})


def test_a_wrong_signature_is_refused_counted_and_logged_without_content_or_address(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "handoff.hub"):
        answer = hub.deliver("the customer's words", key="not the key")
    assert (answer.status_code, hints(hub)) == (401, [])
    assert will_be_refused(hub, {("salesforce", "signature"): 1})
    (record,) = caplog.records
    logged = json.dumps(vars(record), default=str)
    assert "/hooks/salesforce/…" in vars(record)["path"]
    assert hub.path("salesforce").split("/")[3] not in logged
    assert "words" not in logged


def test_a_body_above_the_limit_is_refused_before_it_is_read(hub: Hub) -> None:
    head = f"POST {hub.path('salesforce')} HTTP/1.1\r\nhost: x\r\ncontent-length: {2 << 20}\r\n\r\n"
    with socket.create_connection((hub.client.base_url.host, hub.client.base_url.port)) as line:
        line.sendall(head.encode())
        line.settimeout(5)
        assert line.recv(100).startswith(b"HTTP/1.1 413")
    assert will_be_refused(hub, {("salesforce", "size"): 1})


def test_a_body_that_does_not_say_how_long_it_is_ends_at_the_limit(tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 1024

    with rig.hub(tmp_path, limits=Limits(body=4096)) as hub:
        answer = hub.client.post(hub.path("salesforce"), content=endless())
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_compressed_bodies_are_refused_unread(hub: Hub) -> None:
    body = gzip.compress(told("1"))
    answer = hub.client.post(hub.path("salesforce"), content=body, headers=signed(body) | {"content-encoding": "gzip"})
    assert (answer.status_code, hints(hub)) == (415, [])


def test_a_body_that_dawdles_is_given_up(tmp_path: Path) -> None:
    with rig.hub(tmp_path, limits=Limits(seconds=0.2)) as hub, closing(_dial(hub)) as line:
        line.sendall(f"POST {hub.path('salesforce')} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 408")


def _dial(hub: Hub) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", int(hub.url.rsplit(":", 1)[1])))
    line.settimeout(10)
    return line


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"])
def test_a_head_that_dawdles_ends_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    monkeypatch.setattr(serving, "_HEADERS_WITHIN", 1.0)
    with rig.hub(tmp_path) as hub, closing(_dial(hub)) as line:
        line.sendall(before)
        if before:
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
        line.sendall(b"POST /hooks/")
        assert line.recv(100) == b""


def test_bodies_held_at_once_are_bounded_and_what_is_refused_for_that_may_come_again(tmp_path: Path) -> None:
    with rig.hub(tmp_path, limits=Limits(held=50)) as hub, closing(_dial(hub)) as line:
        line.sendall(f"POST {hub.path('salesforce')} HTTP/1.1\r\nhost: x\r\ncontent-length: 60\r\n\r\n{'x' * 45}".encode())
        wait_for(lambda: hub.deliver("1").status_code == 503)
        assert hub.deliver("1").headers["retry-after"] == "5"
        line.close()
        wait_for(lambda: hub.deliver("1").status_code == 200)


def test_whoever_is_refused_too_often_is_not_listened_to_for_a_while_and_others_are(tmp_path: Path) -> None:
    with rig.hub(tmp_path, behind_proxy=True) as hub:
        bad = {"x-forwarded-for": "198.51.100.7"}
        answers = [hub.client.post(hub.path("salesforce"), content=b"{}", headers=bad).status_code for _ in range(70)]
        assert (answers[0], answers[-1], answers.count(401)) == (401, 429, 60)
        body = told("1")
        assert hub.client.post(hub.path("salesforce"), content=body, headers=signed(body)).status_code == 200
        assert hub.client.post(hub.path("unread"), content=body, headers=signed(body) | bad).status_code == 200
        hub.clock.move(seconds=2)
        assert hub.client.post(hub.path("salesforce"), content=body, headers=signed(body) | bad).status_code == 200


def test_who_was_genuine_is_listened_to_however_much_goes_wrong_in_its_name(hub: Hub) -> None:
    assert hub.deliver("1").status_code == 200
    assert [hub.deliver("1", key="no").status_code for _ in range(80)] == [401] * 80
    assert hub.deliver("2").status_code == 200


def test_hints_nobody_reads_are_acknowledged_and_counted_and_not_kept(hub: Hub) -> None:
    assert hub.deliver("1", name="unread").status_code == 200
    assert hints(hub) == []
    assert hub.look(lambda db: Inbox(db).feeds())["unread"].deliveries == 1


@pytest.mark.parametrize("id_", ["", "x" * 201, "a\nb", "\ud800"])
def test_an_id_that_cannot_be_one_does_not_spoil_what_came_with_it(tmp_path: Path, id_: str) -> None:
    def names(settings: Any, endpoint: Endpoint, delivery: Delivery) -> Received:
        return Received((Hint("deal", id_),), events=1)

    systems = {**rig.SYSTEMS, "odd": Listening(names, None, lambda hint: True)}
    with rig.hub(tmp_path, systems=systems) as hub, ThreadPoolExecutor(2) as crowd:
        odd = crowd.submit(hub.client.post, hub.path("odd"))
        assert hub.deliver("1").status_code == 200
        assert odd.result().status_code == 400
        assert [one.hint.id for one in hints(hub)] == ["1"]


def test_a_delivery_that_breaks_its_reader_is_refused_and_the_next_is_read(hub: Hub) -> None:
    body = b"[not json"
    assert hub.client.post(hub.path("salesforce"), content=body, headers=signed(body)).status_code == 500
    assert hub.deliver("1").status_code == 200


def test_a_delivery_of_too_many_records_is_refused(tmp_path: Path) -> None:
    with rig.hub(tmp_path, limits=Limits(hints=3)) as hub:
        assert hub.deliver("1", "2", "3", "4").status_code == 413
        assert hub.deliver("1", "2", "3").status_code == 200


def test_a_handshake_is_taken_while_it_is_awaited_and_its_secret_is_kept_sealed(hub: Hub) -> None:
    shake = {"x-hook-secret": "from the tool"}
    path = hub.path("salesforce", "12")
    assert hub.client.post(path, headers=shake).status_code == 403
    hub.look(lambda db: Subscriptions(db).await_handshake("salesforce", "12", hub.clock()))  # another process, just now
    answer = hub.client.post(path, headers=shake)
    assert (answer.status_code, answer.headers["x-hook-secret"]) == (204, "from the tool")
    assert "from the tool" not in repr(hub.look(lambda db: Subscriptions(db).get("salesforce", "12")))
    assert hub.deliver("1", resource="12", key="from the tool").status_code == 200
    assert hub.client.post(path, headers={"x-hook-secret": "somebody else's"}).status_code == 403
    assert hub.deliver("2", resource="12", key="from the tool").status_code == 200


def test_of_two_handshakes_at_once_one_is_taken(hub: Hub) -> None:
    path = hub.path("salesforce", "12")
    hub.look(lambda db: Subscriptions(db).await_handshake("salesforce", "12", hub.clock()))
    with ThreadPoolExecutor(4) as crowd:
        statuses = list(crowd.map(lambda n: hub.client.post(path, headers={"x-hook-secret": f"s{n}"}).status_code, range(4)))
    assert sorted(statuses) == [204, 403, 403, 403]


def test_a_handshake_is_not_taken_when_its_time_is_over(hub: Hub) -> None:
    hub.look(lambda db: Subscriptions(db).await_handshake("salesforce", "12", hub.clock()))
    hub.clock.move(minutes=6)
    assert hub.client.post(hub.path("salesforce", "12"), headers={"x-hook-secret": "late"}).status_code == 403


class Flaky:
    """A disk that is full for a while."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.full = False
        store = Inbox.store

        def stores(inbox: Inbox, *arguments: Any) -> None:
            if self.full:
                raise StateError("the disk is full")
            store(inbox, *arguments)

        patch.setattr(Inbox, "store", stores)


def test_what_cannot_be_stored_is_not_acknowledged_and_once_it_can_it_is(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Flaky(monkeypatch)
    disk.full = True
    with ThreadPoolExecutor(8) as crowd:
        assert set(crowd.map(lambda n: hub.deliver(str(n)).status_code, range(8))) == {503}
    disk.full = False
    assert hints(hub) == []
    assert hub.deliver("9").status_code == 200
    assert [one.hint.id for one in hints(hub)] == ["9"]


def test_a_disk_that_is_full_refuses_what_comes_and_with_room_again_takes_it(small_disk: Path, tmp_path: Path) -> None:
    ballast = small_disk / "ballast"
    with rig.hub(tmp_path, state=small_disk / "s.db") as hub:
        assert hub.deliver("first").status_code == 200
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        statuses = [hub.deliver(*(f"{batch:03}{n:05}" for n in range(500))).status_code for batch in range(20)]
        assert statuses[-1] == 503
        kept = {one.hint.id for one in Inbox(open_hub(hub.state, now=hub.clock(), read_only=True)).take(["salesforce"], most=100_000)}
        assert kept == {"first", *(f"{batch:03}{n:05}" for batch, status in enumerate(statuses) if status == 200 for n in range(500))}
        ballast.unlink()
        assert hub.deliver("last").status_code == 200
        assert "last" in {one.hint.id for one in hub.look(lambda db: Inbox(db).take(["salesforce"], most=100_000))}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for little."""
    with disk.small_disk(tmp_path / "disk", "1m") as place:
        yield place


def test_it_works_the_same_on_postgresql(tmp_path: Path, fresh_state: Callable[[], str]) -> None:
    with rig.hub(tmp_path, state=fresh_state()) as hub:
        with ThreadPoolExecutor(8) as crowd:
            assert set(crowd.map(lambda n: hub.deliver(str(n % 5)).status_code, range(50))) == {200}
        assert sum(one.count for one in hints(hub)) == 50
        assert hub.client.get("/approvals", headers=hub.bearer()).status_code == 200


def test_a_connection_to_postgresql_that_is_lost_is_made_again(tmp_path: Path, fresh_state: Callable[[], str]) -> None:
    with rig.hub(tmp_path, state=fresh_state()) as hub:
        assert hub.deliver("1").status_code == 200
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'handoff'"
        hub.look(lambda db: db.execute(others).fetchall())
        wait_for(lambda: hub.deliver("2").status_code == 200)
        assert {one.hint.id for one in hints(hub)} == {"1", "2"}


def test_what_was_taken_is_committed_and_answered_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go = threading.Event(), threading.Event()
    store = Inbox.store

    def slowly(inbox: Inbox, *arguments: Any) -> None:
        began.set()
        go.wait(10)
        store(inbox, *arguments)

    monkeypatch.setattr(Inbox, "store", slowly)
    with ThreadPoolExecutor(1) as crowd:
        with rig.hub(tmp_path) as hub:
            waiting = crowd.submit(httpx.post, f"{hub.url}{hub.path('salesforce')}", content=told("1"), headers=signed(told("1")))
            assert began.wait(10)
            threading.Timer(0.2, go.set).start()
        assert waiting.result().status_code == 200
    assert [one.hint.id for one in hints(hub)] == ["1"]


def test_who_asks_several_things_at_once_and_is_gone_before_the_answers_fills_no_log(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    host, port = hub.url.removeprefix("http://").split(":")
    with closing(open_hub(hub.state, now=hub.clock())) as db, db.atomic():  # so that `/readyz` has to wait
        with socket.create_connection((host, int(port))) as asker:
            asker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone without a word
            asker.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path for path in (b"/healthz", b"/readyz", b"/healthz")))
            assert asker.recv(1000).startswith(b"HTTP/1.1 200")
        assert [hub.client.get("/healthz").status_code for _ in range(3)] == [200] * 3
    assert hub.client.get("/readyz").status_code == 503
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []
