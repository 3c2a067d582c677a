"""A real Tryton as a CRM, driven in neutral words, with a clock that the test turns, and sources connected to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from connectors.base import Runtime
from connectors.tryton import Connection, TrytonSource
from engine.model import CrmKind, Read, Record, WriteBack
from tests.conformance.source import Clock, Trouble
from tests.real.tryton import PASSWORD, Line, Person, Tryton, method

DEAL, PARTY, LINE, DATABASE = "sale.opportunity", "party.party", "Handoff status", "crm"
READS: dict[CrmKind, Read] = {
    "customer": Read(PARTY, ("name", "website", "addresses.city")),
    "deal": Read(
        DEAL,
        ("description", "state", "amount", "reference", "party.id", "employee.party.name"),
        {
            "line_items": Read("sale.opportunity.line", ("id", "quantity", "description")),
            "contacts": Read("party.contact_mechanism", ("id", "type", "value")),
            "stage_history": Read("ir.model.log", ("state", "at")),
        },
        {"reference": ("deal", "fields", "next_step")},
    ),
}
PAGE = 4
STAMPED = ("sale_opportunity", "sale_opportunity_line", "party_party", "party_contact_mechanism", "party_address", "ir_model_log")
# The server stamps what it writes with the time of its transaction; behind its back the database puts the test's clock in that place.
_CLOCK = """
CREATE TABLE IF NOT EXISTS handoff_clock (at TEXT);
DELETE FROM handoff_clock; INSERT INTO handoff_clock VALUES ('2026-01-01 00:00:00');
"""
_STAMPS = """
CREATE TRIGGER IF NOT EXISTS made_{table} AFTER INSERT ON {table} BEGIN
    UPDATE {table} SET create_date = (SELECT at FROM handoff_clock) WHERE id = NEW.id;
END;
CREATE TRIGGER IF NOT EXISTS changed_{table} AFTER UPDATE OF write_date ON {table} BEGIN
    UPDATE {table} SET write_date = (SELECT at FROM handoff_clock) WHERE id = NEW.id;
