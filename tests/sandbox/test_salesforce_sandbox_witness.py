"""The Salesforce stand-in serves a client that was written against the real one: simple-salesforce, unmodified, over TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce import api as simple
from simple_salesforce import exceptions as refusals

from sandbox.salesforce import Salesforce
from sandbox.web import Sandbox, serve
from tests.sandbox.salesforce_rig import DEAL

T = TypeVar("T")
Client = Any  # a simple.Salesforce, whose types take each of its objects for three things at once


class Loopback(HTTPAdapter):
    """Sends what is meant for any https host to the stand-in."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        request.url = self._base + "/" + str(request.url).split("/", 3)[3]
        return super().send(request, *args, **more)


class Witness:
    def __init__(self, sf: Salesforce, box: Sandbox, session: requests.Session) -> None:
        self.sf = sf
        self.org = sf.org
        self.box = box
        self.session = session

    async def ask(self, question: Callable[[Client], T], **login: Any) -> T:
        """Logs in (by client credentials when nothing else is said) and asks, off the loop that serves."""
        how = login or {"consumer_key": "handoff-client", "consumer_secret": "handoff-secret", "domain": "acme.my"}
        return await asyncio.to_thread(lambda: question(simple.Salesforce(session=self.session, **how)))


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    sf = Salesforce(lambda: datetime.now(UTC))
    box = Sandbox(sf)
    async with serve(box) as base:
        with requests.Session() as session:
            session.trust_env = False
            session.mount("https://", Loopback(base))
            yield Witness(sf, box, session)


def deals(witness: Witness, count: int) -> list[str]:
    return witness.org.bulk_load("Opportunity", [{"Name": f"Deal {n}", **DEAL} for n in range(count)])


async def test_it_logs_in_by_client_credentials_and_queries(witness: Witness) -> None:
    [deal] = deals(witness, 1)
    found = await witness.ask(lambda client: client.query("SELECT Id, Name, Account.Name FROM Opportunity"))
    assert (found["totalSize"], found["records"][0]["Id"], found["records"][0]["Account"]) == (1, deal, None)
    assert witness.sf.calls == {"token": 1, "query": 1}


async def test_it_logs_in_by_jwt_and_a_stranger_s_key_is_refused(witness: Witness) -> None:
    key, strange = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    witness.sf.oauth.public_key = public.decode()

    def login(signer: rsa.RSAPrivateKey) -> dict[str, str]:
        pem = signer.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return {"username": "integration@handoff.test", "consumer_key": "handoff-client", "privatekey": pem.decode()}

    assert (await witness.ask(lambda client: client.limits(), **login(key)))["DailyApiRequests"]["Max"] == 100_000
    with pytest.raises(refusals.SalesforceAuthenticationFailed, match="invalid assertion"):
        await witness.ask(lambda client: client.limits(), **login(strange))


async def test_it_logs_in_by_password_and_a_wrong_one_is_refused(witness: Witness) -> None:
    login = {"username": "integration@handoff.test", "consumer_key": "handoff-client", "consumer_secret": "handoff-secret"}
    assert await witness.ask(lambda client: client.limits(), password="handoff-password", **login)
    with pytest.raises(refusals.SalesforceAuthenticationFailed, match="authentication failure"):
        await witness.ask(lambda client: client.limits(), password="wrong", **login)


async def test_it_pages_through_everything(witness: Witness) -> None:
    ids = deals(witness, 4100)
    found = await witness.ask(lambda client: client.query_all("SELECT Id FROM Opportunity ORDER BY Id"))
    assert [row["Id"] for row in found["records"]] == ids
    assert witness.sf.calls["query_more"] == 2


async def test_it_sees_deleted_rows_when_it_asks_for_them(witness: Witness) -> None:
    gone, _ = deals(witness, 2)
    witness.org.delete("Opportunity", gone)
    soql = "SELECT Id FROM Opportunity WHERE IsDeleted = true"
    found = await witness.ask(lambda client: (client.query(soql), client.query(soql, include_deleted=True)))
    assert [page["totalSize"] for page in found] == [0, 1]


