"""What the org computes by itself whenever a record is written: names, addresses, stages, totals, history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.salesforce.values import Row

if TYPE_CHECKING:
    from sandbox.salesforce.org import Org

_PAST = ("StageName", "Amount", "CloseDate", "Probability")
_PARTS = ("Street", "City", "State", "PostalCode", "Country")


def complete(org: Org, object_name: str, row: Row, old: Row | None, given: set[str]) -> None:
    """Fills the computed fields of a fresh `row` in place. `given` names the fields the writer set."""
    match object_name:
        case "Opportunity":
            _stage(org, row, old, given)
            row["ExpectedRevenue"] = _product(row.get("Amount"), row.get("Probability"), 0.01)
        case "Contact" | "User":
            row["Name"] = " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part) or row.get("Name")
        case "Account":
            row["BillingAddress"] = _address(row)
        case "OpportunityLineItem":
            _line(org, row, given)
        case _:
            return


def _stage(org: Org, row: Row, old: Row | None, given: set[str]) -> None:
    stage = org.stages.get(row.get("StageName") or "")
    row.setdefault("IsClosed", False)
    row.setdefault("IsWon", False)
    row.setdefault("HasOpportunityLineItem", False)
    if stage is None or (old is not None and old.get("StageName") == row["StageName"]):
        return
    row["IsClosed"], row["IsWon"] = stage["IsClosed"], stage["IsWon"]
    if "Probability" not in given:
        row["Probability"] = stage.get("DefaultProbability")
    if "ForecastCategoryName" not in given:
        row["ForecastCategoryName"] = stage.get("ForecastCategoryName")


def _product(left: Any, right: Any, factor: float = 1.0) -> float | None:
    return None if left is None or right is None else round(left * right * factor, 2)


def _address(row: Row) -> dict[str, Any] | None:
    parts = {part[0].lower() + part[1:]: row.get(f"Billing{part}") for part in _PARTS}
    return parts if any(parts.values()) else None


def _line(org: Org, row: Row, given: set[str]) -> None:
    entry = org.tables["PricebookEntry"].rows.get(row.get("PricebookEntryId") or "", {})
    row["Product2Id"] = row.get("Product2Id") or entry.get("Product2Id")
    product = org.tables["Product2"].rows.get(row["Product2Id"] or "", {})
    row["ProductCode"] = row.get("ProductCode") or product.get("ProductCode")
    row["Name"] = row.get("Name") or product.get("Name")
    row["ListPrice"] = entry.get("UnitPrice")
    if row.get("UnitPrice") is None and "TotalPrice" not in given:
        row["UnitPrice"] = entry.get("UnitPrice")
    if row.get("UnitPrice") is not None and "TotalPrice" not in given:
        row["TotalPrice"] = _product(row.get("Quantity"), row["UnitPrice"])
    elif row.get("TotalPrice") is not None and row.get("Quantity") and "UnitPrice" not in given:
        row["UnitPrice"] = round(row["TotalPrice"] / row["Quantity"], 2)


def history(row: Row, old: Row | None) -> Row | None:
    """The history row that the write of an opportunity leaves behind, without its own id; None when nothing of interest changed."""
    if old is not None and all(old.get(name) == row.get(name) for name in _PAST):
        return None
    return {
        "OpportunityId": row["Id"],
        **{name: row.get(name) for name in (*_PAST, "ExpectedRevenue")},
        "ForecastCategory": row.get("ForecastCategoryName"),
        "PrevAmount": old.get("Amount") if old else None,
        "PrevCloseDate": old.get("CloseDate") if old else None,
        "IsDeleted": False,
        "CreatedDate": row["LastModifiedDate"],
        "LastModifiedDate": row["LastModifiedDate"],
        "SystemModstamp": row["LastModifiedDate"],
        "CreatedById": row["LastModifiedById"],
        "LastModifiedById": row["LastModifiedById"],
    }
