"""A small world to run the pipeline in: a CRM and a project tool in memory, a clock that jumps, a state file, and a way to die anywhere."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from connectors.base import Runtime
from engine.model import Hint
from flows.apply import Stop
from flows.configuration import Loaded, load
from flows.pipeline import Options, Summary, new_run_id, run_sync
from flows.reconcile import MOST_CALLS, Found, preview, run_reconcile
from flows.session import Session, connect
from sandbox.asana import Asana
from sandbox.salesforce import Salesforce
from sandbox.web import InProcess, Sandbox
from state import Outbox, Store
from state.database import Database
from state.hub import open_hub
from state.inbox import Arrivals, Inbox, Told
from tests.flows.files import write_files

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CRM, TOOL = "http://salesforce.test", "http://asana.test"
MANAGER, SELLER = "mia.manager@example.com", "sam.seller@example.com"


T = TypeVar("T")
_LOADED: dict[str, Loaded] = {}


class Clock:
    """Time passes only when somebody moves it, or when everybody who is awake waits: then it jumps to the first who wants to wake up."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self._sleepers: list[datetime] = []

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)

    async def sleep(self, seconds: float) -> None:
        until = self.now + timedelta(seconds=max(seconds, 0.000001))
        self._sleepers.append(until)
        try:
            while self.now < until:
                for _ in range(30):
                    await asyncio.sleep(0)
                if until == min(self._sleepers):
                    self.now = max(self.now, until)
        finally:
            self._sleepers.remove(until)


class Crash(Exception):
    """The process is gone."""