async def test_it_describes_and_handles_single_records(witness: Witness) -> None:
    def work(client: Client) -> tuple[Any, ...]:
        made = client.Opportunity.create({"Name": "n", "StageName": "Prospecting", "CloseDate": "2026-12-01"})["id"]
        changed = client.Opportunity.update(made, {"Amount": 12.5})
        upserts = [client.Opportunity.upsert("Handoff_Key__c/42", {"Name": "m", "StageName": "Prospecting", "CloseDate": "2026-12-01"})]
        upserts.append(client.Opportunity.upsert("Handoff_Key__c/42", {"NextStep": "x"}))
        amount = client.Opportunity.get(made)["Amount"]
        removed = client.Opportunity.delete(made)
        return client.describe(), client.Opportunity.describe(), client.Opportunity.metadata(), changed, upserts, amount, removed

    objects, described, metadata, changed, upserts, amount, removed = await witness.ask(work)
    assert {"Account", "Opportunity"} <= {each["name"] for each in objects["sobjects"]}
    assert "StageName" in {field["name"] for field in described["fields"]}
    assert metadata["objectDescribe"]["keyPrefix"] == "006"
    assert (changed, upserts, amount, removed) == (204, [201, 200], 12.5, 204)


async def test_it_asks_for_the_updated_and_the_deleted(witness: Witness) -> None:
    now = datetime.now(UTC)
    kept, gone = (witness.org.insert("Opportunity", {"Name": "n", **DEAL}, now - timedelta(minutes=5)) for _ in range(2))
    witness.org.delete("Opportunity", gone, now - timedelta(minutes=4))
    start, end = now - timedelta(hours=1), now
    updated, deleted = await witness.ask(lambda client: (client.Opportunity.updated(start, end), client.Opportunity.deleted(start, end)))
    assert updated["ids"] == [kept]
    assert [each["id"] for each in deleted["deletedRecords"]] == [gone]


async def test_it_exports_in_bulk(witness: Witness) -> None:
    witness.sf.bulk.polls = 1
    ids = deals(witness, 7)
    parts = await witness.ask(lambda client: list(client.bulk2.Opportunity.query("SELECT Id FROM Opportunity", max_records=3, wait=0)))
    lines = [line.strip('"') for part in parts for line in part.splitlines()]
    assert (len(parts), set(lines) - {"Id"}) == (3, set(ids))


async def test_it_reads_errors_as_the_real_ones(witness: Witness) -> None:
    with pytest.raises(refusals.SalesforceMalformedRequest) as wrong:
        await witness.ask(lambda client: client.query("SELECT Nope FROM Opportunity"))
    assert "INVALID_FIELD" in str(wrong.value)
    with pytest.raises(refusals.SalesforceResourceNotFound):
        await witness.ask(lambda client: client.Opportunity.get("006000000000001AAA"))
    witness.org.exhaust_quota()
    with pytest.raises(refusals.SalesforceRefusedRequest, match="REQUEST_LIMIT_EXCEEDED"):
        await witness.ask(lambda client: client.query("SELECT Id FROM Opportunity"))


async def test_it_logs_in_again_when_its_token_dies_in_the_middle_of_paging(witness: Witness) -> None:
    ids = deals(witness, 2500)

    def work(client: Client) -> list[str]:
        page = client.query("SELECT Id FROM Opportunity ORDER BY Id")
        witness.org.revoke_tokens()
        return [row["Id"] for row in page["records"] + client.query_more(page["nextRecordsUrl"], True)["records"]]

    assert await witness.ask(work) == ids
    assert witness.sf.calls["token"] == 2


async def test_long_urls_reach_the_org_and_longer_ones_meet_its_431(witness: Witness) -> None:
    [deal] = deals(witness, 1)

    def soql(count: int) -> str:
        return "SELECT Id FROM Opportunity WHERE Id IN ('" + "','".join([deal] * count) + "')"  # noqa: S608

    assert (await witness.ask(lambda client: client.query(soql(500))))["totalSize"] == 1
    with pytest.raises(refusals.SalesforceGeneralError, match="431"):
        await witness.ask(lambda client: client.query(soql(1000)))


@pytest.mark.parametrize(("kind", "status"), [("empty", 500), ("html", 503)])
async def test_faults_reach_it_over_tcp(witness: Witness, kind: Any, status: int) -> None:
    witness.box.fault(r"GET .*/query", kind)
    with pytest.raises(refusals.SalesforceGeneralError) as wrong:
        await witness.ask(lambda client: client.query("SELECT Id FROM Account"))
    assert wrong.value.status == status
    assert (await witness.ask(lambda client: client.query("SELECT Id FROM Account")))["done"] is True


async def test_an_upsert_whose_answer_is_lost_was_done(witness: Witness) -> None:
    witness.box.fault(r"PATCH .*/Handoff_Key__c/", "reset_after")
    fields = {"Name": "n", "StageName": "Prospecting", "CloseDate": "2026-12-01"}
    with pytest.raises(requests.ConnectionError):
        await witness.ask(lambda client: client.Opportunity.upsert("Handoff_Key__c/1", fields))
    assert await witness.ask(lambda client: client.Opportunity.upsert("Handoff_Key__c/1", fields)) == 200
    assert len(list(witness.org.rows("Opportunity"))) == 1
