"""How the Salesforce stand-in lets callers in, pages, describes, saves and exports."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from sandbox.salesforce import Salesforce
from tests.sandbox.salesforce_rig import DEAL, START, Rig

TOKEN = "/services/oauth2/token"
DUE = {"StageName": "Prospecting", "CloseDate": "2026-12-01"}
APP = {"client_id": "handoff-client", "client_secret": "handoff-secret"}


def record(**fields: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Opportunity"}, **fields}


async def failure(rig: Rig, method: str, path: str, **how: Any) -> tuple[int, str]:
    answer = await rig.ask(method, path, **how)
    return answer.status_code, answer.json()[0]["errorCode"]


# coming in


async def test_versions_need_no_token_and_data_does() -> None:
    rig = Rig()
    listed = (await rig.send("GET", "/services/data/")).json()
    assert listed[-1] == {"label": "v66", "url": "/services/data/v66.0", "version": "66.0"}
    refused = await rig.send("GET", "limits")
    assert refused.status_code == 401
    assert refused.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


@pytest.mark.parametrize(
    ("form", "error", "words"),
    [
        ({"grant_type": "client_credentials", **APP, "client_secret": "wrong"}, "invalid_client", "invalid client credentials"),
        ({"grant_type": "client_credentials", **APP, "client_id": "wrong"}, "invalid_client_id", "client identifier invalid"),
        ({"grant_type": "password", **APP, "username": "x", "password": "y"}, "invalid_grant", "authentication failure"),
        ({"grant_type": "refresh_token", **APP, "refresh_token": "old"}, "invalid_grant", "expired access/refresh token"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x.y.z"}, "invalid_grant", "invalid assertion"),
        ({"grant_type": "magic"}, "unsupported_grant_type", "grant type not supported"),
    ],
)
async def test_a_refused_login_is_an_object(form: dict[str, str], error: str, words: str) -> None:
    refused = await Rig().send("POST", TOKEN, data=form)
    assert (refused.status_code, refused.json()) == (400, {"error": error, "error_description": words})


async def test_a_login_can_be_made_to_fail_in_the_shape_of_logins() -> None:
    rig = Rig()
    rig.sf.fail("token", "invalid_grant", "expired access/refresh token")
    refused = await rig.send("POST", TOKEN, data={"grant_type": "client_credentials", **APP})
    assert refused.json() == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    assert await rig.login()


async def test_rotation_replaces_the_refresh_token_and_kills_the_old_one() -> None:
    rig = Rig()
    rig.sf.oauth.rotate = True
    form = {"grant_type": "refresh_token", **APP, "refresh_token": next(iter(rig.sf.oauth.refresh_tokens))}
    fresh = (await rig.send("POST", TOKEN, data=form)).json()["refresh_token"]
    assert (await rig.send("POST", TOKEN, data=form)).status_code == 400
    assert (await rig.send("POST", TOKEN, data={**form, "refresh_token": fresh})).status_code == 200


async def test_a_token_dies_of_age_or_by_revocation_and_introspection_knows() -> None:
    rig = Rig(token_life=60)
    token = await rig.login()
    about = (await rig.send("POST", "/services/oauth2/introspect", data={"token": token, **APP})).json()
    assert (about["active"], about["exp"]) == (True, int(START.timestamp()) + 60)
    rig.wait(seconds=60)
    assert (await rig.ask("GET", "limits")).status_code == 401
    assert (await rig.send("POST", "/services/oauth2/introspect", data={"token": token})).json() == {"active": False}
    await rig.login()
    rig.org.revoke_tokens()
    assert (await rig.ask("GET", "limits")).status_code == 401


async def test_each_call_is_counted_and_an_exhausted_quota_refuses() -> None:
    rig = Rig(daily_limit=3)
    answer = await rig.ask("GET", "limits")
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/3"
    assert answer.json()["DailyApiRequests"] == {"Max": 3, "Remaining": 2}
    rig.org.exhaust_quota()
    assert await failure(rig, "GET", "limits") == (403, "REQUEST_LIMIT_EXCEEDED")
    rig.org.restore_quota()
    await rig.query("SELECT Id FROM Account")
    assert rig.sf.calls == {"token": 1, "limits": 2, "query": 1}


async def test_answers_carry_the_date_of_the_org_s_clock() -> None:
    assert (await Rig().ask("GET", "limits")).headers["Date"] == "Sun, 22 Nov 2026 10:00:00 GMT"


async def test_a_long_request_meets_an_html_431() -> None:
    refused = await Rig().ask("GET", "query", params={"q": "SELECT Id FROM Account WHERE Id IN (" + "'001'," * 3000 + "'001')"})
    assert (refused.status_code, "Bad Message 431" in refused.text) == (431, True)


async def test_unknown_places_methods_and_retired_versions_are_refused() -> None:
    rig = Rig()
    assert await failure(rig, "GET", "sobjects/Nothing/describe") == (404, "NOT_FOUND")
    assert await failure(rig, "GET", "nowhere") == (404, "NOT_FOUND")
    assert await failure(rig, "PUT", "limits") == (405, "METHOD_NOT_ALLOWED")
    assert await failure(rig, "GET", "/services/data/v20.0/limits") == (410, "UNSUPPORTED_API_VERSION")


async def test_a_failure_on_order_strikes_the_named_resource_after_the_skipped_calls() -> None:
    rig = Rig()
    rig.sf.fail("query", "QUERY_TIMEOUT", "Your query request was running for too long.", skip=1)
    await rig.query("SELECT Id FROM Account")
    assert (await rig.refusal("SELECT Id FROM Account")) == ("QUERY_TIMEOUT", "Your query request was running for too long.")
    await rig.query("SELECT Id FROM Account")


# pages


async def test_pages_follow_locators_that_work_once() -> None:
    rig = Rig()
    ids = rig.org.bulk_load("Opportunity", [{"Name": f"{n}", **DEAL} for n in range(450)])
    page = await rig.query("SELECT Id FROM Opportunity ORDER BY Id", size=200)
    seen, used = [row["Id"] for row in page["records"]], ""
    while not page["done"]:
        assert page["totalSize"] == 450
        used = page["nextRecordsUrl"]
        assert used.startswith("/services/data/v66.0/query/01g")
        page = (await rig.ask("GET", used)).json()
        seen += [row["Id"] for row in page["records"]]
    assert (seen, "nextRecordsUrl" in page) == (ids, False)
    assert await failure(rig, "GET", used) == (400, "INVALID_QUERY_LOCATOR")


async def test_a_cursor_keeps_showing_what_was_there_when_it_was_opened_and_expires() -> None:
    rig = Rig(token_life=None)
    rig.org.bulk_load("Opportunity", [{"Name": "old", **DEAL} for _ in range(600)])
    page = await rig.query("SELECT Id, Name FROM Opportunity ORDER BY Id", size=200)
    last = list(rig.org.rows("Opportunity"))[-1]["Id"]
    rig.org.update("Opportunity", last, {"Name": "new"})
    page = (await rig.ask("GET", page["nextRecordsUrl"])).json()
    rig.wait(days=1, hours=23)
    unfinished = await rig.query("SELECT Id, Name FROM Opportunity ORDER BY Id", size=200)
    page = (await rig.ask("GET", page["nextRecordsUrl"])).json()
    assert page["records"][-1]["Name"] == "old"
    rig.wait(days=2)
    assert await failure(rig, "GET", unfinished["nextRecordsUrl"]) == (400, "INVALID_QUERY_LOCATOR")


async def test_many_children_have_pages_of_their_own_that_die_when_the_parents_move_on() -> None:
    rig = Rig()
    deals = rig.org.bulk_load("Opportunity", [{"Name": f"{n}", **DEAL} for n in range(201)])
    lines = rig.org.bulk_load("OpportunityLineItem", [{"OpportunityId": deals[n // 250], "Quantity": n} for n in range(500)])
    soql = "SELECT Id, (SELECT Id FROM OpportunityLineItems ORDER BY Id) FROM Opportunity ORDER BY Id"
    page = await rig.query(soql, size=200)
    first, second = (page["records"][n]["OpportunityLineItems"] for n in (0, 1))
    rest = (await rig.ask("GET", first["nextRecordsUrl"])).json()
    assert [row["Id"] for row in first["records"] + rest["records"]] == lines[:250]
    assert (first["totalSize"], first["done"], rest["done"]) == (250, False, True)
    await rig.ask("GET", page["nextRecordsUrl"])
    assert await failure(rig, "GET", second["nextRecordsUrl"]) == (400, "INVALID_QUERY_LOCATOR")


# describe


async def test_describe_tells_types_picklists_references_and_children() -> None:
    rig = Rig()
    rig.org.add_field("Opportunity", "Tier__c", type="picklist", values=["Gold", "Silver"], unique=True)
    rig.org.add_stage("Signed", closed=True, won=True, probability=100)
    described = (await rig.ask("GET", "sobjects/opportunity/describe")).json()
    fields = {field["name"]: field for field in described["fields"]}
    assert (described["keyPrefix"], described["replicateable"], described["updateable"]) == ("006", True, True)
    assert (fields["AccountId"]["referenceTo"], fields["AccountId"]["relationshipName"]) == (["Account"], "Account")
    assert (fields["IsWon"]["updateable"], fields["Amount"]["updateable"], fields["Amount"]["type"]) == (False, True, "currency")
    assert (fields["Tier__c"]["unique"], [each["value"] for each in fields["Tier__c"]["picklistValues"]]) == (True, ["Gold", "Silver"])
    assert "Signed" in {each["value"] for each in fields["StageName"]["picklistValues"]}
    assert (fields["Handoff_Key__c"]["externalId"], fields["Handoff_Progress__c"]["type"]) == (True, "percent")
    children = {(child["relationshipName"], child["childSObject"]) for child in described["childRelationships"]}
    assert ("OpportunityHistories", "OpportunityHistory") in children


async def test_an_unchanged_description_is_304() -> None:
    rig = Rig()
    first = await rig.ask("GET", "sobjects/Account/describe")
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert (await rig.ask("GET", "sobjects/Account/describe", headers=since)).status_code == 304
    rig.wait(seconds=1)
    rig.org.add_field("Account", "Tier__c")
    assert (await rig.ask("GET", "sobjects/Account/describe", headers=since)).status_code == 200


async def test_currency_codes_exist_in_multi_currency_orgs_only() -> None:
    assert await Rig().column("SELECT CurrencyIsoCode FROM Pricebook2", "CurrencyIsoCode") == ["USD"]
    assert (await Rig(multi_currency=False).refusal("SELECT CurrencyIsoCode FROM Pricebook2"))[0] == "INVALID_FIELD"


# saving


async def test_upsert_by_external_id_creates_updates_and_names_the_ambiguous() -> None:
    rig = Rig()
    made = await rig.ask("PATCH", "sobjects/Opportunity/Handoff_Key__c/a%2Fb", json={"Name": "n", **DUE})
    assert (made.status_code, made.json()["created"]) == (201, True)
    again = await rig.ask("PATCH", "sobjects/Opportunity/Handoff_Key__c/A%2FB", json={"NextStep": "x"})
    assert (again.status_code, again.json()) == (200, {"id": made.json()["id"], "success": True, "errors": [], "created": False})
    assert (await rig.ask("GET", "sobjects/Opportunity/Handoff_Key__c/a%2Fb")).json()["NextStep"] == "x"
    twin = rig.deal(Handoff_Key__c="a/b")
    both = await rig.ask("PATCH", "sobjects/Opportunity/Handoff_Key__c/a%2Fb", json={"NextStep": "y"})
    assert both.status_code == 300
    assert [url.rpartition("/")[2] for url in both.json()] == [made.json()["id"], twin]
    assert (await failure(rig, "PATCH", "sobjects/Opportunity/Name/x", json={}))[0] == 404


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Nope__c": 1}, "INVALID_FIELD"),
        ({"IsWon": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Name": None}, "REQUIRED_FIELD_MISSING"),
        ({"Name": "x" * 121}, "STRING_TOO_LONG"),
        ({"Amount": "many"}, "JSON_PARSER_ERROR"),
        ({"CurrencyIsoCode": "XXX"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"AccountId": "001000000000001AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
    ],
)
async def test_bad_values_are_refused_one_by_one_and_the_rest_is_saved(fields: dict[str, Any], code: str) -> None:
    rig = Rig()
    bad, good = rig.deal(), rig.deal()
    rows = [record(id=bad, **fields), record(id=good, Handoff_Status__c="on track")]
    answer = await rig.ask("PATCH", "composite/sobjects", json={"allOrNone": False, "records": rows})
    assert answer.status_code == 200
    refused, saved = answer.json()
    assert (refused["success"], [error["statusCode"] for error in refused["errors"]]) == (False, [code])
    assert saved == {"id": good, "success": True, "errors": []}
    assert rig.org.get("Opportunity", good)["Handoff_Status__c"] == "on track"


async def test_all_or_none_undoes_what_went_well() -> None:
    rig = Rig()
    good, bad = rig.deal(), rig.deal()
    before = rig.org.get("Opportunity", good)
    rows = [record(id=good, Amount=5), record(id=bad, Nope=1), record(id="006000000000001AAA")]
    results = (await rig.ask("PATCH", "composite/sobjects", json={"allOrNone": True, "records": rows})).json()
    codes = [result["errors"][0]["statusCode"] for result in results]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_FIELD", "INVALID_CROSS_REFERENCE_KEY"]
    assert rig.org.get("Opportunity", good) is before
    assert len(list(rig.org.rows("OpportunityHistory"))) == 2


async def test_a_lock_refuses_as_often_as_told_and_a_deleted_record_for_good() -> None:
    rig = Rig()
    locked, gone = rig.deal(), rig.deal()
    rig.org.lock("Opportunity", locked, times=2)
    rig.org.delete("Opportunity", gone)

    async def codes() -> list[list[str]]:
        rows = [record(id=locked, Amount=1), record(id=gone, Amount=1)]
        results = (await rig.ask("PATCH", "composite/sobjects", json={"records": rows})).json()
        return [[error["statusCode"] for error in result["errors"]] for result in results]

    seen = [await codes() for _ in range(3)]
    assert [first for first, _ in seen] == [["UNABLE_TO_LOCK_ROW"], ["UNABLE_TO_LOCK_ROW"], []]
    assert [second for _, second in seen] == [["ENTITY_IS_DELETED"]] * 3


async def test_a_collection_upsert_mixes_new_known_and_doubled_keys() -> None:
    rig = Rig()
    known = rig.deal(Handoff_Key__c="known")
    rows = [record(Handoff_Key__c=key, Name=key, **DUE) for key in ("known", "new", "twice", "twice")]
    results = (await rig.ask("PATCH", "composite/sobjects/Opportunity/Handoff_Key__c", json={"records": rows})).json()
    assert [(result["success"], result.get("created")) for result in results] == [(True, False), (True, True), (False, None), (False, None)]
    assert results[0]["id"] == known
    assert results[2]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"


async def test_collections_create_delete_and_take_200_at_most() -> None:
    rig = Rig()
    made = (await rig.ask("POST", "composite/sobjects", json={"records": [record(Name="a", **DUE), record(Name="b", **DUE)]})).json()
    ids = [result["id"] for result in made]
    await rig.ask("DELETE", "composite/sobjects", params={"ids": ",".join(ids), "allOrNone": "false"})
    assert [rig.org.get("Opportunity", id)["IsDeleted"] for id in ids] == [True, True]
    rows = [record(id=ids[0])] * 201
    assert (await failure(rig, "PATCH", "composite/sobjects", json={"records": rows}))[0] == 400


async def test_a_unique_field_refuses_a_second_holder() -> None:
    rig = Rig()
    rig.org.add_field("Opportunity", "Number__c", unique=True, external_id=True)
    rig.deal(Number__c="A1")
    answer = await rig.ask("POST", "sobjects/Opportunity", json={"Name": "n", "Number__c": "a1", **DUE})
    assert (answer.status_code, answer.json()[0]["errorCode"], answer.json()[0]["fields"]) == (400, "DUPLICATE_VALUE", ["Number__c"])


async def test_a_stale_conditional_write_is_412() -> None:
    rig = Rig()
    deal = rig.deal()
    seen = {"If-Unmodified-Since": "Sun, 22 Nov 2026 09:59:59 GMT"}
    assert await failure(rig, "PATCH", f"sobjects/Opportunity/{deal}", json={"Amount": 1}, headers=seen) == (412, "PRECONDITION_FAILED")


# several in one


async def test_composite_fills_references_and_undoes_all_on_a_failure() -> None:
    rig = Rig()
    base = "/services/data/v66.0/sobjects"
    asked: list[dict[str, Any]] = [
        {"method": "POST", "url": f"{base}/Account", "referenceId": "acme", "body": {"Name": "Acme"}},
        {"method": "POST", "url": f"{base}/Opportunity", "referenceId": "deal", "body": {"Name": "n", "AccountId": "@{acme.id}", **DUE}},
        {"method": "GET", "url": f"{base}/Opportunity/@{{deal.id}}?fields=AccountId", "referenceId": "read"},
    ]
    results = (await rig.ask("POST", "composite", json={"compositeRequest": asked})).json()["compositeResponse"]
    assert [result["httpStatusCode"] for result in results] == [201, 201, 200]
    assert results[2]["body"]["AccountId"] == results[0]["body"]["id"]
    asked[1]["body"] = {"Name": "n"}
    results = (await rig.ask("POST", "composite", json={"allOrNone": True, "compositeRequest": asked[:2]})).json()["compositeResponse"]
    assert [result["body"][0]["errorCode"] for result in results] == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
    assert len(list(rig.org.rows("Account"))) == 1


async def test_a_batch_describes_many_objects_for_one_call() -> None:
    rig = Rig()
    asked = [{"method": "GET", "url": f"v66.0/sobjects/{name}/describe"} for name in ("Account", "Nothing", "Contact")]
    answer = (await rig.ask("POST", "composite/batch", json={"batchRequests": asked})).json()
    assert answer["hasErrors"] is True
    assert [result["statusCode"] for result in answer["results"]] == [200, 404, 200]
    halted = (await rig.ask("POST", "composite/batch", json={"batchRequests": asked, "haltOnError": True})).json()
    assert [result["statusCode"] for result in halted["results"]] == [200, 404, 412]
    assert rig.org.used == 2
    assert (await failure(rig, "POST", "composite/batch", json={"batchRequests": asked * 9}))[0] == 400


# bulk


async def run_job(rig: Rig, soql: str, operation: str = "query") -> str:
    made = await rig.ask("POST", "jobs/query", json={"operation": operation, "query": soql, "contentType": "CSV"})
    assert (made.status_code, made.json()["state"]) == (200, "UploadComplete"), made.text
    return str(made.json()["id"])


async def test_a_bulk_job_needs_polls_and_gives_its_rows_in_parts() -> None:
    rig = Rig()
    account = rig.org.insert("Account", {"Name": 'Acme, "the"\nfirst'})
    ids = [rig.deal(f"{n}", AccountId=account if n else None) for n in range(5)]
    job = await run_job(rig, "SELECT Id, account.Name, IsWon, SystemModstamp, Amount FROM Opportunity")
    assert await failure(rig, "GET", f"jobs/query/{job}/results") == (400, "INVALIDJOBSTATE")
    states = [(await rig.ask("GET", f"jobs/query/{job}")).json()["state"] for _ in range(2)]
    assert states == ["InProgress", "JobComplete"]
    rows, locator = [], ""
    while locator != "null":
        part = await rig.ask("GET", f"jobs/query/{job}/results", params={"maxRecords": "2"} | ({"locator": locator} if locator else {}))
        rows += list(csv.DictReader(io.StringIO(part.text, newline="")))
        locator = part.headers["Sforce-Locator"]
    assert {row["Id"] for row in rows} == set(ids)
    by_id = {row["Id"]: row for row in rows}
    assert (by_id[ids[0]]["Account.Name"], by_id[ids[1]]["Account.Name"]) == ("", 'Acme, "the"\nfirst')
    assert (by_id[ids[0]]["IsWon"], by_id[ids[0]]["SystemModstamp"], by_id[ids[0]]["Amount"]) == ("false", "2026-11-22T10:00:00.000Z", "")
    assert (await rig.ask("DELETE", f"jobs/query/{job}")).status_code == 204
    assert (await failure(rig, "GET", f"jobs/query/{job}"))[0] == 404


async def test_a_bulk_job_can_fail_and_can_be_aborted() -> None:
    rig = Rig()
    rig.sf.bulk.polls = 1
    rig.sf.bulk.failures.append("InternalServerError: out of patience")
    failed, aborted = await run_job(rig, "SELECT Id FROM Account"), await run_job(rig, "SELECT Id FROM Account")
    about = (await rig.ask("GET", f"jobs/query/{failed}")).json()
    assert (about["state"], about["errorMessage"]) == ("Failed", "InternalServerError: out of patience")
    assert (await rig.ask("PATCH", f"jobs/query/{aborted}", json={"state": "Aborted"})).json()["state"] == "Aborted"


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT Id, BillingAddress FROM Account",
        "SELECT COUNT() FROM Account",
        "SELECT Id FROM Account LIMIT 5 OFFSET 1",
    ],
)
async def test_bulk_refuses_what_it_cannot_export(soql: str) -> None:
    assert await failure(Rig(), "POST", "jobs/query", json={"operation": "query", "query": soql}) == (400, "API_ERROR")


async def test_bulk_query_all_exports_the_recycle_bin_too() -> None:
    rig = Rig()
    gone = rig.deal()
    rig.org.delete("Opportunity", gone)
    rig.sf.bulk.polls = 1
    sizes = []
    for operation in ("query", "queryAll"):
        job = await run_job(rig, "SELECT Id FROM Opportunity", operation)
        sizes.append((await rig.ask("GET", f"jobs/query/{job}")).json()["numberRecordsProcessed"])
    assert sizes == [0, 1]


def test_an_org_edit_with_a_misspelt_field_is_told_so() -> None:
    sf = Salesforce(lambda: START)
    with pytest.raises(KeyError, match="Opportunity has no field StgeName"):
        sf.org.insert("Opportunity", {"StgeName": "x"})