class Death:
    """Strikes at the n-th step, a step being a moment before or after a request or a commit; nothing works from then on."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.steps: list[str] = []
        self.dead = False

    def step(self, what: str) -> None:
        self.steps.append(what)
        self.dead = self.dead or len(self.steps) == self.at
        if self.dead:
            raise Crash(what)


class Wire(httpx.AsyncBaseTransport):
    """The network, with a death on it and a hook before each request."""

    def __init__(self, inner: httpx.AsyncBaseTransport, death: Death, hook: Callable[[httpx.Request], None] | None) -> None:
        self._inner, self._death, self._hook = inner, death, hook

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._hook is not None:
            self._hook(request)
        self._death.step(f"before {request.method} {request.url.path}")
        response = await self._inner.handle_async_request(request)
        self._death.step(f"after {request.method} {request.url.path}")
        return response


class MortalStore(Store):
    """A store whose commits may be the last thing it does."""

    death: Death | None = None

    def __init__(self, place: Path | str, *, now: datetime) -> None:
        super().__init__(place, now=now)
        if isinstance(place, Path):
            self.db.execute("PRAGMA synchronous = OFF")  # deaths here are not power cuts

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        with super().transaction() as db:
            yield db
            if self.death is not None:
                self.death.step("before a commit")
        if self.death is not None:
            self.death.step("after a commit")


class World:
    """`sync` is one process: it opens the state, runs, and is gone. `files` replace or add configuration files by name."""

    def __init__(self, path: Path, *, files: dict[str, str] | None = None, clock: Clock | None = None, **asana: Any) -> None:
        self.clock = clock or Clock()
        self.sf, self.asana = Salesforce(self.clock), Asana(self.clock, **asana)
        self.crm, self.tool = Sandbox(self.sf, sleep=self.clock.sleep), Sandbox(self.asana, sleep=self.clock.sleep)
        self.org, self.board = self.sf.org, self.asana.world
        self.org.add_field("Account", "Tier__c", type="picklist", values=["VIP", "Standard"])
        self.state: Any = path / "state.db"  # a path, or a URL
        self.folder = path / "config"
        self.manager, self.person = self.board.add_user("Mia", MANAGER), self.board.add_user("Pat", "pat@example.com")
        self.seller = self.org.insert("User", {"LastName": "Seller", "Username": SELLER, "Email": SELLER})
        self.board.add_custom_field("Value", "number")
        self.env = {"TOKEN": self.board.token, "WORKSPACE": self.board.workspace, "TEAM": self.board.add_team("Delivery")}
        self.configure(files or {})
        self.hosts = {CRM: self.crm, TOOL: self.tool}
        self.hook: Callable[[httpx.Request], None] | None = None
        self.stop = Stop()
        self.awaited = False
        self.death = Death()
        self.is_pushed = False

    def configure(self, files: dict[str, str]) -> None:
        write_files(self.folder, files)

    @property
    def loaded(self) -> Loaded:
        """The configuration as it stands; equal files and credentials are read once."""
        texts = {str(path): path.read_text(encoding="utf-8") for path in sorted(self.folder.rglob("*.yaml"))}
        key = str([path.removeprefix(str(self.folder)) + text for path, text in texts.items()]) + str(self.env)
        if key not in _LOADED:
            _LOADED[key] = load(self.folder, self.env)
        return _LOADED[key]

    def runtime(self) -> Runtime:
        wire = Wire(InProcess(self.hosts), self.death, self.hook)
        return Runtime(clock=self.clock, sleep=self.clock.sleep, random=random.Random(7), transport=wire)

    def store(self) -> Store:
        return Store(self.state, now=self.clock())

    async def sync(self, *, minutes: float = 20, store: Store | None = None, **options: Any) -> Summary:
        """One run, `minutes` after the last."""
        return await self._process(lambda session: run_sync(session, Options(**options)), minutes, store)

    async def reconcile(self, *, minutes: float = 20, dry: bool = False, most_calls: int = MOST_CALLS, **options: Any) -> Found:
        """Likewise, a reconciliation."""

        async def work(session: Session) -> Found:
            with closing(self.hub()) as hub:
                return await (preview if dry else run_reconcile)(session, hub, Options(**options), most_calls=most_calls)

        return await self._process(work, minutes, None)

    async def _process(self, work: Callable[[Session], Awaitable[T]], minutes: float, store: Store | None) -> T:
        self.clock.move(minutes=minutes)
        for _ in range(60):
            await asyncio.sleep(0)  # whoever slept in the tool or the CRM wakes up in time
        runtime, opened = self.runtime(), store or MortalStore(self.state, now=self.clock())
        if isinstance(opened, MortalStore):
            opened.death = self.death
        try:
            loaded = self.loaded
            async with connect(loaded, runtime) as (sources, targets):
                run = new_run_id(self.clock())
                with closing(self.hub()) if self.is_pushed else nullcontext() as hub:
                    session = Session(loaded, opened, sources, targets, run, runtime, stop=self.stop, hub=hub)
                    session.awaited = lambda: self.awaited
                    return await work(session)
        finally:
            opened.close()

    async def quiet(self, most: int = 8) -> list[Summary]:
        """Run until a run finds nothing to do."""
        runs: list[Summary] = []
        while not runs or runs[-1].result != "nothing to do":
            assert len(runs) < most, [(run.result, run.errors) for run in runs]
            runs.append(await self.sync())
        return runs

    # what pushes tell

    def hub(self) -> Database:
        return open_hub(self.state, now=self.clock())

    def tell(self, *ids: str, kind: Any = "deal", system: str = "salesforce") -> None:
        """A push names records; from now on runs look into the inbox."""
        self.is_pushed = True
        arrived = Arrivals()
        arrived.add(system, [Hint(kind, id_) for id_ in ids], events=len(ids))
        with closing(self.hub()) as db:
            Inbox(db).store(arrived, self.clock())

    def hints(self) -> list[Told]:
        with closing(self.hub()) as db:
            return Inbox(db).take(["salesforce", "asana"])

    def missed(self) -> int:
        with closing(self.hub()) as db:
            return Inbox(db).feeds()["salesforce"].missed

    # what happens in the CRM

    def account(self, name: str = "Acme", **fields: Any) -> str:
        return self.org.insert("Account", {"Name": name, **fields})

    def deal(self, name: str = "Big deal", *, stage: str = "Prospecting", **fields: Any) -> str:
        given = {"Amount": 5000, "CurrencyIsoCode": "EUR", "CloseDate": "2026-03-02", "OwnerId": self.seller}
        return self.org.insert("Opportunity", {"Name": name, "StageName": stage, **given, **fields})

    def win(self, deal: str, **fields: Any) -> None:
        self.change(deal, StageName="Closed Won", **fields)

    def change(self, deal: str, **fields: Any) -> None:
        self.org.update("Opportunity", deal, fields)

    def line(self, deal: str, text: str) -> str:
        return self.org.insert("OpportunityLineItem", {"OpportunityId": deal, "Quantity": 1, "UnitPrice": 5, "Description": text})

    # what stands in the tool

    def shown(self) -> list[str]:
        """Every name under which a project was ever visible, in order."""
        return [name for _, _, name in self.board.visible_history]

    def projects(self) -> list[str]:
        """Every project people were ever able to see, by gid."""
        return list(dict.fromkeys(gid for _, gid, _ in self.board.visible_history))

    def tasks(self, project: str | None = None) -> Counter[str]:
        """Names of the tasks (sub-tasks included) of one project, the first one ever shown by default."""
        return Counter(task["name"] for task in self._tasks(project or self.projects()[0]))

    def task(self, name: str, project: str | None = None) -> dict[str, Any]:
        return next(task for task in self._tasks(project or self.projects()[0]) if task["name"] == name)

    def _tasks(self, project: str) -> Iterator[dict[str, Any]]:
        for task in self.board.tasks_of(project):
            yield task
            yield from (self.board.tasks[gid] for gid in self.board.subtasks_of[task["gid"]])

    def comments(self, name: str, project: str | None = None) -> list[str]:
        stories = (self.board.stories[gid] for gid in self.board.stories_of[self.task(name, project)["gid"]])
        return [story["text"] for story in stories if story["resource_subtype"] == "comment_added"]

    def statuses(self, project: str | None = None) -> list[str]:
        gids = self.board.statuses_of[project or self.projects()[0]]
        return [self.board.status_updates[gid]["status_type"] for gid in gids]

    # what the state says

    def outbox(self) -> dict[str, int]:
        with self.store() as store:
            return Outbox(store).counts()

    def audit(self, **filters: Any) -> list[dict[str, Any]]:
        with self.store() as store:
            return store.audit(**filters)

    def cursor(self, kind: Any = "deal") -> str | None:
        with self.store() as store:
            return store.cursor("salesforce", kind)
