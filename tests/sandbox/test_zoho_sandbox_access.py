"""Who may come in to the stand-in of Zoho CRM, and how much they may ask: tokens, data centres, scopes, credits, calls in flight."""

from __future__ import annotations

import asyncio

import pytest

from tests.sandbox.zoho_rig import Rig, request


async def test_a_refresh_gives_a_token_for_an_hour_and_says_where_to_use_it() -> None:
    rig = Rig()
    minted = (await rig.mint()).body
    assert (minted["token_type"], minted["expires_in"], minted["api_domain"]) == ("Bearer", 3600, "http://127.0.0.1:9")
    rig.token = minted["access_token"]
    assert (await rig.ask("GET", "/org")).status == 200
    rig.clock.move(seconds=3600)
    assert (await rig.ask("GET", "/org")).code == "INVALID_TOKEN"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_id": "x"}, "invalid_client"),
        ({"client_secret": "x"}, "invalid_client_secret"),
        ({"refresh_token": "x"}, "invalid_code"),
        ({"grant_type": "x"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, "invalid_code"),
    ],
)
async def test_a_refusal_comes_with_status_200(form: dict[str, str], error: str) -> None:
    seen = await Rig().mint(**form)
    assert (seen.status, seen.body) == (200, {"error": error})


async def test_a_code_is_exchanged_once_for_a_refresh_token() -> None:
    rig = Rig()
    code = rig.app.oauth.add_code()
    first = (await rig.mint(grant_type="authorization_code", code=code)).body
    assert (await rig.mint(refresh_token=first["refresh_token"])).body["access_token"]
    assert (await rig.mint(grant_type="authorization_code", code=code)).body == {"error": "invalid_code"}


async def test_the_eleventh_token_in_ten_minutes_is_refused() -> None:
    rig = Rig()
    given = [(await rig.mint()).body for _ in range(11)]
    assert [("access_token" in each) for each in given] == [True] * 10 + [False]
    assert given[10]["error"] == "Access Denied"
    rig.clock.move(minutes=10)
    assert "access_token" in (await rig.mint()).body


async def test_only_the_last_thirty_tokens_live() -> None:
    rig = Rig()
    rig.app.oauth.mints = 100
    rig.token = (await rig.mint()).body["access_token"]
    for _ in range(29):
        await rig.mint()
    assert (await rig.ask("GET", "/org")).status == 200
    await rig.mint()
    assert (await rig.ask("GET", "/org")).code == "INVALID_TOKEN"


async def test_a_token_is_good_in_its_own_data_centre_alone() -> None:
    rig = Rig()
    minted = (await rig.mint(host="accounts.zoho.eu")).body
    assert minted["api_domain"] == "https://www.zohoapis.eu"
    answers = []
    for host in ("www.zohoapis.eu", "www.zohoapis.com"):
        asked = request("GET", "/crm/v8/org", minted["access_token"], host=host)
        answers.append((await rig.box.answer(asked)).status)
    assert answers == [200, 401]


async def test_revoked_tokens_and_none_at_all_are_refused() -> None:
    rig = Rig()
    assert (await rig.ask("GET", "/org")).status == 200
    rig.app.oauth.revoke_access()
    assert (await rig.ask("GET", "/org")).code == "INVALID_TOKEN"
    asked = request("GET", "/crm/v8/org", "")
    assert (await rig.box.answer(asked)).status == 401
    rig.app.oauth.revoke_refresh()
    assert (await rig.mint()).body == {"error": "invalid_code"}


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [
        ("ZohoCRM.modules.ALL", (200, 200, 401)),
        ("ZohoCRM.modules.deals.READ", (200, 401, 401)),
        ("ZohoCRM.modules.Deals.ALL,ZohoCRM.settings.ALL", (200, 200, 200)),
        ("ZohoCRM.settings.fields.READ", (401, 401, 200)),
    ],
)
async def test_a_token_is_good_for_its_scopes_alone(scope: str, statuses: tuple[int, int, int]) -> None:
    rig = Rig()
    [deal] = rig.deals(1)
    rig.app.oauth.grant(scope.split(","))
    read = await rig.ask("GET", f"/Deals/{deal}")
    written = await rig.write("PUT", f"/Deals/{deal}", {"Amount": 1})
    described = await rig.ask("GET", "/settings/fields", module="Deals")
    assert (read.status, written.status, described.status) == statuses
    assert {seen.code for seen in (read, written, described) if seen.status == 401} <= {"OAUTH_SCOPE_MISMATCH"}


