"""A real Odoo as a CRM, driven in neutral words, with a clock that the test turns, and sources connected to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import psycopg

from connectors.base import Runtime
from connectors.odoo import Connection, OdooSource
from engine.model import CrmKind, Read, Record, WriteBack
from tests.conformance.source import Clock, Trouble
from tests.real.odoo import Odoo
from tests.real.wire import Fault, Wire
from tests.real.wire import Trouble as WireTrouble

NOTE, STATUS = "x_handoff_note", "x_handoff_status"
DEAL = Read(
    "crm.lead",
    ("name", "stage_id.name", "partner_id.name", NOTE),
    {
        "contacts": Read("res.partner", ("id", "name", "email")),
        "line_items": Read("sale.order.line", ("id", "name", "product_uom_qty")),
    },
    {NOTE: ("deal", "fields", "next_step")},
)
READS: dict[CrmKind, Read] = {"customer": Read("res.partner", ("name", "website")), "deal": DEAL}

# Odoo asks its database what time it is, by a function's bare name: one of that name found before PostgreSQL's own answers with the test's clock.
_CLOCK = """
CREATE TABLE IF NOT EXISTS public.handoff_clock (at timestamptz);
CREATE OR REPLACE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT coalesce((SELECT at FROM public.handoff_clock), pg_catalog.now())';
CREATE TABLE IF NOT EXISTS public.handoff_bin (id int, lead jsonb);
ALTER DATABASE odoo SET search_path = public, pg_catalog;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'odoo' AND pid <> pg_backend_pid();
"""
_EMPTY = """
TRUNCATE public.handoff_clock, public.handoff_bin;
DELETE FROM sale_order; DELETE FROM crm_lead;
DELETE FROM mail_mail; DELETE FROM mail_message WHERE model IN ('crm.lead', 'res.partner', 'sale.order');
DELETE FROM res_partner WHERE id > {partner};
"""


class Place:
    """The server, and what a test finds in it from the first moment on."""

    def __init__(self, odoo: Odoo, sql: psycopg.Connection[Any]) -> None:
        self.odoo, self.sql = odoo, sql
        self._http = httpx.Client(base_url=odoo.url, headers={"Authorization": f"bearer {odoo.key}"}, timeout=60)
        (self.partner,) = self.row("SELECT max(id) FROM res_partner")
        (self._password,) = self.row("SELECT password FROM res_users WHERE id = 2")
        self._sign_in_by("")  # by key alone: a password is looked at first, for 0.4 seconds
        self.add_fields("crm.lead", {STATUS: "char", NOTE: "char"})

    def close(self) -> None:
        self.empty()
        self._sign_in_by(self._password)
        self._http.close()

    def call(self, model: str, method: str, **named: Any) -> Any:
        """As the administrator, for what people do."""
        answer = self._http.post(f"/json/2/{model}/{method}", json=named)
        assert answer.status_code == 200, answer.json()["message"]
        return answer.json()

    def _sign_in_by(self, password: str) -> None:
        self.sql.execute("UPDATE res_users SET password = %s WHERE id = 2", (password,))

    def row(self, statement: str, *values: object) -> Any:
        return self.sql.execute(statement, values).fetchone()

    def empty(self) -> None:
        """As it was in the beginning, at the real time."""
        self.sql.execute(_EMPTY.format(partner=self.partner))
        self.add_fields("crm.lead", {NOTE: "char"})

    def add_fields(self, model: str, kinds: Mapping[str, str]) -> None:
        """Fields of a person's own, where they are not there yet."""
        if missing := set(kinds) - self.call(model, "fields_get", allfields=list(kinds), attributes=["type"]).keys():
            (row,) = self.call("ir.model", "search", domain=[["model", "=", model]])
            fields = [{"name": name, "field_description": name, "model_id": row, "ttype": kinds[name]} for name in sorted(missing)]
            self.call("ir.model.fields", "create", vals_list=fields)

    def drop_field(self, name: str) -> None:
        self.call("ir.model.fields", "unlink", ids=self.call("ir.model.fields", "search", domain=[["name", "=", name]]))


@contextmanager
def place(odoo: Odoo) -> Iterator[Place]:
    with psycopg.connect(odoo.dsn, autocommit=True) as sql:
        sql.execute(_CLOCK)
        ready = Place(odoo, sql)
        try:
            yield ready
        finally:
            ready.close()


class DatedWire(Wire):
    """The server's answers are dated by the test's clock, like all that is in its database."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        response.headers["Date"] = format_datetime(self._clock(), usegmt=True)
        return response


class ServerClock(Clock):
    """The test's clock, kept by the database too."""

    def __init__(self, sql: psycopg.Connection[Any]) -> None:
        super().__init__()
        self._sql = sql
        self._keep()

    def move(self, **span: float) -> None:
        super().move(**span)
        self._keep()

    def _keep(self) -> None:
        self._sql.execute("DELETE FROM public.handoff_clock")
        self._sql.execute("INSERT INTO public.handoff_clock VALUES (%s)", (self.now,))