END;
"""


class TrytonCrm:
    kind: CrmKind = "deal"
    merge_kind: CrmKind = "customer"
    page = PAGE
    fields: frozenset[str] = frozenset(
        {"description", "state", "amount", "reference", "party", "employee", "line_items", "contacts", "stage_history"}
    )
    secrets: tuple[str, ...] = (PASSWORD,)
    look_back = timedelta(minutes=10)

    def __init__(self, server: Tryton, line: Line, person: Person) -> None:
        self.server, self.line, self.person = server, line, person
        self.clock = Clock()
        self.password = PASSWORD
        line.reset()
        line.clock = self.clock
        server.wipe(DATABASE)
        with server.sql(DATABASE) as connection:
            connection.executescript(_CLOCK + "".join(_STAMPS.format(table=table) for table in STAMPED))
            for table in STAMPED:
                connection.execute(f"UPDATE {table} SET create_date = '2026-01-01 00:00:00', write_date = NULL")  # noqa: S608 - our own names
        self._show_all()
        self.party = self.act("model.party.party.create", [self._customer("Acme")])[0]

    def source(self, reads: Mapping[CrmKind, Read] = READS, **settings: Any) -> TrytonSource:
        given = {"url": self.server.url, "database": DATABASE, "login": self.server.login, "password": self.password, "page_size": PAGE}
        runtime = Runtime(clock=self.clock, sleep=self.clock.sleep, transport=self.line)
        return TrytonSource(
            Connection.model_validate({**given, **settings}), reads, runtime=runtime, write_back={"deal": {"status": f"comment.{LINE}"}}
        )

    # what people do

    def act(self, name: str, *args: Any, at: datetime | None = None) -> Any:
        """A call by somebody, at the test's time."""
        moment = (at or self.clock.now).replace(tzinfo=None).isoformat(" ")
        with self.server.sql(DATABASE) as connection:
            connection.execute("UPDATE handoff_clock SET at = ?", (moment,))
        return self.person.call(name, *args)

    def _customer(self, name: str) -> dict[str, Any]:
        mails = [["create", [{"type": "email", "value": f"{name.split(maxsplit=1)[0].lower()}@customer.test"}]]]
        return {"name": name, "contact_mechanisms": mails}

    def _deal(self, name: str) -> dict[str, Any]:
        employee = self.person.call("model.company.employee.search", [], 0, 1, None)[0]
        lines = [["create", [{"quantity": 2.0, "description": "a line"}]]]
        return {"description": name, "party": self.party, "employee": employee, "amount": Decimal("12500.00"), "lines": lines}

    def add(self, names: Sequence[str], *, at: datetime | None = None) -> list[str]:
        first = self._deal("")
        return [str(id) for id in self.act(f"model.{DEAL}.create", [{**first, "description": name} for name in names], at=at)]

    def name(self, record: Record) -> str:
        return str(record.fields["description"])

    def rename(self, row: str, name: str) -> None:
        self.set(row, description=name)

    def set(self, row: str, **values: Any) -> None:
        self.act(f"model.{DEAL}.write", [int(row)], values)

    def press(self, row: str, button: str) -> None:
        self.act(f"model.{DEAL}.{button}", [int(row)])

    def rename_child(self, row: str, name: str) -> None:
        """The line alone: nothing of the deal's own changes."""
        (line, *_) = self.person.call("model.sale.opportunity.line.search", [["opportunity", "=", int(row)]], 0, None, None)
        self.act("model.sale.opportunity.line.write", [line], {"description": name})

    def add_late(self, name: str, made: datetime) -> Callable[[], str]:
        return lambda: self.add([name], at=made)[0]

    def delete(self, row: str) -> None:
        """Tryton deletes only what was cancelled."""
        self.press(row, "cancel")
        self.act(f"model.{DEAL}.delete", [int(row)])

    def undelete(self, row: str) -> None:
        raise NotImplementedError

    def add_mergeable(self, names: Sequence[str]) -> list[str]:
        return [str(id) for id in self.act("model.party.party.create", [self._customer(name) for name in names])]

    def merge(self, winner: str, loser: str) -> None:
        session = self.act("wizard.party.replace.create")[0]
        form = {"ask": {"source": int(loser), "destination": int(winner)}}
        answer = self.person.ask("wizard.party.replace.execute", session, form, "replace")
        if "error" in answer:  # they have different names: yes, I know
            assert answer["error"][0] == "UserWarning"
            self.person.call("model.res.user.warning.create", [{"user": 1, "name": answer["error"][1][0], "always": True}])
            self.act("wizard.party.replace.execute", session, form, "replace")

    # what is there, and what goes wrong

    def written(self, row: str) -> str:
        (found,) = self.person.call(f"model.{DEAL}.read", [int(row)], ["comment"])
        return "".join(each.removeprefix(f"{LINE}: ") for each in (found["comment"] or "").split("\n") if each.startswith(LINE))

    def polled(self) -> int:
        """Deals, lines, contacts, and the log for deletions."""
        return 4

    def calls(self) -> int:
        return sum(_is_read(request) for request in self.line.sent)

    def trouble(self, what: Trouble, *, times: int = 1, skip: int = 0) -> None:
        self.line.faults.clear()
        if times:
            self.line.fault(_is_read, what, times=times, skip=skip)

    def trouble_writing(self, what: Trouble) -> None:
        self.line.fault(lambda request: method(request) == f"model.{DEAL}.write", what)

    def revoke(self) -> None:
        self.line.sessions.clear()
        with self.server.sql(DATABASE) as connection:
            connection.execute("DELETE FROM ir_session")

    def lock_out(self) -> None:
        self.revoke()
        self.password = "another-secret-password"
        self.secrets = (PASSWORD, self.password)

    def exhaust(self) -> None:
        self.line.fault(lambda _: True, "busy", times=-1)

    def hide_a_field(self) -> str:
        values = {"model": DEAL, "field": "reference", "perm_read": False, "perm_write": False, "perm_create": False, "perm_delete": False}
        self.person.call("model.ir.model.field.access.create", [values])
        return "reference"

    def _show_all(self) -> None:
        hidden = self.person.call("model.ir.model.field.access.search", [["field", "=", "reference"]], 0, None, None)
        if hidden:
            self.person.call("model.ir.model.field.access.delete", hidden)

    def good_row(self, row: str, text: str) -> WriteBack:
        return WriteBack("deal", row, {f"comment.{LINE}": text})

    def bad_row(self, row: str) -> tuple[WriteBack, str]:
        return WriteBack("deal", row, {"conversion_probability": Decimal(3)}), "conversion_probability"


def _is_read(request: httpx.Request) -> bool:
    return bool(str(json.loads(request.content)["method"]).endswith(".search_read"))
