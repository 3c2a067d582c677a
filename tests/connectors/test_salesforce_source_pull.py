"""Pulling from Salesforce: what its habits demand beyond what every source promises."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.base import ConfigError, QuotaExhausted, RateLimited, Runtime, Transient
from connectors.salesforce import Connection, SalesforceSource
from engine.model import Read, Record
from sandbox.web import InProcess, serve
from tests.conformance.source import Rig, Seen, pull, settled
from tests.connectors.salesforce_rig import DEAL, HOST, READS, SalesforceCrm, rig

OLD = '{"v":1,"objects":{"main":{"at":"2026-11-01T00:00:00.000Z"}}}'


def deals(crm: SalesforceCrm, count: int, **fields: object) -> list[str]:
    plain = {"StageName": "Prospecting", "CloseDate": "2026-12-01", **fields}
    return crm.org.bulk_load("Opportunity", [{"Name": f"deal {number}", **plain} for number in range(count)])


def role(crm: SalesforceCrm, deal: str, email: str = "ann@acme.test") -> str:
    contact = crm.org.insert("Contact", {"LastName": "Ann", "Email": email})
    crm.org.insert("OpportunityContactRole", {"OpportunityId": deal, "ContactId": contact, "Role": "Buyer", "IsPrimary": True})
    return contact


async def test_five_thousand_rows_of_one_stamp_come_once_and_are_remembered() -> None:
    crm, source = rig(page_size=2000)
    tied = Rig(crm, source)
    seen = await settled(tied)
    ids = deals(crm, 5000)
    crm.clock.move(seconds=5)
    more = await pull(tied, seen)
    assert more.ids == Counter(ids)
    assert (await pull(tied, more)).records == []


async def test_a_deal_with_more_children_than_fit_a_page_has_them_all() -> None:
    crm, source = rig()
    first, second = deals(crm, 2)
    for number in range(450):
        crm.rename_child(first, f"line {number:03}")
    crm.rename_child(second, "only line")
    found = (await pull(Rig(crm, source))).latest
    assert [line["Description"] for line in found[first].fields["line_items"]] == [f"line {number:03}" for number in range(450)]
    assert len(found[second].fields["line_items"]) == 1


async def test_a_lost_locator_goes_on_behind_the_last_row() -> None:
    crm, source = rig()
    ids = deals(crm, 900)
    crm.app.fail("query_more", "INVALID_QUERY_LOCATOR", "invalid query locator", skip=1)
    assert (await pull(Rig(crm, source))).ids == Counter(ids)


async def test_locators_that_never_work_are_transient() -> None:
    crm, source = rig()
    deals(crm, 900)
    crm.app.fail("query_more", "INVALID_QUERY_LOCATOR", "invalid query locator", times=-1)
    crm.app.fail("query", "INVALID_QUERY_LOCATOR", "invalid query locator", times=-1, skip=3)
    with pytest.raises(Transient, match="invalid query locator"):
        await pull(Rig(crm, source))


async def test_a_query_that_runs_too_long_is_asked_in_smaller_pieces() -> None:
    crm, source = rig(page_size=800)
    ids = deals(crm, 1000)
    crm.app.fail("query", "QUERY_TIMEOUT", "Your query request was running for too long.", times=2, skip=1)
    assert (await pull(Rig(crm, source))).ids == Counter(ids)


async def test_a_query_that_always_runs_too_long_is_transient() -> None:
    crm, source = rig()
    deals(crm, 3)
    crm.app.fail("query", "QUERY_TIMEOUT", "Your query request was running for too long.", times=-1, skip=1)
    with pytest.raises(Transient, match="running for too long"):
        await pull(Rig(crm, source))
    assert crm.calls() < 10


async def test_more_fields_than_an_address_holds_are_read_in_parts() -> None:
    wide = tuple(f"A_rather_long_name_for_a_field_{number}__c" for number in range(500))
    crm, source = rig({"deal": replace(DEAL, fields=("Name", *wide))})
    for name in wide:
        crm.org.add_field("Opportunity", name)
    ids = deals(crm, 250, **{wide[0]: "first", wide[499]: "last"})
    crm.rename_child(ids[7], "a line")
    found = (await pull(Rig(crm, source))).latest
    assert set(found) == set(ids)
    assert all((record.fields[wide[0]], record.fields[wide[499]]) == ("first", "last") for record in found.values())
    assert [line["Description"] for line in found[ids[7]].fields["line_items"]] == ["a line"]
    async with source() as one:
        (again,) = await one.read("deal", [ids[7]])
    assert again == found[ids[7]]


async def test_a_row_that_changes_while_it_is_read_in_parts_is_never_a_mixture() -> None:
    wide = tuple(f"A_rather_long_name_for_a_field_{number}__c" for number in range(300))
    crm, source = rig({"deal": Read("Opportunity", ("Name", *wide))})
    for name in wide:
        crm.org.add_field("Opportunity", name)
    ids = deals(crm, 3, **{wide[0]: "old", wide[299]: "old"})
    asked = 0

    def edit(_request: object, _reply: object) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:  # token, count, the first part
            crm.clock.move(seconds=1)
            crm.org.update("Opportunity", ids[1], {wide[0]: "new", wide[299]: "new"})

    crm.box.recorder = edit
    found = (await pull(Rig(crm, source))).latest
    assert {row: (record.fields[wide[0]], record.fields[wide[299]]) for row, record in found.items()} == {
        ids[0]: ("old", "old"),
        ids[1]: ("new", "new"),
        ids[2]: ("old", "old"),
    }


async def test_an_address_refused_as_too_long_is_split_further() -> None:
    wide = tuple(f"Field_{number}__c" for number in range(150))
    crm, source = rig({"deal": Read("Opportunity", ("Name", *wide))})
    for name in wide:
        crm.org.add_field("Opportunity", name)
    (row,) = deals(crm, 1, **{wide[149]: "there"})
    crm.box.fault("GET .*/queryAll", "html", status=431, times=2, skip=1)
    lengths: list[int] = []
    crm.box.recorder = lambda request, _: lengths.append(len(request.raw_path))
    assert (await pull(Rig(crm, source))).latest[row].fields[wide[149]] == "there"
    refused = lengths[2]
    assert all(length < refused for length in lengths[4:])


async def test_a_changed_contact_brings_the_deals_it_plays_a_role_in() -> None:
    crm, source = rig()
    first, second, other = deals(crm, 3)
    contact = role(crm, first)
    crm.org.insert("OpportunityContactRole", {"OpportunityId": second, "ContactId": contact, "Role": "User"})
    stranger = role(crm, other)
    seen = await settled(Rig(crm, source))
    crm.org.update("Contact", contact, {"Email": "new@acme.test"})
    more = await pull(Rig(crm, source), seen)
    assert set(more.ids) == {first, second}
    assert more.latest[first].fields["contacts"][0]["Contact"]["Email"] == "new@acme.test"
    assert crm.org.get("Contact", stranger)["Email"] == "ann@acme.test"


async def test_a_child_or_contact_that_changes_twice_within_one_second_is_not_lost() -> None:
    crm, source = rig()
    (row,) = deals(crm, 1)
    contact = role(crm, row)
    crm.rename_child(row, "line")
    line = next(each["Id"] for each in crm.org.rows("OpportunityLineItem"))
    seen = await settled(Rig(crm, source))
    for text in ("first", "second"):
        crm.org.update("OpportunityLineItem", line, {"Description": text})
        seen = await pull(Rig(crm, source), seen)
        assert seen.latest[row].fields["line_items"][0]["Description"] == text
    for text in ("first@acme.test", "second@acme.test"):
        crm.org.update("Contact", contact, {"Email": text})
        seen = await pull(Rig(crm, source), seen)
        assert seen.latest[row].fields["contacts"][0]["Contact"]["Email"] == text
    crm.org.delete("OpportunityLineItem", line)
    assert (await pull(Rig(crm, source), seen)).latest[row].fields["line_items"] == []


async def test_a_record_deleted_within_the_second_of_its_last_change_is_still_flagged() -> None:
    crm, source = rig()
    account = crm.org.insert("Account", {"Name": "Acme"})
    seen = await pull(Rig(crm, source), kind="customer")
    crm.org.delete("Account", account)
    assert (await pull(Rig(crm, source), seen, kind="customer")).latest[account].deleted


async def test_a_child_that_is_deleted_brings_its_deal_without_it() -> None:
    crm, source = rig()
    row, _ = deals(crm, 2)
    crm.rename_child(row, "first line")
    line = next(each["Id"] for each in crm.org.rows("OpportunityLineItem"))
    seen = await settled(Rig(crm, source))
    crm.org.delete("OpportunityLineItem", line)
    more = await pull(Rig(crm, source), seen)
    assert set(more.ids) == {row}
    assert more.latest[row].fields["line_items"] == []


async def test_history_comes_oldest_first_and_only_as_mapped() -> None:
    crm, source = rig()
    (row,) = crm.add(["deal"])
    for stage in ("Qualification", "Closed Won"):
        crm.clock.move(minutes=1)
        crm.org.update("Opportunity", row, {"StageName": stage})
    history = (await pull(Rig(crm, source))).latest[row].fields["history"]
    assert [change["StageName"] for change in history] == ["Prospecting", "Qualification", "Closed Won"]
    assert all(set(change) == {"StageName", "CreatedDate"} for change in history)


async def test_a_mass_change_of_children_survives_any_interruption() -> None:
    crm, source = rig()
    ids = deals(crm, 500)
    seen = await settled(Rig(crm, source))
    for row in ids:
        crm.rename_child(row, "new line")
        crm.org.touch("Opportunity", row, at=crm.clock.now - timedelta(days=1))
    found: dict[str, Record] = {}
    for _ in range(40):
        seen = await pull(Rig(crm, source), seen, pages=1)
        found |= seen.latest
    assert set(found) == set(ids)
    assert all(len(record.fields["line_items"]) == 1 for record in found.values())


async def test_a_quiet_run_asks_for_changes_and_for_nothing_else() -> None:
    crm, source = rig()
    deals(crm, 3)
    seen = await settled(Rig(crm, source))
    crm.app.calls.clear()
    await pull(Rig(crm, source), seen)
    assert crm.app.calls == Counter(query=5, token=1)


async def test_the_first_run_after_a_baseline_reads_no_deal_again() -> None:
    crm, source = rig()
    old, fresh = deals(crm, 2)
    role(crm, old)
    crm.rename_child(old, "old line")
    crm.clock.move(hours=2)
    crm.rename_child(fresh, "fresh line")
    crm.org.touch("Opportunity", fresh, at=crm.clock.now - timedelta(hours=1))
    crm.clock.move(minutes=5)
    seen = await pull(Rig(crm, source))
    crm.app.calls.clear()
    assert (await pull(Rig(crm, source), seen)).records == []
    assert crm.calls() == crm.polled()


async def test_the_clock_that_counts_is_the_servers() -> None:
    crm, _ = rig()
    connection = Connection.model_validate({"login_url": HOST, "client_id": "handoff-client", "client_secret": "handoff-secret"})
    wrong = Runtime(clock=lambda: datetime(2031, 1, 1, tzinfo=UTC), sleep=crm.clock.sleep, transport=InProcess({HOST: crm.box}))
    ahead = Rig(crm, lambda: SalesforceSource(connection, READS, runtime=wrong))
    seen = await settled(ahead)
    (row,) = crm.add(["deal"])
    crm.clock.move(seconds=1)
    assert set((await pull(ahead, seen)).ids) == {row}


async def test_ids_of_fifteen_characters_are_understood_and_answered_with_eighteen() -> None:
    crm, source = rig()
    (row,) = deals(crm, 1)
    async with source() as one:
        (record,) = await one.read("deal", [row[:15]])
    assert record.id == row
    assert record.url == f"{HOST}/lightning/r/Opportunity/{row}/view"


async def test_what_can_be_no_id_is_not_asked_for_and_spoils_no_question() -> None:
    crm, source = rig()
    (row,) = deals(crm, 1)
    asked: list[str] = []
    crm.box.recorder = lambda request, _: asked.append(str(request.query))
    async with source() as one:
        assert [record.id for record in await one.read("deal", ["006", "x' OR Id != '", "٣" * 18, row])] == [row]
        assert await one.read("deal", ["006"]) == []
    assert not [query for query in asked if "'006'" in query or "OR Id" in query or "٣" in query]


async def test_text_of_any_sort_and_missing_parents_come_through() -> None:
    crm, source = rig()
    text = "Ünïcode ‘quotes’ \"and\" 'more' \\ 项目 🎉\n" * 500
    crm.org.insert("Opportunity", {"Name": "Zoë's", "NextStep": "x", "StageName": "Prospecting", "CloseDate": "2026-12-01"})
    crm.org.insert(
        "OpportunityLineItem", {"OpportunityId": next(iter(crm.org.rows("Opportunity")))["Id"], "Quantity": 1, "Description": text}
    )
    (record,) = (await pull(Rig(crm, source))).records
    assert record.fields["Account"] is None
    assert record.fields["Name"] == "Zoë's"
    assert record.fields["line_items"][0]["Description"] == text


async def test_child_lists_that_are_not_standard_are_found_by_describe() -> None:
    crm, source = rig({"customer": Read("Account", ("Name",), {"subsidiaries": Read("Account", ("Name",))})})
    parent = crm.org.insert("Account", {"Name": "Acme"})
    child = crm.org.insert("Account", {"Name": "Acme Labs", "ParentId": parent})
    found = await pull(Rig(crm, source), kind="customer")
    assert found.latest[parent].fields["subsidiaries"] == [{"Name": "Acme Labs"}]
    crm.clock.move(hours=1)
    seen = await pull(Rig(crm, source), found, kind="customer")
    crm.clock.move(hours=1)
    crm.org.update("Account", child, {"Name": "Acme Works"})
    more = await pull(Rig(crm, source), seen, kind="customer")
    assert more.latest[parent].fields["subsidiaries"] == [{"Name": "Acme Works"}]


async def test_a_list_that_does_not_exist_is_a_configuration_error() -> None:
    crm, source = rig({"deal": Read("Opportunity", ("Name",), {"sites": Read("Site__c", ("Name",))})})
    with pytest.raises(ConfigError, match="Opportunity has no list of Site__c"):
        await pull(Rig(crm, source))


async def test_a_field_gone_from_a_child_is_told_where_the_mapping_names_it() -> None:
    lines = Read("OpportunityLineItem", ("Id", "Description"), places={"Description": ("deal", "line_items", "description")})
    crm, source = rig({"deal": Read("Opportunity", ("Name", "Description"), {"line_items": lines}, {"Description": ("deal", "notes")})})
    crm.org.hide_field("OpportunityLineItem", "Description")
    with pytest.raises(ConfigError) as caught:
        await pull(Rig(crm, source))
    assert caught.value.problems[0].path == ("deal", "line_items", "description")


async def test_the_run_stops_at_its_share_of_the_orgs_quota() -> None:
    crm, source = rig(daily_limit=100, quota_share=0.5, run_share=1.0)
    deals(crm, 3)
    crm.org.used = 48
    with pytest.raises(QuotaExhausted, match="50 of 100"):
        await pull(Rig(crm, source), Seen(cursor=OLD))
    assert crm.org.used == 50


async def test_one_run_alone_may_use_only_its_own_share() -> None:
    crm, source = rig(daily_limit=100, quota_share=1.0, run_share=0.05)
    deals(crm, 2000)
    with pytest.raises(QuotaExhausted, match="this run"):
        await pull(Rig(crm, source))
    assert crm.calls() <= 5


async def test_too_many_requests_at_once_are_waited_out_and_are_not_the_daily_quota() -> None:
    crm, source = rig()
    ids = deals(crm, 3)
    words = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    crm.app.fail("query", "REQUEST_LIMIT_EXCEEDED", words, status=403, times=2)
    assert set((await pull(Rig(crm, source))).ids) == set(ids)
    crm.app.fail("query", "REQUEST_LIMIT_EXCEEDED", words, status=403, times=-1)
    with pytest.raises(RateLimited):
        await pull(Rig(crm, source))


async def test_the_token_never_follows_a_link_to_another_host() -> None:
    asked: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.host, request.url.path))
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "T", "instance_url": HOST, "id": f"{HOST}/id/00D/005"})
        if "COUNT()" in str(request.url.params):
            return httpx.Response(200, json={"totalSize": 1, "done": True, "records": []})
        link = "https://elsewhere.test/services/data/v66.0/query/01g-200"
        done = request.url.path.endswith("01g-200")
        return httpx.Response(200, json={"totalSize": 0, "done": done, "records": [], **({} if done else {"nextRecordsUrl": link})})

    connection = Connection.model_validate({"login_url": HOST, "client_id": "c", "client_secret": "s"})
    runtime = Runtime(transport=httpx.MockTransport(answer))
    async with SalesforceSource(connection, {"customer": Read("Account", ("Name",))}, runtime=runtime) as source:
        assert [page.records async for page in source.pull("customer", None)] == [(), ()]
    assert {host for host, _ in asked} == {"salesforce.test"}
    assert asked[-1][1] == "/services/data/v66.0/query/01g-200"


async def test_all_of_it_works_over_a_real_connection() -> None:
    crm, _ = rig()
    ids = deals(crm, 500)
    async with serve(crm.box) as url:
        connection = Connection.model_validate({"login_url": url, "client_id": "handoff-client", "client_secret": "handoff-secret"})
        over_tcp = Rig(crm, lambda: SalesforceSource(connection, READS, runtime=Runtime(clock=crm.clock, sleep=crm.clock.sleep)))
        crm.box.fault("GET .*/query", "reset_after", skip=1)
        seen = await pull(over_tcp)
        crm.clock.move(seconds=1)
        async with over_tcp.source() as source:
            assert (await source.check()).identity
            assert list(await source.write_back([crm.good_row(ids[0], "on track")])) == [None]
        crm.rename(ids[1], "renamed")
        assert set((await pull(over_tcp, seen)).ids) == {ids[0], ids[1]}
    assert set(seen.ids) == set(ids)


async def test_a_cursor_that_is_not_ours_is_refused_in_words() -> None:
    crm, source = rig()
    seen = await pull(Rig(crm, source))
    seen.cursor = "{}"
    with pytest.raises(ConfigError, match="stored position"):
        await pull(Rig(crm, source), seen)