class OdooCrm:
    kind: CrmKind = "deal"
    merge_kind: CrmKind = "customer"
    page = 5
    fields: frozenset[str] = frozenset({"name", "stage_id", "partner_id", NOTE, *DEAL.children})
    look_back = timedelta(minutes=2)

    def __init__(self, place: Place) -> None:
        place.empty()
        self.place = place
        self.clock = ServerClock(place.sql)
        self.wire = DatedWire(self.clock)
        self.key = place.odoo.key
        self.secrets: tuple[str, ...] = (place.odoo.key, "a-wrong-key")

    def add(self, names: Sequence[str], *, logged: bool = False) -> list[str]:
        """Each deal has a company of its own. What Odoo would note beside each takes longer than making it."""
        context = {"tracking_disable": not logged}
        firms = [{"name": f"{name} Ltd", "is_company": True} for name in names]
        companies = self.place.call("res.partner", "create", vals_list=firms, context=context)
        deals = [
            {"name": name, "type": "opportunity", "partner_id": company, "user_id": 2}
            for name, company in zip(names, companies, strict=True)
        ]
        return [str(row) for row in self.place.call("crm.lead", "create", vals_list=deals, context=context)]

    def name(self, record: Record) -> str:
        return str(record.fields["name"])

    def rename(self, row: str, name: str) -> None:
        self.write(row, name=name)

    def write(self, row: str, **values: Any) -> None:
        self.place.call("crm.lead", "write", ids=[int(row)], vals=values)

    def held(self, row: str, *fields: str) -> dict[str, Any]:
        (found,) = self.place.call("crm.lead", "read", ids=[int(row)], fields=list(fields), load="")
        return dict(found)

    def rename_child(self, row: str, name: str) -> None:
        self.place.call("res.partner", "create", vals_list=[{"name": name, "parent_id": self.held(row, "partner_id")["partner_id"]}])

    def add_late(self, name: str, made: datetime) -> Callable[[], str]:
        """A transaction of its own, begun now and committed when it pleases."""
        transaction = psycopg.connect(self.place.odoo.dsn)
        columns = "name, type, active, won_status, create_date, write_date"
        moment = made.replace(tzinfo=None)
        statement = f"INSERT INTO crm_lead ({columns}) VALUES (%s, 'opportunity', true, 'pending', %s, %s) RETURNING id"  # noqa: S608
        found = transaction.execute(statement, (name, moment, moment)).fetchone()
        assert found is not None
        row = str(found[0])

        def commit() -> str:
            transaction.commit()
            transaction.close()
            return row

        return commit

    def delete(self, row: str) -> None:
        self.place.sql.execute("INSERT INTO public.handoff_bin SELECT id, to_jsonb(crm_lead) FROM crm_lead WHERE id = %s", (row,))
        self.place.call("crm.lead", "unlink", ids=[int(row)])

    def undelete(self, row: str) -> None:
        """Odoo has no way back; a person with access to its database and a backup has."""
        back = "INSERT INTO crm_lead SELECT (jsonb_populate_record(NULL::crm_lead, lead)).* FROM public.handoff_bin WHERE id = %s"
        self.place.sql.execute(back, (row,))
        self.place.sql.execute("UPDATE crm_lead SET write_date = public.now() AT TIME ZONE 'UTC' WHERE id = %s", (row,))

    def add_mergeable(self, names: Sequence[str]) -> list[str]:
        return [
            str(row) for row in self.place.call("res.partner", "create", vals_list=[{"name": name, "is_company": True} for name in names])
        ]

    def merge(self, winner: str, loser: str) -> None:
        both = {"partner_ids": [[6, 0, [int(winner), int(loser)]]], "dst_partner_id": int(winner), "state": "selection"}
        wizard = self.place.call("base.partner.merge.automatic.wizard", "create", vals_list=[both])
        self.place.call("base.partner.merge.automatic.wizard", "action_merge", ids=wizard)

    def polled(self) -> int:
        """Deals, contacts, order lines, orders, and the ids there are."""
        return 5

    def calls(self) -> int:
        return sum('"service": "common"' not in request.content.decode() for request in self.wire.sent)

    def trouble(self, what: Trouble, *, times: int = 1, skip: int = 0) -> None:
        self.wire.faults.clear()
        self.wire.fault(lambda _: True, what, times=times, skip=skip)

    def trouble_writing(self, what: Trouble) -> None:
        done: WireTrouble = "lost" if what == "reset" else what
        self.wire.faults.append(Fault(lambda request: "write" in request.url.path or b'"write"' in request.content, done))

    def revoke(self) -> None:
        raise NotImplementedError("a key cannot be renewed")

    def lock_out(self) -> None:
        self.key = "a-wrong-key"

    def exhaust(self) -> None:
        self.wire.fault(lambda _: True, "busy", times=-1)

    def hide_a_field(self) -> str:
        self.place.drop_field(NOTE)
        return NOTE

    def good_row(self, row: str, text: str) -> WriteBack:
        return WriteBack("deal", row, {STATUS: text})

    def bad_row(self, row: str) -> tuple[WriteBack, str]:
        return WriteBack("deal", row, {"x_nothing_of_that_name": "x"}), "x_nothing_of_that_name"

    def written(self, row: str) -> str:
        return str(self.held(row, STATUS)[STATUS])


WRITE_BACK: Mapping[CrmKind, Mapping[str, str]] = {"deal": {"project_status": STATUS}}


def rig(
    place: Place,
    reads: Mapping[CrmKind, Read] = READS,
    *,
    write_back: Mapping[CrmKind, Mapping[str, str]] = WRITE_BACK,
    **settings: object,
) -> tuple[OdooCrm, Callable[[], OdooSource]]:
    """An empty Odoo and a maker of sources for it; `settings` are fields of the connection."""
    crm = OdooCrm(place)
    odoo = place.odoo
    plain = {
        "url": odoo.url,
        "database": odoo.database,
        "login": odoo.login,
        "protocol": "json2",
        "page_size": crm.page,
        "sweep_minutes": 0,
    }
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=crm.wire)

    def source() -> OdooSource:
        connection = Connection.model_validate({**plain, "key": crm.key, **settings})
        return OdooSource(connection, reads, runtime=runtime, write_back=write_back)

    return crm, source
