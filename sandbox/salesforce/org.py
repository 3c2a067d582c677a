"""One Salesforce org: its records, its schema, and the things that happen to both without the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sandbox.salesforce import derive
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.mass import load_rows
from sandbox.salesforce.objects import STAGES, standard_objects
from sandbox.salesforce.schema import Field, Spec
from sandbox.salesforce.store import Table
from sandbox.salesforce.transaction import Transaction
from sandbox.salesforce.values import Row, held, long_id, number_id, stamp

Clock = Callable[[], datetime]


class Org:
    """Edits made here are those of people and machines in the org: they may set what the API may not, and are stamped by another user.

    Every edit takes `at`, the moment it is stamped with (the clock's by default). Values are Python's; rows hold Salesforce's JSON forms.
    `listeners` are told object and id of what was inserted or updated, once that stands.
    """

    def __init__(self, clock: Clock, *, seed: int = 0, daily_limit: int = 100_000, multi_currency: bool = True) -> None:
        self.clock = clock
        self.daily_limit = daily_limit
        self.used = 0
        self.multi_currency = multi_currency
        self.tables = {name: Table(spec) for name, spec in standard_objects(multi_currency=multi_currency).items()}
        self.stages: dict[str, Row] = {}
        self.tokens: dict[str, datetime | None] = {}
        self.locks: dict[str, int] = {}
        self.open: list[Transaction] = []
        self.listeners: list[Callable[[str, str], None]] = []
        self._saved: list[tuple[str, str]] = []
        self._held: list[tuple[str, datetime, Row]] = []
        self._numbers = dict.fromkeys(self.tables, seed * 1_000_000)
        self._names = {name.lower(): name for name in self.tables}
        for table in self.tables.values():
            table.spec.changed_at = stamp(clock())
        self.user_id = self.admin_id = ""
        self._begin()

    def _begin(self) -> None:
        self.user_id = self.insert(
            "User", {"LastName": "Integration", "Username": "integration@handoff.test", "Email": "integration@handoff.test"}
        )
        self.admin_id = self.insert(
            "User", {"FirstName": "Ada", "LastName": "Admin", "Username": "ada@handoff.test", "Email": "ada@handoff.test"}
        )
        self.id = self.insert("Organization", {"Name": "Handoff Test Org", "OrganizationType": "Enterprise Edition", "InstanceName": "HK1"})
        self.insert("Pricebook2", {"Name": "Standard Price Book", "IsStandard": True})
        for name, closed, won, probability, forecast in STAGES:
            self.add_stage(name, closed=closed, won=won, probability=probability, forecast=forecast)

    # schema

    def find(self, object_name: str) -> Table | None:
        """The table of an object, by its name in any case."""
        return self.tables.get(self._names.get(object_name.lower(), ""))

    def spec(self, object_name: str) -> Spec:
        return self.tables[object_name].spec

    def add_field(
        self,
        object_name: str,
        name: str,
        *,
        type: str = "string",
        values: Iterable[str] = (),
        length: int = 255,
        external_id: bool = False,
        unique: bool = False,
        required: bool = False,
        updateable: bool = True,
        restricted: bool = False,
        to: str = "",
    ) -> None:
        """A custom field; `to` makes it a look-up to that object."""
        field = Field(
            name,
            "reference" if to else type,
            length if type in ("string", "textarea", "url", "email", "phone", "picklist") else 0,
            nillable=not required,
            createable=updateable,
            updateable=updateable,
            external_id=external_id,
            unique=unique,
            values=tuple(values),
            restricted=restricted,
            to=to,
            relationship=name.removesuffix("__c") + "__r" if to else "",
            default=False if type == "boolean" else None,
        )
        table = self.tables[object_name]
        table.spec.add(field)
        table.watch(field)
        self._reshaped(object_name)

    def hide_field(self, object_name: str, name: str) -> None:
        """The field is no longer there for the integration user: neither described, nor queried, nor written."""
        self.spec(object_name).hidden.add(name)
        self._reshaped(object_name)

    def unhide_field(self, object_name: str, name: str) -> None:
        self.spec(object_name).hidden.discard(name)
        self._reshaped(object_name)

    def _reshaped(self, object_name: str) -> None:
        self.spec(object_name).changed_at = stamp(self.clock())

    def add_stage(self, name: str, *, closed: bool = False, won: bool = False, probability: float = 0, forecast: str = "Pipeline") -> str:
        fields = {"MasterLabel": name, "ApiName": name, "IsClosed": closed, "IsWon": won}
        order = len(self.stages) + 1
        id = self.insert(
            "OpportunityStage", {**fields, "DefaultProbability": probability, "ForecastCategoryName": forecast, "SortOrder": order}
        )
        self.stages[name] = self.get("OpportunityStage", id)
        return id

    # records

    def get(self, object_name: str, id: str) -> Row:
        """The row as it is held, for reading only. Raises KeyError when it is not there (or not yet)."""
        return self.tables[object_name].rows[long_id(id)]

    def rows(self, object_name: str) -> Iterable[Row]:
        return self.tables[object_name].rows.values()

    def insert(
        self, object_name: str, fields: Mapping[str, Any], at: datetime | None = None, id: str | None = None, *, by: str | None = None
    ) -> str:
        table = self.tables[object_name]
        row = self.new_row(table, fields, stamp(at or self.clock()), id, by)
        derive.complete(self, object_name, row, None, set(fields))
        table.put(row)
        self._follow(object_name, row, None)
        return str(row["Id"])

    def update(self, object_name: str, id: str, fields: Mapping[str, Any], at: datetime | None = None, *, by: str | None = None) -> None:
        """Sets fields and bumps the stamps; with no fields it is a bump without a change."""
        table, old = self.tables[object_name], self.get(object_name, id)
        when = stamp(at or self.clock())
        row = {**old, **self._values(table.spec, fields)}
        row |= {"LastModifiedDate": when, "SystemModstamp": when, "LastModifiedById": by or self.admin_id}
        derive.complete(self, object_name, row, old, set(fields))
        table.put(row)
        self._follow(object_name, row, old)

    def touch(self, object_name: str, id: str, at: datetime | None = None) -> None:
        """A system process passes by: only SystemModstamp moves."""
        self.tables[object_name].put({**self.get(object_name, id), "SystemModstamp": stamp(at or self.clock())})

    def delete(self, object_name: str, id: str, at: datetime | None = None, *, by: str | None = None) -> None:
        """Into the recycle bin, with what belongs to it."""
        self._bin(object_name, id, stamp(at or self.clock()), by or self.admin_id, IsDeleted=True)

    def undelete(self, object_name: str, id: str, at: datetime | None = None) -> None:
        """Out of the recycle bin, with what went in with it."""
        table, when, row = self.tables[object_name], stamp(at or self.clock()), self.get(object_name, id)
        for child in table.spec.children:
            if child.cascade:
                rows = (self.get(child.object, each) for each in self.tables[child.object].ids(child.field, row["Id"]))
                for each in [each for each in rows if each["IsDeleted"] and each["SystemModstamp"] == row["SystemModstamp"]]:
                    self.undelete(child.object, each["Id"], at)
        table.unbury(row["Id"])
        table.put({**row, "IsDeleted": False, "LastModifiedDate": when, "SystemModstamp": when, "LastModifiedById": self.admin_id})

    def hard_delete(self, object_name: str, id: str, at: datetime | None = None) -> None:
        """Out of the org: the row is in no answer any more, only in the log of deletions."""
        if not self.get(object_name, id).get("IsDeleted"):
            self.delete(object_name, id, at)
        table = self.tables[object_name]
        for child in table.spec.children:
            if child.cascade:
                for each in self.tables[child.object].ids(child.field, long_id(id)):
                    self.hard_delete(child.object, each, at)
        table.drop(long_id(id))

    def _bin(self, object_name: str, id: str, when: str, by: str, **changes: Any) -> None:
        table, row = self.tables[object_name], self.get(object_name, id)
        for child in table.spec.children:
            if child.cascade:
                for each in self.tables[child.object].ids(child.field, row["Id"]):
                    if not self.get(child.object, each)["IsDeleted"]:
                        self._bin(child.object, each, when, by, IsDeleted=True)
        table.put({**row, **changes, "LastModifiedDate": when, "SystemModstamp": when, "LastModifiedById": by})
        table.bury((when, row["Id"]))

    def merge(self, object_name: str, winner: str, losers: Iterable[str], at: datetime | None = None) -> None:
        """The losers go to the recycle bin under the winner's id; everything that pointed at them points at the winner."""
        if not self.spec(object_name).mergeable:
            raise ValueError(f"{object_name} records cannot be merged")
        when, kept = stamp(at or self.clock()), long_id(winner)
        for loser in map(long_id, losers):
            self._adopt(object_name, loser, kept, at)
            self._bin(object_name, loser, when, self.admin_id, IsDeleted=True, MasterRecordId=kept)
        self.update(object_name, kept, {}, at)

    def _adopt(self, object_name: str, loser: str, winner: str, at: datetime | None) -> None:
        for name, table in self.tables.items():
            for field in table.spec.fields.values():
                if field.to == object_name and field.name != "MasterRecordId":
                    for id in table.ids(field.name, loser):
                        self.update(name, id, {field.name: winner}, at)

    def bulk_load(self, object_name: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Inserts many rows fast; each may carry its own `Id`, `CreatedDate`, `LastModifiedDate` and `SystemModstamp`."""
        return load_rows(self, object_name, rows)

    def next_id(self, object_name: str) -> str:
        self._numbers[object_name] += 1
        return number_id(self.spec(object_name).prefix, self._numbers[object_name])

    def new_row(self, table: Table, fields: Mapping[str, Any], when: str, id: str | None = None, by: str | None = None) -> Row:
        """A row with its defaults, not yet in its table."""
        user = by or self.admin_id
        row: Row = {"Id": long_id(id) if id else self.next_id(table.spec.name), "CreatedDate": when, "LastModifiedDate": when}
        row |= {"SystemModstamp": when, "CreatedById": user, "LastModifiedById": user}
        row |= {field.name: field.default for field in table.spec.fields.values() if field.default is not None}
        if "OwnerId" in table.spec.fields:
            row["OwnerId"] = user
        if "CurrencyIsoCode" in table.spec.fields:
            row["CurrencyIsoCode"] = "USD"
        return row | self._values(table.spec, fields)

    def _values(self, spec: Spec, fields: Mapping[str, Any]) -> Row:
        unknown = [name for name in fields if name not in spec.fields]
        if unknown:
            raise KeyError(f"{spec.name} has no field {', '.join(unknown)}; add_field makes one")
        return {name: held(value, spec.fields[name].type) for name, value in fields.items()}

    def _follow(self, object_name: str, row: Row, old: Row | None) -> None:
        if object_name == "Opportunity" and (past := derive.history(row, old)):
            self.tables["OpportunityHistory"].put({"Id": self.next_id("OpportunityHistory"), **past})
        if object_name == "OpportunityLineItem" and old is None:
            self.mark_lines([row["OpportunityId"]])
        self._saved.append((object_name, row["Id"]))
        if self.tables[object_name].undo is None:
            self._tell()

    def _tell(self) -> None:
        saved, self._saved = self._saved, []
        for each in saved:
            for listener in self.listeners:
                listener(*each)

    def mark_lines(self, deals: Iterable[str | None]) -> None:
        """Notes on the deals that they have line items; no stamp moves."""
        table = self.tables["Opportunity"]
        for id in deals:
            deal = table.rows.get(id or "")
            if deal is not None and not deal["HasOpportunityLineItem"]:
                table.put({**deal, "HasOpportunityLineItem": True})

    # what makes a sync's life hard

    def transaction(self, at: datetime | None = None) -> Transaction:
        """Edits stamped `at` (when the work began) that nobody sees before `commit()`, or the end of the `with` block."""
        return Transaction(self, at or self.clock())

    def hold(self, object_name: str, id: str, until: datetime) -> None:
        """Hides a row, stamps untouched, until the clock reaches `until`: a commit that comes late."""
        row = self.get(object_name, id)
        self.tables[object_name].drop(row["Id"])
        self._held.append((object_name, until, row))

    def settle(self) -> None:
        """Shows the held rows whose time has come."""
        if not self._held:
            return
        now = self.clock()
        due = [each for each in self._held if each[1] <= now]
        self._held = [each for each in self._held if each[1] > now]
        for object_name, _, row in due:
            self.tables[object_name].put(row)

    def covered(self) -> str:
        """The moment up to which nothing can still appear: now, or the start of the oldest open transaction."""
        held_back = [str(row["SystemModstamp"]) for _, _, row in self._held]
        return min([stamp(self.clock()), *(stamp(each.at) for each in self.open), *held_back])

    def lock(self, object_name: str, id: str, times: int = 1) -> None:
        """The next `times` API writes to the record end in UNABLE_TO_LOCK_ROW."""
        self.locks[self.get(object_name, id)["Id"]] = times

    def locked(self, id: str) -> bool:
        left = self.locks.get(id, 0)
        self.locks[id] = max(0, left - 1)
        return left > 0

    def revoke_tokens(self) -> None:
        self.tokens.clear()

    def exhaust_quota(self) -> None:
        self.used = self.daily_limit

    def restore_quota(self) -> None:
        self.used = 0

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All edits inside, or none: an ApiError undoes them and passes on."""
        undo: list[Callable[[], None]] = []
        for table in self.tables.values():
            table.undo = undo
        try:
            yield
        except ApiError:
            for step in reversed(undo):
                step()
            self._saved.clear()
            raise
        finally:
            for table in self.tables.values():
                table.undo = None
            self._tell()
