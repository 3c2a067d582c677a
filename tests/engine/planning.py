"""A planner of the small configuration, and changes for it to plan."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.base import Traits
from engine.events import Change, compare
from engine.model import Customer, Deal, Record
from engine.plan import Existing, Plan, Planner
from flows.configuration import load
from flows.session import make_planner
from tests.flows.files import write_files

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = "salesforce:deal:006/onboarding"
TRAITS = Traits(
    find_lag=timedelta(),
    late_commit=timedelta(),
    provisional=True,
    batch=10,
    kinds=frozenset({"project", "section", "task", "dependency", "comment", "status"}),
    repeatable=frozenset({"dependency"}),
    fields={},
)


def planner(files: dict[str, str] | None = None, traits: Traits = TRAITS) -> Planner:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files or {})
        return make_planner(load(Path(folder), {}, connect=False).configuration, {"asana": traits})


def deal(**fields: Any) -> Deal:
    return Deal(system="salesforce", id="006", **{"name": "Big", "amount": 5000, "currency": "EUR", **fields})


def customer(**fields: Any) -> Customer:
    return Customer(system="salesforce", id="001", **{"name": "Acme", **fields})


def change(before: Any, after: Any, *, at: datetime = AT, version: str = "v1", deleted: bool = False) -> Change:
    value = after or before
    kind: Any = "customer" if isinstance(value, Customer) else "deal"
    return compare(Record("salesforce", kind, value.id, version, at, {}, deleted=deleted), before, after)


@dataclass
class Desk:
    """A planner and what stands already; each plan joins what stands."""

    planner: Planner = field(default_factory=planner)
    standing: dict[str, Existing] = field(default_factory=dict)

    def plan(self, *changes: Change, **options: Any) -> Plan:
        result = Plan()
        for each in changes:
            self.planner.plan(each, self.standing, result, **options)
        self.standing = {key: replace(project, planned=False) for key, project in self.standing.items()}
        return result
