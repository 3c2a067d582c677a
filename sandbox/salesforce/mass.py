"""Puts many records into an org at once, stamps and all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.salesforce import derive
from sandbox.salesforce.values import Row, held, stamp

if TYPE_CHECKING:
    from sandbox.salesforce.org import Org

_STAMPS = ("CreatedDate", "LastModifiedDate", "SystemModstamp")


def load_rows(org: Org, object_name: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of the new rows, in their order. An opportunity leaves one history row, of its last modification."""
    table, now = org.tables[object_name], stamp(org.clock())
    made: list[Row] = []
    for fields in rows:
        plain = {name: value for name, value in fields.items() if name not in _STAMPS and name != "Id"}
        row = org.new_row(table, plain, now, fields.get("Id")) | _stamps(fields, now)
        derive.complete(org, object_name, row, None, set(plain))
        made.append(row)
    table.load(made)
    if object_name == "Opportunity":
        past = (derive.history(row, None) for row in made)
        org.tables["OpportunityHistory"].load([{"Id": org.next_id("OpportunityHistory"), **each} for each in past if each])
    if object_name == "OpportunityLineItem":
        org.mark_lines(dict.fromkeys(row["OpportunityId"] for row in made))
    return [str(row["Id"]) for row in made]


def _stamps(fields: Mapping[str, Any], now: str) -> Row:
    created, modified, system = (held(fields.get(name), "datetime") for name in _STAMPS)
    created = created or modified or system or now
    modified = modified or system or created
    return {"CreatedDate": created, "LastModifiedDate": modified, "SystemModstamp": system or modified}