async def test_credits_are_told_from_half_on_and_then_run_out() -> None:
    rig = Rig(credits=10)
    seen = [await rig.ask("GET", "/org") for _ in range(11)]
    told = [each.headers.get("X-API-CREDITS-REMAINING") for each in seen]
    assert told == [None] * 4 + ["5", "4", "3", "2", "1", "0", "0"]
    assert (seen[10].status, seen[10].code) == (429, "TOO_MANY_REQUESTS")
    rig.clock.move(hours=24)
    rig.token = ""
    assert (await rig.ask("GET", "/org")).status == 200


async def test_writes_cost_one_credit_for_ten_rows_and_lists_of_deletions_two() -> None:
    rig = Rig(credits=1000)
    before = rig.app.limits.left
    await rig.write("POST", "/Deals", *[{"Deal_Name": "a", "Stage": "Qualification"}] * 21)
    assert before - rig.app.limits.left == 3
    await rig.ask("GET", "/Deals/deleted")
    assert before - rig.app.limits.left == 5


@pytest.mark.parametrize(("edition", "most"), [("free", 5), ("enterprise", 20)])
async def test_an_edition_says_how_many_calls_may_be_in_flight(edition: str, most: int) -> None:
    rig = Rig(edition=edition)
    rig.token = (await rig.mint()).body["access_token"]
    rig.box.latency = 0.01
    seen = await asyncio.gather(*(rig.ask("GET", "/org") for _ in range(most + 1)))
    assert sorted(each.status for each in seen) == [200] * most + [429]
    assert (await rig.ask("GET", "/org")).status == 200


async def test_a_refusal_in_zohos_own_words_can_be_ordered() -> None:
    rig = Rig()
    rig.app.fail("org", "INTERNAL_ERROR", status=500, skip=1)
    assert [(await rig.ask("GET", "/org")).status for _ in range(3)] == [200, 500, 200]


async def test_what_is_not_there_is_said() -> None:
    rig = Rig()
    assert (await rig.ask("GET", "/settings/nothing")).code == "INVALID_URL_PATTERN"
    assert (await rig.ask("GET", "/org", root="/crm/v9")).code == "INVALID_URL_PATTERN"
    assert (await rig.ask("PATCH", "/settings/fields")).code == "INVALID_REQUEST_METHOD"


async def test_the_set_up_is_described() -> None:
    rig = Rig()
    rig.world.hide_field("Deals", "Amount")
    rig.world.add_stage("Signed", 100, "Closed Won")
    fields = {row["api_name"]: row for row in (await rig.ask("GET", "/settings/fields", module="Deals")).body["fields"]}
    layout = (await rig.ask("GET", "/settings/layouts", module="Deals")).body["layouts"][0]
    [pipeline] = (await rig.ask("GET", "/settings/pipeline", layout_id=layout["id"])).body["pipeline"]
    me = (await rig.ask("GET", "/users", type="CurrentUser")).body["users"]
    assert "Amount" not in fields
    assert "Signed" in [each["actual_value"] for each in fields["Stage"]["pick_list_values"]]
    assert fields["Account_Name"]["lookup"]["module"]["api_name"] == "Accounts"
    assert (pipeline["maps"][-1]["actual_value"], pipeline["maps"][-1]["forecast_type"]) == ("Signed", "Closed Won")
    assert [each["email"] for each in me] == ["integration@handoff.test"]
    assert {each["api_name"] for each in (await rig.ask("GET", "/settings/modules")).body["modules"]} >= {"Deals", "Accounts", "Contacts"}
    assert (await rig.ask("GET", "/settings/fields")).code == "REQUIRED_PARAM_MISSING"


async def test_people_are_listed_by_what_they_are() -> None:
    rig = Rig()
    rig.world.add_user("Gone Away", "gone@example.com", active=False)
    rig.world.add_user("Li Na", "li@example.com")
    active = (await rig.ask("GET", "/users", type="ActiveConfirmedUsers", per_page=2)).body
    assert ([each["full_name"] for each in active["users"]], active["info"]["more_records"]) == (["Handoff Integration", "Ada Admin"], True)
    away = (await rig.ask("GET", "/users", type="DeactiveUsers")).body
    assert [each["email"] for each in away["users"]] == ["gone@example.com"]
