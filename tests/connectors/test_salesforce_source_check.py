"""Checking a mapping against the org's own description of itself."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from connectors.base import ConfigError, Report, Runtime
from connectors.salesforce import Connection, SalesforceSource
from engine.model import CrmKind, Problem, Read
from sandbox.web import InProcess
from tests.connectors.salesforce_rig import DEAL, HOST, READS, SalesforceCrm


async def check(
    crm: SalesforceCrm,
    reads: Mapping[CrmKind, Read] = READS,
    write_back: Mapping[CrmKind, Mapping[str, str]] | None = None,
    version: str = "66.0",
) -> Report:
    plain = {"login_url": HOST, "client_id": "handoff-client", "client_secret": "handoff-secret", "api_version": version}
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=InProcess({HOST: crm.box}))
    async with SalesforceSource(Connection.model_validate(plain), reads, runtime=runtime, write_back=write_back) as source:
        return await source.check()


async def problems(
    reads: Mapping[CrmKind, Read] = READS, write_back: Mapping[CrmKind, Mapping[str, str]] | None = None, version: str = "66.0"
) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        await check(SalesforceCrm(), reads, write_back, version)
    return list(caught.value.problems)


async def test_a_sound_mapping_reports_the_user_the_org_and_the_quota() -> None:
    report = await check(SalesforceCrm(), write_back={"deal": {"status": "Handoff_Status__c"}})
    assert report.identity == "integration@handoff.test at Handoff Test Org"
    assert any("daily API calls used" in fact for fact in report.facts)


async def test_a_check_costs_a_handful_of_calls() -> None:
    crm = SalesforceCrm()
    await check(crm)
    assert crm.calls() <= 6
    assert crm.app.calls["describe"] == 0


async def test_all_problems_are_told_at_once_each_with_its_place_and_what_may_be_meant() -> None:
    lines = Read("OpportunityLineItem", ("Quantty",), places={"Quantty": ("deal", "line_items", "quantity")})
    places: dict[str, tuple[str | int, ...]] = {
        "StageNam": ("deal", "stage"),
        "Owner.Emial": ("deal", "owner"),
        "Acount.Name": ("deal", "account"),
    }
    found = await problems(
        {"deal": Read("Opportunity", ("Name", "StageNam", "Owner.Emial", "Acount.Name", "Xyzzy__c"), {"line_items": lines}, places)}
    )
    told = {problem.message: (problem.hint, problem.path) for problem in found}
    hint = "otherwise gone, or hidden from this user by field-level security"
    assert told == {
        "Opportunity has no field StageNam": (f"did you mean StageName? {hint}", ("deal", "stage")),
        "User has no field Emial": (f"did you mean Email? {hint}", ("deal", "owner")),
        "Opportunity has no relationship Acount": (f"did you mean Account? {hint}", ("deal", "account")),
        "Opportunity has no field Xyzzy__c": ("gone, or hidden from this user by field-level security", ()),
        "OpportunityLineItem has no field Quantty": (f"did you mean Quantity? {hint}", ("deal", "line_items", "quantity")),
    }


async def test_the_wrong_case_of_a_name_is_a_problem_with_the_right_one_named() -> None:
    (problem,) = await problems({"customer": Read("Account", ("website",))})
    assert "did you mean Website?" in problem.hint


async def test_an_object_that_is_not_there_is_named() -> None:
    found = await problems({"feedback": Read("Feedback__c", ("Name",))})
    assert [problem.message for problem in found] == ["there is no object Feedback__c"]


async def test_fields_written_back_must_exist_and_be_writable() -> None:
    found = await problems(write_back={"deal": {"won": "IsWon", "status": "Handof_Status__c"}, "feedback": {"status": "X"}})
    assert [(problem.message, problem.path) for problem in found] == [
        ("Opportunity.IsWon cannot be written by this user", ("write_back", "deal", "won")),
        ("Opportunity has no field Handof_Status__c", ("write_back", "deal", "status")),
        ("nothing is read of feedback, so nothing can be written back to it", ("write_back", "feedback", "status")),
    ]


async def test_a_version_the_org_does_not_speak_is_told_with_its_newest() -> None:
    (problem,) = await problems(version="99.0")
    assert problem.path == ("connection", "api_version")
    assert "66.0" in problem.hint


async def test_who_may_not_read_users_is_named_by_id() -> None:
    crm = SalesforceCrm()
    crm.org.hide_field("User", "Username")
    assert (await check(crm, {"deal": Read("Opportunity", DEAL.fields[:2])})).identity.startswith("005")
