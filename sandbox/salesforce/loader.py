"""Loads a folder of CRM exports (accounts, products, sales teams, pipeline) into an org, dropping nothing.

Files and their columns; columns beyond these are passed over, an empty cell is null:
    accounts.csv        account, revenue, employees
    products.csv        product, sales_price
    sales_teams.csv     sales_agent, manager, regional_office
    sales_pipeline.csv  opportunity_id, sales_agent, product, account, deal_stage, created_on (or engage_date), close_date, close_value
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.salesforce.app import Salesforce
from sandbox.salesforce.org import Org

Line = Mapping[str, str]
KEY = "Opportunity_ID__c"


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many records were made. `unlisted` counts accounts, products and people that only the pipeline names."""

    accounts: int
    products: int
    users: int
    deals: int
    line_items: int
    unlisted: int


def load_csv(sf: Salesforce, folder: Path) -> Loaded:
    """Reads the folder into `sf.org`. The export's own deal id goes to `Opportunity_ID__c`.

    A deal is created at `created_on`, 00:00 UTC, and last modified at its `close_date`, or at its creation while it is open.
    """
    org = sf.org
    listed = {name: _read(folder / f"{name}.csv") for name in ("accounts", "products", "sales_teams", "sales_pipeline")}
    deals = listed["sales_pipeline"]
    if KEY not in org.spec("Opportunity").fields:
        org.add_field("Opportunity", KEY, external_id=True)
    _add_stages(org, deals)
    before = {name: len(org.tables[name].rows) for name in ("Account", "Product2", "User")}
    start = min((moment for line in deals if (moment := _created(line))), default=None)
    accounts = _load_accounts(org, listed["accounts"], deals, start)
    entries = _load_products(org, listed["products"], deals, start)
    owners = _load_people(org, listed["sales_teams"], deals, start)
    ids = org.bulk_load("Opportunity", [_deal(line, accounts, owners) for line in deals])
    lines = org.bulk_load(
        "OpportunityLineItem", [_line_item(line, id, entries) for line, id in zip(deals, ids, strict=True) if line.get("product")]
    )
    made = {name: len(org.tables[name].rows) - count for name, count in before.items()}
    named = len(listed["accounts"]) + len(listed["products"]) + len(_people(listed["sales_teams"]))
    return Loaded(made["Account"], made["Product2"], made["User"], len(ids), len(lines), sum(made.values()) - named)


def _read(path: Path) -> list[Line]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _created(line: Line) -> str | None:
    return line.get("created_on") or line.get("engage_date") or line.get("close_date") or None


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def _named(lines: Iterable[Line], column: str) -> list[str]:
    """The distinct names in a column, in their order, without the empty one."""
    return list(dict.fromkeys(name for line in lines if (name := line.get(column) or "")))


def _add_stages(org: Org, deals: list[Line]) -> None:
    for name in _named(deals, "deal_stage"):
        if name in org.stages:
            continue
        won, lost = "won" in name.lower(), "lost" in name.lower()
        forecast = "Closed" if won else "Omitted" if lost else "Pipeline"
        org.add_stage(name, closed=won or lost, won=won, probability=100 if won else 0 if lost else 50, forecast=forecast)


def _load_accounts(org: Org, listed: list[Line], deals: list[Line], start: str | None) -> dict[str, str]:
    rows: list[dict[str, Any]] = [
        {"Name": line["account"], "AnnualRevenue": _number(line.get("revenue")), "NumberOfEmployees": _whole(line.get("employees"))}
        for line in listed
    ]
    known = set(_named(listed, "account"))
    rows += [{"Name": name} for name in _named(deals, "account") if name not in known]
    return _by_name(rows, org.bulk_load("Account", [{**row, "CreatedDate": start} for row in rows]))


def _whole(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def _by_name(rows: list[dict[str, Any]], ids: list[str]) -> dict[str, str]:
    """The first record of each name."""
    return {row["Name"]: id for row, id in reversed(list(zip(rows, ids, strict=True)))}


def _load_products(org: Org, listed: list[Line], deals: list[Line], start: str | None) -> dict[str, str]:
    """Products, and their entries in the standard price book, which are given back by product name."""
    known = set(_named(listed, "product"))
    prices = [(line["product"], _number(line.get("sales_price"))) for line in listed]
    prices += [(name, None) for name in _named(deals, "product") if name not in known]
    made: list[dict[str, Any]] = [{"Name": name, "ProductCode": name, "CreatedDate": start} for name, _ in prices]
    ids = org.bulk_load("Product2", made)
    book = next(row["Id"] for row in org.rows("Pricebook2") if row["IsStandard"])
    rows: list[dict[str, Any]] = [
        {"Name": name, "ProductCode": name, "Product2Id": id, "Pricebook2Id": book, "UnitPrice": price, "CreatedDate": start}
        for (name, price), id in zip(prices, ids, strict=True)
    ]
    return _by_name(rows, org.bulk_load("PricebookEntry", rows))


def _people(teams: list[Line]) -> list[str]:
    """Managers first, then agents; somebody who is both is one person."""
    return list(dict.fromkeys([*_named(teams, "manager"), *_named(teams, "sales_agent")]))


def _load_people(org: Org, teams: list[Line], deals: list[Line], start: str | None) -> dict[str, str]:
    users: dict[str, str] = {}
    seat = {line["sales_agent"]: line for line in teams}
    for name in dict.fromkeys([*_people(teams), *_named(deals, "sales_agent")]):
        line = seat.get(name, {})
        manager = users.get(line.get("manager", ""))
        row = {**_person(name), "Department": line.get("regional_office"), "ManagerId": manager, "CreatedDate": start}
        users[name] = org.bulk_load("User", [row])[0]
    return users


def _person(name: str) -> dict[str, str]:
    first, _, last = name.rpartition(" ")
    address = ".".join(name.lower().split()) + "@sales.test"
    return {"FirstName": first, "LastName": last, "Email": address, "Username": address}


def _deal(line: Line, accounts: Mapping[str, str], owners: Mapping[str, str]) -> dict[str, Any]:
    account, product, owner = line.get("account") or "", line.get("product") or "", owners.get(line.get("sales_agent") or "")
    created = _created(line)
    closed = line.get("close_date") or None
    return {
        KEY: line.get("opportunity_id"),
        "Name": " - ".join(part for part in (account, product) if part) or line.get("opportunity_id"),
        "AccountId": accounts.get(account),
        "StageName": line.get("deal_stage"),
        "Amount": _number(line.get("close_value")),
        "CloseDate": closed,
        "CreatedDate": created,
        "SystemModstamp": max(created or "", closed or "") or None,
        **({"OwnerId": owner} if owner else {}),
    }


def _line_item(line: Line, deal: str, entries: Mapping[str, str]) -> dict[str, Any]:
    price = _number(line.get("close_value"))
    item = {"OpportunityId": deal, "PricebookEntryId": entries[line["product"]], "Quantity": 1, "CreatedDate": _created(line)}
    return item if price is None else {**item, "UnitPrice": price}
