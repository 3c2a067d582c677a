"""Nothing is lost while people work: a real Odoo at the real time, changed from several sides while it is read."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import psycopg
import pytest

from connectors.base import Runtime
from connectors.odoo import Connection, OdooSource
from engine.model import Record
from tests.conformance.source import some
from tests.real.odoo import Odoo
from tests.real.odoo_crm import READS, OdooCrm, Place, place

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]

SECONDS = 4.0
LATE = "UPDATE crm_lead SET name = %s, write_date = pg_catalog.now() AT TIME ZONE 'UTC' WHERE id = %s"


@pytest.fixture
def crm_place(odoo: Odoo) -> Iterator[Place]:
    with place(odoo) as ready:
        yield ready


class Person(threading.Thread):
    """Renames, makes, loses and deletes deals, adds contacts, and now and then takes long over a transaction. What is refused, is."""

    def __init__(self, number: int, odoo: Odoo, deals: list[int], over: threading.Event) -> None:
        super().__init__()
        self._number, self._odoo, self._deals, self._over = number, odoo, deals, over
        self._random = random.Random(number)
        self._http = httpx.Client(base_url=odoo.url, headers={"Authorization": f"bearer {odoo.key}"}, timeout=60)
        self.done = 0

    def run(self) -> None:
        deeds: list[Callable[[int, str], Any]] = [
            self._rename,
            self._rename,
            self._make,
            self._add_contact,
            self._lose,
            self._remove,
            self._be_late,
        ]
        while not self._over.is_set():
            self.done += 1
            with suppress(httpx.HTTPStatusError, psycopg.Error):
                self._random.choice(deeds)(self._random.choice(self._deals), f"{self._number}-{self.done}")
        self._http.close()

    def _call(self, model: str, method: str, **named: Any) -> Any:
        return self._http.post(f"/json/2/{model}/{method}", json=named).raise_for_status().json()

    def _rename(self, deal: int, name: str) -> None:
        self._call("crm.lead", "write", ids=[deal], vals={"name": name})

    def _make(self, _deal: int, name: str) -> None:
        self._deals += self._call("crm.lead", "create", vals_list=[{"name": name, "type": "opportunity"}])

    def _add_contact(self, deal: int, name: str) -> None:
        for held in self._call("crm.lead", "read", ids=[deal], fields=["partner_id"], load=""):
            self._call("res.partner", "create", vals_list=[{"name": name, "parent_id": held["partner_id"]}])

    def _lose(self, deal: int, _name: str) -> None:
        self._call("crm.lead", "action_set_lost", ids=[deal])

    def _remove(self, deal: int, _name: str) -> None:
        self._call("crm.lead", "unlink", ids=[deal])

    def _be_late(self, deal: int, name: str) -> None:
        with psycopg.connect(self._odoo.dsn) as transaction:
            transaction.execute(LATE, (name, deal))
            time.sleep(self._random.uniform(0.2, 2))


async def test_what_a_reader_holds_in_the_end_is_what_there_is(crm_place: Place) -> None:
    crm = OdooCrm(crm_place)
    deals = [int(row) for row in crm.add(some(30))]
    crm_place.sql.execute("TRUNCATE public.handoff_clock")  # the time is the real one from here on
    odoo = crm_place.odoo
    settings = {"url": odoo.url, "database": odoo.database, "key": odoo.key, "page_size": 7, "sweep_minutes": 0, "lookback_seconds": 30}

    async def read(held: dict[str, Record], cursor: str | None, pages: int = 0) -> str | None:
        async with OdooSource(Connection.model_validate(settings), READS, runtime=Runtime()) as source:
            taken = 0
            async for page in source.pull("deal", cursor):
                held |= {record.id: record for record in page.records}
                cursor, taken = page.cursor, taken + 1
                if taken == pages:
                    break
        return cursor

    over, cursor, held = threading.Event(), None, dict[str, Record]()
    people = [Person(number, odoo, deals, over) for number in range(3)]
    for person in people:
        person.start()
    end, luck = time.monotonic() + SECONDS, random.Random(1)
    while time.monotonic() < end:
        cursor = await read(held, cursor, luck.choice((0, 0, 1, 2)))
    over.set()
    for person in people:
        person.join()
    for _ in range(2):
        cursor = await read(held, cursor)
    truth: dict[str, Record] = {}
    await read(truth, None)
    assert sum(person.done for person in people) > 5
    assert {row: record.version for row, record in held.items() if not record.deleted} == {
        row: record.version for row, record in truth.items()
    }
