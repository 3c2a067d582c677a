"""The command and people: a test message, what status says, trying again, and what a rule tells over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from sandbox.notify import TOKEN, Services
from sandbox.web import Sandbox
from state.hub import open_hub
from state.inbox import Arrivals, Inbox
from tests.flows.desk import Desk, local, on_loopback
from tests.flows.files import RULES
from tests.flows.told import ALERTS, CHANNELS, HOST, RULE, SECRET

RULES_THAT_TELL = (RULES + RULE + CHANNELS).replace(HOST, "${SERVICES}")


@contextmanager
def telling(desk: Desk, rules: str = RULES_THAT_TELL) -> Iterator[tuple[Services, Sandbox]]:
    """The desk's rules tell people, by services on loopback."""
    services = Services(desk.world.clock, dingtalk=SECRET)
    mouth = Sandbox(services)
    with on_loopback([mouth]) as (address,):
        desk.env |= {"SERVICES": address, "ROBOT": TOKEN, "DINGTALK": SECRET}
        desk.world.configure(local({"rules.yaml": rules}))
        yield services, mouth


def test_a_test_message_is_sent(desk: Desk) -> None:
    with telling(desk) as (services, _):
        done = desk.do("channels", "test", "ops")
        assert done.exit_code == 0, done.output
        assert "ops (dingtalk) took the message" in done.stdout
        assert desk.told("channels", "test", "desk") == {"channel": "desk", "kind": "slack", "exit_code": 0}
    assert len(services.texts("dingtalk")) == 1
    assert services.texts("slack")[0].startswith("*Handoff* can reach this channel, `desk`.")
    assert not desk.state.exists()


@pytest.mark.parametrize(
    ("kind", "status", "code", "told"),
    [
        ("error_before", 404, 4, "ops: answered 404; the address is not valid"),
        ("error_before", 503, 5, "ops: answered 503"),
        ("error_before", 429, 5, "ops: answered 429"),
        ("error_before", 400, 1, "ops: answered 400"),
        ("reset_after", 0, 1, "may have arrived"),
    ],
)
def test_each_failure_has_its_exit_code(desk: Desk, kind: str, status: int, code: int, told: str) -> None:
    with telling(desk) as (_, mouth):
        mouth.fault("POST", kind, status=status)  # type: ignore[arg-type]
        done = desk.do("channels", "test", "ops")
    assert done.exit_code == code
    assert told in done.output
    assert TOKEN not in done.output


def test_a_wrong_secret_and_an_unknown_name_are_told(desk: Desk) -> None:
    with telling(desk):
        wrong = desk.do("channels", "test", "ops", DINGTALK="wrong-secret")
        unknown = desk.do("channels", "test", "opps")
    assert wrong.exit_code == 4
    assert "310000" in wrong.output
    assert "wrong-secret" not in wrong.output
    assert unknown.exit_code == 2
    assert "did you mean ops?" in unknown.output


def test_check_looks_at_channels_and_sends_nothing(desk: Desk) -> None:
    with telling(desk) as (services, _):
        assert desk.do("check").exit_code == 0
        assert desk.do("check", "--offline", ROBOT=None, DINGTALK=None).exit_code == 0
        desk.world.configure(local({"rules.yaml": RULES_THAT_TELL.replace("slack:", "slak:")}))
        for done in (desk.do("check"), desk.do("check", "--offline")):
            assert done.exit_code == 2
            assert "did you mean slack?" in done.output
    assert not services.taken


def test_a_sync_tells_and_status_says_how_it_goes(desk: Desk) -> None:
    with telling(desk) as (services, mouth):
        deal = desk.world.deal("Big deal")
        assert desk.do("sync").exit_code == 0
        desk.world.win(deal)
        mouth.fault("POST /slack", "error_before", status=400)
        plan = desk.do("plan")
        assert "Whom it tells" in plan.stdout
        assert "**Big deal** is won" in plan.stdout
        assert "1 × message" in plan.stdout
        assert [one["channel"] for one in desk.told("plan")["notices"]] == ["desk"]
        done = desk.do("--log", "debug", "sync")
        assert done.exit_code == 0, done.output
        assert "1 given up" in done.stdout
        status = desk.do("status").stdout
        assert "desk: 0 messages, 1 given up" in status
        assert "answered 400" in status
        assert desk.told("retry") == {"retried": 0, "write_back": 0, "messages": 1}
        assert desk.do("sync").exit_code == 0
        assert [text.split("\n")[0] for text in services.texts("slack")] == ["*Big deal* is won: 5,000.00 EUR"]
        assert desk.told("status")["channels"][0]["sent"] == 1
        assert desk.do("explain", deal).stdout.count("tells desk") == 1


def test_no_secret_is_in_the_logs_of_a_run(desk: Desk) -> None:
    with telling(desk) as (services, mouth):
        deal = desk.world.deal("Big deal")
        desk.run("sync")
        desk.world.win(deal)
        mouth.fault("POST /slack", "reset_after")
        code, out, err = desk.run("--log", "debug", "sync", "--json")
    assert code == 0
    assert len(services.texts("slack")) == 1
    lines = [json.loads(line) for line in err.splitlines()]
    assert {"not told"} <= {line["event"] for line in lines}
    assert TOKEN not in out + err
    assert "is won" not in err


def test_a_push_that_nobody_asked_for_is_told_once_and_when_it_is_over(desk: Desk) -> None:
    with telling(desk, RULES_THAT_TELL + ALERTS) as (services, _):
        quiet = local({"rules.yaml": RULES_THAT_TELL + ALERTS})
        pushes = {"mappings/salesforce.yaml": quiet["mappings/salesforce.yaml"] + "push: {organization: 00D000000000001EAA}\n"}
        desk.world.configure(quiet | pushes)
        for _ in range(2):
            assert desk.do("sync", HANDOFF_HUB_SECRET="s" * 40).exit_code == 0
        (text,) = services.texts("dingtalk")
        assert text.startswith("salesforce: it has a `push:` section, and nobody asked it to push")
        arrived = Arrivals()
        arrived.add("salesforce", [], events=1)
        with closing(open_hub(desk.state, now=desk.world.clock())) as hub:
            Inbox(hub).store(arrived, desk.world.clock())
        desk.do("sync", HANDOFF_HUB_SECRET="s" * 40)
        assert services.texts("dingtalk")[1].startswith("Over, after 0 min: salesforce: it has")
