"""What the Salesforce stand-in understands of SOQL, and how it says that it does not."""

from __future__ import annotations

# ruff: noqa: S608
import pytest

from sandbox.salesforce.soql import parse
from tests.sandbox.salesforce_rig import Rig


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    acme = rig.org.insert("Account", {"Name": "Acme"})
    rig.deal("alpha", Amount=100, AccountId=acme, NextStep="call")
    rig.wait(minutes=1)
    rig.deal("Beta", Amount=200, AccountId=acme, StageName="Closed Won")
    rig.wait(minutes=1)
    rig.deal("O'Neil \\ Co", Amount=None, CloseDate="2027-01-31")
    return rig


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("Amount = 100", ["alpha"]),
        ("Amount != 100", ["Beta", "O'Neil \\ Co"]),
        ("Amount > 100", ["Beta"]),
        ("Amount >= 100 AND Amount < 200", ["alpha"]),
        ("Amount <= 100", ["alpha"]),
        ("Amount <> 100 AND Amount != null", ["Beta"]),
        ("amount = NULL", ["O'Neil \\ Co"]),
        ("Name = 'ALPHA'", ["alpha"]),
        ("Name = 'O\\'Neil \\\\ Co'", ["O'Neil \\ Co"]),
        ("Name IN ('alpha', 'beta')", ["alpha", "Beta"]),
        ("Name NOT IN ('alpha', 'beta')", ["O'Neil \\ Co"]),
        ("Name LIKE '%NEIL%'", ["O'Neil \\ Co"]),
        ("Name LIKE 'b_ta'", ["Beta"]),
        ("IsWon = true", ["Beta"]),
        ("NOT (IsWon = true OR Amount = null)", ["alpha"]),
        ("(Amount = 100 OR Amount = 200) AND IsClosed = false", ["alpha"]),
        ("CloseDate > 2026-12-31", ["O'Neil \\ Co"]),
        ("CreatedDate >= 2026-11-22T18:01:00+08:00", ["Beta", "O'Neil \\ Co"]),
        ("SystemModstamp = 2026-11-22T10:01:00.000Z", ["Beta"]),
        ("SystemModstamp > 2026-11-22T10:00:00Z AND SystemModstamp <= 2026-11-22T10:01:00Z", ["Beta"]),
        ("Account.Name = 'acme' AND Owner.Email LIKE 'ada@%'", ["alpha", "Beta"]),
        ("Account.Name = null", ["O'Neil \\ Co"]),
        ("Opportunity.NextStep = 'call'", ["alpha"]),
    ],
)
async def test_a_where_clause_finds_its_rows(rig: Rig, where: str, names: list[str]) -> None:
    assert await rig.column("SELECT Name FROM Opportunity WHERE " + where + " ORDER BY CreatedDate") == names


@pytest.mark.parametrize(
    ("clauses", "names"),
    [
        ("ORDER BY Amount", ["O'Neil \\ Co", "alpha", "Beta"]),
        ("ORDER BY Amount DESC NULLS LAST", ["Beta", "alpha", "O'Neil \\ Co"]),
        ("ORDER BY IsWon, Name DESC", ["O'Neil \\ Co", "alpha", "Beta"]),
        ("ORDER BY Account.Name NULLS LAST, Amount DESC", ["Beta", "alpha", "O'Neil \\ Co"]),
        ("ORDER BY SystemModstamp DESC LIMIT 1", ["O'Neil \\ Co"]),
        ("ORDER BY SystemModstamp, Id LIMIT 1 OFFSET 1", ["Beta"]),
    ],
)
async def test_rows_come_in_the_asked_order_and_number(rig: Rig, clauses: str, names: list[str]) -> None:
    assert await rig.column("SELECT Name FROM Opportunity " + clauses) == names


async def test_a_parent_is_a_nested_record_and_a_missing_parent_is_null(rig: Rig) -> None:
    found = await rig.query(
        "SELECT name, account.name, Account.Owner.Email FROM opportunity WHERE Amount = 100 OR Amount = null ORDER BY CreatedDate"
    )
    with_account, without = found["records"]
    assert list(with_account) == ["attributes", "Name", "Account"]
    assert with_account["attributes"]["url"].startswith("/services/data/v66.0/sobjects/Opportunity/006")
    assert with_account["Account"]["attributes"]["type"] == "Account"
    assert (with_account["Account"]["Name"], with_account["Account"]["Owner"]["Email"]) == ("Acme", "ada@handoff.test")
    assert without["Account"] is None


async def test_children_are_lists_of_their_own_and_no_children_are_null(rig: Rig) -> None:
    [first, *_] = list(rig.org.rows("Opportunity"))
    kept, gone = (rig.org.insert("OpportunityLineItem", {"OpportunityId": first["Id"], "Quantity": n, "UnitPrice": 5}) for n in (2, 1))
    rig.org.delete("OpportunityLineItem", gone)
    lines_of = "(SELECT Id, TotalPrice FROM OpportunityLineItems WHERE IsDeleted = false ORDER BY Quantity)"
    soql = "SELECT Id, " + lines_of + " FROM Opportunity ORDER BY CreatedDate"
    lines = [record["OpportunityLineItems"] for record in (await rig.query(soql, everything=True))["records"]]
    assert [(line["Id"], line["TotalPrice"]) for line in lines[0]["records"]] == [(kept, 10.0)]
    assert (lines[0]["totalSize"], lines[0]["done"], lines[1:]) == (1, True, [None, None])


