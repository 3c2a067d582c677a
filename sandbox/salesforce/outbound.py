"""Outbound messages: a workflow rule tells an address which records were saved, in SOAP, and tells it again until it is acknowledged.

At least once, in no order, a hundred notifications a message at most; a message sent again carries the values of then; deletions are never
told. For 24 hours the delays grow, up to two hours; after that Salesforce gives up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from sandbox.salesforce.org import Org
from sandbox.salesforce.values import number_id
from sandbox.sender import Answer, Content, Letter

NAMESPACE = "http://soap.sforce.com/2005/09/outbound"
MOST = 100
LONGEST, GIVES_UP = timedelta(hours=2), timedelta(hours=24)
_HEADERS = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""', "User-Agent": "SFDC-Callout/66.0"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One workflow rule with its message: whenever a record of `object` is saved, `fields` of it are sent to `url`."""

    id: str
    url: str
    object: str
    fields: tuple[str, ...]
    first: timedelta


@dataclass(slots=True)
class Message:
    """One message on its way: notification id → record id."""

    rule: Rule
    records: Mapping[str, str]
    since: datetime
    tries: int = 0


@dataclass(slots=True)
class Outbound:
    """The rules, and what they have to tell. `given_up` are messages that nobody acknowledged in time."""

    org: Org
    rules: list[Rule] = field(default_factory=list)
    given_up: list[Message] = field(default_factory=list)
    _saved: deque[tuple[Rule, str]] = field(default_factory=deque)
    _number: int = 0

    def push_to(self, url: str, objects: Sequence[str], fields: Sequence[str], first: timedelta) -> None:
        for name in objects:
            chosen = tuple(each for each in dict.fromkeys(("Id", *fields)) if each in self.org.spec(name).fields)
            self.rules.append(Rule(self._next("04k"), url, name, chosen, first))

    def saved(self, object_name: str, id: str) -> None:
        self._saved.extend((rule, id) for rule in self.rules if rule.object == object_name)

    def letters(self) -> Iterator[Letter]:
        """What is to be told, as messages. The same record saved twice is told twice."""
        waiting: dict[Rule, list[str]] = {}
        for _ in range(len(self._saved)):
            rule, id = self._saved.popleft()
            waiting.setdefault(rule, []).append(id)
        for rule, ids in waiting.items():
            for start in range(0, len(ids), MOST):
                yield self._letter(Message(rule, {self._next("04l"): id for id in ids[start : start + MOST]}, self.org.clock()))

    def _letter(self, message: Message) -> Letter:
        return Letter(message.rule.url, lambda: self._written(message), lambda answer: self._answered(message, answer))

    def _answered(self, message: Message, answer: Answer) -> timedelta | None:
        if acknowledges(answer):
            return None
        wait: timedelta = min(LONGEST, message.rule.first * 2.0 ** min(message.tries, 16))
        message.tries += 1
        if self.org.clock() + wait - message.since > GIVES_UP:
            self.given_up.append(message)
            return None
        return wait

    def _written(self, message: Message) -> Content:
        told = "".join(self._notification(message.rule, number, id) for number, id in message.records.items())
        here = "https://handoff-test.my.salesforce.com/services/Soap"
        head = f"<OrganizationId>{self.org.id}</OrganizationId><ActionId>{message.rule.id}</ActionId>"
        head += '<SessionId xsi:nil="true"/>'
        head += f"<EnterpriseUrl>{here}/c/66.0/{self.org.id}</EnterpriseUrl><PartnerUrl>{here}/u/66.0/{self.org.id}</PartnerUrl>"
        return _HEADERS, f"{_BEGIN}{head}{told}{_END}".encode()

    def _notification(self, rule: Rule, number: str, id: str) -> str:
        """A record as it is now; of one that is gone for good, only its id."""
        row = self.org.tables[rule.object].rows.get(id, {"Id": id})
        fields = "".join(_element(name, row[name]) for name in rule.fields if row.get(name) is not None)
        kind = f'xsi:type="sf:{rule.object}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com"'
        return f"<Notification><Id>{number}</Id><sObject {kind}>{fields}</sObject></Notification>"

    def _next(self, prefix: str) -> str:
        self._number += 1
        return number_id(prefix, self._number)


_BEGIN = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications xmlns="{NAMESPACE}">'
)
_END = "</notifications></soapenv:Body></soapenv:Envelope>"


def _element(name: str, value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<sf:{name}>{escape(text)}</sf:{name}>"


def acknowledges(answer: Answer) -> bool:
    """Whether an answer takes the message off Salesforce's hands: 200, and `Ack` is true."""
    if answer.status != 200:
        return False
    try:
        found = fromstring(answer.body).find(f".//{{{NAMESPACE}}}Ack")
    except (ParseError, DefusedXmlException):
        return False
    return found is not None and (found.text or "").strip() == "true"
