"""What makes following an org hard, as the Salesforce stand-in does it: ties, late commits, deletions, merges, and who changed what."""

from __future__ import annotations

import time
from datetime import timedelta

from tests.sandbox.salesforce_rig import DEAL, START, Rig

AFTER = (
    "SELECT Id, SystemModstamp FROM Opportunity WHERE (SystemModstamp = {at} AND Id > '{id}') OR SystemModstamp > {at} "
    "ORDER BY SystemModstamp, Id"
)


async def walk(rig: Rig, page: int) -> list[str]:
    """Every id, by keyset."""
    at, id, seen = "2000-01-01T00:00:00Z", "", []
    while rows := (await rig.query(f"{AFTER.format(at=at, id=id)} LIMIT {page}", everything=True))["records"]:
        seen += [row["Id"] for row in rows]
        at, id = rows[-1]["SystemModstamp"].replace(".000+0000", "Z"), rows[-1]["Id"]
    return seen


async def test_a_keyset_walk_meets_each_of_5000_tied_rows_once() -> None:
    rig = Rig()
    ids = rig.org.bulk_load("Opportunity", [{"Name": f"Deal {n}", **DEAL, "SystemModstamp": START} for n in range(5000)])
    assert await walk(rig, 600) == ids == sorted(ids)


async def test_few_changes_among_100000_rows_are_found_at_once() -> None:
    rig = Rig()
    rig.org.bulk_load("Opportunity", ({"Name": "Deal", **DEAL, "SystemModstamp": START - timedelta(seconds=n)} for n in range(100_000)))
    rig.org.update("Opportunity", next(iter(rig.org.rows("Opportunity")))["Id"], {"Amount": 1}, rig.wait(hours=1))
    await rig.login()
    began = time.process_time()
    for _ in range(20):
        found = await rig.query(AFTER.format(at="2026-11-22T10:00:30Z", id="006") + " LIMIT 2000", everything=True)
    assert found["totalSize"] == 1
    assert (time.process_time() - began) / 20 < 0.03  # a scan of all rows takes longer


async def test_a_late_commit_lands_behind_rows_that_were_seen() -> None:
    rig = Rig()
    late = rig.org.transaction(at=START)
    hidden = late.insert("Opportunity", {"Name": "late", **DEAL})
    early = rig.org.insert("Opportunity", {"Name": "early", **DEAL}, rig.wait(minutes=5))
    assert await walk(rig, 10) == [early]
    late.commit()
    assert await walk(rig, 10) == [hidden, early]
    assert rig.org.get("Opportunity", hidden)["SystemModstamp"] == "2026-11-22T10:00:00.000+0000"


async def test_an_abandoned_transaction_leaves_nothing() -> None:
    rig = Rig()
    try:
        with rig.org.transaction() as work:
            work.insert("Opportunity", DEAL)
            raise LookupError
    except LookupError:
        assert await walk(rig, 10) == []
    assert rig.org.open == []


async def test_a_held_row_appears_when_its_time_comes() -> None:
    rig = Rig()
    id = rig.deal()
    rig.org.hold("Opportunity", id, START + timedelta(minutes=3))
    rig.wait(minutes=2)
    assert await walk(rig, 10) == []
    rig.wait(minutes=1)
    assert await walk(rig, 10) == [id]


async def test_updated_is_held_back_to_the_oldest_open_transaction() -> None:
    rig = Rig()
    seen, gone = rig.deal("seen"), rig.deal("gone")
    rig.org.delete("Opportunity", gone)
    late = rig.org.transaction(at=rig.wait(minutes=2))
    rig.wait(minutes=3)
    window = {"start": "2026-11-22T09:00:00+00:00", "end": "2026-11-22T10:05:30+00:00"}
    answer = (await rig.ask("GET", "sobjects/Opportunity/updated/", params=window)).json()
    assert answer == {"ids": [seen], "latestDateCovered": "2026-11-22T10:02:00.000+0000"}
    late.commit()
    answer = (await rig.ask("GET", "sobjects/Opportunity/updated/", params=window)).json()
    assert answer["latestDateCovered"] == "2026-11-22T10:05:00.000+0000"


async def test_the_log_of_deletions_keeps_what_is_in_the_bin_or_out_of_it_and_forgets_the_undeleted() -> None:
    rig = Rig()
    binned, back, wiped = rig.deal(), rig.deal(), rig.deal()
    for id in (binned, back, wiped):
        rig.org.delete("Opportunity", id)
    rig.org.undelete("Opportunity", back)
    rig.org.hard_delete("Opportunity", wiped)
    window = {"start": "2026-11-22T09:00:00Z", "end": "2026-11-22T10:01:00Z"}
    log = (await rig.ask("GET", "sobjects/Opportunity/deleted", params=window)).json()
    assert [each["id"] for each in log["deletedRecords"]] == [binned, wiped]
    assert log["earliestDateAvailable"] == "2026-11-07T10:00:00.000+0000"
    assert await rig.column("SELECT Id FROM Opportunity ORDER BY Id", "Id", everything=True) == [binned, back]


