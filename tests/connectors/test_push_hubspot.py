"""HubSpot's webhooks: signature version 3, and which records an event names."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.hubspot.push import Settings, receive
from connectors.push import Delivery, Refused
from engine.model import Hint
from tests.connectors.push_rig import AT, DEAL_EVENT, HUBSPOT_SECRET, SYSTEMS, URL, by_hubspot, compact, delivery, endpoint, milliseconds

HUBSPOT = replace(SYSTEMS["hubspot"], sample=compact([DEAL_EVENT]))
DOCUMENTED = "https://www.example.com/webhook_uri"
# HubSpot's page on validating requests: a body, its signatures of version 1 and, of an empty GET, version 2
BODY = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation",'
    b'"attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
)
VERSION_1 = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"
VERSION_2 = "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"


def at(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def sent(body: bytes, signature: str, moment: str) -> Delivery:
    return delivery(body, {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": moment}, url=DOCUMENTED, at=at(moment))


def reason(delivery: Delivery) -> str:
    with pytest.raises(Refused) as refused:
        receive(Settings(client_secret=HUBSPOT_SECRET), endpoint(url=DOCUMENTED), delivery)
    return refused.value.reason


@pytest.mark.parametrize(
    ("moment", "signature"),
    [
        # published: the tests of HubSpot's own clients for Python and for Ruby
        ("1693657560000", "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
        ("1700000300000", "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="),
    ],
)
def test_the_signature_is_the_one_hubspot_publishes(moment: str, signature: str) -> None:
    body = b"{'example_field':'example_value'}"  # no JSON: it is refused for that, once its signature was found right
    assert reason(sent(body, signature, moment)) == "body"
    assert reason(sent(body, signature.swapcase(), moment)) == "signature"


def test_a_whole_delivery_with_a_signature_made_elsewhere() -> None:
    # made by us, not by HubSpot, over the body of HubSpot's page
    signature = "ikF0Li1ExppoA58h5KuGxo9KjASysXsNQwpEiKU1+O0="
    received = receive(Settings(client_secret=HUBSPOT_SECRET), endpoint(url=DOCUMENTED), sent(BODY, signature, "1763800000000"))
    assert (received.hints, received.events, received.status) == ((Hint("contact", "123"),), 1, 200)


def test_openssl_signs_alike() -> None:
    text = f"POST{URL}".encode() + HUBSPOT.sample + milliseconds().encode()
    command = ["openssl", "dgst", "-sha256", "-hmac", HUBSPOT_SECRET, "-binary"]
    made = subprocess.run(command, input=text, capture_output=True, check=True).stdout  # noqa: S603 - fixed words
    headers = {"x-hubspot-signature-v3": base64.b64encode(made).decode(), "x-hubspot-request-timestamp": milliseconds()}
    assert HUBSPOT.receive(delivery(HUBSPOT.sample, headers)).hints == (Hint("deal", "512"),)


def test_older_signatures_are_not_enough() -> None:
    assert hashlib.sha256(HUBSPOT_SECRET.encode() + BODY).hexdigest() == VERSION_1
    assert hashlib.sha256(f"{HUBSPOT_SECRET}GET{DOCUMENTED}".encode()).hexdigest() == VERSION_2
    headers = {"x-hubspot-signature": VERSION_1, "x-hubspot-signature-version": "v1", "x-hubspot-request-timestamp": milliseconds()}
    assert HUBSPOT.refuses(delivery(BODY, headers)) == (401, "signature")
    assert HUBSPOT.refuses(delivery(BODY, {**headers, "x-hubspot-signature-v3": VERSION_1})) == (401, "signature")
    with_both = by_hubspot(BODY)
    assert HUBSPOT.receive(replace(with_both, headers={**headers, **with_both.headers})).events == 1


def test_the_signature_covers_address_query_moment_and_secret() -> None:
    genuine = by_hubspot(HUBSPOT.sample)
    later = {**genuine.headers, "x-hubspot-request-timestamp": milliseconds(AT + timedelta(seconds=1))}
    for other in (
        replace(genuine, url=f"{URL}?a=1"),
        replace(genuine, headers=later),
        by_hubspot(HUBSPOT.sample, url="https://elsewhere.example.com/hooks"),
        by_hubspot(HUBSPOT.sample, secret="another"),
        by_hubspot(HUBSPOT.sample, url=URL.replace("https", "http")),
    ):
        assert HUBSPOT.refuses(other) == (401, "signature")
    assert HUBSPOT.receive(by_hubspot(HUBSPOT.sample, url=f"{URL}?b=2&a=%20")).events == 1


def test_the_address_is_the_configured_one_whatever_the_host_is_called() -> None:
    behind_a_proxy = replace(by_hubspot(HUBSPOT.sample), url=URL.replace("hub.example.com", "10.0.0.1:8080"))
    assert HUBSPOT.receive(replace(behind_a_proxy, headers={**behind_a_proxy.headers, "host": "10.0.0.1:8080"})).events == 1


@pytest.mark.parametrize(("seconds", "fits"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_a_moment_long_past_or_ahead_is_refused(seconds: int, fits: bool) -> None:
    old = replace(by_hubspot(HUBSPOT.sample, at=AT + timedelta(seconds=seconds)), at=AT)
    if fits:
        assert HUBSPOT.receive(old).events == 1
    else:
        assert HUBSPOT.refuses(old) == (401, "stale")


@pytest.mark.parametrize(
    ("event", "hints"),
    [
        (DEAL_EVENT, ["deal:512"]),
        ({"subscriptionType": "company.creation", "objectId": 9}, ["customer:9"]),
        ({"subscriptionType": "contact.privacyDeletion", "objectId": 9}, ["contact:9"]),
        ({"subscriptionType": "ticket.creation", "objectId": 9}, ["feedback:9"]),
        ({"subscriptionType": "object.propertyChange", "objectTypeId": "0-3", "objectId": 9}, ["deal:9"]),
        ({"subscriptionType": "object.deletion", "objectTypeId": "0-2", "objectId": 9}, ["customer:9"]),
        ({"subscriptionType": "object.restore", "objectTypeId": "0-1", "objectId": "9"}, ["contact:9"]),
        ({"subscriptionType": "object.creation", "objectTypeId": "0-8", "objectId": 9}, []),
        ({"subscriptionType": "object.creation", "objectTypeId": ["0-3"], "objectId": 9}, []),
        ({"subscriptionType": "deal.creation", "objectTypeId": "0-2", "objectId": 9}, ["deal:9"]),
        ({"subscriptionType": "line_item.creation", "objectId": 9}, []),
        ({"subscriptionType": "conversation.newMessage", "objectId": 9}, []),
        (
            {
                "subscriptionType": "deal.merge",
                "objectId": 1,
                "primaryObjectId": 1,
                "mergedObjectIds": [2, 3],
                "newObjectId": 4,
                "numberOfPropertiesMoved": 5,
            },
            ["deal:1", "deal:4", "deal:2", "deal:3"],
        ),
        ({"subscriptionType": "deal.merge", "primaryObjectId": 1, "mergedObjectIds": 7}, ["deal:1"]),
        (
            {"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_COMPANY", "fromObjectId": 1, "toObjectId": 2},
            ["deal:1", "customer:2"],
        ),
        (
            {
                "subscriptionType": "object.associationChange",
                "fromObjectTypeId": "0-1",
                "toObjectTypeId": "0-3",
                "fromObjectId": 1,
                "toObjectId": 2,
            },
            ["contact:1", "deal:2"],
        ),
        (
            {"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_LINE_ITEM", "fromObjectId": 1, "toObjectId": 2},
            ["deal:1"],
        ),
        ({"subscriptionType": "deal.associationChange"}, []),
        ({"subscriptionType": 7, "objectId": 9}, []),
        ({}, []),
        ("deal", []),
        ([["deal"]], []),
    ],
)
def test_an_event_names_its_records(event: Any, hints: list[str]) -> None:
    received = HUBSPOT.receive(by_hubspot(compact([event])))
    assert [f"{hint.kind}:{hint.id}" for hint in received.hints] == hints
    assert received.events == 1


def test_a_burst_on_one_deal_is_one_hint_and_one_bad_event_hides_no_other() -> None:
    received = HUBSPOT.receive(by_hubspot(compact([None, *[DEAL_EVENT] * 98, {"subscriptionType": "deal.creation", "objectId": 1}])))
    assert (received.hints, received.events) == ((Hint("deal", "512"), Hint("deal", "1")), 100)


@pytest.mark.parametrize("body", [{}, DEAL_EVENT, "x", 1, None, [DEAL_EVENT] * 101])
def test_a_body_that_is_no_list_of_a_hundred_is_refused(body: object) -> None:
    assert HUBSPOT.refuses(by_hubspot(compact(body))) == (400, "body")


def test_an_empty_list_is_taken() -> None:
    assert HUBSPOT.receive(by_hubspot(b"[]")).hints == ()
