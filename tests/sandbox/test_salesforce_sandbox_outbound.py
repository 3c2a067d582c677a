"""Outbound messages of the stand-in of Salesforce: what is told, in which form, and how often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from sandbox.salesforce.outbound import NAMESPACE
from sandbox.web import Reply, Request, Sandbox, serve
from tests.sandbox.receiver import Receiver
from tests.sandbox.salesforce_rig import Rig

SF = "urn:sobject.enterprise.soap.sforce.com"
ACK = (
    f'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><notificationsResponse xmlns="{NAMESPACE}">'
    "<Ack>{}</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>"
)
TAKEN, REFUSED = Reply(200, ACK.format("true").encode()), Reply(200, ACK.format("false").encode())


def said(request: Request) -> list[tuple[str, str, dict[str, str | None]]]:
    """Notification id, type and fields of what a message tells."""
    body = fromstring(request.body)
    found = []
    for each in body.iter(f"{{{NAMESPACE}}}Notification"):
        [record] = each.iter(f"{{{NAMESPACE}}}sObject")
        kind = record.attrib["{http://www.w3.org/2001/XMLSchema-instance}type"]
        fields = {field.tag.removeprefix(f"{{{SF}}}"): field.text for field in record}
        found.append((each.findtext(f"{{{NAMESPACE}}}Id", ""), kind, fields))
    return found


@asynccontextmanager
async def pushing(answer: Any = TAKEN, **how: Any) -> AsyncIterator[tuple[Rig, Receiver]]:
    rig, hub = Rig(), Receiver(answer)
    async with serve(Sandbox(hub)) as address:
        rig.sf.push_to(f"{address}/hooks/salesforce", **how)
        yield rig, hub


async def test_what_is_saved_is_told_in_soap() -> None:
    async with pushing(fields=("Name", "Amount", "IsWon", "NextStep")) as (rig, hub):
        deal = rig.deal("Smith & <Sons>", Amount=5)
        rig.org.insert("Account", {"Name": "Acme"})
        await rig.sf.sender.deliver()
    [told] = hub.got
    assert told.headers["content-type"].startswith("text/xml")
    [(number, kind, fields)] = said(told)
    assert (number[:3], len(number), kind) == ("04l", 18, "sf:Opportunity")
    assert fields == {"Id": deal, "Name": "Smith & <Sons>", "Amount": "5.0", "IsWon": "false"}
    head = {each.tag.rpartition("}")[2]: each.text or "" for each in next(fromstring(told.body).iter(f"{{{NAMESPACE}}}notifications"))}
    assert (head["OrganizationId"], len(head["OrganizationId"]), head["SessionId"]) == (rig.org.id, 18, "")


async def test_each_object_has_a_message_of_its_own_of_a_hundred_records_at_most() -> None:
    async with pushing(objects=("Opportunity", "Account")) as (rig, hub):
        deals = [rig.deal(f"Deal {n}") for n in range(150)]
        rig.org.insert("Account", {"Name": "Acme"})
        rig.org.update("Opportunity", deals[0], {"Name": "again"})
        await rig.sf.sender.deliver()
    assert sorted(len(said(told)) for told in hub.got) == [1, 51, 100]
    assert [kind for told in hub.got for _, kind, _ in said(told)].count("sf:Account") == 1
    numbers = [number for told in hub.got for number, _, _ in said(told)]
    assert len(set(numbers)) == len(numbers) == 152


@pytest.mark.parametrize("answer", [REFUSED, Reply(500), Reply(204), Reply(200, b"<html>"), Reply(200, b"")])
async def test_what_is_not_acknowledged_comes_again_later_and_later_with_the_values_of_then(answer: Reply) -> None:
    async with pushing(answer, fields=("Name",)) as (rig, hub):
        deal = rig.deal("first")
        await rig.sf.sender.deliver()
        rig.org.tables["Opportunity"].put({**rig.org.get("Opportunity", deal), "Name": "second"})
        for seconds, count in ((4, 1), (1, 2), (9, 2), (1, 3)):
            rig.wait(seconds=seconds)
            await rig.sf.sender.deliver()
            assert len(hub.got) == count
        hub.answer = TAKEN
        rig.wait(hours=2)
        await rig.sf.sender.deliver()
        rig.wait(hours=2)
        assert await rig.sf.sender.deliver() == 0
    assert [[(number, fields["Name"]) for number, _, fields in said(told)] for told in hub.got][:2] == [
        [(said(hub.got[0])[0][0], "first")],
        [(said(hub.got[0])[0][0], "second")],
    ]


async def test_after_a_day_it_gives_up() -> None:
    async with pushing(Reply(503)) as (rig, hub):
        rig.deal()
        for _ in range(60):
            await rig.sf.sender.deliver()
            rig.wait(hours=1)
        assert len(rig.sf.outbound.given_up) == 1
        assert 12 < len(hub.got) < 40


async def test_what_was_undone_and_what_was_deleted_is_not_told() -> None:
    async with pushing() as (rig, hub):
        good = {"attributes": {"type": "Opportunity"}, "Name": "x", "StageName": "Prospecting", "CloseDate": "2026-12-01"}
        answer = await rig.ask("POST", "composite/sobjects", json={"allOrNone": True, "records": [good, {**good, "Name": None}]})
        assert answer.status_code == 200
        await rig.sf.sender.deliver()
        assert hub.got == []
        answer = await rig.ask("POST", "composite/sobjects", json={"allOrNone": True, "records": [good, good]})
        await rig.sf.sender.deliver()
        assert len(said(hub.got[0])) == 2
        rig.org.delete("Opportunity", answer.json()[0]["id"])
        assert await rig.sf.sender.deliver() == 0


async def test_served_over_tcp_it_tells_by_itself() -> None:
    async with pushing() as (rig, hub), serve(rig.box):
        deal = rig.deal()
        await hub.wait(1)
    assert said(hub.got[0])[0][2] == {"Id": deal}
