"""Puts the sample CRM into a Salesforce sandbox, and plays a day in it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from sandbox.salesforce import Salesforce

HERE = Path(__file__).parent
REFERENCE = "Reference__c"
Part = Literal["morning", "afternoon"]
_FILES = {
    "users.csv": "User",
    "products.csv": "Product2",
    "accounts.csv": "Account",
    "contacts.csv": "Contact",
    "opportunities.csv": "Opportunity",
    "line_items.csv": "OpportunityLineItem",
    "contact_roles.csv": "OpportunityContactRole",
}
_FIRST_STAGE = "Prospecting"


def load(sf: Salesforce, folder: Path = HERE, *, now: datetime | None = None) -> dict[str, int]:
    """Load `folder/crm/*.csv`; gives the number of records by object.

    Dates move along so that the sample's day (`date` in day.yaml) is the day of `now`, by default the sandbox's. A deal enters in the first
    stage when it was created and reaches its own when it was last modified, so it has a history.
    """
    now = now or sf.org.clock()
    _extend(sf)
    loader = _Loader(sf, _read_day(folder)["date"], now)
    _add_stages(sf, folder / "crm" / "stages.csv")
    return {name: sum(1 for row in _rows(folder / "crm" / file) if loader.add(name, row)) for file, name in _FILES.items()}


def play_day(sf: Salesforce, folder: Path = HERE, at: datetime | None = None, *, part: Part | None = None) -> list[str]:
    """Make the day's changes (or one part's) in a loaded sandbox; says what happened, a sentence a change.

    The changes are stamped a second apart, the last one at `at` (the sandbox's now by default).
    """
    at = at or sf.org.clock()
    day = _read_day(folder)
    steps = [step for name in ("morning", "afternoon") if part in (None, name) for step in day[name]]
    ids = _references(sf)
    for seconds, step in zip(range(len(steps) - 1, -1, -1), steps, strict=True):
        name, reference = ("Opportunity", step["deal"]) if "deal" in step else ("Account", step["customer"])
        fields = {field: _meant(value, ids, at.date()) for field, value in step["set"].items()}
        sf.org.update(name, ids[reference], fields, at=at - timedelta(seconds=seconds))
    return [step["says"] for step in steps]


class _Loader:
    """Turns rows of text into records: references into ids, text into the types of the object's fields, sample days into present ones."""

    def __init__(self, sf: Salesforce, sample_day: date, now: datetime) -> None:
        self._sf = sf
        self._shift = timedelta(days=(now.date() - sample_day).days)
        self._now = now
        self._ids: dict[str, str] = {}

    def add(self, name: str, row: Mapping[str, str]) -> str:
        fields = {field: self._value(name, field, text) for field, text in row.items() if text and field not in {"Id", "ListPrice"}}
        created: datetime = fields.pop("CreatedDate", self._now - timedelta(days=270))
        modified: datetime = fields.pop("LastModifiedDate", created)
        if name in {"User", "Account", "Opportunity"}:
            fields[REFERENCE] = row["Id"]
        if name == "User":
            fields["Username"] = row["Email"]
        arrived = {"StageName": _FIRST_STAGE} if name == "Opportunity" else {}
        id = self._sf.org.insert(name, {**fields, **arrived}, at=created)
        if modified > created:
            self._sf.org.update(name, id, {field: fields[field] for field in arrived}, at=modified)
        if name == "Product2":
            price = {"CurrencyIsoCode": row["CurrencyIsoCode"], "UnitPrice": Decimal(row["ListPrice"])}
            self._sf.org.insert("PricebookEntry", {"Name": row["Name"], "Product2Id": id, **price}, at=created)
        self._ids[row["Id"]] = id
        return id

    def _value(self, name: str, field: str, text: str) -> Any:
        kind = self._sf.org.spec(name).fields[field].type
        match kind:
            case "reference":
                return self._ids[text]
            case "boolean":
                return text == "true"
            case "int":
                return int(text)
            case "double" | "currency" | "percent":
                return Decimal(text)
            case "date":
                return date.fromisoformat(text) + self._shift
            case "datetime":
                return datetime.fromisoformat(text) + self._shift
            case _:
                return text


def _extend(sf: Salesforce) -> None:
    """The custom fields this consultancy added to its org, and the reference by which the sample names its records."""
    for name in ("User", "Account", "Opportunity"):
        sf.org.add_field(name, REFERENCE, external_id=True)
    sf.org.add_field("Account", "Tier__c", type="picklist", values=["VIP", "Key", "Standard"])
    sf.org.add_field("Account", "Region__c", type="picklist", values=["EMEA", "APAC", "Americas"])
    sf.org.add_field("Account", "Time_Zone__c")
    sf.org.add_field("Opportunity", "Go_Live__c", type="date")
    sf.org.add_field("Opportunity", "Delivery_Language__c", type="picklist", values=["en", "zh", "ja"])


def _add_stages(sf: Salesforce, path: Path) -> None:
    for row in _rows(path):
        if row["ApiName"] not in sf.org.stages:
            closed, won = row["IsClosed"] == "true", row["IsWon"] == "true"
            sf.org.add_stage(row["ApiName"], closed=closed, won=won, probability=float(row["DefaultProbability"]))


def _references(sf: Salesforce) -> dict[str, str]:
    rows = (row for name in ("User", "Account", "Opportunity") for row in sf.org.rows(name))
    found = [(row[REFERENCE], row["Id"]) for row in rows if row.get(REFERENCE)]
    twice = [reference for reference, count in Counter(reference for reference, _ in found).items() if count > 1]
    if twice:
        raise ValueError(f"the sample was loaded more than once: {twice[0]} is there twice")
    return dict(found)


def _meant(value: Any, ids: Mapping[str, str], today: date) -> Any:
    return today if value == "today" else ids.get(value, value) if isinstance(value, str) else value


def _read_day(folder: Path) -> dict[str, Any]:
    day: dict[str, Any] = YAML(typ="safe").load((folder / "day.yaml").read_text(encoding="utf-8"))
    return day


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
