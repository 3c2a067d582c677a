"""DingTalk's events: what DingTalk publishes, the signature, the owner, the sealed answer."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors.dingtalk.push import Settings
from connectors.push import TOOL, Received
from tests.connectors.push_rig import (
    AT,
    DING,
    DING_KEY,
    SYSTEMS,
    by_dingtalk,
    cbc,
    compact,
    delivery,
    milliseconds,
    sealed_by_dingtalk,
    signed_by_dingtalk,
    uncbc,
)

DINGTALK = SYSTEMS["dingtalk"]
EVENT = compact({"EventType": "project_task_updated", "CorpId": "ding1", "BizId": "t1", "data": {"taskId": "t1"}})


def opened(received: Received, key: bytes = DING_KEY) -> tuple[bytes, bytes]:
    """The message and the owner in an answer, read as the vendor's sample reads it."""
    plain = uncbc(key, key[:16], base64.b64decode(json.loads(received.body)["encrypt"]))
    end = 20 + int.from_bytes(plain[16:20], "big")
    return plain[20:end], plain[end:]


# published: DingTalk's page on trying a callback locally, and the sample for Python in its repository DingTalk-Callback-Crypto
PAGE = {
    "settings": DING,
    "query": {"signature": "5a65ceeef9aab2d149439f82dc191dd6c5cbe2c0", "timestamp": "1445827045067", "nonce": "nEXhMP4r"},
    "encrypt": "1a3NBxmCFwkCJvfoQ7WhJHB+iX3qHPsc9JbaDznE1i03peOk1LaOQoRz3+nlyGNhwmwJ3vDMG+OzrHMeiZI7gTRWVdUBmfxjZ8Ej23JVYa9VrYeJ5as7XM/Z"
    "pulX8NEQis44w53h1qAgnC3PRzM7Zc/D6Ibr0rgUathB6zRHP8PYrfgnNOS9PhSBdHlegK+AGGanfwjXuQ9+0pZcy0w9lQ==",
}
SAMPLE = {
    "settings": {"token": "mryue", "aes_key": "Yue0EfdN5900c1ce5cf6A152c63DDe1808a60c5ecd7", "owner": "ding6ccabc44d2c8d38b"},
    "query": {"msg_signature": "03044561471240d4a14bb09372dfcfd4fd0e40cb", "timeStamp": "1608001896814", "nonce": "WL4PK6yA"},
    "encrypt": "0vJiX6vliEpwG3U45CtXqi+m8PXbQRARJ8p8BbDuD1EMTDf0jKpQ79QS93qEk7XHpP6u+oTTrd15NRPvNvmBKyDCYxxOK+HZeKju4yhELOFchzNukR+t8SB/"
    "qk4ROMu3",
}


@pytest.mark.parametrize("vector", [PAGE, SAMPLE], ids=["page", "sample"])
def test_what_dingtalk_publishes_is_taken_and_answered(vector: dict[str, Any]) -> None:
    dingtalk = replace(DINGTALK, settings=Settings(**vector["settings"]))
    received = dingtalk.receive(delivery({"encrypt": vector["encrypt"]}, query=vector["query"]))
    assert (received.hints, received.events, received.status) == ((), 0, 200)  # both are trials of an address
    key = base64.b64decode(vector["settings"]["aes_key"] + "=")
    assert opened(received, key) == (b"success", vector["settings"]["owner"].encode())


def test_an_event_is_a_hint_that_something_changed() -> None:
    received = DINGTALK.receive(by_dingtalk(EVENT))
    assert (received.hints, received.events, received.content_type) == ((TOOL,), 1, "application/json")


