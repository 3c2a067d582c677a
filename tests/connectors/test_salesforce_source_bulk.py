"""First reads through Bulk API 2.0 give what REST gives, and give way to REST where bulk does not work."""

from __future__ import annotations

import pytest

from connectors.base import Transient
from connectors.salesforce.bulk import convert, nest, parse
from engine.model import Read, Record
from tests.conformance.source import Rig, pull
from tests.connectors.salesforce_rig import SalesforceCrm, rig

AWKWARD = ['plain, "quoted"', "two\nlines", "three\r\n\r\nlines", "it's; 'so'", "=1+1", " spaces ", "项目 🎉", '"', ",", "\\n"]


def populate(crm: SalesforceCrm) -> list[str]:
    account = crm.org.insert("Account", {"Name": "Acme, Inc."})
    contact = crm.org.insert("Contact", {"LastName": "O'Neil", "Email": "o@acme.test"})
    ids = []
    for number, text in enumerate(AWKWARD):
        fields = {
            "Name": f"deal {number}",
            "NextStep": text,
            "Amount": number * 1.5 if number else None,
            "AccountId": account if number % 2 else None,
        }
        ids.append(crm.org.insert("Opportunity", {**fields, "StageName": "Prospecting", "CloseDate": "2026-12-01"}))
        crm.rename_child(ids[-1], text)
        crm.org.insert("OpportunityContactRole", {"OpportunityId": ids[-1], "ContactId": contact, "Role": "User"})
    crm.org.delete("Opportunity", ids[-1])
    return ids


async def test_bulk_and_rest_tell_the_same() -> None:
    plain, by_rest = rig()
    massive, in_bulk = rig(bulk_above=0)
    assert populate(plain) == populate(massive)
    over_rest = (await pull(Rig(plain, by_rest))).latest
    assert (await pull(Rig(massive, in_bulk))).latest == over_rest
    assert massive.app.calls["bulk"] > 0


async def test_after_a_bulk_read_the_next_pull_is_quiet_and_the_org_holds_no_jobs() -> None:
    crm, make = rig(bulk_above=0)
    populate(crm)
    seen = await pull(Rig(crm, make))
    assert (await pull(Rig(crm, make), seen)).records == []
    assert not crm.app.bulk.jobs


async def test_what_changes_while_the_jobs_run_comes_with_the_next_pull() -> None:
    crm, make = rig(bulk_above=0)
    ids = populate(crm)
    seen = await pull(Rig(crm, make), pages=1)
    crm.clock.move(seconds=5)
    crm.rename(ids[0], "changed")
    seen = await pull(Rig(crm, make), seen)
    assert crm.name(seen.latest[ids[0]]) == "changed"
    assert set(seen.ids) == set(ids)


async def test_a_failed_job_gives_way_to_rest() -> None:
    crm, make = rig(bulk_above=0)
    ids = populate(crm)
    crm.app.bulk.failures.append("InternalServerError : retries exceeded")
    seen = await pull(Rig(crm, make))
    assert sorted(seen.ids) == sorted(ids)
    assert crm.app.calls["query"] > 1
    assert (await pull(Rig(crm, make), seen)).records == []


async def test_fields_that_bulk_refuses_are_read_over_rest() -> None:
    crm, make = rig({"customer": Read("Account", ("Name", "BillingAddress"))}, bulk_above=0)
    row = crm.org.insert("Account", {"Name": "Acme", "BillingCity": "Ulm"})
    found: dict[str, Record] = (await pull(Rig(crm, make), kind="customer")).latest
    assert found[row].fields["BillingAddress"]["city"] == "Ulm"


@pytest.mark.parametrize("skip", [0, 1, 2])
async def test_a_file_cut_short_is_fetched_again(skip: int) -> None:
    crm, make = rig(bulk_above=0)
    ids = populate(crm)
    crm.box.fault("GET .*/results", "truncated", skip=skip)
    assert sorted((await pull(Rig(crm, make))).ids) == sorted(ids)


async def test_files_that_stay_cut_short_are_transient() -> None:
    crm, make = rig(bulk_above=0)
    populate(crm)
    crm.box.fault("GET .*/results", "truncated", times=-1)
    with pytest.raises(Transient, match="incomplete files"):
        await pull(Rig(crm, make))
    assert not crm.app.bulk.jobs


async def test_a_token_that_dies_between_job_and_results_is_renewed() -> None:
    crm, make = rig(bulk_above=0)
    ids = populate(crm)
    crm.app.fail("bulk", "INVALID_SESSION_ID", "Session expired or invalid", status=401, skip=8)
    assert sorted((await pull(Rig(crm, make))).ids) == sorted(ids)
    assert crm.app.calls["token"] == 2


async def test_small_first_reads_stay_with_rest() -> None:
    crm, make = rig(bulk_above=10)
    populate(crm)
    await pull(Rig(crm, make))
    assert crm.app.calls["bulk"] == 0


def test_cells_become_what_rest_would_say() -> None:
    kinds = {"Id": "id", "Owner.Email": "email", "Owner.IsActive": "boolean", "Amount": "currency", "At": "datetime", "Note": "textarea"}
    head = '"Id","Owner.Email","Owner.IsActive","Amount","At","Note"'
    text = f'{head}\n"1","a@b","true","2.50","2026-01-01T00:00:00.000Z","a\0\nb"\n"2","","","","",""\n"3"'
    first, second = parse(text, kinds)
    assert first["Owner"] == {"Email": "a@b", "IsActive": True}
    assert (str(first["Amount"]), first["At"], first["Note"]) == ("2.50", "2026-01-01T00:00:00.000+0000", "a\nb")
    assert second == {"Id": "2", "Owner": None, "Amount": None, "At": None, "Note": None}
    assert (convert("7", "int"), nest({"A.B.C": 1})) == (7, {"A": {"B": {"C": 1}}})
