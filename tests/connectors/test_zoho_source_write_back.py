"""Writing back to Zoho CRM: hundreds of rows, each with its own result; locks, Blueprints, fields that would be passed over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.base import ConnectorError, Gone, QuotaExhausted, Rejected, Transient
from connectors.zoho import ZohoSource
from engine.model import WriteBack
from sandbox.web import Reply, Request
from sandbox.zoho.schema import Field
from tests.conformance.source import some
from tests.connectors.zoho_rig import ZohoCrm, rig


def row(id: str, **fields: Any) -> WriteBack:
    return WriteBack("deal", id, fields)


async def write(source: ZohoSource, *rows: WriteBack) -> Sequence[ConnectorError | None]:
    async with source:
        return await source.write_back(rows)


def sent(crm: ZohoCrm) -> list[dict[str, Any]]:
    """The bodies of the writes from now on."""
    found: list[dict[str, Any]] = []

    def recorder(request: Request, reply: Reply) -> None:
        if request.method == "PUT":
            found.append(request.json())

    crm.box.recorder = recorder
    return found


async def test_hundreds_of_rows_go_in_hundreds() -> None:
    crm, make = rig()
    ids = crm.add(some(207))
    bodies = sent(crm)
    results = await write(make(), *(row(each, Handoff_Status=f"of {each}") for each in ids))
    assert results == [None] * 207
    assert [len(body["data"]) for body in bodies] == [100, 100, 7]
    assert all(crm.written(each) == f"of {each}" for each in ids)


async def test_of_many_rows_the_bad_ones_alone_are_refused() -> None:
    """HTTP 207: the call succeeded, some of its rows did not."""
    crm, make = rig()
    ids = crm.add(some(30))
    bad = {3: row(ids[3], Amount="a lot"), 17: row("4876876000000999999", Handoff_Status="x")}
    results = await write(make(), *(bad.get(at, row(each, Handoff_Status="ok")) for at, each in enumerate(ids)))
    assert [at for at, result in enumerate(results) if result] == [3, 17]
    assert isinstance(results[3], Rejected)
    assert results[3].field == "Amount"
    assert isinstance(results[17], Gone)
    assert crm.written(ids[29]) == "ok"


@pytest.mark.parametrize(("trigger", "told"), [((), []), (("workflow", "blueprint"), ["workflow", "blueprint"])])
async def test_what_a_write_sets_going_is_always_said(trigger: tuple[str, ...], told: list[str]) -> None:
    crm, make = rig(trigger=trigger)
    (deal,) = crm.add(["deal"])
    bodies = sent(crm)
    await write(make(), row(deal, Handoff_Status="x"))
    assert [body["trigger"] for body in bodies] == [told]


async def test_values_arrive_as_zoho_holds_them() -> None:
    crm, make = rig()
    for field in (Field("On", "date"), Field("At", "datetime"), Field("Share", "percent"), Field("Tags", "multiselectpicklist")):
        crm.world.add_field("Deals", field)
    (deal,) = crm.add(["deal"])
    at = datetime(2026, 5, 1, 12, 30, 5, tzinfo=UTC)
    values = {"On": date(2026, 5, 1), "At": at, "Share": Decimal("12.5"), "Tags": ["a", "b"], "Next_Step": None}
    assert await write(make(), row(deal, **values)) == [None]
    held = crm.world.get("Deals", deal)
    assert (held["On"], held["At"], held["Share"], held["Tags"], held["Next_Step"]) == ("2026-05-01", at, 12.5, ["a", "b"], None)


@pytest.mark.parametrize("name", ["Handoff_Stutas", "Created_Time"])
async def test_a_field_zoho_would_pass_over_is_refused(name: str) -> None:
    crm, make = rig()
    (deal,) = crm.add(["deal"])
    (result,) = await write(make(), row(deal, **{name: "x"}))
    assert isinstance(result, Rejected)
    assert result.field == name
    assert crm.app.calls["update"] == 0


async def test_a_locked_record_is_tried_again() -> None:
    crm, make = rig()
    deal, other = crm.add(["deal", "other"])
    crm.world.lock(deal)
    sleep = crm.clock.sleep
    source = make()

    async def unlock(seconds: float) -> None:
        crm.world.unlock(deal)
        await sleep(seconds)

    crm.clock.sleep = unlock  # type: ignore[method-assign]
    source._writing._runtime = type(source._runtime)(clock=crm.clock, sleep=unlock)
    assert await write(source, row(deal, Handoff_Status="x"), row(other, Handoff_Status="y")) == [None, None]
    assert (crm.written(deal), crm.written(other)) == ("x", "y")


async def test_a_record_that_stays_locked_is_for_later() -> None:
    crm, make = rig()
    deal, other = crm.add(["deal", "other"])
    crm.world.lock(deal)
    results = await write(make(), row(deal, Handoff_Status="x"), row(other, Handoff_Status="y"))
    assert isinstance(results[0], Transient)
    assert results[1] is None


async def test_a_unique_value_somebody_has_names_the_record() -> None:
    crm, make = rig()
    crm.world.add_field("Deals", Field("Handoff_Key", unique=True))
    mine, theirs = crm.add(["mine", "theirs"])
    crm.world.update("Deals", theirs, {"Handoff_Key": "k"})
    (result,) = await write(make(), row(mine, Handoff_Key="k"))
    assert isinstance(result, Rejected)
    assert theirs in result.message


async def test_a_call_refused_as_a_whole_is_narrowed_down() -> None:
    crm, make = rig()
    ids = crm.add(some(5))
    crm.app.fail("update", "INVALID_DATA", "invalid data", times=1)
    assert await write(make(), *(row(each, Handoff_Status="x") for each in ids)) == [None] * 5


async def test_a_quota_that_is_used_up_stops_writing() -> None:
    crm, make = rig()
    (deal,) = crm.add(["deal"])
    crm.exhaust()
    with pytest.raises(QuotaExhausted):
        await write(make(), row(deal, Handoff_Status="x"))


# Blueprints


def governed(**settings: Any) -> tuple[ZohoCrm, ZohoSource, str]:
    crm, make = rig()
    crm.world.add_blueprint("Deals", "Stage", [("Analyse", "Needs Analysis"), ("Win", "Closed Won")], **settings)
    (deal,) = crm.add(["deal"])
    return crm, make(), deal


async def test_a_governed_stage_goes_by_its_transition() -> None:
    crm, source, deal = governed()
    assert await write(source, row(deal, Stage="Closed Won", Handoff_Status="done")) == [None]
    held = crm.world.get("Deals", deal)
    assert (held["Stage"], held["Handoff_Status"]) == ("Closed Won", "done")


async def test_a_transition_gets_what_it_asks_for() -> None:
    crm, source, deal = governed(needs=("Next_Step",))
    assert await write(source, row(deal, Stage="Closed Won", Next_Step="invoice")) == [None]
    assert crm.world.get("Deals", deal)["Next_Step"] == "invoice"


async def test_a_transition_that_asks_for_more_is_refused_and_says_for_what() -> None:
    crm, source, deal = governed(needs=("Next_Step",))
    crm.box.recorder = None  # the public description does not know this refusal
    (result,) = await write(source, row(deal, Stage="Closed Won"))
    assert isinstance(result, Rejected)
    assert result.field == "Next_Step"
    assert crm.world.get("Deals", deal)["Stage"] == "Qualification"


async def test_a_stage_no_transition_leads_to_is_refused_with_what_is_offered() -> None:
    _, source, deal = governed()
    (result,) = await write(source, row(deal, Stage="Closed Lost"))
    assert isinstance(result, Rejected)
    assert result.field == "Stage"
    assert "Needs Analysis, Closed Won" in result.message


@pytest.mark.parametrize("fault", ["reset_after", "error_after", "truncated"])
async def test_a_transition_whose_answer_is_lost_is_not_taken_for_refused(fault: Any) -> None:
    crm, source, deal = governed()
    crm.box.fault("PUT .*/actions/blueprint", fault)
    assert await write(source, row(deal, Stage="Closed Won", Handoff_Status="done")) == [None]
    assert (crm.world.get("Deals", deal)["Stage"], crm.written(deal)) == ("Closed Won", "done")


async def test_fields_that_are_not_governed_are_free() -> None:
    crm, source, deal = governed()
    assert await write(source, row(deal, Handoff_Status="x")) == [None]
    assert crm.app.calls["blueprint"] == 0
