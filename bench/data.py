"""A CRM of any size, the same every time: customers, deals with their people, lines and history, in Salesforce's own field names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from engine.model import Record

Row = dict[str, Any]
NOW = datetime(2026, 9, 14, 10, 0, tzinfo=UTC)
STAGES = ("Prospecting", "Qualification", "Proposal/Price Quote", "Negotiation/Review")
WON, LOST = "Closed Won", "Closed Lost"
CITIES = (
    ("Berlin", "Germany"),
    ("Leeds", "United Kingdom"),
    ("大阪", "Japan"),
    ("上海", "China"),
    ("Austin", "USA"),
    ("Zürich", "Switzerland"),
)
_TEXT = "scope rollout plant order line team phase review data cloud audit night migration licence training hotline report safety"
WORDS = tuple(_TEXT.split())
PRODUCTS = ("Implementation", "Training day", "Data migration", "Premium support", "On-site week", "Audit")
PEOPLE = tuple((f"Seller {number}", f"seller{number}@example.com") for number in range(12))


def customer_id(number: int) -> str:
    return f"001{number:012d}AAA"


def deal_id(number: int) -> str:
    return f"006{number:012d}AAA"


def text(random: Random, words: int) -> str:
    return " ".join(random.choices(WORDS, k=words)).capitalize() + "."


def customers(count: int) -> Iterator[Row]:
    """Accounts, without what the CRM works out by itself."""
    random = Random(1)
    for number in range(count):
        city, country = random.choice(CITIES)
        yield {
            "Id": customer_id(number),
            "Name": f"Customer {number} {random.choice(WORDS)} & Co",
            "Industry": random.choice(("Energy", "Retail", "Banking", "Machinery")),
            "Phone": f"+49 30 {random.randrange(10**7)}",
            "BillingCity": city,
            "BillingCountry": country,
            "Description": text(random, 30),
            "Type": "Customer - Direct" if random.random() < 0.1 else "Prospect",
        }


def deals(count: int, customers: int) -> Iterator[Row]:
    """Open deals in any stage."""
    random = Random(2)
    for number in range(count):
        yield {
            "Id": deal_id(number),
            "Name": f"Deal {number} {text(random, 3)}",
            "StageName": random.choice(STAGES),
            "Amount": random.randrange(2_000, 900_000) + random.randrange(100) / 100,
            "CurrencyIsoCode": random.choice(("EUR", "EUR", "USD", "GBP")),
            "CloseDate": date(2026, 1, 1) + timedelta(days=random.randrange(500)),
            "Type": random.choice(("New Business", "New Business", "Existing Business", "Renewal")),
            "LeadSource": random.choice(("Web", "Partner", "Event")),
            "NextStep": text(random, 5),
            "Description": text(random, 45),
            "AccountId": customer_id(random.randrange(customers)),
        }


def customer_records(count: int) -> Iterator[Record]:
    """Customers as a source gives them."""
    for row in customers(count):
        yield Record("salesforce", "customer", row["Id"], "1", NOW, row)


def records(count: int, customers: int, *, won: float = 0.06) -> Iterator[tuple[Record, Record]]:
    """Each deal as a source gave it before, and as it gives it after a change: that share is won, 4 in 100 are lost, the others edited."""
    random, change = Random(3), Random(4)
    for row in deals(count, customers):
        before = _nested(row, random)
        yield _record(before, NOW - timedelta(days=9)), _record(_edited(before, change, won), NOW)


def _nested(row: Row, random: Random) -> Row:
    seller, mail = random.choice(PEOPLE)
    entered = [NOW - timedelta(days=random.randrange(10, 90)) for _ in range(3)]
    return {
        **row,
        "CloseDate": row["CloseDate"].isoformat(),
        "IsWon": False,
        "IsClosed": False,
        "Probability": random.randrange(10, 90),
        "CreatedDate": "2026-02-03T08:00:00.000+0000",
        "Owner": {"Id": "005000000000001AAA", "Name": seller, "Email": mail, "IsActive": True},
        "contacts": [_contact(number, random) for number in range(2)],
        "line_items": [_line(number, random) for number in range(random.randrange(1, 5))],
        "stage_history": [
            {"StageName": row["StageName"], "CreatedDate": at.isoformat(), "Amount": row["Amount"]} for at in sorted(entered)
        ],
    }


def _contact(number: int, random: Random) -> Row:
    name = f"{random.choice(WORDS).capitalize()} {random.choice(WORDS).capitalize()}"
    who = {"Name": name, "Email": f"c{random.randrange(10**6)}@customer.example", "Phone": f"+81 6 {random.randrange(10**7)}"}
    return {"ContactId": f"003{number:015d}", "Contact": who, "Role": "Decision Maker", "IsPrimary": number == 0}


def _line(number: int, random: Random) -> Row:
    quantity, price = random.randrange(1, 40), random.randrange(100, 9_000)
    amounts = {"Quantity": quantity, "UnitPrice": price, "TotalPrice": quantity * price}
    return {"Id": f"00k{number:015d}", "Product2": {"Name": random.choice(PRODUCTS)}, **amounts, "ServiceDate": None, "SortOrder": number}


def _edited(row: Row, random: Random, won: float) -> Row:
    fate = random.random()
    if fate < won:
        return _closed(row, WON) | {"Type": "New Business"}
    if fate < won + 0.04:
        return _closed(row, LOST)
    if fate < 0.4:
        return row | {"Amount": row["Amount"] * random.choice((0.9, 1.1, 2.5))}
    return row | random.choice(({"NextStep": text(random, 6)}, {"Description": text(random, 50)}, {"CloseDate": "2027-01-15"}))


def _closed(row: Row, stage: str) -> Row:
    history = [*row["stage_history"], {"StageName": stage, "CreatedDate": NOW.isoformat(), "Amount": row["Amount"]}]
    return row | {
        "StageName": stage,
        "IsWon": stage == WON,
        "IsClosed": True,
        "Probability": 100 if stage == WON else 0,
        "stage_history": history,
    }


def _record(fields: Row, at: datetime) -> Record:
    id_ = fields["Id"]
    return Record("salesforce", "deal", id_, at.isoformat(), at, fields, f"https://org.example/lightning/r/Opportunity/{id_}/view")