def test_the_answer_is_signed_and_belongs_to_its_request() -> None:
    first, again = DINGTALK.receive(by_dingtalk(EVENT)), DINGTALK.receive(by_dingtalk(EVENT))
    told = json.loads(first.body)
    assert set(told) == {"msg_signature", "timeStamp", "nonce", "encrypt"}
    parts = sorted((DING["token"], told["timeStamp"], told["nonce"], told["encrypt"]))
    assert told["msg_signature"] == hashlib.sha1("".join(parts).encode(), usedforsecurity=False).hexdigest()
    assert told["timeStamp"] == milliseconds()
    assert opened(first) == (b"success", DING["owner"].encode())
    assert again == first
    other = json.loads(DINGTALK.receive(by_dingtalk(EVENT + b" ")).body)
    assert other["nonce"] != told["nonce"]
    assert other["encrypt"] != told["encrypt"]
    later = DINGTALK.receive(replace(by_dingtalk(EVENT), at=AT + timedelta(seconds=1)))
    assert json.loads(later.body)["timeStamp"] == milliseconds(AT + timedelta(seconds=1))


@pytest.mark.parametrize("name", ["msg_signature", "signature"])
@pytest.mark.parametrize("moment", ["timestamp", "timeStamp"])
def test_the_parameters_go_by_either_name(name: str, moment: str) -> None:
    assert DINGTALK.receive(signed_by_dingtalk(sealed_by_dingtalk(EVENT), name, moment)).hints == (TOOL,)


@pytest.mark.parametrize("name", ["msg_signature", "timestamp", "nonce"])
def test_the_signature_covers_moment_nonce_and_token(name: str) -> None:
    sent = by_dingtalk(EVENT)
    assert DINGTALK.refuses(replace(sent, query={**sent.query, name: "1"})) == (401, "signature")
    assert DINGTALK.refuses(replace(sent, query={each: value for each, value in sent.query.items() if each != name})) == (401, "signature")
    assert replace(DINGTALK, settings=Settings(**{**DING, "token": "1234567"})).refuses(sent) == (401, "signature")


def test_what_belongs_to_another_owner_is_refused() -> None:
    assert DINGTALK.refuses(signed_by_dingtalk(sealed_by_dingtalk(EVENT, "suite5"))) == (403, "sender")
    assert DINGTALK.refuses(signed_by_dingtalk(sealed_by_dingtalk(EVENT, ""))) == (403, "sender")


def sealed(plain: bytes, key: bytes = DING_KEY, block: int = 32) -> str:
    return base64.b64encode(cbc(key, key[:16], plain, block)).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", (400, "body")),
        ("é", (400, "body")),
        ("AAAA", (400, "body")),
        (sealed(b"", b"k" * 32), (400, "body")),
        (sealed(b"short"), (403, "sender")),
        (sealed(bytes(16) + b"\xff\xff\xff\xff" + DING["owner"].encode()), (403, "sender")),
        (sealed(bytes(20) + DING["owner"].encode()), (400, "body")),
        (sealed_by_dingtalk(b"no JSON"), (400, "body")),
        (sealed_by_dingtalk(b"[]"), (400, "body")),
        (sealed_by_dingtalk(b'{"EventType":1}'), (400, "body")),
    ],
)
def test_what_is_signed_and_cannot_be_read_is_refused(text: str, why: tuple[int, str]) -> None:
    assert DINGTALK.refuses(signed_by_dingtalk(text)) == why


@pytest.mark.parametrize("body", [[], {}, {"encrypt": None}, {"encrypt": ["a"]}, "a"])
def test_a_body_without_anything_sealed_is_refused(body: object) -> None:
    assert DINGTALK.refuses(delivery(body, query=by_dingtalk(EVENT).query)) == (401, "signature")


def test_the_trial_of_an_address_is_no_hint() -> None:
    assert DINGTALK.receive(by_dingtalk(b'{"EventType":"check_url"}')).hints == ()


@pytest.mark.parametrize("key", ["", "a" * 42, "a" * 44, "a" * 42 + "=", "ä" * 43])
def test_a_key_that_is_none_is_not_configured(key: str) -> None:
    with pytest.raises(ValueError, match="aes_key"):
        Settings(**{**DING, "aes_key": key})