async def test_a_parent_in_the_recycle_bin_is_null_unless_everything_is_asked_for(rig: Rig) -> None:
    product = rig.org.insert("Product2", {"Name": "Widget"})
    rig.org.insert("OpportunityLineItem", {"OpportunityId": rig.deal(), "Product2Id": product, "Quantity": 1})
    rig.org.delete("Product2", product)
    soql = "SELECT Product2.Name FROM OpportunityLineItem"
    assert await rig.column(soql, "Product2") == [None]
    assert [found["Name"] for found in await rig.column(soql, "Product2", everything=True)] == ["Widget"]


async def test_rows_asked_for_in_no_order_stay_where_they_were_when_edited(rig: Rig) -> None:
    before = await rig.column("SELECT Id FROM Opportunity", "Id")
    rig.org.update("Opportunity", before[0], {"Amount": 7})
    assert await rig.column("SELECT Id FROM Opportunity", "Id") == before


async def test_count_answers_a_number_and_no_records(rig: Rig) -> None:
    counted = await rig.query("SELECT COUNT() FROM Opportunity WHERE Amount > 1")
    assert counted == {"totalSize": 2, "done": True, "records": []}


async def test_fifteen_and_eighteen_character_ids_are_the_same_record(rig: Rig) -> None:
    id = next(iter(rig.org.rows("Opportunity")))["Id"]
    assert await rig.column("SELECT Id FROM Opportunity WHERE Id = '" + id[:15] + "'", "Id") == [id]


async def test_deleted_rows_are_in_query_all_only(rig: Rig) -> None:
    rig.org.delete("Opportunity", next(iter(rig.org.rows("Opportunity")))["Id"])
    assert await rig.column("SELECT Name FROM Opportunity WHERE Name = 'alpha'") == []
    assert await rig.column("SELECT IsDeleted FROM Opportunity WHERE Name = 'alpha'", "IsDeleted", everything=True) == [True]


@pytest.mark.parametrize(
    ("soql", "code", "words"),
    [
        ("SELECT Id FROM Opportunity WHERE", "MALFORMED_QUERY", "unexpected token: <EOF>"),
        ("SELECT Id, FROM Opportunity", "MALFORMED_QUERY", "unexpected token: 'FROM'"),
        ("SELECT Id FROM Opportunity WHERE Name = \u201cx\u201d", "MALFORMED_QUERY", "unexpected char"),
        ("SELECT Id FROM Opportunity WHERE Amount = 1 OR Amount = 2 AND IsWon = true", "MALFORMED_QUERY", "unexpected token: 'AND'"),
        ("SELECT Id, Id FROM Opportunity", "MALFORMED_QUERY", "duplicate field selected: Id"),
        ("SELECT Id FROM Opportunity WHERE CreatedDate > 2026-13-22T10:00:00Z", "MALFORMED_QUERY", "invalid date time"),
        ("SELECT Id, Nmae FROM Opportunity", "INVALID_FIELD", "No such column 'Nmae' on entity 'Opportunity'"),
        ("SELECT Id, Account.Nmae FROM Opportunity", "INVALID_FIELD", "No such column 'Nmae' on entity 'Account'"),
        ("SELECT Id, Acount.Name FROM Opportunity", "INVALID_FIELD", "Didn't understand relationship 'Acount'"),
        ("SELECT Id FROM Opportunity WHERE SystemModstamp > '2026-11-22'", "INVALID_FIELD", "should not be enclosed in quotes"),
        ("SELECT Id FROM Opportunity WHERE Name = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        ("SELECT Id FROM Opportunity WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Oportunity", "INVALID_TYPE", "sObject type 'Oportunity' is not supported"),
        ("SELECT Id, (SELECT Id FROM LineItems) FROM Opportunity", "INVALID_TYPE", "Didn't understand relationship 'LineItems'"),
        ("SELECT Id FROM Opportunity OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
    ],
)
async def test_a_wrong_query_is_refused_in_salesforce_s_words(rig: Rig, soql: str, code: str, words: str) -> None:
    seen_code, seen_words = await rig.refusal(soql)
    assert (seen_code, words in seen_words) == (code, True), seen_words


async def test_an_error_shows_its_place(rig: Rig) -> None:
    _, words = await rig.refusal("SELECT Id, Nmae FROM Opportunity")
    assert words.splitlines()[1:4] == ["SELECT Id, Nmae FROM Opportunity", " " * 11 + "^", "ERROR at Row:1:Column:12"]


async def test_a_hidden_field_is_neither_queried_described_nor_written(rig: Rig) -> None:
    id = rig.deal()
    rig.org.hide_field("Opportunity", "Amount")
    assert (await rig.refusal("SELECT Amount FROM Opportunity"))[0] == "INVALID_FIELD"
    described = (await rig.ask("GET", "sobjects/Opportunity/describe")).json()
    assert "Amount" not in {field["name"] for field in described["fields"]}
    assert (await rig.ask("PATCH", f"sobjects/Opportunity/{id}", json={"Amount": 1})).json()[0]["errorCode"] == "INVALID_FIELD"
    rig.org.unhide_field("Opportunity", "Amount")
    assert None in await rig.column("SELECT Amount FROM Opportunity", "Amount")


def test_the_same_text_is_parsed_once() -> None:
    assert parse("SELECT Id FROM Account") is parse("SELECT Id FROM Account")
