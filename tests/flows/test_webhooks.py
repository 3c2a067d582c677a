"""`handoff webhooks`: systems are asked to push, over TCP, to a hub in a process of its own; and what is wrong with pushes is noticed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base import ConfigError, Runtime
from engine.model import Hint
from flows.configuration import load
from flows.settings import Settings
from flows.subscribing import Asked, Webhooks, keep_up
from flows.webhooks import Standing, alarms
from state.codec import stamp
from state.hub import open_hub
from state.inbox import Arrivals, Feed, Inbox
from state.subscriptions import Subscribed, Subscriptions
from tests.flows.desk import Desk, desk, local, wait_for
from tests.flows.test_cli_sync import won

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET = "s" * 40


def pushed(salesforce: str = "{organization: 00D000000000001EAA}", asana: str = "{}") -> dict[str, str]:
    files = local({})
    files["mappings/salesforce.yaml"] += f"push: {salesforce}\n"
    files["mappings/asana.yaml"] += f"push: {asana}\n"
    return files


class Office:
    """A desk whose systems push, or are to."""

    def __init__(self, at: Desk, port: int) -> None:
        self.desk, self.world, self.url = at, at.world, f"http://127.0.0.1:{port}"
        self.port = port
        at.env |= {"HANDOFF_HUB_URL": self.url, "HANDOFF_HUB_SECRET": SECRET}
        at.world.configure(pushed(f"{{organization: {at.world.org.id}}}"))

    def open(self) -> None:
        """A hub, in a process of its own."""
        self.desk.start("hub", "--port", str(self.port))
        wait_for(self._answers)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def inbox(self, work: Any) -> Any:
        with closing(open_hub(self.desk.state, now=datetime.now(UTC))) as db:
            return work(Inbox(db))

    def hints(self, system: str) -> set[tuple[str, str]]:
        return {(told.hint.kind, told.hint.id) for told in self.inbox(lambda inbox: inbox.take([system]))}

    def feed(self, system: str) -> Feed:
        found: Feed = self.inbox(lambda inbox: inbox.feeds()[system])
        return found

    def subscriptions(self) -> list[Subscribed]:
        with closing(open_hub(self.desk.state, now=datetime.now(UTC))) as db:
            return Subscriptions(db).all()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with desk(tmp_path) as at, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        held.close()
        yield Office(at, port)


def test_from_being_asked_to_a_hint_over_tcp(office: Office) -> None:
    world = office.world
    won(office.desk)
    office.desk.do("sync")
    [project] = world.projects()
    office.open()
    asked = office.desk.told("webhooks", "register")
    salesforce, asana = sorted(asked, key=lambda one: str(one["name"]), reverse=True)
    assert [(one["resource"], one["healthy"]) for one in asana["subscriptions"]] == [(project, True)]
    assert salesforce["address"] in salesforce["by_hand"]
    assert salesforce["address"].startswith(f"{office.url}/hooks/salesforce/")
    assert SECRET not in str(asked)

    wait_for(lambda: office.feed("asana").deliveries == 2)  # the handshake, the first heartbeat
    assert office.hints("asana") == set()
    world.board.complete_task(world.task("Scope")["gid"], by=world.person)
    wait_for(lambda: office.hints("asana") == {("tool", "")})

    world.sf.push_to(salesforce["address"], ("Opportunity", "Account"))
    deal, account = world.deal(), world.account()
    wait_for(lambda: office.hints("salesforce") == {("deal", deal), ("customer", account)})
    assert (office.feed("salesforce").refused, world.sf.outbound.given_up) == ({}, [])
    wait_for(lambda: world.sf.sender.sent["200"] == office.feed("salesforce").deliveries)

    stands = office.desk.do("webhooks", "status")
    assert (stands.exit_code, "Nothing is wrong" in stands.stdout) == (0, True)
    assert "1 of 1 subscription healthy" in stands.stdout
    assert salesforce["address"] not in stands.stdout
    assert salesforce["address"] in office.desk.do("webhooks", "status", "--show").stdout.replace("\n", "")

    world.win(deal)
    office.desk.do("sync")
    assert [one["resource"] for one in office.desk.told("webhooks", "renew")[0]["subscriptions"]] == world.projects()
    assert len(world.projects()) == len(world.board.webhooks) == 2
    lost = office.desk.told("webhooks", "renew", HANDOFF_HUB_SECRET="t" * 40)
    assert [one["healthy"] for one in lost[0]["subscriptions"]] == [False, False]  # the hub still has the old secret
    assert "handshake" in lost[0]["subscriptions"][0]["detail"]
    assert [one["healthy"] for one in office.desk.told("webhooks", "renew")[0]["subscriptions"]] == [True, True]


def test_a_finished_project_is_told_of_no_more_and_again_when_it_is_taken_up(office: Office) -> None:
    world, state = office.world, office.desk.state
    won(office.desk, 2)
    office.desk.do("sync")
    project, other = world.projects()
    office.open()
    office.desk.told("webhooks", "register", "asana")
    tasks = [task["gid"] for task in world.board.tasks_of(project)]

    def age(days: int) -> None:
        """A week goes by."""
        with closing(sqlite3.connect(state)) as db, db:
            then = stamp(datetime.now(UTC) - timedelta(days=days))
            db.execute("UPDATE meta SET value = ? WHERE key LIKE 'complete:%' AND value <> ''", (then,))

    def renewed() -> tuple[set[str], int]:
        office.desk.told("webhooks", "renew", "asana")
        [stands] = office.desk.told("webhooks", "status", "asana")["systems"]
        hooks = {hook["resource"] for hook in world.board.webhooks.values()}
        assert hooks == {one["resource"] for one in stands["subscriptions"]}
        return hooks, stands["finished_projects"]

    for task in tasks:
        world.board.complete_task(task, by=world.person)
    office.desk.do("sync")
    assert renewed() == ({project, other}, 0)
    age(6)
    assert renewed() == ({project, other}, 0)
    age(8)
    assert renewed() == ({other}, 1)
    assert renewed() == ({other}, 1)
    assert "1 finished project without" in office.desk.do("webhooks", "status", "--check").stdout
    assert office.desk.do("webhooks", "status", "asana", "--check").exit_code == 0

    world.board.reopen_task(tasks[0], by=world.person)
    office.desk.do("sync")
    assert renewed() == ({project, other}, 0)


def test_without_a_hub_that_answers_it_says_what_is_wrong_and_what_to_do(office: Office) -> None:
    won(office.desk)
    office.desk.do("sync")
    done = office.desk.do("webhooks", "register", "asana")
    assert (done.exit_code, "handshake" in done.stdout) == (1, True)
    assert "told of 0 of 1" in done.stdout
    status = office.desk.told("webhooks", "status", "asana")
    assert [alarm["kind"] for alarm in status["alarms"]] == ["unhealthy"]
    assert office.desk.do("webhooks", "status", "asana").exit_code == 1


def test_only_what_was_asked_before_is_renewed_and_what_is_by_hand_never(office: Office) -> None:
    assert office.desk.told("webhooks", "renew") == []
    assert office.desk.do("webhooks", "status").exit_code == 1
    assert "handoff webhooks register asana" in office.desk.do("webhooks", "status").stdout
    office.desk.told("webhooks", "register")
    assert [one["name"] for one in office.desk.told("webhooks", "renew")] == ["asana"]
    assert office.desk.do("webhooks", "status").exit_code == 0
    assert "nothing to be told of yet" in office.desk.do("webhooks", "register", "asana").stdout


def test_a_system_that_refuses_is_an_alarm_until_it_is_asked_with_success(office: Office) -> None:
    won(office.desk)
    office.desk.do("sync")
    done = office.desk.do("webhooks", "register", "asana", TOKEN="wrong")
    assert (done.exit_code, "check `token`" in done.stdout) == (4, True)
    told = office.desk.told("webhooks", "status", "asana")["alarms"]
    assert [(alarm["kind"], "all of it: " in alarm["told"]) for alarm in told] == [("unhealthy", True)]
    office.open()
    office.desk.told("webhooks", "renew", "asana")
    assert office.desk.told("webhooks", "status", "asana")["alarms"] == []


def test_what_the_systems_hold_is_asked_when_it_is_to_be_checked(office: Office) -> None:
    won(office.desk)
    office.desk.do("sync")
    office.open()
    office.desk.told("webhooks", "register", "asana")
    office.world.board.webhooks.clear()
    assert office.desk.told("webhooks", "status", "asana")["alarms"] == []
    checked = office.desk.told("webhooks", "status", "asana", "--check")
    assert [alarm["kind"] for alarm in checked["alarms"]] == ["unhealthy"]
    assert office.world.board.webhooks == {}
    kept_up(office)
    assert [hook["resource"] for hook in office.world.board.webhooks.values()] == office.world.projects()
    assert office.desk.told("webhooks", "status", "asana")["alarms"] == []


class Enough(Exception):
    """It has slept."""


def kept_up(office: Office, **env: str) -> None:
    """What the service does every hour, once."""

    async def sleep(seconds: float) -> None:
        raise Enough(seconds)

    where = Settings(office.desk.folder, office.desk.state, {**office.desk.env, **env}, office.url)
    with pytest.raises(Enough, match="3600"):
        asyncio.run(keep_up(where, Runtime(sleep=sleep)))


def test_the_service_goes_on_when_a_system_cannot_be_asked(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    won(office.desk)
    office.desk.do("sync")
    office.desk.told("webhooks", "register")
    kept_up(office, TOKEN="wrong")
    assert [alarm["kind"] for alarm in office.desk.told("webhooks", "status", "asana")["alarms"]] == ["unhealthy"]
    (office.desk.folder / "rules.yaml").write_text("rules: [")
    kept_up(office)
    assert [getattr(record, "error", "") for record in caplog.records if record.levelname == "WARNING"] == ["AuthError", "ConfigError"]


def test_the_service_goes_on_when_a_system_answers_as_nobody_foresaw(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def renew(ours: Webhooks) -> list[Asked]:
        raise KeyError(ours.endpoints.url)

    monkeypatch.setattr(Webhooks, "renew", renew)
    kept_up(office)
    assert [getattr(record, "error", "") for record in caplog.records if record.levelname == "WARNING"] == ["KeyError"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "HANDOFF_HUB_URL is not set"),
        ("http://hub.example.com", "not encrypted"),
        ("hub.example.com", "no address"),
        ("https://hub.example.com/?a=1", "no address"),
        ("ftp://hub.example.com", "no address"),
    ],
)
@pytest.mark.parametrize("verb", ["register", "renew", "status"])
def test_a_hub_that_nobody_could_push_to_is_a_problem_of_the_configuration(office: Office, verb: str, url: str | None, words: str) -> None:
    done = office.desk.do("webhooks", verb, HANDOFF_HUB_URL=url)
    assert (done.exit_code, words in done.output.replace("\n", " ")) == (2, True)


def test_a_system_that_cannot_be_asked_is_named_with_what_to_do(office: Office) -> None:
    assert "did you mean" in office.desk.do("webhooks", "register", "asan").output
    office.world.configure({**pushed(), "mappings/asana.yaml": local({})["mappings/asana.yaml"]})
    done = office.desk.do("webhooks", "register", "asana")
    assert (done.exit_code, "push: {}" in done.output) == (2, True)
    office.world.configure(local({}))
    done = office.desk.do("webhooks", "register")
    assert (done.exit_code, "no mapping has a `push:` section" in done.output) == (2, True)


def test_what_is_missed_counts_from_the_moment_it_was_asked(tmp_path: Path) -> None:
    with closing(open_hub(tmp_path / "s.db", now=NOW)) as db:
        inbox = Inbox(db)
        inbox.note_missed("salesforce", 3, NOW)
        inbox.expect("salesforce", NOW)
        inbox.note_missed("salesforce", 2, NOW)
        inbox.expect("salesforce", NOW + timedelta(days=1))
        arrived = Arrivals()
        arrived.add("salesforce", [Hint("deal", "1")], events=1)
        inbox.store(arrived, NOW + timedelta(hours=1))
        feed = inbox.feeds()["salesforce"]
    assert (feed.since, feed.missed, feed.deliveries, feed.last_at) == (NOW, 2, 1, NOW + timedelta(hours=1))


# alarms: a pure function

FEED = Feed("crm", NOW - timedelta(days=3), 5, 5, 5, NOW, 0, None)
WELL = Standing("crm", "zoho", (), FEED, 0, None, timedelta(hours=2), None)
HOOK = Subscribed("crm", "12", "77")


def fed(hours: float, missed: float | None = None, *, ever: bool = True) -> Feed:
    """The last delivery so many hours ago, the last change that was missed likewise."""
    at = NOW - timedelta(hours=hours)
    missed_at = None if missed is None else NOW - timedelta(hours=missed)
    return replace(FEED, since=FEED.since if ever else at, last_at=at if ever else None, missed=1, missed_at=missed_at)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({}, []),
        ({"feed": None}, ["unasked"]),
        ({"feed": fed(3, 1)}, ["silent"]),
        ({"feed": fed(3, 1, ever=False)}, ["silent"]),
        ({"feed": fed(3, 4)}, []),  # heard from since
        ({"feed": fed(1, 0.5)}, []),  # not for long enough
        ({"feed": fed(5, 1), "silence": timedelta(hours=6)}, []),
        ({"feed": fed(1000)}, []),  # nothing happens there
        ({"feed": fed(8.5), "heartbeat": timedelta(hours=8), "subscriptions": (HOOK,)}, []),
        ({"feed": fed(9.5), "heartbeat": timedelta(hours=8), "subscriptions": (HOOK,)}, ["silent"]),
        ({"feed": fed(9.5), "heartbeat": timedelta(hours=8)}, []),  # nothing to be told of
        ({"feed": fed(9.5), "heartbeat": timedelta(hours=8), "subscriptions": (replace(HOOK, id=""),)}, []),
        ({"subscriptions": (replace(HOOK, expires_at=NOW),)}, ["expired"]),
        ({"subscriptions": (replace(HOOK, expires_at=NOW + timedelta(hours=20)),)}, ["expiring"]),
        ({"subscriptions": (replace(HOOK, expires_at=NOW + timedelta(hours=30)),)}, []),
        ({"subscriptions": (replace(HOOK, healthy=False, detail="500"),)}, ["unhealthy"]),
        ({"waiting": 3, "waiting_since": NOW - timedelta(minutes=50)}, []),
        ({"waiting": 3, "waiting_since": NOW - timedelta(minutes=70)}, ["stuck"]),
    ],
)
def test_what_is_wrong_with_pushes(change: dict[str, Any], kinds: list[str]) -> None:
    found = alarms([replace(WELL, **change)], NOW)
    assert [alarm.kind for alarm in found] == kinds
    assert all(str(alarm).startswith("crm: ") for alarm in found)


def test_many_broken_subscriptions_are_one_alarm_that_names_some() -> None:
    broken = tuple(replace(HOOK, resource=str(n), healthy=False, detail="gone") for n in range(5))
    [alarm] = alarms([replace(WELL, subscriptions=broken)], NOW)
    assert alarm.told == "0, 1, 2 and 2 more: gone"


# webhooks that are not the connector's own


def test_a_plug_ins_webhooks_are_taken_for_a_system_that_has_none_of_its_own(office: Office) -> None:
    signed = "{system: generic, scheme: hmac-sha256, header: X-Redmine-Signature-256, prefix: sha256=, secret: '${PLUG}'}"
    office.world.configure(pushed(f"{{organization: {office.world.org.id}}}", signed))
    office.desk.env["PLUG"] = "of the plug-in"
    won(office.desk)
    office.desk.do("sync")
    office.open()
    [asked] = office.desk.told("webhooks", "register", "asana")
    assert (asked["system"], asked["subscriptions"]) == ("generic", [])
    assert asked["address"] in asked["by_hand"]
    body = b'{"event": "issue.updated"}'
    mark = "sha256=" + hmac.new(b"of the plug-in", body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-redmine-signature-256": mark}
    assert httpx.post(asked["address"], content=body, headers={**headers, "x-redmine-signature-256": mark[:-1]}).status_code == 401
    assert httpx.post(asked["address"], content=body, headers=headers).status_code == 200
    wait_for(lambda: office.hints("asana") == {("tool", "")})
    status = office.desk.do("webhooks", "status", "asana", "--check")
    assert "asana (generic)" in status.stdout
    assert office.desk.told("webhooks", "renew") == []
    assert office.world.board.webhooks == {}


GENERIC = "version: 1\nsystem: elsewhere\npush: {system: generic}\n"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("elsewhere", GENERIC, ""),
        ("elsewhere", "version: 1\nsystem: generic\npush: {}\n", ""),
        ("elsewhere", "version: 1\nsystem: elsewhere\n", "mappings/elsewhere.yaml:1:1: missing key 'connection' (or a 'push' section"),
        (
            "elsewhere",
            GENERIC.replace("generic", "jira"),
            ":3:16: webhooks of jira cannot come from elsewhere (`generic`, or leave it out for elsewhere's own webhooks)",
        ),
        (
            "redmine",
            "version: 1\nsystem: redmine\npush: {}\n",
            ":3:7: redmine does not tell of changes by itself (`system: generic` under `push:` takes webhooks of a plug-in)",
        ),
        ("elsewhere", GENERIC.replace("generic", "generic, scheme: none"), ":3:33: 'scheme' is 'none'; allowed: header"),
        ("elsewhere", GENERIC.replace("generic", "generic, kind: deal"), ":3:7: 'push' id is needed by kind: deal"),
        ("salesforce", "push: {system: generic}", "kind tool is of no use here: nothing is made in it; say which records change"),
        ("asana", "push: {system: generic, kind: deal, id: id}", "kind deal is of no use here: no records are read from it; say tool"),
    ],
)
def test_what_a_push_section_says_is_checked_at_its_place(desk: Desk, name: str, text: str, told: str) -> None:
    files = local({})
    path = f"mappings/{name}.yaml"
    desk.world.configure({path: f"{files[path]}{text}\n" if path in files else text})
    try:
        found = "\n".join(map(str, load(desk.folder, desk.env).pushes))
    except ConfigError as error:
        found = "\n".join(map(str, error.problems))
    assert told in found if told else found == name


def test_a_system_that_is_read_needs_its_connection(desk: Desk) -> None:
    text = local({})["mappings/asana.yaml"]
    head, _, rest = text.partition("connection:")
    tail = rest[re.search(r"\n(?=\S)", rest).end() :]  # type: ignore[union-attr]
    desk.world.configure({"mappings/asana.yaml": f"{head}push: {{}}\n{tail}"})
    with pytest.raises(ConfigError, match="missing key 'connection'"):
        load(desk.folder, desk.env)
    assert "missing key 'connection'" in desk.do("check", "--offline").output