async def test_a_replication_window_must_be_real_and_recent() -> None:
    rig = Rig()
    for window in (
        {"start": "2026-11-22T09:00:10Z", "end": "2026-11-22T09:00:50Z"},
        {"start": "2026-01-01T00:00:00Z", "end": "2026-11-22T09:00:00Z"},
        {"start": "yesterday", "end": "2026-11-22T09:00:00Z"},
    ):
        refused = await rig.ask("GET", "sobjects/Opportunity/updated", params=window)
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


async def test_deleting_an_account_takes_its_deals_and_their_parts_along_and_back() -> None:
    rig = Rig()
    account = rig.org.insert("Account", {"Name": "Acme"})
    deal = rig.deal(AccountId=account)
    line = rig.org.insert("OpportunityLineItem", {"OpportunityId": deal, "Quantity": 1})
    rig.wait(minutes=1)
    rig.org.delete("Account", account)
    assert [rig.org.get(*each)["IsDeleted"] for each in (("Opportunity", deal), ("OpportunityLineItem", line))] == [True, True]
    rig.wait(minutes=1)
    rig.org.undelete("Account", account)
    assert [rig.org.get(*each)["IsDeleted"] for each in (("Opportunity", deal), ("OpportunityLineItem", line))] == [False, False]
    assert rig.org.get("Opportunity", deal)["SystemModstamp"] == "2026-11-22T10:02:00.000+0000"


async def test_a_merge_bins_the_loser_under_the_winner_s_id_and_moves_its_children() -> None:
    rig = Rig()
    winner, loser = (rig.org.insert("Account", {"Name": name}) for name in ("Acme", "ACME Ltd"))
    deal = rig.deal(AccountId=loser)
    rig.wait(minutes=1)
    rig.org.merge("Account", winner, [loser])
    [gone] = (await rig.query("SELECT MasterRecordId, IsDeleted, SystemModstamp FROM Account WHERE IsDeleted = true", everything=True))[
        "records"
    ]
    assert (gone["MasterRecordId"], gone["SystemModstamp"]) == (winner, "2026-11-22T10:01:00.000+0000")
    moved = rig.org.get("Opportunity", deal)
    assert (moved["AccountId"], moved["IsDeleted"], moved["SystemModstamp"]) == (winner, False, "2026-11-22T10:01:00.000+0000")


async def test_a_stage_decides_what_a_deal_counts_as_and_each_change_is_history() -> None:
    rig = Rig()
    deal = rig.deal(Amount=1000)
    rig.wait(minutes=1)
    rig.org.update("Opportunity", deal, {"StageName": "Closed Won"})
    rig.org.update("Opportunity", deal, {"NextStep": "celebrate"})
    row = rig.org.get("Opportunity", deal)
    assert (row["IsClosed"], row["IsWon"], row["Probability"], row["ForecastCategoryName"]) == (True, True, 100.0, "Closed")
    assert row["ExpectedRevenue"] == 1000.0
    history = "SELECT StageName, CreatedDate FROM OpportunityHistory ORDER BY CreatedDate, Id"
    assert await rig.column(history, "StageName") == ["Prospecting", "Closed Won"]
    assert (await rig.column(history, "CreatedDate"))[1] == "2026-11-22T10:01:00.000+0000"


async def test_a_bump_moves_stamps_and_nothing_else() -> None:
    rig = Rig()
    deal = rig.deal()
    before = dict(rig.org.get("Opportunity", deal))
    rig.wait(minutes=1)
    rig.org.touch("Opportunity", deal)
    assert {name for name, value in rig.org.get("Opportunity", deal).items() if before[name] != value} == {"SystemModstamp"}
    rig.org.update("Opportunity", deal, {})
    assert {name for name, value in rig.org.get("Opportunity", deal).items() if before[name] != value} == {
        "SystemModstamp",
        "LastModifiedDate",
    }


async def test_the_api_writes_as_the_integration_user_and_people_as_somebody_else() -> None:
    rig = Rig()
    deal = rig.deal()
    assert (await rig.ask("PATCH", f"sobjects/Opportunity/{deal}", json={"NextStep": "x"})).status_code == 204
    assert rig.org.get("Opportunity", deal)["LastModifiedById"] == rig.org.user_id
    rig.org.update("Opportunity", deal, {"NextStep": "y"})
    assert rig.org.get("Opportunity", deal)["LastModifiedById"] == rig.org.admin_id != rig.org.user_id


def test_ids_are_the_same_in_each_run_and_carry_their_object_s_prefix_and_checksum() -> None:
    first, second = Rig().deal(), Rig().deal()
    assert first == second
    assert (first[:3], len(first)) == ("006", 18)
    assert Rig(seed=1).deal() != first
