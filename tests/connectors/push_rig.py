"""What systems push, made in the tests by each one's documented formula and none of the connectors' code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from connectors.asana import push as asana
from connectors.dingtalk import push as dingtalk
from connectors.feishu import push as feishu
from connectors.generic import push as generic
from connectors.hubspot import push as hubspot
from connectors.kanboard import push as kanboard
from connectors.odoo import push as odoo
from connectors.pipedrive import push as pipedrive
from connectors.push import Delivery, Endpoint, PushSettings, Received, Refused
from connectors.salesforce import push as salesforce
from connectors.zoho import push as zoho
from engine.model import CrmKind

AT = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
URL = "https://hub.example.com/hooks/name/abcdefghijklmnop"
TOKEN = "tokenoftheendpointtokenoftheendpointtoke"
OBJECTS: Mapping[str, CrmKind] = {"Opportunity": "deal", "Account": "customer", "Deals": "deal", "Accounts": "customer", "crm.lead": "deal"}


def endpoint(**more: Any) -> Endpoint:
    return Endpoint(**{"name": "name", "url": URL, "token": TOKEN, "objects": OBJECTS, **more})


def delivery(
    body: bytes | object,
    headers: Mapping[str, str] | None = None,
    *,
    query: Mapping[str, str] | None = None,
    method: str = "POST",
    url: str = URL,
    at: datetime = AT,
) -> Delivery:
    raw = body if isinstance(body, bytes) else compact(body)
    return Delivery(method, url, query or {}, {"content-type": "application/json", **(headers or {})}, raw, at)


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def milliseconds(at: datetime = AT) -> str:
    return str(int(at.timestamp() * 1000))


@dataclass(frozen=True)
class System:
    """A system, as set up at both ends: `send` makes a genuine delivery of a body. `signed`: no byte of the body may be another."""

    module: ModuleType
    settings: PushSettings
    send: Callable[[bytes], Delivery]
    sample: bytes
    at: Endpoint = field(default_factory=endpoint)
    signed: bool = False

    def receive(self, delivery: Delivery) -> Received:
        received = self.module.receive(self.settings, self.at, delivery)
        assert isinstance(received, Received)
        return received

    def refuses(self, delivery: Delivery) -> tuple[int, str]:
        """Why it does not take a delivery."""
        with pytest.raises(Refused) as refused:
            self.receive(delivery)
        return refused.value.status, refused.value.reason


# HubSpot: base64 of HMAC-SHA256 of method, address, body, moment

HUBSPOT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"


def by_hubspot(body: bytes, *, at: datetime = AT, url: str = URL, secret: str = HUBSPOT_SECRET) -> Delivery:
    text = f"POST{url}".encode() + body + milliseconds(at).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
    return delivery(body, {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": milliseconds(at)}, url=url)


# Asana: hex of HMAC-SHA256 of the body

ASANA_SECRET = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"


def by_asana(body: bytes, secret: str = ASANA_SECRET) -> Delivery:
    return delivery(body, {"x-hook-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()})


# Feishu: AES-256-CBC under the SHA-256 of the key, signed with SHA-256 of moment, nonce, key, body


def cbc(key: bytes, iv: bytes, plain: bytes, block: int) -> bytes:
    pad = block - len(plain) % block
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()


def uncbc(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    plain = decryptor.update(sealed) + decryptor.finalize()
    return plain[: -plain[-1]]


FEISHU_KEY = "test key"
FEISHU_TOKEN = "v-token"


def sealed_by_feishu(plain: bytes) -> bytes:
    iv = b"0123456789abcdef"
    return compact({"encrypt": base64.b64encode(iv + cbc(hashlib.sha256(FEISHU_KEY.encode()).digest(), iv, plain, 16)).decode()})


def signed_by_feishu(body: bytes, at: datetime = AT) -> Delivery:
    moment, nonce = str(int(at.timestamp())), "533226633"
    signature = hashlib.sha256((moment + nonce + FEISHU_KEY).encode() + body).hexdigest()
    return delivery(
        body, {"x-lark-request-timestamp": moment, "x-lark-request-nonce": nonce, "x-lark-signature": signature, "x-lark-other": "1"}
    )


def by_feishu(plain: bytes) -> Delivery:
    return signed_by_feishu(sealed_by_feishu(plain))


FEISHU_EVENT = {
    "schema": "2.0",
    "header": {"event_id": "e1", "token": FEISHU_TOKEN, "create_time": "1", "event_type": "drive.file.bitable_record_changed_v1"},
    "event": {"file_token": "basc1", "table_id": "tbl1", "action_list": [{"record_id": "rec1", "action": "record_edited"}]},
}


# DingTalk: AES-256-CBC under a key of 43 letters, signed with SHA-1 of the sorted parts

DING = {"token": "123456", "aes_key": "4g5j64qlyl3zvetqxz5jiocdr586fn2zvjpa8zls3ij", "owner": "suite4xxxxxxxxxxxxxxx"}
DING_KEY = base64.b64decode(DING["aes_key"] + "=")


def sealed_by_dingtalk(plain: bytes, owner: str = DING["owner"]) -> str:
    text = b"hU3bEfGZZewzhG5a" + len(plain).to_bytes(4, "big") + plain + owner.encode()
    return base64.b64encode(cbc(DING_KEY, DING_KEY[:16], text, 32)).decode()


def signed_by_dingtalk(sealed: str, name: str = "msg_signature", moment: str = "timestamp") -> Delivery:
    parts = [DING["token"], milliseconds(), "nEXhMP4r", sealed]
    query = {name: hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest(), moment: parts[1], "nonce": parts[2]}
    return delivery({"encrypt": sealed}, query=query)


def by_dingtalk(plain: bytes) -> Delivery:
    return signed_by_dingtalk(sealed_by_dingtalk(plain))


# Salesforce: SOAP

ORGANIZATION = "00D2t000000ODN5EAO"
SESSION = "00D2t000000ODN5!AQ4AQLtDIqY.session"


def notification(number: int = 1, kind: str = "Opportunity", id: str = "") -> str:
    return (
        f'<Notification><Id>04l2t00000{number:05}AAA</Id><sObject xsi:type="sf:{kind}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"<sf:Id>{id or f'0062t00000{number:05}AAA'}</sf:Id><sf:Name>Acme &amp; Söhne</sf:Name></sObject></Notification>"
    )


def message(*notifications: str, organization: str = ORGANIZATION) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n <soapenv:Body>\n'
        '  <notifications xmlns="http://soap.sforce.com/2005/09/outbound">\n'
        f"   <OrganizationId>{organization}</OrganizationId><ActionId>04k2t0000000001AAA</ActionId><SessionId>{SESSION}</SessionId>"
        "<EnterpriseUrl>https://acme.my.salesforce.com/services/Soap/c/67.0/00D2t000000ODN5</EnterpriseUrl>"
        "<PartnerUrl>https://acme.my.salesforce.com/services/Soap/u/67.0/00D2t000000ODN5</PartnerUrl>"
        f"{''.join(notifications or (notification(),))}</notifications>\n </soapenv:Body>\n</soapenv:Envelope>"
    ).encode()


def by_salesforce(body: bytes) -> Delivery:
    return delivery(body, {"content-type": "text/xml; charset=UTF-8", "soapaction": '""'})


def by_pipedrive(body: bytes, user: str = "handoff", password: str = TOKEN) -> Delivery:
    return delivery(body, {"authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"})


def by_generic(body: bytes) -> Delivery:
    return delivery(body, {"x-hub-signature": f"sha256={hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()}"})


DEAL_EVENT = {"subscriptionType": "deal.propertyChange", "objectId": 512, "propertyName": "dealstage", "propertyValue": "closedwon"}

HUBSPOT_EVENTS = [
    DEAL_EVENT,
    {"subscriptionType": "object.creation", "objectTypeId": "0-2", "objectId": 1},
    {"subscriptionType": "deal.merge", "objectId": 1, "primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 3},
    {"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_COMPANY", "fromObjectId": 1, "toObjectId": 2},
]

SYSTEMS: Mapping[str, System] = {
    "hubspot": System(hubspot, hubspot.Settings(client_secret=HUBSPOT_SECRET), by_hubspot, compact(HUBSPOT_EVENTS), signed=True),
    "asana": System(
        asana, asana.Settings(), by_asana, compact({"events": [{"action": "changed"}]}), endpoint(secret=ASANA_SECRET), signed=True
    ),
    "zoho": System(zoho, zoho.Settings(), delivery, compact({"module": "Deals", "ids": ["55501"], "token": TOKEN})),
    "salesforce": System(salesforce, salesforce.Settings(organization=ORGANIZATION), by_salesforce, message()),
    "odoo": System(odoo, odoo.Settings(), delivery, compact({"_action": "post(#292)", "_id": 3, "_model": "crm.lead", "id": 3})),
    "kanboard": System(kanboard, kanboard.Settings(), delivery, compact({"event_name": "task.create", "event_data": {"task_id": 1}})),
    "pipedrive": System(pipedrive, pipedrive.Settings(), by_pipedrive, compact({"meta": {"entity": "deal", "entity_id": "7"}})),
    "feishu": System(
        feishu,
        feishu.Settings(verification_token=FEISHU_TOKEN, encrypt_key=FEISHU_KEY),
        by_feishu,
        compact(FEISHU_EVENT),
        signed=True,
    ),
    "dingtalk": System(dingtalk, dingtalk.Settings(**DING), by_dingtalk, compact({"EventType": "project_task_updated"}), signed=True),
    "generic": System(
        generic,
        generic.Settings(scheme="hmac-sha256", header="X-Hub-Signature", prefix="sha256=", kind="deal", id="data.id"),
        by_generic,
        compact({"data": {"id": "A-1"}}),
        signed=True,
    ),
}
