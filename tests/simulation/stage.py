"""The world a scenario is played in: a CRM, a tool, the state file, and the hands of everybody who works there."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.base import Conflict, Gone, Remote, Runtime, Source, Target, Traits
from flows.apply import Drain
from flows.pipeline import Options, Summary, run_sync
from flows.session import Session, connect
from sandbox.web import Request
from state import Outbox, Store
from tests.flows.world import Crash, World
from tests.simulation.loop import VirtualClock
from tests.simulation.scenario import Fault, Scenario, Step, Sync
from tests.simulation.watch import Row, Watch
from tests.simulation.wire import FragileStore, Network, Process
from tests.targets import traits_of

_STAGES = {"open": "Prospecting", "won": "Closed Won", "lost": "Closed Lost"}
_OTHER = "Pat's own"


@dataclass(frozen=True, slots=True)
class Work:
    """What one process has to work with."""

    store: Store
    sources: Mapping[str, Source]
    targets: Mapping[str, Target]
    runtime: Runtime


class Stage(World):
    """`play` carries out one entry of a scenario; what cannot be done (there is no such deal) is left out."""

    def __init__(self, path: Path, scenario: Scenario, state: str = "") -> None:
        """`state` is where the state is kept, when it is not a file."""
        super().__init__(path, clock=VirtualClock())
        self.where: Path | str = state or self.state
        self.scenario = scenario
        self.trace: list[str] = []
        self.struck: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        self.ids: dict[str, str] = {}
        self.configured = self.loaded
        self.sf.page_rows = scenario.page_rows
        self.other = self.org.insert("User", {"LastName": "Other", "Username": "o@example.com", "Email": "o@example.com"})
        self.traits = worn(traits_of("asana"), traits_of(scenario.like))
        self.watch = Watch(self)
        self._faults, self._counts = list(scenario.faults), Counter[str]()
        self._tokens = dict(self.board.tokens)

    def say(self, text: str) -> None:
        now = asyncio.get_running_loop().time()
        self.trace.append(f"{now:11.3f} {text}")

    async def play(self, entry: Step | Sync) -> Summary | None:
        if isinstance(entry, Sync):
            return await self.run(entry)
        self.step(entry)
        return None

    # what people and machines do

    def step(self, step: Step) -> None:
        do = getattr(self, "do_" + step.verb.replace(" ", "_"))
        done = do(step.what, step.value)
        self.say(f"-- {step}" + ("" if done is not False else " (nothing to do it to)"))
        self.watch.look()

    def _deal(self, n: int, *, deleted: bool = False) -> Row | None:
        return self._row("Opportunity", self.ids.get(f"deal {n}"), deleted)

    def _account(self, n: int, *, deleted: bool = False) -> Row | None:
        return self._row("Account", self.ids.get(f"account {n}"), deleted)

    def _row(self, name: str, id_: str | None, deleted: bool) -> Row | None:
        row = self.org.tables[name].rows.get(id_ or "")
        return Row(row) if row is not None and bool(row["IsDeleted"]) is deleted else None

    def _change(self, n: int, at: datetime | None = None, **fields: Any) -> bool:
        row = self._deal(n)
        if row is None:
            return False
        self.org.update("Opportunity", row["Id"], fields, at)
        return True

    def do_account(self, n: int, name: str) -> None:
        self.ids[f"account {n}"] = self.account(name)

    def do_deal(self, n: int, value: dict[str, Any]) -> None:
        account = self._account(value["account"])
        fields = {"AccountId": account["Id"]} if account else {}
        self.ids[f"deal {n}"] = self.deal(value["name"], stage=_STAGES[value["stage"]], Amount=value["amount"], **fields)

    def do_flood(self, deal: int, many: int) -> None:
        """Many records of one moment, some of them won, across the edges of pages."""
        now = self.clock()
        for n in range(many):
            self.org.insert("Opportunity", {"Name": f"Flood {deal}-{n}", "StageName": "Prospecting", "CloseDate": "2026-03-02"}, now)

    def do_win(self, n: int, _: Any) -> bool:
        return self._change(n, StageName=_STAGES["won"])

    def do_lose(self, n: int, _: Any) -> bool:
        return self._change(n, StageName=_STAGES["lost"])

    def do_reopen(self, n: int, _: Any) -> bool:
        return self._change(n, StageName=_STAGES["open"])

    def do_amount(self, n: int, amount: int) -> bool:
        return self._change(n, Amount=amount)

    def do_late_win(self, n: int, minutes: int) -> bool:
        return self._change(n, self._began(n, minutes), StageName=_STAGES["won"])

    def do_late_amount(self, n: int, value: tuple[int, int]) -> bool:
        return self._change(n, self._began(n, value[0]), Amount=value[1])

    def _began(self, n: int, minutes: int) -> datetime | None:
        """When a transaction began that commits now: never before the row was last written, which it would have waited for."""
        row = self._deal(n)
        if row is None:
            return None
        return max(datetime.fromisoformat(row["SystemModstamp"]), self.clock() - timedelta(minutes=minutes))

    def do_name(self, n: int, name: str) -> bool:
        return self._change(n, Name=name)

    def do_next(self, n: int, text: str) -> bool:
        return self._change(n, NextStep=text)

    def do_close(self, n: int, day: str) -> bool:
        return self._change(n, CloseDate=day)

    def do_owner(self, n: int, _: Any) -> bool:
        return self._change(n, OwnerId=self.other)

    def do_touch(self, n: int, _: Any) -> bool:
        return self._change(n)

    def do_line(self, n: int, text: str) -> bool:
        row = self._deal(n)
        if row is not None:
            self.line(row["Id"], text)
        return row is not None

    def do_account_name(self, n: int, name: str) -> bool:
        return self._change_account(n, Name=name)

    def do_vip(self, n: int, _: Any) -> bool:
        return self._change_account(n, Tier__c="VIP")

    def do_standard(self, n: int, _: Any) -> bool:
        return self._change_account(n, Tier__c="Standard")

    def _change_account(self, n: int, **fields: Any) -> bool:
        row = self._account(n)
        if row is not None:
            self.org.update("Account", row["Id"], fields)
        return row is not None

    def do_merge(self, winner: int, loser: int) -> bool:
        rows = self._account(winner), self._account(loser)
        if winner == loser or rows[0] is None or rows[1] is None:
            return False
        self.org.merge("Account", rows[0]["Id"], [rows[1]["Id"]])
        return True

    def do_delete(self, n: int, _: Any) -> bool:
        row = self._deal(n)
        if row is not None:
            self.org.delete("Opportunity", row["Id"])
        return row is not None

    def do_undelete(self, n: int, _: Any) -> bool:
        row = self._deal(n, deleted=True)
        if row is None or (row["AccountId"] and self._row("Account", row["AccountId"], False) is None):
            return False
        self.org.undelete("Opportunity", row["Id"])
        return True

    def do_delete_account(self, n: int, _: Any) -> bool:
        row = self._account(n)
        if row is not None:
            self.org.delete("Account", row["Id"])
        return row is not None

    def do_undelete_account(self, n: int, _: Any) -> bool:
        row = self._account(n, deleted=True)
        if row is None or row["MasterRecordId"]:
            return False
        self.org.undelete("Account", row["Id"])
        return True

    # people in the tool: on projects and tasks that are settled, for an object in doubt cannot be told from one that was never made

    def _project(self, n: int) -> dict[str, Any] | None:
        gid = self.watch.gid(f"salesforce:deal:{self.ids.get(f'deal {n}')}/onboarding")
        return self.board.projects.get(gid) if gid and self._settled(gid) else None

    def _task(self, n: int, slot: str) -> dict[str, Any] | None:
        prefix = f"salesforce:deal:{self.ids.get(f'deal {n}')}/onboarding/{slot}"
        gid = next((gid for key, gid in self.watch.tasks_by_key() if key.startswith(prefix)), "")
        project = self._project(n)
        return self.board.tasks.get(gid) if project and self._settled(gid) else None

    def _settled(self, gid: str) -> bool:
        return gid in self.watch.settled

    def _edit_project(self, n: int, **data: Any) -> bool:
        project = self._project(n)
        if project is not None:
            self.board.edit_project(project["gid"], data, self.person)
        return project is not None

    def _edit_task(self, n: int, slot: str, **data: Any) -> bool:
        task = self._task(n, slot)
        if task is not None:
            self.board.edit_task(task["gid"], data, self.person)
        return task is not None

    def do_rename_project(self, n: int, value: tuple[str, int]) -> bool:
        return self._edit_project(n, name=f"{_OTHER} name {value[1]}")

    def do_note_project(self, n: int, value: tuple[str, int]) -> bool:
        return self._edit_project(n, notes=f"{_OTHER} notes {value[1]}")

    def do_value_project(self, n: int, value: tuple[str, int]) -> bool:
        project = self._project(n)
        field = next(gid for gid, row in self.board.custom_fields.items() if row["name"] == "Value")
        if project is None or field not in project["custom_fields"]:
            return False
        return self._edit_project(n, custom_fields={field: 7_000_000 + value[1]})

    def do_date_project(self, n: int, value: tuple[str, int]) -> bool:
        return self._edit_project(n, due_on=f"2027-01-{value[1] % 28 + 1:02d}")

    def do_rename_task(self, n: int, value: tuple[str, int]) -> bool:
        return self._edit_task(n, value[0], name=f"{_OTHER} task {value[1]}")

    def do_note_task(self, n: int, value: tuple[str, int]) -> bool:
        return self._edit_task(n, value[0], notes=f"{_OTHER} notes {value[1]}")

    def do_date_task(self, n: int, value: tuple[str, int]) -> bool:
        return self._edit_task(n, value[0], due_on=f"2027-02-{value[1] % 28 + 1:02d}")

    def do_assign_task(self, n: int, value: tuple[str, int]) -> bool:
        return self._edit_task(n, value[0], assignee=self.person)

    def do_complete_task(self, n: int, value: tuple[str, int]) -> bool:
        return self._edit_task(n, value[0], completed=True)

    def do_add_task(self, n: int, value: tuple[str, int]) -> bool:
        project = self._project(n)
        if project is not None:
            self.board.add_task(project["gid"], f"{_OTHER} task {value[1]}", self.person)
        return project is not None

    def do_comment(self, n: int, value: tuple[str, int]) -> bool:
        task = self._task(n, value[0])
        if task is not None:
            self.board.comment(task["gid"], f"{_OTHER} words {value[1]}", self.person)
        return task is not None

    def do_delete_task(self, n: int, value: tuple[str, int]) -> bool:
        task = self._task(n, value[0])
        if task is not None:
            self.board.delete_task(task["gid"], self.person)
        return task is not None

    def do_archive_project(self, n: int, _: Any) -> bool:
        return self._edit_project(n, archived=True)

    def do_delete_project(self, n: int, _: Any) -> bool:
        project = self._project(n)
        if project is not None:
            self.board.delete_project(project["gid"], self.person)
        return project is not None

    def do_move_task(self, n: int, value: tuple[str, int]) -> bool:
        task, project = self._task(n, value[0]), self._project(n)
        if task is None or project is None or not task["memberships"]:
            return False
        self.board.move_task(task["gid"], self.board.sections_of[project["gid"]][-1], self.person)
        return True

    # one run

    async def run(self, sync: Sync, *, healthy: bool = False) -> Summary | None:
        """One process from its start to its end, or to its crash (then there is no summary); with others beside it that help to drain."""
        await asyncio.sleep(sync.minutes * 60)
        self.say(f"== {sync}")
        faults = [] if healthy else self._faults
        begun = asyncio.get_running_loop().time()
        over = asyncio.Event()
        helpers = [asyncio.ensure_future(self._help(sync, number, faults, over)) for number in range(1, self.scenario.workers)]
        summary = None
        try:
            async with self._working(sync, 0, faults) as work:
                self.watch.opened(work.store)
                session = Session(self.configured, work.store, work.sources, work.targets, f"run-{sync.name:03d}", work.runtime)
                summary = await run_sync(session, Options(only=self._hints(sync), patience=timedelta(seconds=sync.patience)))
            self.say(f"== {summary.result}" + (f": {summary.error}" if summary.error else ""))
        except Crash:
            self.figures["crashes"] += 1
        finally:
            over.set()
            await asyncio.gather(*helpers)
            self.figures["runs"] += 1
            self._mend()
        with self.store() as store:
            self.watch.ended(store)
        self.watch.ran(sync, summary, asyncio.get_running_loop().time() - begun)
        return summary

    async def _help(self, sync: Sync, number: int, faults: list[Fault], over: asyncio.Event) -> None:
        """Another worker: drains what is due, until the run is over."""
        try:
            async with self._working(sync, number, faults) as work:
                while not over.is_set():
                    run = f"run-{sync.name:03d}-{number}"
                    await Drain(work.store, work.targets["asana"], run=run, runtime=work.runtime, patience=timedelta())()
                    await asyncio.sleep(3)
        except Crash:
            self.figures["crashes"] += 1

    @asynccontextmanager
    async def _working(self, sync: Sync, number: int, faults: list[Fault]) -> AsyncIterator[Work]:
        """A process with a store and connections of its own."""
        clock = self.clock.skewed  # type: ignore[attr-defined]
        process = Process(faults, self._counts, self.say, self.struck)
        store = FragileStore(self.where, now=clock())
        store.process = process
        servers = {"salesforce.test": self.crm, "asana.test": self.tool}
        network = Network(servers, process, self.scenario.seed, self._upset, self.say)
        chance = random.Random(f"{self.scenario.seed} runtime {sync.name} {number}")
        runtime = Runtime(clock=clock, sleep=self.clock.sleep, random=chance, transport=network)
        try:
            async with connect(self.configured, runtime) as (sources, targets):
                targets["asana"].traits = self.traits
                if self.scenario.find_lag:
                    lag(targets["asana"], timedelta(seconds=self.scenario.find_lag), self)
                yield Work(store, sources, targets, runtime)
        finally:
            self.figures["requests"] += process.requests
            process.dead = True  # whatever of it is still there
            store.close()

    def _hints(self, sync: Sync) -> tuple[str, ...]:
        return tuple(f"salesforce:deal:{self.ids.get(f'deal {n}', '006000000000000AAA')}" for n in sync.hints)

    def store(self) -> Store:
        return Store(self.where, now=self.clock())

    def _upset(self, fault: Fault, request: Request) -> None:
        match fault.kind:
            case "quota":
                self.org.exhaust_quota()
            case "locators":
                self.sf.cursors.drop()
            case "sync tokens":
                self.board.expire_sync_tokens()
            case "tool token":
                self.board.tokens.clear()
            case "crm token":
                self.org.revoke_tokens()
            case "login":
                self.sf.oauth.run_as = False
            case "row locked":
                for row in list(self.org.rows("Opportunity"))[:1]:
                    self.org.lock("Opportunity", row["Id"], 9)
            case "jump":
                self.clock.skew += fault.seconds  # type: ignore[attr-defined]
            case "part before" | "part after":
                self.board.break_in_batch(int(fault.seconds), fault.status, done=fault.kind == "part after")
            case "meanwhile" if fault.step is not None:
                self.step(fault.step)

    def _mend(self) -> None:
        """What lasts to the end of a run is over."""
        self.org.restore_quota()
        self.org.locks.clear()
        self.sf.oauth.run_as = True
        self.board.tokens.update(self._tokens)
        self.board.batch_faults.clear()
        self.tool.faults.clear()
        self.crm.faults.clear()

    def retry_parked(self) -> int:
        """A person tries again whatever waits for one; gives how much that is."""
        with self.store() as store, store.transaction():
            outbox, now = Outbox(store), self.clock()
            parked = outbox.parked()
            for intent in parked:
                outbox.retry(intent.seq, now)
            return len(parked) + store.retry_back()


def worn(own: Traits, other: Traits) -> Traits:
    """What a tool can do that has no more than another one has."""
    fields = {kind: own.fields[kind] & other.fields.get(kind, own.fields[kind]) for kind in own.kinds & other.kinds}
    return replace(
        own,
        kinds=frozenset(fields),
        fields=fields,
        batch=min(own.batch, other.batch),
        find_lag=max(own.find_lag, other.find_lag),
        late_commit=max(own.late_commit, other.late_commit),
        most_dependencies=min(filter(None, (own.most_dependencies, other.most_dependencies)), default=0),
        instead=other.instead,
    )


def lag(target: Target, span: timedelta, stage: Stage) -> None:
    """Make a target whose look-ups miss what is younger than `span`, and says so. Asana itself promises to list what was written."""
    find = target.find

    async def find_late(creates: Any) -> list[Remote | Conflict | Gone | None]:
        found = await find(creates)
        return [None if isinstance(one, Remote) and stage.watch.age(one.id) < span else one for one in found]

    target.find = find_late  # type: ignore[method-assign]
    target.traits = replace(target.traits, find_lag=span)
