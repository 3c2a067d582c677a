"""An organisation of Zoho CRM in a sandbox, driven in neutral words, and sources connected to it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from connectors.base import Runtime
from connectors.zoho import Connection, ZohoSource
from engine.model import CrmKind, Read, Record, WriteBack
from sandbox.web import InProcess, Reply, Request, Sandbox, serve
from sandbox.zoho import Zoho
from sandbox.zoho.schema import Field
from tests.conformance.source import Clock, Trouble
from tests.zoho_spec import judge

HOST = "http://zoho.test"
DATA = r"GET /crm/v8/Deals"
DEAL = Read(
    "Deals",
    ("Deal_Name", "Stage", "Amount", "Next_Step", "Owner.email", "Account_Name.name", "Account_Name.Industry", "$won", "$currency"),
    {
        "line_items": Read("Line_Items", ("id", "Product", "Quantity")),
        "contacts": Read("Contact_Roles", ("id", "Full_Name", "Email", "Contact_Role.name")),
        "stage_history": Read("Stage_History", ("Stage", "Modified_Time", "Amount")),
    },
    {"Next_Step": ("deal", "fields", "next_step")},
)
READS: dict[CrmKind, Read] = {"customer": Read("Accounts", ("Account_Name", "Website", "Owner.name")), "deal": DEAL}
LOGIN = {"client_id": "1000.HANDOFFCLIENT", "client_secret": "handoff-secret", "refresh_token": "1000.handoff.refresh"}


class ZohoCrm:
    kind: CrmKind = "deal"
    merge_kind: CrmKind = "customer"
    fields: frozenset[str] = frozenset({path.split(".")[0] for path in DEAL.fields} | set(DEAL.children))
    secrets: tuple[str, ...] = ("handoff-secret", "1000.handoff.refresh", ".handoff")
    look_back = timedelta(minutes=10)

    def __init__(self, page: int = 10) -> None:
        self.page = page
        self.clock = Clock()
        self.app = Zoho(self.clock)
        self.world = self.app.world
        self.world.add_field("Deals", Field("Handoff_Status"))
        self.world.add_subform("Deals", "Line_Items", [Field("Product"), Field("Quantity", "integer")])
        self.box = Sandbox(self.app, sleep=self.clock.sleep)
        judge(self.box)

    def add(self, names: Sequence[str]) -> list[str]:
        return [self.world.insert("Deals", {"Deal_Name": name, "Stage": "Qualification"}) for name in names]

    def name(self, record: Record) -> str:
        return str(record.fields["Deal_Name"])

    def rename(self, row: str, name: str) -> None:
        self.world.update("Deals", row, {"Deal_Name": name})

    def rename_child(self, row: str, name: str) -> None:
        self.world.update("Deals", row, {"Line_Items": [{"Product": name, "Quantity": 1}]})

    def add_late(self, name: str, made: datetime) -> Callable[[], str]:
        return lambda: self.world.insert("Deals", {"Deal_Name": name, "Stage": "Qualification"}, at=made)

    def delete(self, row: str) -> None:
        self.world.delete("Deals", row)

    def undelete(self, row: str) -> None:
        self.world.restore("Deals", row)

    def add_mergeable(self, names: Sequence[str]) -> list[str]:
        return [self.world.insert("Accounts", {"Account_Name": name}) for name in names]

    def merge(self, winner: str, loser: str) -> None:
        self.world.merge("Accounts", winner, [loser])

    def told(self, at: datetime) -> str:
        return at.astimezone(self.world.zone).isoformat()

    def polled(self) -> int:
        return 2

    def calls(self) -> int:
        return sum(count for name, count in self.app.calls.items() if name != "token")

    def trouble(self, what: Trouble, *, times: int = 1, skip: int = 0) -> None:
        self.box.faults.clear()
        if times:
            self.box.fault(DATA, "reset_before" if what == "reset" else what, times=times, skip=skip)

    def trouble_writing(self, what: Trouble) -> None:
        self.box.fault(r"PUT /crm/v8/Deals", "reset_after" if what == "reset" else what)

    def revoke(self) -> None:
        self.app.oauth.revoke_access()

    def lock_out(self) -> None:
        self.app.oauth.revoke_refresh()

    def exhaust(self) -> None:
        self.app.limits.exhaust()

    def hide_a_field(self) -> str:
        self.world.hide_field("Deals", "Next_Step")
        return "Next_Step"

    def good_row(self, row: str, text: str) -> WriteBack:
        return WriteBack("deal", row, {"Handoff_Status": text})

    def bad_row(self, row: str) -> tuple[WriteBack, str]:
        return WriteBack("deal", row, {"Amount": "a lot"}), "Amount"

    def written(self, row: str) -> str:
        return str(self.world.get("Deals", row)["Handoff_Status"])


class Street:
    """Many organisations behind one port, each below a number of its own: what cannot be reached in process is reached over TCP."""

    def __init__(self) -> None:
        self.address = ""
        self._houses: list[Sandbox] = []

    def house(self, box: Sandbox) -> str:
        self._houses.append(box)
        return f"{self.address}/{len(self._houses) - 1}"

    async def answer(self, request: Request) -> Reply:
        _, number, rest = request.path.split("/", 2)
        return await self._houses[int(number)].answer(
            replace(request, path=f"/{rest}", raw_path=request.raw_path.removeprefix(f"/{number}"))
        )


@contextmanager
def street() -> Iterator[Street]:
    """A street in a thread of its own, so that blocking clients can be tried, too."""
    built, ready, done = Street(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def live() -> None:
        async with serve(built) as built.address:  # type: ignore[arg-type]
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    ready.wait(10)
    try:
        yield built
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()


def rig(
    reads: Mapping[CrmKind, Read] = READS, *, over: Street | None = None, **settings: object
) -> tuple[ZohoCrm, Callable[[], ZohoSource]]:
    """An organisation and a maker of sources for it, which share their token; `settings` are fields of the connection. In process, or by TCP."""
    crm = ZohoCrm(page=4 if over else 10)
    address = over.house(crm.box) if over else HOST
    folder = Path(tempfile.mkdtemp(prefix="handoff-zoho-"))
    weakref.finalize(crm, shutil.rmtree, folder, ignore_errors=True)
    plain = {
        **LOGIN,
        "accounts_url": address,
        "api_url": address,
        "page_size": crm.page,
        "token_file": folder / "token",
        "edition": "enterprise",
    }
    connection = Connection.model_validate({**plain, **settings})
    transport = None if over else InProcess({HOST: crm.box})
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=transport)
    return crm, lambda: ZohoSource(connection, reads, runtime=runtime, write_back={"deal": {"project_status": "Handoff_Status"}})
