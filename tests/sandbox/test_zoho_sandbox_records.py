"""What the stand-in of Zoho CRM does with records: lists, pages, single reads, deletions and writes."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.zoho import Field
from tests.sandbox.zoho_rig import DEAL, START, Rig


async def test_a_list_wants_to_be_told_its_fields_and_no_more_than_fifty() -> None:
    rig = Rig()
    rig.deals(1)
    nothing = await rig.ask("GET", "/Deals")
    many = await rig.ask("GET", "/Deals", fields=",".join(f"F{n}" for n in range(51)))
    assert (nothing.status, nothing.code, nothing.body["details"]) == (400, "REQUIRED_PARAM_MISSING", {"param_name": "fields"})
    assert (many.status, many.code) == (400, "LIMIT_EXCEEDED")


async def test_a_field_nobody_knows_is_left_out_without_a_word() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    rig.world.hide_field("Deals", "Amount")
    assert (await rig.ask("GET", "/Deals", fields="Deal_Name,Amount,Nix")).data == [{"id": deal, "Deal_Name": "deal 0"}]


async def test_lookups_owners_and_moments_are_shown_as_the_service_shows_them() -> None:
    rig = Rig()
    account = rig.world.insert("Accounts", {"Account_Name": "Acme"})
    rig.deals(1, Account_Name=account)
    [row] = (await rig.ask("GET", "/Deals", fields="Account_Name,Owner,Modified_By,Modified_Time")).data
    assert row["Account_Name"] == {"name": "Acme", "id": account}
    assert row["Owner"] == {"name": "Ada Admin", "id": rig.world.admin, "email": "ada@handoff.test"}
    assert row["Modified_By"] == {"name": "Ada Admin", "id": rig.world.admin}
    assert row["Modified_Time"] == "2026-03-02T14:30:00+05:30"


async def test_moments_follow_the_users_summer_time() -> None:
    rig = Rig(time_zone="Europe/Berlin")
    rig.deals(1)
    rig.clock.move(days=90)
    rig.deals(1)
    rows = (await rig.ask("GET", "/Deals", fields="Modified_Time", sort_order="asc")).data
    assert [row["Modified_Time"][-6:] for row in rows] == ["+01:00", "+02:00"]


async def _all(rig: Rig, by_token: bool, **query: Any) -> list[str]:
    names: list[str] = []
    asked: dict[str, Any] = {"fields": "Deal_Name", "per_page": 200, **query}
    for page in range(1, 60):
        seen = await rig.ask("GET", "/Deals", **asked)
        names += [row["Deal_Name"] for row in seen.data]
        if not seen.info["more_records"]:
            return names
        asked |= {"page_token": seen.info["next_page_token"]} if by_token else {"page": page + 1}
    raise AssertionError("it does not end")


@pytest.mark.parametrize("by_token", [True, False])
async def test_pages_give_everything_once(by_token: bool) -> None:
    rig = Rig()
    rig.deals(450)
    assert await _all(rig, by_token, sort_order="asc") == [f"deal {n}" for n in range(450)]


async def test_page_numbers_end_at_two_thousand_and_tokens_go_on() -> None:
    rig = Rig()
    rig.deals(2_201)
    over = await rig.ask("GET", "/Deals", fields="Deal_Name", page=11)
    assert (over.code, over.body["details"]) == ("DISCRETE_PAGINATION_LIMIT_EXCEEDED", {"limit": 2000})
    assert len(set(await _all(rig, by_token=True))) == 2_201


@pytest.mark.parametrize(("stable", "met"), [(False, 398), (True, 400)])
async def test_rows_that_move_while_they_are_read_shift_the_others_unless_tokens_are_stable(stable: bool, met: int) -> None:
    rig = Rig()
    rig.app.pages.stable = stable
    deals = rig.deals(400)
    asked: dict[str, Any] = {"fields": "Deal_Name", "sort_by": "Modified_Time", "sort_order": "asc"}
    first = await rig.ask("GET", "/Deals", **asked)
    rig.clock.move(seconds=1)
    for deal in deals[:2]:
        rig.world.update("Deals", deal, {"Amount": 5})
    found = {row["id"] for row in first.data}
    page = await rig.ask("GET", "/Deals", **asked, page_token=first.info["next_page_token"])
    found |= {row["id"] for row in page.data}
    assert len(found) == met


async def test_a_page_token_is_bound_to_its_request_and_to_a_day() -> None:
    rig = Rig()
    rig.deals(3)
    token = (await rig.ask("GET", "/Deals", fields="Deal_Name", per_page=1)).info["next_page_token"]
    answers = [
        await rig.ask("GET", "/Deals", fields="Amount", per_page=1, page_token=token),
        await rig.ask("GET", "/Deals", fields="Deal_Name", per_page=1, page_token=token, page=2),
        await rig.ask("GET", "/Deals", fields="Deal_Name", per_page=1, page_token="nothing"),
    ]
    rig.clock.move(hours=25)
    rig.token = ""
    answers.append(await rig.ask("GET", "/Deals", fields="Deal_Name", per_page=1, page_token=token))
    assert [seen.code for seen in answers] == ["TOKEN_BOUND_DATA_MISMATCH", "AMBIGUITY_DURING_PROCESSING", "INVALID_DATA", "EXPIRED_VALUE"]


async def test_modified_since_is_inclusive_and_nothing_newer_is_304() -> None:
    rig = Rig()
    old, new = rig.deals(2)
    rig.clock.move(seconds=10)
    rig.world.update("Deals", new, {"Amount": 1})
    for moment, found in (("2026-03-02T09:00:10Z", [new]), ("2026-03-02T14:30:00+05:30", [new, old]), ("2026-03-02T09:00:11+00:00", None)):
        seen = await rig.ask("GET", "/Deals", fields="Deal_Name", headers={"if-modified-since": moment})
        assert (seen.status, [row["id"] for row in seen.data] if seen.status == 200 else None) == (200 if found else 304, found)
    assert (await rig.ask("GET", "/Deals", fields="Deal_Name", headers={"if-modified-since": "yesterday"})).code == "INVALID_DATA"


async def test_nothing_there_is_204() -> None:
    rig = Rig()
    assert [(await rig.ask("GET", path, fields="Deal_Name")).status for path in ("/Deals", "/Deals/1")] == [204, 204]
    assert (await rig.ask("GET", "/Nix", fields="a")).code == "INVALID_MODULE"
    rig.deals(1)
    assert (await rig.ask("GET", "/Deals", fields="Deal_Name", page=2)).status == 204


async def test_records_are_read_by_ids_and_those_that_are_not_there_are_missing() -> None:
    rig = Rig()
    one, _, three = rig.deals(3)
    assert await rig.names("/Deals", ids=f"{one},{three},123", sort_order="asc") == ["deal 0", "deal 2"]


async def test_a_subform_comes_with_the_single_record_and_as_a_module_but_in_no_list() -> None:
    rig = Rig()
    rig.world.add_subform("Deals", "Line_Items", [Field("Product"), Field("Quantity", "integer")])
    [deal] = rig.deals(1, Line_Items=[{"Product": "Seat", "Quantity": 3}])
    [whole] = (await rig.ask("GET", f"/Deals/{deal}")).data
    [row] = (await rig.ask("GET", "/Line_Items", fields="Parent_Id,Quantity")).data
    assert [(each["Product"], each["Quantity"]) for each in whole["Line_Items"]] == [("Seat", 3)]
    assert (row["Parent_Id"]["id"], row["Quantity"]) == (deal, 3)
    assert "Line_Items" not in (await rig.ask("GET", "/Deals", fields="Line_Items")).data[0]


async def test_deleted_records_are_told_until_they_are_restored() -> None:
    rig = Rig()
    binned, purged, back = rig.deals(3)
    rig.clock.move(minutes=1)
    for deal in (binned, back):
        rig.world.delete("Deals", deal)
    rig.world.purge("Deals", purged)
    rig.world.restore("Deals", back)
    rows = {row["id"]: row for row in (await rig.ask("GET", "/Deals/deleted")).data}
    assert {id: (row["type"], row["display_name"]) for id, row in rows.items()} == {
        binned: ("recycle", "deal 0"),
        purged: ("permanent", None),
    }
    assert rows[binned]["deleted_time"] == "2026-03-02T14:31:00+05:30"
    assert [row["id"] for row in (await rig.ask("GET", "/Deals/deleted", type="permanent")).data] == [purged]
    later = await rig.ask("GET", "/Deals/deleted", headers={"if-modified-since": "2026-03-02T09:01:01Z"})
    assert (later.status, await rig.names("/Deals")) == (304, ["deal 2"])


async def test_rows_are_judged_one_by_one() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    seen = await rig.write("PUT", "/Deals", {"id": deal, "Next_Step": "call"}, {"id": deal, "Amount": "much"}, {"id": "1"}, {"Amount": 1})
    assert (seen.status, seen.codes) == (207, ["SUCCESS", "INVALID_DATA", "INVALID_DATA", "MANDATORY_NOT_FOUND"])
    assert seen.data[1]["details"] == {"expected_data_type": "double", "api_name": "Amount", "json_path": "$.data[1].Amount"}
    assert (await rig.write("PUT", "/Deals", {"id": "1"})).status == 400
    assert rig.world.get("Deals", deal)["Next_Step"] == "call"


@pytest.mark.parametrize(
    ("field", "value"),
    [("Amount", "5"), ("Closing_Date", "soon"), ("Probability", 2.5), ("Deal_Name", None), ("Stage", "Nix"), ("Account_Name", {"id": "1"})],
)
async def test_a_wrong_value_is_refused_and_named(field: str, value: Any) -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    seen = await rig.write("PUT", f"/Deals/{deal}", {field: value})
    assert (seen.status, seen.codes) == (400, ["INVALID_DATA"])
    assert field in seen.data[0]["details"]["json_path"]


async def test_what_cannot_be_set_is_passed_over() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    seen = await rig.write("PUT", f"/Deals/{deal}", {"Nix": 1, "Created_Time": "2020-01-01T00:00:00+00:00", "Amount": None})
    assert (seen.status, rig.world.get("Deals", deal)["Created_Time"]) == (200, START)


async def test_an_insert_needs_what_is_required_and_a_unique_value_but_once() -> None:
    rig = Rig()
    rig.world.add_field("Deals", Field("External_Ref", unique=True))
    made = await rig.write("POST", "/Deals", {"Deal_Name": "a", **DEAL, "External_Ref": "x"})
    again = await rig.write("POST", "/Deals", {"Deal_Name": "b", **DEAL, "External_Ref": "X"}, {"Deal_Name": "c"})
    assert (made.status, again.status, again.codes) == (201, 400, ["DUPLICATE_DATA", "MANDATORY_NOT_FOUND"])
    assert again.data[0]["details"]["id"] == made.data[0]["details"]["id"]


async def test_an_upsert_finds_by_the_fields_it_is_told() -> None:
    rig = Rig()
    rig.world.add_field("Deals", Field("External_Ref"))
    row = {"Deal_Name": "a", **DEAL, "External_Ref": "x"}
    results = [(await rig.write("POST", "/Deals/upsert", row, duplicate_check_fields=["External_Ref"])).data[0] for _ in range(2)]
    assert [(each["action"], each["duplicate_field"]) for each in results] == [("insert", None), ("update", "External_Ref")]
    assert len(rig.world.rows["Deals"]) == 1


async def test_a_record_that_was_modified_meanwhile_is_not_written() -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    rig.clock.move(seconds=5)
    rig.world.update("Deals", deal, {"Amount": 1})
    stale = await rig.write("PUT", f"/Deals/{deal}", {"Amount": 2}, headers={"if-unmodified-since": "2026-03-02T09:00:04+00:00"})
    assert (stale.status, stale.codes, stale.data[0]["details"]["Modified_Time"]) == (
        412,
        ["ALREADY_MODIFIED"],
        "2026-03-02T14:30:05+05:30",
    )
    fresh = await rig.write("PUT", f"/Deals/{deal}", {"Amount": 2}, headers={"if-unmodified-since": "2026-03-02T14:30:05+05:30"})
    assert (fresh.status, rig.world.get("Deals", deal)["Amount"]) == (200, 2)


async def test_too_many_rows_and_an_unknown_trigger_are_refused_whole() -> None:
    rig = Rig()
    assert (await rig.write("POST", "/Deals", *[{"Deal_Name": "a", **DEAL}] * 101)).code == "LIMIT_EXCEEDED"
    assert (await rig.ask("POST", "/Deals", {"data": [{}], "trigger": ["magic"]})).code == "INVALID_DATA"
    assert not rig.world.rows["Deals"]


async def test_a_merge_leaves_the_loser_deleted_and_its_links_with_the_winner() -> None:
    rig = Rig()
    winner, loser = (rig.world.insert("Accounts", {"Account_Name": name}) for name in ("Acme", "Acme Inc."))
    [deal] = rig.deals(1, Account_Name=loser)
    rig.world.merge("Accounts", winner, [loser])
    assert rig.world.get("Deals", deal)["Account_Name"] == winner
    assert [row["id"] for row in (await rig.ask("GET", "/Accounts/deleted")).data] == [loser]


async def test_a_late_commit_shows_behind_what_was_read() -> None:
    rig = Rig()
    rig.clock.move(minutes=5)
    rig.deals(1)
    rig.world.insert("Deals", {"Deal_Name": "late", **DEAL}, at=START)
    assert await rig.names("/Deals", sort_by="Modified_Time", sort_order="asc") == ["late", "deal 0"]
