"""Writing back to Salesforce: collections, locks, external ids, and rows that spoil their call."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from connectors.base import Gone, QuotaExhausted, Rejected, Transient
from connectors.salesforce import SalesforceSource
from connectors.salesforce.errors import Locked
from connectors.salesforce.write_back import plain
from engine.model import Value, WriteBack
from sandbox.web import Reply, Request
from tests.connectors.salesforce_rig import SalesforceCrm, rig


def row(deal: str, **fields: Value) -> WriteBack:
    return WriteBack("deal", deal, fields)


def status(crm: SalesforceCrm, deal: str) -> object:
    return crm.org.get("Opportunity", deal).get("Handoff_Status__c")


async def written(source: SalesforceSource, *rows: WriteBack) -> list[object]:
    async with source:
        return list(await source.write_back(rows))


async def test_rows_go_two_hundred_in_a_call_and_name_the_client() -> None:
    crm, make = rig()
    ids = crm.add([f"deal {number}" for number in range(450)])
    sizes: list[tuple[int, str]] = []

    def note(request: Request, _reply: Reply) -> None:
        if request.method == "PATCH":
            sizes.append((len(json.loads(request.body)["records"]), request.headers["sforce-call-options"]))

    crm.box.recorder = note
    assert await written(make(), *(row(deal, Handoff_Status__c=f"status {deal}") for deal in ids)) == [None] * 450
    assert sizes == [(200, "client=handoff"), (200, "client=handoff"), (50, "client=handoff")]
    assert all(status(crm, deal) == f"status {deal}" for deal in ids)


async def test_a_locked_row_is_tried_again_alone() -> None:
    crm, make = rig()
    first, locked = crm.add(["one", "two"])
    crm.org.lock("Opportunity", locked, times=2)
    assert await written(make(), row(first, Handoff_Status__c="a"), row(locked, Handoff_Status__c="b")) == [None, None]
    assert (status(crm, first), status(crm, locked)) == ("a", "b")
    assert crm.app.calls["collections"] == 3


async def test_a_row_that_stays_locked_is_transient_and_the_others_are_done() -> None:
    crm, make = rig()
    first, locked = crm.add(["one", "two"])
    crm.org.lock("Opportunity", locked, times=99)
    done, failed = await written(make(), row(first, Handoff_Status__c="a"), row(locked, Handoff_Status__c="b"))
    assert (done, type(failed)) == (None, Locked)
    assert isinstance(failed, Transient)
    assert crm.app.calls["collections"] == 3


async def test_an_external_id_addresses_a_row() -> None:
    crm, make = rig()
    (deal,) = crm.add(["deal"])
    crm.org.update("Opportunity", deal, {"Handoff_Key__c": "key:1"})
    assert await written(make(), row("Handoff_Key__c:key:1", Handoff_Status__c="on track")) == [None]
    assert status(crm, deal) == "on track"


async def test_no_record_is_written_twice_in_one_call() -> None:
    crm, make = rig()
    (deal,) = crm.add(["deal"])
    assert await written(make(), row(deal, Handoff_Status__c="first"), row(deal, Handoff_Status__c="second")) == [None, None]
    assert status(crm, deal) == "second"
    assert crm.app.calls["collections"] == 2


async def test_a_deleted_record_is_gone() -> None:
    crm, make = rig()
    (deal,) = crm.add(["deal"])
    crm.delete(deal)
    (result,) = await written(make(), row(deal, Handoff_Status__c="x"))
    assert isinstance(result, Gone)
    assert result.system == "salesforce"


async def test_a_row_that_spoils_the_whole_call_is_the_only_one_refused() -> None:
    crm, make = rig()
    ids = crm.add([f"deal {number}" for number in range(7)])
    whole = crm.app.handle

    def picky(request: Request) -> Reply:
        if b"poison" in request.body:
            return Reply.json(400, [{"errorCode": "JSON_PARSER_ERROR", "message": "Cannot deserialize instance of double"}])
        return whole(request)

    crm.app.handle = picky  # type: ignore[method-assign]
    rows = [row(deal, Handoff_Status__c="poison" if at == 4 else "fine") for at, deal in enumerate(ids)]
    results = await written(make(), *rows)
    assert [type(result) for result in results] == [type(None)] * 4 + [Rejected] + [type(None)] * 2
    assert [status(crm, deal) for deal in ids].count("fine") == 6


async def test_a_call_that_keeps_failing_is_transient_for_its_rows() -> None:
    crm, make = rig()
    ids = crm.add(["one", "two"])
    crm.box.fault("PATCH", "error_before", status=503, times=-1)
    results = await written(make(), *(row(deal, Handoff_Status__c="x") for deal in ids))
    assert all(isinstance(result, Transient) for result in results)


async def test_an_exhausted_quota_concerns_all_rows() -> None:
    crm, make = rig()
    (deal,) = crm.add(["deal"])
    crm.exhaust()
    with pytest.raises(QuotaExhausted):
        await written(make(), row(deal, Handoff_Status__c="x"))


async def test_a_null_clears_a_field() -> None:
    crm, make = rig()
    (deal,) = crm.add(["deal"])
    await written(make(), row(deal, Handoff_Status__c="x"))
    assert await written(make(), row(deal, Handoff_Status__c=None)) == [None]
    assert status(crm, deal) is None


def test_values_take_the_form_salesforce_takes() -> None:
    values: list[Value] = [
        Decimal("12.50"),
        Decimal("40"),
        date(2026, 1, 2),
        datetime(2026, 1, 2, 3, tzinfo=UTC),
        ["a", "b"],
        True,
        None,
        "x",
    ]
    assert [plain(value) for value in values] == [12.5, 40, "2026-01-02", "2026-01-02T03:00:00.000Z", "a;b", True, None, "x"]
