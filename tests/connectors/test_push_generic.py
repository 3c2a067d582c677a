"""Webhooks of any system: a secret in a header, or the body's HMAC as Jira, ClickUp, Linear, Redmine and OpenProject send it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest

from connectors.generic.push import Settings
from connectors.push import TOOL
from engine.model import Hint
from tests.connectors.push_rig import SYSTEMS, TOKEN, System, compact, delivery, endpoint

GENERIC = SYSTEMS["generic"]
FLOW = {"event": "task_changed", "payload": {"task": {"id": "5f1", "title": "Kick-off"}}}


def set_up(**settings: Any) -> System:
    return replace(GENERIC, settings=Settings(**settings))


def test_a_secret_in_a_header_is_enough_for_a_tool() -> None:
    received = set_up().receive(delivery(FLOW, {"x-handoff-secret": TOKEN}))
    assert (received.hints, received.events, received.status) == ((TOOL,), 1, 200)


@pytest.mark.parametrize("given", [None, "", "other", TOKEN.upper(), f"{TOKEN} ", f"Bearer {TOKEN}"])
def test_another_secret_is_refused(given: str | None) -> None:
    headers = {} if given is None else {"x-handoff-secret": given}
    assert set_up().refuses(delivery(FLOW, headers)) == (401, "signature")
    assert set_up(secret="own").refuses(delivery(FLOW, {"x-handoff-secret": TOKEN})) == (401, "signature")


def test_header_prefix_and_secret_may_be_ones_own() -> None:
    system = set_up(header="Authorization", prefix="Bearer ", secret="own")
    assert system.receive(delivery(FLOW, {"authorization": "Bearer own"})).hints == (TOOL,)
    assert system.refuses(delivery(FLOW, {"authorization": "own"})) == (401, "signature")


@pytest.mark.parametrize("scheme", ["header", "hmac-sha256", "hmac-sha1"])
def test_without_a_secret_nothing_is_genuine(scheme: Any) -> None:
    system = replace(set_up(scheme=scheme, prefix="p="), at=endpoint(token=""))
    for given in ("", "p=", f"p={hmac.new(b'', compact(FLOW), hashlib.sha256).hexdigest()}"):
        assert system.refuses(delivery(FLOW, {"x-handoff-secret": given})) == (401, "signature")


def test_the_signature_is_the_one_github_publishes() -> None:
    # published: GitHub's page on validating deliveries, of the scheme that Jira and Redmine follow. The body is no JSON, and refused for that
    system = set_up(scheme="hmac-sha256", header="X-Hub-Signature-256", prefix="sha256=", secret="It's a Secret to Everybody")
    signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert system.refuses(delivery(b"Hello, World!", {"x-hub-signature-256": f"sha256={signature}"})) == (400, "body")
    assert system.refuses(delivery(b"Hello, World!", {"x-hub-signature-256": signature})) == (401, "signature")
    assert system.refuses(delivery(b"Hello, World?", {"x-hub-signature-256": f"sha256={signature}"})) == (401, "signature")


@pytest.mark.parametrize(
    ("scheme", "header", "prefix", "digest"),
    [
        ("hmac-sha256", "X-Hub-Signature", "sha256=", "sha256"),  # Jira, admin webhooks
        ("hmac-sha256", "X-Redmine-Signature-256", "sha256=", "sha256"),
        ("hmac-sha256", "X-Signature", "", "sha256"),  # ClickUp
        ("hmac-sha256", "linear-signature", "", "sha256"),
        ("hmac-sha1", "X-OP-Signature", "sha1=", "sha1"),  # OpenProject
    ],
)
def test_the_usual_ways_to_sign(scheme: Any, header: str, prefix: str, digest: str) -> None:
    system, body = set_up(scheme=scheme, header=header, prefix=prefix, secret="s"), compact(FLOW)
    good = prefix + hmac.new(b"s", body, digest).hexdigest()
    assert system.receive(delivery(body, {header.lower(): good})).hints == (TOOL,)
    assert system.refuses(delivery(body + b" ", {header.lower(): good})) == (401, "signature")
    assert system.refuses(delivery(body, {header.lower(): prefix + "s"})) == (401, "signature")
    assert system.refuses(delivery(body, {"x-handoff-secret": good})) == (401, "signature")


@pytest.mark.parametrize(
    ("path", "body", "hints"),
    [
        ("payload.task.id", FLOW, ["5f1"]),
        ("id", {"id": 7}, ["7"]),
        ("ids", {"ids": ["a", "b", 3, None, "a"]}, ["a", "b", "3"]),
        ("a.b", {"a": {"b": "x"}, "a.b": "y"}, ["x"]),
    ],
)
def test_the_id_is_where_the_settings_say(path: str, body: dict[str, Any], hints: list[str]) -> None:
    received = set_up(kind="deal", id=path).receive(delivery(body, {"x-handoff-secret": TOKEN}))
    assert received.hints == tuple(Hint("deal", id) for id in hints)
    assert received.events == len(hints)


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": ""}, {"id": []}, {"id": {"id": 1}}, {"id": [[1]]}, {"id": "a b"}, [{"id": 1}]])
def test_a_body_without_the_id_is_refused(body: object) -> None:
    assert set_up(kind="deal", id="id").refuses(delivery(body, {"x-handoff-secret": TOKEN})) == (400, "body")


def test_a_kind_of_record_needs_an_id() -> None:
    with pytest.raises(ValueError, match="id is needed by kind: deal"):
        Settings(kind="deal")


@pytest.mark.parametrize(
    "wrong", [{"header": ""}, {"header": "X Y"}, {"header": "X:\n"}, {"scheme": "md5"}, {"kind": "task"}, {"secret": ""}]
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)
