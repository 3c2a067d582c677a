"""Systems that push, as a process: `python -m bench.senders SHAPE URL SECONDS CONNECTIONS RATE FILE`. Writes how long each acknowledgement took.

Each connection sends its next delivery when the last one was answered; with a rate, each is due at its moment, and what it waits for its turn
counts as well.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

ORGANIZATION = "00D000000000001"
CLIENT_SECRET = "a-client-secret-of-hubspot"
PUBLIC = "https://hub.example.com"
_MESSAGE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
    '<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>{organization}</OrganizationId>'
    '<ActionId>04k000000000001AAA</ActionId><SessionId xsi:nil="true"/><EnterpriseUrl>https://example.my.salesforce.com/services/Soap/c/67.0'
    "</EnterpriseUrl><PartnerUrl>https://example.my.salesforce.com/services/Soap/u/67.0</PartnerUrl><Notification><Id>04l{id}</Id>"
    '<sObject xsi:type="sf:Opportunity" xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>{id}</sf:Id></sObject></Notification>'
    "</notifications></soapenv:Body></soapenv:Envelope>"
)
Make = Callable[[str, str], bytes]


def salesforce(path: str, id_: str) -> bytes:
    """An outbound message: SOAP, a record each."""
    return _request(path, _MESSAGE.format(organization=ORGANIZATION, id=id_).encode(), "text/xml; charset=utf-8")


def hubspot(path: str, id_: str) -> bytes:
    """A webhook with the third signature."""
    event = {"objectId": id_, "subscriptionType": "deal.propertyChange", "propertyName": "dealstage", "portalId": 1, "attemptNumber": 0}
    body, moment = json.dumps([event]).encode(), str(int(time.time() * 1000))
    text = b"POST" + f"{PUBLIC}{path}".encode() + body + moment.encode()
    signature = base64.b64encode(hmac.digest(CLIENT_SECRET.encode(), text, "sha256")).decode()
    return _request(path, body, "application/json", f"X-HubSpot-Signature-v3: {signature}\r\nX-HubSpot-Request-Timestamp: {moment}\r\n")


def _request(path: str, body: bytes, kind: str, more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: hub.example.com\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


SHAPES: dict[str, Make] = {"salesforce": salesforce, "hubspot": hubspot}


@dataclass(slots=True)
class Sent:
    """What was acknowledged: seconds each took, and the ids."""

    took: list[float] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    refused: int = 0
    began: float = 0.0
    ended: float = 0.0


async def send(shape: str, url: str, *, seconds: float, connections: int, rate: float) -> Sent:
    """Until the time is over, or the other side is gone."""
    where, sent = urlsplit(url), Sent()
    sent.began = time.perf_counter()
    crowd = [_connection(SHAPES[shape], where, sent, number, connections, seconds, rate) for number in range(connections)]
    await asyncio.gather(*crowd)
    sent.ended = time.perf_counter()
    return sent


async def _connection(make: Make, where: Any, sent: Sent, number: int, connections: int, seconds: float, rate: float) -> None:  # noqa: PLR0917
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    count, until = 0, sent.began + seconds
    try:
        while (now := time.perf_counter()) < until:
            due = sent.began + (count * connections + number) / rate if rate else now
            if due > now:
                await asyncio.sleep(due - now)
            id_ = f"006{number:03}{count:012}"
            writer.write(make(where.path, id_))
            if not await _is_acknowledged(reader):
                sent.refused += 1
            else:
                sent.took.append(time.perf_counter() - due)
                sent.ids.append(id_)
            count += 1
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def _is_acknowledged(reader: asyncio.StreamReader) -> bool:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    if length:
        await reader.readexactly(length)
    return head.startswith(b"HTTP/1.1 200")


def main() -> None:
    shape, url, seconds, connections, rate, out = sys.argv[1:7]
    sent = uvloop.run(send(shape, url, seconds=float(seconds), connections=int(connections), rate=float(rate)))
    took = sorted(sent.took)
    told = {
        "count": len(took),
        "refused": sent.refused,
        "seconds": sent.ended - sent.began,
        "p50": took[len(took) // 2] if took else 0.0,
        "p99": took[len(took) * 99 // 100] if took else 0.0,
        "ids": sent.ids,
    }
    with Path(out).open("w", encoding="ascii") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main()
