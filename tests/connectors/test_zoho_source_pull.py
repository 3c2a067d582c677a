"""Reading Zoho CRM: pages that shift, ties, slices, lists, deletions, bulk read, credits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from connectors.base import ConfigError, QuotaExhausted, Transient
from connectors.zoho import ZohoSource
from engine.model import CrmKind, Read
from sandbox.web import Reply, Request
from sandbox.zoho.schema import Field
from tests.conformance.source import Rig, Seen, pull, settled, some
from tests.connectors.zoho_rig import DEAL, READS, ZohoCrm, rig

BARE: dict[CrmKind, Read] = {"deal": Read("Deals", ("Deal_Name", "Amount")), "customer": READS["customer"]}
Make = Callable[[], ZohoSource]
_OLD = datetime(1970, 1, 2, tzinfo=UTC)


def bare(**settings: Any) -> tuple[ZohoCrm, Rig]:
    crm, make = rig(BARE, **settings)
    return crm, Rig(crm, make)


def meanwhile(crm: ZohoCrm, turns: dict[int, Callable[[], None]], route: str = "/crm/v8/Deals") -> None:
    """Does something in the CRM right after the n-th answer to a list."""
    count, judge = 0, crm.box.recorder or (lambda request, reply: None)

    def recorder(request: Request, reply: Reply) -> None:
        nonlocal count
        judge(request, reply)
        if request.method == "GET" and request.path == route:
            count += 1
            turns.get(count, lambda: None)()

    crm.box.recorder = recorder


async def test_an_empty_module_is_read_in_peace() -> None:
    crm, site = bare()
    seen = await pull(site)
    assert seen.records == []
    crm.add(["first"])
    assert [crm.name(record) for record in (await pull(site, seen)).records] == ["first"]


@pytest.mark.parametrize("stable", [False, True])
async def test_more_than_two_thousand_records_of_one_stamp_all_come(stable: bool) -> None:
    crm, site = bare(page_size=200)
    crm.app.pages.stable = stable
    ids = crm.add(some(2_300))
    assert (await pull(site)).ids == dict.fromkeys(ids, 1)


@pytest.mark.parametrize("stable", [False, True])
async def test_records_that_move_while_a_tie_is_read_push_none_out(stable: bool) -> None:
    """A page token counts rows: when one of the rows already read moves to the end, the next page steps over one."""
    crm, site = bare(page_size=20)
    crm.app.pages.stable = stable
    ids = crm.add(some(100))
    crm.clock.move(hours=1)
    crm.add(["later"])

    def move(which: int) -> None:
        crm.clock.move(seconds=1)
        crm.rename(ids[which], "moved")

    meanwhile(crm, {2: partial(move, 0), 3: partial(move, 1), 4: partial(move, 2)})
    seen = await pull(site)
    assert set(ids) <= set(seen.ids)
    assert {crm.name(seen.latest[row]) for row in ids[:3]} == {"moved"}


async def test_records_that_move_between_pages_push_none_out() -> None:
    crm, site = bare(page_size=20)
    ids = []
    for name in some(100):
        crm.clock.move(seconds=1)
        ids += crm.add([name])
    meanwhile(crm, {turn: (lambda at=turn: crm.rename(ids[at], f"moved {at}")) for turn in (1, 2, 3, 4)})  # type: ignore[misc]
    seen = await pull(site)
    assert set(seen.ids) == set(ids)
    assert crm.name(seen.latest[ids[2]]) == "moved 2"


async def test_a_page_token_that_ends_in_the_middle_is_done_without() -> None:
    crm, site = bare(page_size=20)
    ids = crm.add(some(90))
    meanwhile(crm, {2: crm.app.pages.expire})
    assert set((await pull(site)).ids) == set(ids)


async def test_page_tokens_that_never_last_are_transient_and_lose_nothing() -> None:
    crm, site = bare(page_size=20)
    ids = crm.add(some(90))
    meanwhile(crm, dict.fromkeys(range(1, 100), crm.app.pages.expire))
    with pytest.raises(Transient):
        await pull(site)
    crm.box.recorder = None
    assert set((await pull(site)).ids) == set(ids)


async def test_a_record_from_the_future_holds_nothing_up() -> None:
    crm, site = bare()
    crm.add(["now"])
    crm.world.insert("Deals", {"Deal_Name": "migrated", "Stage": "Qualification"}, at=crm.clock.now + timedelta(days=400))
    seen = await settled(site)
    crm.clock.move(minutes=1)
    crm.add(["today"])
    more = await pull(site, seen)
    assert [crm.name(record) for record in more.records] == ["today"]


async def test_a_record_that_was_never_modified_comes_and_its_first_change_too() -> None:
    crm, site = bare()
    row, _ = crm.add(["never", "else"])
    crm.world.rows["Deals"][row]["Modified_Time"] = None
    crm.box.recorder = None
    order = crm.app.handle

    def handle(request: Request) -> Reply:
        """Sorts what has no stamp as if it were of old, and shows none."""
        crm.world.rows["Deals"][row]["Modified_Time"] = held = crm.world.rows["Deals"][row]["Modified_Time"] or _OLD
        reply = order(request)
        return Reply(
            reply.status, reply.body.replace(f'"{crm.told(held)}"'.encode(), b"null") if held is _OLD else reply.body, reply.headers
        )

    crm.app.handle = handle  # type: ignore[method-assign]
    seen = await pull(site)
    assert set(map(crm.name, seen.records)) == {"never", "else"}
    crm.clock.move(minutes=1)
    crm.rename(row, "changed")
    assert [crm.name(record) for record in (await pull(site, seen)).records] == ["changed"]


async def test_a_module_without_times_of_modification_is_refused() -> None:
    crm, site = bare()
    crm.add(["deal"])
    crm.world.hide_field("Deals", "Modified_Time")
    with pytest.raises(ConfigError, match="no Modified_Time"):
        await pull(site)


async def test_nothing_shown_for_a_while_is_no_change_and_what_changed_meanwhile_is_seen() -> None:
    crm, site = bare()
    row, *_ = crm.add(some(3))
    seen = await settled(site)
    held, crm.world.rows["Deals"] = crm.world.rows["Deals"], {}
    for _ in range(3):
        crm.clock.move(hours=1)
        seen = await pull(site, seen)
        assert seen.records == []
    crm.world.rows["Deals"] = held
    crm.world.update("Deals", row, {"Deal_Name": "while hidden"}, at=crm.clock.now - timedelta(hours=2))
    assert [crm.name(record) for record in (await pull(site, seen)).records] == ["while hidden"]


# fields


def wide(crm: ZohoCrm, count: int) -> list[str]:
    names = [f"Custom_Field_{number}" for number in range(count)]
    for name in names:
        crm.world.add_field("Deals", Field(name))
    return names


async def test_fields_beyond_fifty_come_in_slices_that_belong_together() -> None:
    crm, make = rig({"deal": Read("Deals", ("Deal_Name", *(f"Custom_Field_{number}" for number in range(120))))})
    names = wide(crm, 120)
    ids = crm.add(some(60))
    for row in ids:
        crm.world.update("Deals", row, {name: f"{name} of {row}" for name in names})
    records = (await pull(Rig(crm, make))).latest
    assert all(records[row].fields[name] == f"{name} of {row}" for row in ids for name in names)


async def test_a_record_that_changes_between_two_slices_is_of_one_piece() -> None:
    crm, make = rig({"deal": Read("Deals", ("Deal_Name", *(f"Custom_Field_{number}" for number in range(120))))})
    first, *_, last = wide(crm, 120)
    row, other = crm.add(["torn", "other"])
    crm.world.update("Deals", row, {first: "old", last: "old"})

    def change() -> None:
        crm.clock.move(seconds=1)
        crm.world.update("Deals", row, {first: "new", last: "new"})

    meanwhile(crm, {1: change})
    seen = await pull(Rig(crm, make))
    assert {(record.fields[first], record.fields[last]) for record in seen.records if record.id == row} == {("new", "new")}
    assert other in seen.ids


async def test_what_a_lookup_leads_to_is_read_in_batches() -> None:
    crm, make = rig({"deal": Read("Deals", ("Deal_Name", "Account_Name.name", "Account_Name.Industry", "Owner.email"))}, page_size=200)
    accounts = [crm.world.insert("Accounts", {"Account_Name": f"Account {number}", "Industry": "Communications"}) for number in range(120)]
    for account in accounts:
        crm.world.insert("Deals", {"Deal_Name": account, "Stage": "Qualification", "Account_Name": account})
    crm.add(["of nobody"])
    records = (await pull(Rig(crm, make))).records
    told = [record.fields["Account_Name"] for record in records if record.fields["Account_Name"]]
    assert len(told) == 120
    assert all(each["Industry"] == "Communications" and each["name"].startswith("Account ") for each in told)
    assert crm.box.seen["GET /crm/v8/Accounts"] == 3
    assert {record.fields["Owner"]["email"] for record in records} == {"ada@handoff.test"}


async def test_status_and_currency_are_worked_out() -> None:
    crm, make = rig({"deal": Read("Deals", ("Stage", "$won", "$closed", "$currency"))})
    crm.world.add_stage("签约", 100, "Closed Won")
    for stage in ("Qualification", "Closed Won", "Closed Lost", "签约"):
        crm.world.insert("Deals", {"Deal_Name": stage, "Stage": stage})
    told = {record.fields["Stage"]: (record.fields["$won"], record.fields["$closed"]) for record in (await pull(Rig(crm, make))).records}
    won, lost, still = (True, True), (False, True), (False, False)
    assert told == {"Qualification": still, "Closed Won": won, "Closed Lost": lost, "签约": won}
    async with make() as source:
        assert {record.fields["$currency"] for record in await source.read("deal", list(crm.world.rows["Deals"]))} == {"USD"}


async def test_amounts_are_exact_and_moments_aware_whatever_the_users_time_zone() -> None:
    crm, make = rig({"deal": Read("Deals", ("Amount", "Created_Time"))})
    crm.world.insert("Deals", {"Deal_Name": "exact", "Stage": "Qualification", "Amount": Decimal("1234.10")})
    first = await pull(Rig(crm, make))
    (record,) = first.records
    assert record.fields["Amount"] == Decimal("1234.1")
    assert datetime.fromisoformat(record.fields["Created_Time"]) == crm.clock.now
    crm.world.time_zone = "America/New_York"
    assert (await pull(Rig(crm, make), first)).records == []


async def test_a_list_asked_for_as_a_field_is_explained() -> None:
    read = Read("Deals", ("Deal_Name", "Line_Items"), places={"Line_Items": ("read", "deal", "custom", "items")})
    crm, make = rig({"deal": read})
    crm.add(["one"])
    with pytest.raises(ConfigError) as caught:
        await pull(Rig(crm, make))
    assert "list" in caught.value.problems[0].message
    assert caught.value.problems[0].path == ("read", "deal", "custom", "items")


# lists


async def test_lists_belong_to_their_record_in_a_steady_order() -> None:
    crm, make = rig({"deal": DEAL})
    (row,) = crm.add(["deal"])
    crm.world.update("Deals", row, {"Line_Items": [{"Product": "Setup", "Quantity": 1}, {"Product": "Training", "Quantity": 2}]})
    for name in ("Lee", "Ng"):
        contact = crm.world.insert("Contacts", {"Last_Name": name, "Email": f"{name}@example.com"})
        crm.world.add_contact_role(row, contact, "Decision Maker")
    crm.clock.move(days=1)
    crm.world.update("Deals", row, {"Stage": "Closed Won"})
    (record,) = (await pull(Rig(crm, make))).records
    assert [each["Product"] for each in record.fields["line_items"]] == ["Setup", "Training"]
    assert [(each["Full_Name"], each["Contact_Role"]["name"]) for each in record.fields["contacts"]] == [
        ("Lee", "Decision Maker"),
        ("Ng", "Decision Maker"),
    ]
    assert [each["Stage"] for each in record.fields["stage_history"]] == ["Qualification", "Closed Won"]


async def test_a_list_that_changes_twice_within_a_second_is_seen_twice() -> None:
    crm, make = rig({"deal": DEAL})
    row, _ = crm.add(["deal", "other"])
    seen = await pull(Rig(crm, make))
    for product in ("Setup", "Training"):
        crm.rename_child(row, product)
        seen = await pull(Rig(crm, make), seen)
        assert [each["Product"] for each in seen.latest[row].fields["line_items"]][-1] == product
        assert set(seen.ids) == {row}
    crm.clock.move(seconds=30)
    for calls in (3 + 3, 0):  # the lists of both once more, for they were young, and never again
        before = crm.app.calls["related"] + crm.app.calls["get"]
        seen = await pull(Rig(crm, make), seen)
        assert seen.records == []
        assert crm.app.calls["related"] + crm.app.calls["get"] - before == calls


async def test_lists_longer_than_a_page_are_whole() -> None:
    crm, make = rig({"deal": Read("Deals", ("Deal_Name",), {"line_items": Read("Products", ("id", "Product_Name"))})})
    (row,) = crm.add(["deal"])
    for name in some(35):
        crm.world.link("Deals", row, "Products", crm.world.insert("Products", {"Product_Name": name}))
    (record,) = (await pull(Rig(crm, make))).records
    assert {each["Product_Name"] for each in record.fields["line_items"]} == set(some(35))


async def test_only_what_changed_has_its_lists_read() -> None:
    crm, make = rig({"deal": DEAL})
    row, *_ = crm.add(some(9))
    crm.clock.move(seconds=5)
    seen = await pull(Rig(crm, make))
    crm.clock.move(seconds=20)
    crm.rename(row, "changed")
    before = crm.app.calls["related"], crm.app.calls["get"]
    await pull(Rig(crm, make), seen)
    assert (crm.app.calls["related"] - before[0], crm.app.calls["get"] - before[1]) == (2, 1)


async def test_what_fields_mean_is_asked_once_however_many_records_there_are() -> None:
    crm, make = rig({"deal": Read("Deals", ("Deal_Name",), {"line_items": Read("Line_Items", ("Product",))})}, page_size=50)
    crm.add(some(40))
    crm.box._sleep, crm.box.latency = asyncio.sleep, 0.001
    await pull(Rig(crm, make))
    assert crm.box.seen["GET /crm/v8/settings/fields"] == 1


async def test_a_list_that_is_not_there_is_named() -> None:
    crm, make = rig({"deal": Read("Deals", ("Deal_Name",), {"line_items": Read("Quotes_Of_Old", ("id",))})})
    crm.add(["deal"])
    async with make() as source:
        with pytest.raises(ConfigError, match="Quotes_Of_Old"):
            await source.check()
    with pytest.raises(ConfigError, match="Quotes_Of_Old"):
        await pull(Rig(crm, make))


# deletions


async def test_what_is_deleted_for_good_is_flagged_too() -> None:
    crm, site = bare()
    row, other = crm.add(some(2))
    seen = await pull(site)
    crm.clock.move(minutes=3)
    crm.world.purge("Deals", row)
    seen = await pull(site, seen)
    assert [(record.id, record.deleted) for record in seen.records] == [(row, True)]
    assert other not in seen.ids
    assert (await pull(site, seen)).records == []


async def test_hundreds_of_deletions_all_come_once() -> None:
    crm, site = bare(page_size=200)
    ids = crm.add(some(450))
    seen = await pull(site)
    crm.clock.move(minutes=1)
    for row in ids:
        crm.delete(row)
    more = await pull(site, seen)
    assert more.ids == dict.fromkeys(ids, 1)
    assert all(record.deleted for record in more.records)
    assert (await pull(site, more)).records == []


async def test_what_is_restored_without_a_new_stamp_comes_back() -> None:
    crm, site = bare()
    (row,) = crm.add(["deal"])
    seen = await settled(site)
    crm.delete(row)
    seen = await pull(site, seen)
    assert seen.latest[row].deleted
    crm.clock.move(minutes=2)
    stamp = crm.world.gone["Deals"][row].row["Modified_Time"]
    crm.undelete(row)
    crm.world.rows["Deals"][row]["Modified_Time"] = stamp
    seen = await pull(site, seen)
    assert [(record.id, record.deleted) for record in seen.records] == [(row, False)]
    crm.clock.move(minutes=1)
    crm.delete(row)
    assert (await pull(site, seen)).latest[row].deleted


async def test_deletions_of_long_ago_are_no_news() -> None:
    crm, site = bare()
    row, _ = crm.add(some(2))
    crm.delete(row)
    crm.clock.move(days=1)
    assert row not in (await pull(site)).ids


async def test_a_merged_record_is_flagged_deleted_and_the_winner_comes() -> None:
    crm, site = bare()
    winner, loser = crm.add_mergeable(["Acme", "Acme Inc."])
    seen = await pull(site, kind="customer")
    crm.clock.move(minutes=1)
    crm.merge(winner, loser)
    latest = (await pull(site, seen, kind="customer")).latest
    assert (latest[loser].deleted, latest[winner].deleted) == (True, False)


# bulk read


async def test_a_first_read_in_bulk_gives_the_same_records() -> None:
    read = Read(
        "Accounts", ("Account_Name", "Employees", "Annual_Revenue", "Owner.email", "Created_Time", "Parent_Account.id", "$currency")
    )
    crm, slow = rig({"customer": read})
    for number in range(25):
        fields = {"Account_Name": f'Müller, "{number}"', "Employees": number, "Annual_Revenue": number + 0.25}
        crm.world.insert("Accounts", fields)
    crm.app.bulk.page_rows = 10
    one_by_one = (await pull(Rig(crm, slow), kind="customer")).latest
    fast = _bulk(crm, slow)
    in_bulk = await pull(Rig(crm, fast), kind="customer")
    assert crm.app.calls["bulk"] > 0
    assert in_bulk.latest == one_by_one
    assert (await pull(Rig(crm, fast), in_bulk, kind="customer")).records == []


def _bulk(crm: ZohoCrm, make: Make) -> Make:
    def made() -> ZohoSource:
        source = make()
        return ZohoSource(
            source._connection.model_copy(update={"bulk_above": 0}), source._reads, runtime=source._runtime, write_back=source._write_back
        )

    return made


async def test_what_changes_while_a_bulk_read_is_under_way_is_not_lost() -> None:
    crm, site = bare(bulk_above=0)
    ids = crm.add_mergeable(some(12))
    crm.clock.move(hours=2)

    def edit() -> None:
        crm.clock.move(minutes=30)
        crm.world.update("Accounts", ids[0], {"Account_Name": "edited"})
        crm.world.delete("Accounts", ids[1])
        crm.clock.move(minutes=30)
        crm.world.update("Accounts", ids[2], {"Account_Name": "later"})

    done = False

    def recorder(request: Request, reply: Reply) -> None:
        nonlocal done
        if request.path == "/crm/bulk/v8/read" and not done:
            done = True
            edit()

    crm.box.recorder = recorder
    seen = await pull(site, kind="customer")
    assert seen.latest[ids[0]].fields["Account_Name"] == "edited"
    assert seen.latest[ids[1]].deleted
    assert seen.latest[ids[2]].fields["Account_Name"] == "later"
    assert set(seen.ids) == set(ids)


async def test_a_bulk_job_that_fails_is_done_without() -> None:
    crm, site = bare(bulk_above=0)
    ids = crm.add_mergeable(some(12))
    crm.app.bulk.fail_next = 1
    crm.box.recorder = None  # the public description does not know how a failed job looks
    assert set((await pull(site, kind="customer")).ids) == set(ids)


async def test_without_the_right_to_read_in_bulk_a_first_read_goes_page_by_page() -> None:
    crm, site = bare(bulk_above=0)
    ids = crm.add_mergeable(some(12))
    crm.app.fail("bulk", "OAUTH_SCOPE_MISMATCH", status=401, times=-1)
    assert set((await pull(site, kind="customer")).ids) == set(ids)


async def test_a_bulk_read_that_is_interrupted_begins_anew() -> None:
    crm, site = bare(bulk_above=0)
    ids = crm.add_mergeable(some(35))
    part = await pull(site, pages=1, kind="customer")
    assert 0 < len(part.records) < 35
    assert set((await pull(site, part, kind="customer")).ids) == set(ids)


async def test_kinds_with_lists_or_names_of_others_are_read_page_by_page() -> None:
    named: dict[CrmKind, Read] = {"deal": DEAL, "contact": Read("Contacts", ("Last_Name", "Account_Name.name"))}
    crm, make = rig(named, bulk_above=0)
    crm.add(["deal"])
    crm.world.insert("Contacts", {"Last_Name": "Lee"})
    for kind in named:
        assert len((await pull(Rig(crm, make), kind=kind)).records) == 1
    assert crm.app.calls["bulk"] == 0


async def test_without_the_right_to_count_a_first_read_goes_page_by_page() -> None:
    crm, site = bare(bulk_above=0)
    ids = crm.add(some(12))
    crm.app.fail("count", "OAUTH_SCOPE_MISMATCH", status=401, times=-1)
    assert set((await pull(site)).ids) == set(ids)


# credits and crowds


async def test_it_stops_when_its_share_of_the_credits_is_used() -> None:
    crm, make = rig({"deal": DEAL}, daily_credits=1_000, quota_share=0.6)
    crm.app.limits.credits = 1_000
    crm.app.limits.spend(560)
    ids = crm.add(some(40))
    seen = Seen()
    with pytest.raises(QuotaExhausted, match="400 are left for others"):
        await _into(seen, make)
    assert 385 <= crm.app.limits.left <= 400
    crm.app.limits.restore()
    more = await pull(Rig(crm, make), seen)
    assert set(seen.ids) | set(more.ids) == set(ids)


async def test_a_crowd_of_requests_keeps_within_what_the_edition_allows() -> None:
    crm, make = rig({"deal": DEAL}, edition="free", page_size=50)
    crm.app.limits.edition = "free"
    ids = crm.add(some(50))
    crm.box.latency = 0.001
    refused = 0

    def recorder(request: Request, reply: Reply) -> None:
        nonlocal refused
        refused += reply.status == 429

    crm.box.recorder = recorder
    crm.box._sleep = asyncio.sleep
    assert set((await pull(Rig(crm, make))).ids) == set(ids)
    assert refused == 0


async def test_when_others_crowd_the_api_it_waits_longer_each_time() -> None:
    crm, site = bare()
    crm.add(["deal"])
    crm.app.fail("list", "TOO_MANY_REQUESTS", status=429, times=3)
    began = crm.clock.now
    assert len((await pull(site)).records) == 1
    assert (crm.clock.now - began).total_seconds() >= 2 + 4 + 8


# reading again


async def test_reading_what_is_not_an_id_gives_nothing() -> None:
    crm, make = rig({"deal": DEAL})
    (row,) = crm.add(["deal"])
    async with make() as source:
        found = await source.read("deal", ["", "abc", row, "../../users", "9" * 30])
    assert [record.id for record in found] == [row]


async def test_a_record_says_where_people_see_it() -> None:
    crm, make = rig({"deal": DEAL})
    (row,) = crm.add(["deal"])
    async with make() as source:
        (record,) = await source.read("deal", [row])
    assert record.url == f"http://zoho.test/crm/tab/Potentials/{row}"


async def test_a_cursor_of_something_else_is_refused() -> None:
    _, site = bare()
    for text in ("", "{}", '{"v":2,"main":{},"gone":{}}', "[]"):
        with pytest.raises(ConfigError, match="baseline"):
            await pull(site, Seen(cursor=text))


async def _into(seen: Seen, make: Make) -> None:
    async with make() as source:
        async for page in source.pull("deal", None):
            seen.records += page.records
            seen.cursor = page.cursor
