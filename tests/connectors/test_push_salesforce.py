"""Salesforce's outbound messages: whose they are, safe XML, the acknowledgement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.push import Received, Refused
from connectors.salesforce.push import Settings
from engine.model import Hint
from tests.connectors.push_rig import ORGANIZATION, SESSION, SYSTEMS, System, by_salesforce, message, notification

SALESFORCE = SYSTEMS["salesforce"]
OUTBOUND = "{http://soap.sforce.com/2005/09/outbound}"


def of(organization: str) -> System:
    return replace(SALESFORCE, settings=Settings(organization=organization))


def test_a_message_names_its_records_and_is_acknowledged() -> None:
    received = SALESFORCE.receive(
        by_salesforce(message(notification(1), notification(2), notification(3, "Account", "0012t00000AbCdEAAV")))
    )
    assert received.hints == (
        Hint("deal", "0062t0000000001AAA"),
        Hint("deal", "0062t0000000002AAA"),
        Hint("customer", "0012t00000AbCdEAAV"),
    )
    assert (received.events, received.status, received.content_type) == (3, 200, "text/xml; charset=utf-8")


def test_the_acknowledgement_is_the_one_salesforce_waits_for() -> None:
    root = fromstring(SALESFORCE.receive(by_salesforce(message())).body)
    assert root.tag == "{http://schemas.xmlsoap.org/soap/envelope/}Envelope"
    path = "{http://schemas.xmlsoap.org/soap/envelope/}Body/" + f"{OUTBOUND}notificationsResponse/{OUTBOUND}Ack"
    assert [each.text for each in root.findall(path)] == ["true"]


def test_an_object_that_is_not_read_is_acknowledged() -> None:
    received = SALESFORCE.receive(by_salesforce(message(notification(kind="Lead"))))
    assert (received.hints, received.events) == ((), 1)
    assert b"<Ack>true</Ack>" in received.body


def test_a_hundred_notifications_come_at_once_and_no_more() -> None:
    assert len(SALESFORCE.receive(by_salesforce(message(*map(notification, range(100))))).hints) == 100
    assert SALESFORCE.refuses(by_salesforce(message(*map(notification, range(101))))) == (400, "body")
    assert SALESFORCE.refuses(by_salesforce(message(""))) == (400, "body")


@pytest.mark.parametrize("ours", [ORGANIZATION, ORGANIZATION[:15]])
@pytest.mark.parametrize("theirs", [ORGANIZATION, ORGANIZATION[:15]])
def test_short_and_long_ids_of_an_organisation_are_equal(ours: str, theirs: str) -> None:
    assert of(ours).receive(by_salesforce(message(organization=theirs))).events == 1


@pytest.mark.parametrize(
    "theirs", ["", "00D2t000000ODN6EAO", ORGANIZATION.swapcase(), ORGANIZATION[:14], f"{ORGANIZATION}A", f" {ORGANIZATION}", "é" * 15]
)
def test_another_organisation_is_refused(theirs: str) -> None:
    assert SALESFORCE.refuses(by_salesforce(message(organization=theirs))) == (403, "sender")


def test_a_message_without_an_organisation_is_refused() -> None:
    body = message().replace(f"<OrganizationId>{ORGANIZATION}</OrganizationId>".encode(), b"")
    assert SALESFORCE.refuses(by_salesforce(body)) == (403, "sender")


@pytest.mark.parametrize("organization", ["", "00D", "0062t000000ODN5", "00D2t000000ODN5E", "00D2t000000ODN5EAO9"])
def test_what_is_no_organisation_is_not_configured(organization: str) -> None:
    with pytest.raises(ValueError, match="organization"):
        Settings(organization=organization)


def test_the_session_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    received = SALESFORCE.receive(by_salesforce(message()))
    assert SESSION not in repr(received) + received.body.decode()
    for body in (message(organization="00D2t000000ODN6EAO"), message()[:-1], message("")):
        with pytest.raises(Refused) as refused:
            SALESFORCE.receive(by_salesforce(body))
        assert SESSION not in f"{refused.value!r}{refused.value}"
    assert SESSION not in caplog.text


def dtd(declared: str, used: str = "") -> bytes:
    return message(notification(id=used)).replace(b"?>\n", f"?>\n<!DOCTYPE a [{declared}]>\n".encode(), 1)


LAUGHS = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
BOMBS = {
    "a DTD": dtd(""),
    "an entity": dtd('<!ENTITY x "0062t0000000001AAA">', "&x;"),
    "a billion laughs": dtd(LAUGHS, "&a11;"),
    "a quadratic blow-up": dtd(f'<!ENTITY x "{"x" * 10_000}">', "&x;" * 1_000),
    "an external DTD": message().replace(b"?>\n", b'?>\n<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">\n', 1),
    "a parameter entity": dtd('<!ENTITY % x SYSTEM "http://127.0.0.1:9/a.dtd"> %x;'),
    "an unknown entity": message(notification(id="&x;")),
    "half of it": message()[:400],
    "two roots": message() + b"<a/>",
    "nothing": b"",
    "JSON": b"{}",
    "no UTF-8": message().replace("Söhne".encode(), b"S\xf6hne"),
    "UTF-16": message().decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "UTF-7": b'<?xml version="1.0" encoding="UTF-7"?>' + "<!DOCTYPE a>".encode("utf-7"),
    "a byte that is no character": message(notification(id="\x00")),
    "a character that is none": message(notification(id="&#0;")),
    "depth": b"<a>" * 100_000,
    "depth, closed": b"<a>" * 50_000 + b"</a>" * 50_000,
    "another root": message().replace(b"soapenv:Envelope", b"soapenv:Letter"),
    "another envelope": message().replace(b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"),
    "another namespace": message().replace(b"2005/09/outbound", b"2005/09/inbound"),
    "two messages": message().replace(
        b"</soapenv:Body>", message().split(b"<soapenv:Body>")[1].split(b"</soapenv:Body>")[0] + b"</soapenv:Body>"
    ),
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_xml_that_could_do_harm_and_what_is_no_message_are_refused(body: bytes) -> None:
    assert SALESFORCE.refuses(by_salesforce(body)) == (400, "body")


def test_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("0062t0000000001AAA", encoding="ascii")
    body = dtd(f'<!ENTITY x SYSTEM "{(tmp_path / "id").as_uri()}">', "&x;")
    assert SALESFORCE.refuses(by_salesforce(body)) == (400, "body")


@pytest.mark.parametrize("encoding", ["UTF-16", "latin-1", "rot13", "hex", "idna", "x" * 1000])
def test_a_document_is_read_as_utf_8_whatever_it_says(encoding: str) -> None:
    """Never in another way than the limits are checked in; Salesforce sends nothing else."""
    try:
        received = SALESFORCE.receive(by_salesforce(message().replace(b"UTF-8", encoding.encode(), 1)))
    except Refused as refused:
        assert refused.reason == "body"  # noqa: PT017 - both are good
    else:
        assert received.hints == (Hint("deal", "0062t0000000001AAA"),)


@pytest.mark.parametrize(
    "record",
    [
        notification(id="a" * 129),
        notification().replace("sf:Id", "sf:Key"),
        notification().replace('xsi:type="sf:Opportunity"', ""),
        notification().replace("urn:sobject.enterprise.soap.sforce.com", "urn:other"),
        notification(id="<b>0062t0000000001AAA</b>"),
        "<Notification/>",
    ],
)
def test_a_record_without_an_id_is_no_hint_and_hides_no_other(record: str) -> None:
    received = SALESFORCE.receive(by_salesforce(message(record, notification(2))))
    assert (received.hints, received.events) == ((Hint("deal", "0062t0000000002AAA"),), 2)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(message()) - 1), cut=st.integers(0, 30), put=st.binary(max_size=10))
def test_a_message_with_anything_in_it_is_taken_or_refused(place: int, cut: int, put: bytes) -> None:
    body = message()
    try:
        received = SALESFORCE.receive(by_salesforce(body[:place] + put + body[place + cut :]))
    except Refused:
        return
    assert isinstance(received, Received)
    assert len(received.hints) <= 1
