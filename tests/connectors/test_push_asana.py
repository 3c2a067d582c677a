"""Asana's webhooks: the handshake, and what is signed with what came of it."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from connectors.push import TOOL, Endpoint
from tests.connectors.push_rig import ASANA_SECRET, SYSTEMS, by_asana, compact, delivery, endpoint

ASANA = SYSTEMS["asana"]
EVENTS = {
    "events": [
        {
            "user": {"gid": "1", "resource_type": "user"},
            "created_at": "2026-11-30T10:00:00.000Z",
            "action": "changed",
            "resource": {"gid": str(gid), "resource_type": "task", "resource_subtype": "default_task"},
            "parent": None,
            "change": {"field": "completed", "action": "changed", "new_value": True},
        }
        for gid in range(5)
    ]
}


def hello(secret: str = "new-secret") -> dict[str, str]:  # noqa: S107 - no secret
    return {"x-hook-secret": secret}


def test_events_are_a_hint_that_something_changed() -> None:
    received = ASANA.receive(by_asana(compact(EVENTS)))
    assert (received.hints, received.events, received.status, received.handshake) == ((TOOL,), 5, 200, "")


def test_an_empty_list_is_a_sign_of_life() -> None:
    received = ASANA.receive(by_asana(b'{"events": []}'))
    assert (received.hints, received.events, received.status) == ((), 0, 200)


def test_openssl_signs_alike() -> None:
    command = ["openssl", "dgst", "-sha256", "-hmac", ASANA_SECRET, "-hex", "-r"]
    made = subprocess.run(command, input=compact(EVENTS), capture_output=True, check=True).stdout.decode().split()[0]  # noqa: S603 - fixed words
    assert ASANA.receive(delivery(compact(EVENTS), {"x-hook-signature": made})).events == 5


@pytest.mark.parametrize("signature", ["", "0" * 64, ASANA_SECRET])
def test_another_signature_is_refused(signature: str) -> None:
    assert ASANA.refuses(delivery(compact(EVENTS), {"x-hook-signature": signature})) == (401, "signature")
    assert ASANA.refuses(delivery(compact(EVENTS))) == (401, "signature")
    assert ASANA.refuses(by_asana(compact(EVENTS), "another secret")) == (401, "signature")


def test_before_a_handshake_nothing_is_genuine_not_even_what_is_signed_with_nothing() -> None:
    unknown = replace(ASANA, at=endpoint())
    assert unknown.refuses(by_asana(compact(EVENTS), "")) == (401, "signature")
    assert replace(ASANA, at=endpoint(awaited=True)).refuses(by_asana(compact(EVENTS), "")) == (401, "signature")


@pytest.mark.parametrize("known", ["", ASANA_SECRET])
def test_an_awaited_handshake_is_echoed_and_its_secret_given_to_be_kept(known: str) -> None:
    received = replace(ASANA, at=endpoint(awaited=True, secret=known)).receive(delivery(b"{}", hello()))
    assert (received.status, received.handshake, received.headers) == (200, "new-secret", {"X-Hook-Secret": "new-secret"})
    assert (received.hints, received.events) == ((), 0)


@pytest.mark.parametrize("at", [endpoint(), endpoint(secret=ASANA_SECRET)], ids=["unknown", "known"])
def test_a_handshake_nobody_awaits_is_refused(at: Endpoint) -> None:
    asana = replace(ASANA, at=at)
    assert asana.refuses(delivery(b"{}", hello())) == (403, "unexpected")
    assert asana.refuses(delivery(b"{}", hello(ASANA_SECRET))) == (403, "unexpected")
    signed = by_asana(b"{}")
    assert asana.refuses(replace(signed, headers={**signed.headers, **hello()})) == (403, "unexpected")


@pytest.mark.parametrize("secret", ["", "a" * 257, "a\r\nSet-Cookie: b", "\x00", "é"])
def test_a_secret_that_cannot_be_echoed_is_refused(secret: str) -> None:
    assert replace(ASANA, at=endpoint(awaited=True)).refuses(delivery(b"{}", hello(secret))) == (403, "unexpected")


def test_while_another_handshake_is_awaited_what_is_signed_as_before_is_taken() -> None:
    assert replace(ASANA, at=endpoint(secret=ASANA_SECRET, awaited=True)).receive(by_asana(compact(EVENTS))).events == 5


@pytest.mark.parametrize("body", [[], {}, {"events": {}}, {"events": None}, "events", {"event": []}])
def test_a_signed_body_without_events_is_refused(body: object) -> None:
    assert ASANA.refuses(by_asana(compact(body))) == (400, "body")
