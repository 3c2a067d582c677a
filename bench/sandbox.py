"""A stand-in as a process: `python -m bench.sandbox NAME OPTIONS`. Prints its environment, then its counts whenever a line comes in."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from bench import data
from sandbox.asana import Asana
from sandbox.salesforce import Salesforce
from sandbox.web import App, Sandbox, serve
from sandbox.zoho import Zoho


def clock() -> datetime:
    return datetime.now(UTC)


def asana(*, per_minute: int = 0) -> tuple[App, dict[str, str]]:
    """A workspace with everybody the blueprint names. Without `per_minute` nothing is limited; with it, requests in flight are too."""
    app = Asana(clock, per_minute=per_minute or None, enforce_limits=bool(per_minute))
    for role in ("lead", "architect", "trainer", "finance"):
        app.world.add_user(role, f"{role}@example.com")
    for name, mail in data.PEOPLE:
        app.world.add_user(name, mail)
    app.world.add_custom_field("Customer", "text")
    app.world.add_custom_field("Deal value", "number")
    reads, writes = (50, 15) if per_minute else (10_000, 10_000)
    return app, {
        "ASANA_TOKEN": app.world.token,
        "ASANA_WORKSPACE": app.world.workspace,
        "ASANA_TEAM": app.world.add_team("Delivery"),
        "ASANA_PER_MINUTE": str(per_minute or 100_000_000),
        "ASANA_READS_AT_ONCE": str(reads),
        "ASANA_WRITES_AT_ONCE": str(writes),
    }


def salesforce(*, deals: int, customers: int) -> tuple[App, dict[str, str]]:
    """An org two years old, one deal in five with lines, all of it quiet for an hour."""
    app = Salesforce(clock)
    random, end = Random(5), clock() - timedelta(hours=1)
    app.org.bulk_load("Account", (row | _stamps(random, end) for row in data.customers(customers)))
    rows = [row | {"StageName": _stage(random)} | _stamps(random, end) for row in data.deals(deals, customers)]
    app.org.bulk_load("Opportunity", rows)
    product = app.org.insert("Product2", {"Name": "Implementation"})
    entry = app.org.insert("PricebookEntry", {"Name": "Implementation", "Product2Id": product, "UnitPrice": 100})
    line = {"PricebookEntryId": entry, "Quantity": 2, "UnitPrice": 90, "ServiceDate": date(2026, 5, 1)}
    app.org.bulk_load("OpportunityLineItem", ({**line, "OpportunityId": row["Id"], **_stamps(random, end)} for row in rows[::5]))
    return app, {"SALESFORCE_SECRET": app.oauth.client_secret}


def zoho(*, deals: int) -> tuple[App, dict[str, str]]:
    """An organisation with one account, and deals modified one a minute."""
    app, end = Zoho(clock), clock() - timedelta(hours=1)
    account = app.world.insert("Accounts", {"Account_Name": "Acme"})
    for number in range(deals):
        row = {"Deal_Name": f"Deal {number}", "Stage": data.WON, "Amount": 1200.5, "Closing_Date": "2026-05-01", "Account_Name": account}
        app.world.insert("Deals", row, at=end - timedelta(minutes=number))
    return app, {}


def _stage(random: Random) -> str:
    return random.choices((data.WON, data.LOST, *data.STAGES), (30, 30, 10, 10, 10, 10))[0]


def _stamps(random: Random, end: datetime) -> dict[str, datetime]:
    modified = end - timedelta(seconds=random.randrange(2 * 365 * 86_400))
    return {"CreatedDate": modified - timedelta(days=random.randrange(1, 60)), "SystemModstamp": modified}


async def main(name: str, options: dict[str, Any]) -> None:
    latency = options.pop("latency", 0.0)
    makers: dict[str, Callable[..., tuple[App, dict[str, str]]]] = {"asana": asana, "salesforce": salesforce, "zoho": zoho}
    app, env = makers[name](**options)
    async with serve(Sandbox(app, latency=latency)) as url:
        _say({**env, f"{name.upper()}_URL": f"{url}/api/1.0" if isinstance(app, Asana) else url})
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            _say(dict(app.counts) if isinstance(app, Asana) else {})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
