"""Feishu's and Lark's events: the trial of an address, encryption, signature, freshness, token."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors.feishu.push import Settings, _opened
from connectors.push import TOOL, Refused
from tests.connectors.push_rig import (
    AT,
    FEISHU_EVENT,
    FEISHU_KEY,
    FEISHU_TOKEN,
    SYSTEMS,
    by_feishu,
    cbc,
    compact,
    delivery,
    sealed_by_feishu,
    signed_by_feishu,
)

FEISHU = SYSTEMS["feishu"]
PLAIN = replace(FEISHU, settings=Settings(verification_token=FEISHU_TOKEN))
TRIAL = {"challenge": "ajls384kdjx98XX", "token": FEISHU_TOKEN, "type": "url_verification"}
EVENT = compact(FEISHU_EVENT)


def event(**header: object) -> bytes:
    return compact({**FEISHU_EVENT, "header": {**FEISHU_EVENT["header"], **header}})  # type: ignore[dict-item]


def test_what_feishu_publishes_is_decrypted() -> None:
    # published: the platform's page on encrypted events, `hello world` under `test key`
    assert _opened("test key", "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=") == b"hello world"


def test_an_encrypted_event_is_a_hint_that_something_changed() -> None:
    received = FEISHU.receive(by_feishu(EVENT))
    assert (received.hints, received.events, received.status) == ((TOOL,), 1, 200)


def test_openssl_encrypts_and_signs_alike() -> None:
    key, iv = hashlib.sha256(FEISHU_KEY.encode()).hexdigest(), "00112233445566778899aabbccddeeff"
    command = ["openssl", "enc", "-aes-256-cbc", "-K", key, "-iv", iv]
    sealed = subprocess.run(command, input=EVENT, capture_output=True, check=True).stdout  # noqa: S603 - fixed words
    body = compact({"encrypt": base64.b64encode(bytes.fromhex(iv) + sealed).decode()})
    command = ["openssl", "dgst", "-sha256", "-hex", "-r"]
    text = f"{int(AT.timestamp())}nonce{FEISHU_KEY}".encode() + body
    signature = subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode().split()[0]  # noqa: S603 - fixed words
    headers = {"x-lark-signature": signature, "x-lark-request-timestamp": str(int(AT.timestamp())), "x-lark-request-nonce": "nonce"}
    assert FEISHU.receive(delivery(body, headers)).hints == (TOOL,)


@pytest.mark.parametrize("name", ["drive.file.bitable_field_changed_v1", "drive.file.bitable_record_changed_v1"])
def test_changes_of_a_base_are_hints_and_other_events_are_none(name: str) -> None:
    assert FEISHU.receive(by_feishu(event(event_type=name))).hints == (TOOL,)
    assert FEISHU.receive(by_feishu(event(event_type="im.message.receive_v1"))).hints == ()


@pytest.mark.parametrize("signed", [True, False])
def test_the_trial_of_an_address_is_answered_signed_or_not(signed: bool) -> None:
    body = sealed_by_feishu(compact(TRIAL))
    received = FEISHU.receive(signed_by_feishu(body) if signed else delivery(body))
    assert (json.loads(received.body), received.content_type) == ({"challenge": "ajls384kdjx98XX"}, "application/json")
    assert (received.hints, received.events) == ((), 0)


def test_the_trial_is_answered_without_an_encrypt_key_too() -> None:
    assert json.loads(PLAIN.receive(delivery(TRIAL)).body) == {"challenge": "ajls384kdjx98XX"}


@pytest.mark.parametrize("challenge", [None, "", 1, "a" * 1025, ["a"]])
def test_a_challenge_that_is_none_is_refused(challenge: object) -> None:
    assert PLAIN.refuses(delivery({**TRIAL, "challenge": challenge})) == (400, "body")


def test_a_challenge_is_answered_as_it_is() -> None:
    odd = '"}</script>\ud83d\ude00\ud800'
    assert json.loads(PLAIN.receive(delivery({**TRIAL, "challenge": odd})).body)["challenge"] == json.loads(json.dumps(odd))


@pytest.mark.parametrize("token", [None, "", "other", FEISHU_TOKEN.upper(), [FEISHU_TOKEN]])
def test_another_token_is_refused(token: object) -> None:
    assert PLAIN.refuses(delivery({**TRIAL, "token": token})) == (401, "signature")
    assert PLAIN.refuses(delivery(event(token=token))) == (401, "signature")
    assert FEISHU.refuses(by_feishu(event(token=token))) == (401, "signature")
    assert FEISHU.refuses(by_feishu(compact({**TRIAL, "token": token}))) == (401, "signature")


def test_with_an_encrypt_key_nothing_is_taken_that_is_not_encrypted() -> None:
    assert FEISHU.refuses(signed_by_feishu(EVENT)) == (401, "signature")
    assert FEISHU.refuses(delivery(EVENT)) == (401, "signature")
    assert FEISHU.refuses(delivery(TRIAL)) == (401, "signature")


def test_without_an_encrypt_key_what_is_encrypted_is_refused() -> None:
    assert PLAIN.refuses(by_feishu(EVENT)) == (401, "signature")
    assert PLAIN.receive(delivery(EVENT)).hints == (TOOL,)


@pytest.mark.parametrize("header", ["x-lark-signature", "x-lark-request-timestamp", "x-lark-request-nonce"])
def test_an_event_without_its_signature_is_refused(header: str) -> None:
    sent = by_feishu(EVENT)
    assert FEISHU.refuses(replace(sent, headers={name: each for name, each in sent.headers.items() if name != header})) == (
        401,
        "signature",
    )
    assert FEISHU.refuses(replace(sent, headers={**sent.headers, header: "1"})) == (401, "signature")


@pytest.mark.parametrize(("seconds", "fits"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_an_event_long_past_or_ahead_is_refused(seconds: int, fits: bool) -> None:
    old = signed_by_feishu(sealed_by_feishu(EVENT), AT + timedelta(seconds=seconds))
    if fits:
        assert FEISHU.receive(old).events == 1
    else:
        assert FEISHU.refuses(old) == (401, "stale")


KEY = hashlib.sha256(FEISHU_KEY.encode()).digest()
IV = bytes(16)


@pytest.mark.parametrize(
    "sealed",
    [
        None,
        "",
        "é",
        "====",
        base64.b64encode(IV).decode(),
        base64.b64encode(IV[:15]).decode(),
        base64.b64encode(IV + bytes(16)).decode(),
        base64.b64encode(IV + bytes(17)).decode(),
        base64.b64encode(IV + cbc(b"k" * 32, IV, EVENT, 16)).decode(),
        base64.b64encode(IV + cbc(KEY, IV, b"no JSON", 16)).decode(),
        base64.b64encode(IV + cbc(KEY, IV, b"\xff", 16)).decode(),
        base64.b64encode(IV + cbc(KEY, IV, b'{"token":NaN}', 16)).decode(),
    ],
)
@pytest.mark.parametrize("signed", [True, False])
def test_whatever_is_wrong_with_what_is_sealed_is_refused_alike(sealed: Any, signed: bool) -> None:
    body = compact({"encrypt": sealed})
    with pytest.raises(Refused) as refused:
        FEISHU.receive(signed_by_feishu(body) if signed else delivery(body))
    assert (refused.value.status, refused.value.reason, str(refused.value)) == (401, "signature", "signature")
