"""From a CRM's fields to ours: nothing that can be understood is lost, and what cannot is said."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.config import SystemMapping
from engine.mapping import Mapped, Mapper, reads
from engine.model import Record

MAPPING = SystemMapping.model_validate(
    {
        "version": 1,
        "system": "crm",
        "connection": {},
        "read": {
            "deal": {
                "object": "Opportunity",
                "fields": {
                    "name": "Name",
                    "stage": {"field": "Stage", "values": {"赢单": "Won", "1": "First"}},
                    "status": {"won": "IsWon", "closed": "IsClosed"},
                    "type": {"field": "Type", "values": {"N": "New"}, "default": "Other"},
                    "amount": "Amount",
                    "close_date": "CloseDate",
                    "owner.email": "Owner.Email",
                    "owner.active": "Owner.IsActive",
                },
                "custom": {"region": "Account.Region"},
                "children": {
                    "contacts": {"object": "Role", "fields": {"id": "ContactId", "primary": "IsPrimary"}},
                    "stage_history": {"object": "History", "fields": {"stage": "Stage", "at": "At", "amount": "Amount"}},
                },
            }
        },
    }
)
AT = "2026-03-02T09:00:00Z"


def mapped(**fields: Any) -> Mapped:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return Mapper(MAPPING).map(Record("crm", "deal", "006", "v", at, fields, url="https://crm/006"))


def test_every_mapped_field_arrives_in_its_type() -> None:
    deal = mapped(
        Name="A", Amount="12500.50", CloseDate="2026-03-02", Owner={"Email": "a@x", "IsActive": False}, Account={"Region": "EMEA"}
    ).value
    assert (deal.id, deal.system, deal.url, deal.name) == ("006", "crm", "https://crm/006", "A")
    assert (deal.amount, deal.close_date) == (Decimal("12500.50"), date(2026, 3, 2))
    assert (deal.owner.email, deal.owner.active) == ("a@x", False)
    assert deal.custom == {"region": "EMEA"}


def test_a_status_follows_the_flags_whatever_the_stage_is_called() -> None:
    assert [mapped(IsWon=w, IsClosed=c).value.status for w, c in ((True, True), (False, True), (False, False), (None, None))] == [
        "won", "lost", "open", "open",
    ]  # fmt: skip


def test_values_are_translated_and_unknown_ones_kept_unless_there_is_a_default() -> None:
    assert [mapped(Stage=stage).value.stage for stage in ("赢单", 1, "Odd")] == ["Won", "First", "Odd"]
    assert [mapped(Type=type_).value.type for type_ in ("N", "Odd", None)] == ["New", "Other", "Other"]


def test_nothing_is_made_of_what_is_not_there() -> None:
    deal = mapped(Owner=None, Account=None).value
    assert (deal.owner, deal.amount, deal.contacts, deal.custom) == (None, None, (), {"region": None})


def test_a_value_that_does_not_fit_is_left_out_and_told_and_the_rest_stays() -> None:
    found = mapped(Name="A", Amount="12,5 EUR", CloseDate="soon")
    assert (found.value.name, found.value.amount, found.value.close_date) == ("A", None, None)
    assert [issue.split(" left out")[0] for issue in found.issues] == ['amount: "12,5 EUR"', 'close_date: "soon"']


def test_a_row_that_cannot_be_a_row_goes_and_its_neighbours_keep_what_is_theirs() -> None:
    rows = [{"Stage": None, "At": None}, {"Stage": "B", "At": AT}, {"Stage": "C", "At": None}, {"Stage": "D", "At": AT, "Amount": "x"}]
    found = mapped(stage_history=rows)
    assert [(row.stage, row.amount) for row in found.value.stage_history] == [("B", None), ("D", None)]
    assert len(found.issues) == 4


def test_a_faulty_value_in_a_row_costs_only_itself() -> None:
    found = mapped(contacts=[{"ContactId": "1", "IsPrimary": "perhaps"}, {"IsPrimary": True}, {"ContactId": "3", "IsPrimary": True}])
    assert [(contact.id, contact.primary) for contact in found.value.contacts] == [("1", False), ("3", True)]


def test_history_is_told_oldest_first() -> None:
    rows = [{"Stage": "late", "At": "2026-03-02T10:00:00Z"}, {"Stage": "early", "At": AT}]
    assert [row.stage for row in mapped(stage_history=rows).value.stage_history] == ["early", "late"]


@pytest.mark.parametrize("name", ["A\x00B", "A\ud83dB", "\ude00AB\x00"])
def test_characters_no_store_can_hold_are_dropped(name: str) -> None:
    found = mapped(Name=name).value
    assert found.name == "AB"
    assert '"AB"' in found.model_dump_json()


def test_a_source_is_asked_for_each_raw_field_with_its_place() -> None:
    read = reads(MAPPING)["deal"]
    assert set(read.fields) == {
        "Name",
        "Stage",
        "IsWon",
        "IsClosed",
        "Type",
        "Amount",
        "CloseDate",
        "Owner.Email",
        "Owner.IsActive",
        "Account.Region",
    }
    assert read.places["Account.Region"] == ("read", "deal", "custom", "region")
    assert read.children["contacts"].places["IsPrimary"] == ("read", "deal", "children", "contacts", "fields", "primary")
