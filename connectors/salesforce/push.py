"""Salesforce's outbound messages: SOAP, unsigned. https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_om_outboundmessaging.htm

The address is secret and the organisation is compared. They hold a session id when the message is set up to send one; it is not looked at.
Deletions are never sent. What is not acknowledged comes again for 24 hours, so an object that is not read is acknowledged as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring
from pydantic import Field

from connectors.push import Delivery, Endpoint, PushSettings, Received, Refused, named, posted, same, typed
from engine.model import CrmKind

HOW = """\
1. In Salesforce, Setup, Outbound Messages: one for each object the mapping reads, with the endpoint URL
   {url}
   and the field Id only. Leave "Send Session ID" off.
2. Make a record-triggered flow for each object that runs after every save and sends its message.
3. Setup, Company Information: put the Salesforce.com Organization ID under `push:` as `organization`.
"""

_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_OUTBOUND = "{http://soap.sforce.com/2005/09/outbound}"
_OBJECT = "{urn:sobject.enterprise.soap.sforce.com}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_MOST = 100
_ACK = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)


class Settings(PushSettings):
    """Whose messages are taken."""

    organization: str = Field(
        pattern=r"^00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?$", description="Id of the org, 15 or 18 characters: Setup, Company Information."
    )


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """The records of objects that the mapping reads. Raises Refused."""
    posted(delivery)
    typed(delivery, "text/xml")
    told = _notifications(delivery.body)
    if not _is_of(told.findtext(f"{_OUTBOUND}OrganizationId", ""), settings.organization):
        raise Refused(403, "sender", "another organisation")
    notifications = told.findall(f"{_OUTBOUND}Notification")
    if not 0 < len(notifications) <= _MOST:
        raise Refused(400, "body")
    records = named(record for each in notifications for record in _named(each, endpoint))
    return Received(records, len(notifications), body=_ACK, content_type="text/xml; charset=utf-8")


def _notifications(body: bytes) -> Element:
    """Read as UTF-8, whatever the document says, and without anything a DTD could bring. Raises Refused."""
    try:
        root = fromstring(body.decode(), forbid_dtd=True)
    except (ParseError, ValueError):  # what is not UTF-8 and what is forbidden are ValueErrors
        raise Refused(400, "body") from None
    found = root.findall(f"{_SOAP}Body/{_OUTBOUND}notifications") if root.tag == f"{_SOAP}Envelope" else []
    if len(found) != 1:
        raise Refused(400, "body")
    return found[0]


def _is_of(given: str, organization: str) -> bool:
    """The last three of 18 characters are a checksum of the case of the others."""
    return len(given) in (15, 18) and same(given[:15], organization[:15])


def _named(notification: Element, endpoint: Endpoint) -> Iterator[tuple[CrmKind | None, object]]:
    for record in notification.findall(f"{_OUTBOUND}sObject"):
        name = record.get(_TYPE, "").rpartition(":")[2]
        yield endpoint.objects.get(name), record.findtext(f"{_OBJECT}Id", "")
