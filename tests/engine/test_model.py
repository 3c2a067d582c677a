"""The canonical models keep numbers exact and equal, however a CRM writes them and wherever they were kept."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import Customer, Deal, LineItem


@pytest.mark.parametrize("written", ["24000", "24000.0", "24000.00", 24000, 24000.0, Decimal("24000.000")])
def test_one_amount_is_one_number_however_it_is_written(written: object) -> None:
    deal = Deal.model_validate({"system": "s", "id": "1", "amount": written})
    assert str(deal.amount) == "24000"
    assert deal.model_dump_json() == Deal(system="s", id="1", amount=Decimal(24000)).model_dump_json()


@pytest.mark.parametrize(
    ("written", "kept"), [("0.10", "0.1"), ("-5.500", "-5.5"), ("0", "0"), ("0.00", "0"), ("1E+3", "1000"), ("12.34", "12.34")]
)
def test_only_trailing_zeros_go(written: str, kept: str) -> None:
    assert str(LineItem(id="1", quantity=Decimal(written)).quantity) == kept


def test_a_number_too_long_to_touch_is_left_as_it_is() -> None:
    long = Decimal("1234567890123456789012345678901234.50")
    assert Deal(system="s", id="1", amount=long).amount == long


def test_numbers_a_mapping_added_are_still_numbers_when_read_again() -> None:
    customer = Customer.model_validate(
        {"system": "s", "id": "1", "custom": {"score": Decimal("7.50"), "region": "APAC", "flag": True, "none": None}}
    )
    again = Customer.model_validate_json(customer.model_dump_json(exclude_defaults=True))
    assert again == customer
    assert again.custom["score"] > 7
    assert again.custom == {"score": Decimal("7.5"), "region": "APAC", "flag": True, "none": None}
