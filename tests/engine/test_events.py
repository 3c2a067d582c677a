"""What happened, from what was known and what is."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.events import compare
from engine.model import Customer, Deal, Person, Record, StageChange

AT = datetime(2026, 3, 2, tzinfo=UTC)


def record(kind: Any = "deal", **more: Any) -> Record:
    return Record("crm", kind, "1", "v", AT, {}, **more)


def deal(**fields: Any) -> Deal:
    return Deal(system="crm", id="1", **fields)


def customer(**fields: Any) -> Customer:
    return Customer(system="crm", id="1", **fields)


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (None, deal(), ["deal.created"]),
        (None, deal(status="won"), ["deal.created", "deal.won"]),
        (None, deal(status="lost"), ["deal.created", "deal.lost"]),
        (deal(), deal(), []),
        (deal(), deal(name="A"), ["deal.updated"]),
        (deal(), deal(status="won", stage="W"), ["deal.won", "deal.stage_changed", "deal.updated"]),
        (deal(status="won"), deal(status="lost"), ["deal.lost", "deal.updated"]),
        (deal(status="lost"), deal(), ["deal.reopened", "deal.updated"]),
        (deal(amount=1), deal(amount=2), ["deal.amount_changed", "deal.updated"]),
        (deal(amount=1, currency="EUR"), deal(amount=1, currency="USD"), ["deal.amount_changed", "deal.updated"]),
        (deal(amount=Decimal("1.0")), deal(amount=1), []),
        (deal(owner=Person(id="1")), deal(owner=Person(id="2")), ["deal.owner_changed", "deal.updated"]),
        (deal(owner=Person(id="1", name="A")), deal(owner=Person(id="1", name="B")), ["deal.updated"]),
        (deal(owner=Person(id="1")), deal(), ["deal.owner_changed", "deal.updated"]),
    ],
)
def test_the_events_of_a_deal(before: Deal | None, after: Deal, events: list[str]) -> None:
    assert list(compare(record(), before, after).events) == events


def test_the_events_of_a_customer() -> None:
    change = compare(record("customer"), customer(tier="a"), customer(tier="b", owner=Person(id="1")))
    assert list(change.events) == ["customer.tier_changed", "customer.owner_changed", "customer.updated"]


@pytest.mark.parametrize(
    ("kind", "merged_into", "before", "was_deleted", "events"),
    [
        ("deal", "", deal(), False, ["deal.deleted"]),
        ("deal", "", deal(), True, []),
        ("deal", "", None, False, []),
        ("customer", "2", customer(), False, ["customer.merged"]),
        ("customer", "", customer(), False, ["customer.deleted"]),
    ],
)
def test_what_goes_goes_once(kind: str, merged_into: str, before: Any, was_deleted: bool, events: list[str]) -> None:
    change = compare(record(kind, deleted=True, merged_into=merged_into), before, None, was_deleted=was_deleted)
    assert list(change.events) == events


def test_what_comes_back_is_not_new() -> None:
    assert list(compare(record(), deal(status="won"), deal(status="won"), was_deleted=True).events) == ["deal.restored"]


def test_a_stage_was_entered_when_its_history_says_so() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    history = (StageChange(stage="W", at=early), StageChange(stage="L", at=early), StageChange(stage="W", at=late))
    assert compare(record(), None, deal(stage="W", stage_history=history)).at == late
    assert compare(record(), None, deal(stage="other", stage_history=history)).at == AT
