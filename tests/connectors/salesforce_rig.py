"""A Salesforce org in a sandbox, driven in neutral words, and sources connected to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from connectors.base import Runtime
from connectors.salesforce import Connection, SalesforceSource
from engine.model import CrmKind, Read, Record, WriteBack
from sandbox.salesforce import Salesforce
from sandbox.web import InProcess, Sandbox
from tests.conformance.source import Clock, Trouble

HOST = "http://salesforce.test"
DATA = r"GET /services/data/v"
DEAL = Read(
    "Opportunity",
    ("Name", "StageName", "Amount", "NextStep", "Owner.Email", "Account.Name"),
    {
        "line_items": Read("OpportunityLineItem", ("Id", "Quantity", "Description")),
        "contacts": Read("OpportunityContactRole", ("Id", "Role", "Contact.Name", "Contact.Email")),
        "history": Read("OpportunityHistory", ("StageName", "CreatedDate")),
    },
    {"NextStep": ("deal", "fields", "next_step")},
)
READS: dict[CrmKind, Read] = {"customer": Read("Account", ("Name", "Website")), "deal": DEAL}


class SalesforceCrm:
    kind: CrmKind = "deal"
    merge_kind: CrmKind = "customer"
    page = 200
    fields: frozenset[str] = frozenset({"Name", "StageName", "Amount", "NextStep", "Owner", "Account", "line_items", "contacts", "history"})
    secrets: tuple[str, ...] = ("handoff-secret", "!AQ")
    look_back = timedelta(minutes=10)

    def __init__(self, daily_limit: int = 100_000) -> None:
        self.clock = Clock()
        self.app = Salesforce(self.clock, token_life=None, daily_limit=daily_limit)
        self.org = self.app.org
        self.box = Sandbox(self.app, sleep=self.clock.sleep)

    def add(self, names: Sequence[str]) -> list[str]:
        return [self.org.insert("Opportunity", {"Name": name, "StageName": "Prospecting", "CloseDate": "2026-12-01"}) for name in names]

    def name(self, record: Record) -> str:
        return str(record.fields["Name"])

    def rename(self, row: str, name: str) -> None:
        self.org.update("Opportunity", row, {"Name": name})

    def rename_child(self, row: str, name: str) -> None:
        self.org.insert("OpportunityLineItem", {"OpportunityId": row, "Quantity": 1, "UnitPrice": 5, "Description": name})

    def add_late(self, name: str, made: datetime) -> Callable[[], str]:
        transaction = self.org.transaction(at=made)
        row = transaction.insert("Opportunity", {"Name": name, "StageName": "Prospecting", "CloseDate": "2026-12-01"})

        def commit() -> str:
            transaction.commit()
            return row

        return commit

    def delete(self, row: str) -> None:
        self.org.delete("Opportunity", row)

    def undelete(self, row: str) -> None:
        self.org.undelete("Opportunity", row)

    def add_mergeable(self, names: Sequence[str]) -> list[str]:
        return [self.org.insert("Account", {"Name": name}) for name in names]

    def merge(self, winner: str, loser: str) -> None:
        self.org.merge("Account", winner, [loser])

    def polled(self) -> int:
        return 5

    def calls(self) -> int:
        return sum(count for name, count in self.app.calls.items() if name != "token")

    def trouble(self, what: Trouble, *, times: int = 1, skip: int = 0) -> None:
        self.box.faults.clear()
        if times:
            self.box.fault(DATA, "reset_before" if what == "reset" else what, times=times, skip=skip)

    def trouble_writing(self, what: Trouble) -> None:
        self.box.fault(r"PATCH .*/composite/sobjects", "reset_after" if what == "reset" else what)

    def revoke(self) -> None:
        self.org.revoke_tokens()

    def lock_out(self) -> None:
        self.org.revoke_tokens()
        self.app.oauth.client_secret = "another"

    def exhaust(self) -> None:
        self.org.exhaust_quota()

    def hide_a_field(self) -> str:
        self.org.hide_field("Opportunity", "NextStep")
        return "NextStep"

    def good_row(self, row: str, text: str) -> WriteBack:
        return WriteBack("deal", row, {"Handoff_Status__c": text})

    def bad_row(self, row: str) -> tuple[WriteBack, str]:
        return WriteBack("deal", row, {"IsWon": True}), "IsWon"

    def written(self, row: str) -> str:
        return str(self.org.get("Opportunity", row)["Handoff_Status__c"])


def rig(
    reads: Mapping[CrmKind, Read] = READS, *, daily_limit: int = 100_000, **settings: object
) -> tuple[SalesforceCrm, Callable[[], SalesforceSource]]:
    """An org and a maker of sources for it; `settings` are fields of the connection."""
    crm = SalesforceCrm(daily_limit)
    plain = {"login_url": HOST, "client_id": "handoff-client", "client_secret": "handoff-secret", "page_size": 200}
    connection = Connection.model_validate({**plain, **settings})
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=InProcess({HOST: crm.box}))
    return crm, lambda: SalesforceSource(connection, reads, runtime=runtime, write_back={"deal": {"status": "Handoff_Status__c"}})
