"""One backfill, its processes killed again and again, until it is done: `python -m tests.processes.kills --kills 200 --seed 1`.

Whoever stands at the systems' doors sees what a process is about when it dies, and can strike at the worst moment: a request on its way, carried
out but not answered, or answered and not yet written down.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sandbox.web import Dropped, Reply, Request, Sandbox
from tests import postgres
from tests.flows.desk import Desk, desk, local
from tests.flows.files import RULES
from tests.processes.picture import picture

How = Literal["lost", "answered", "later"]
LATE_COMMIT = 2  # seconds the stand-in may still be busy with a request whose sender is gone: far more than it ever is
REQUESTS_A_PROJECT = 14
PATIENCE = 25  # requests
CREATION = ("creating projects", "making sections", "making tasks", "linking tasks", "publishing")
_STAGES = (
    ("/oauth2/token", "signing in"),
    ("/query", "reading the CRM, planning"),
    ("/events", "hearing of changes"),
    ("POST .*/projects$", "creating projects"),
    ("/sections", "making sections"),
    ("batch POST /tasks$|batch POST .*/subtasks$", "making tasks"),
    ("batch POST .*addDependencies", "linking tasks"),
    ("batch GET", "looking up"),
    ("PUT .*/projects/|/memberships|CustomField|custom_fields|/users", "publishing"),
    ("/composite", "writing back"),
)


def stage(request: Request) -> str:
    """What a process is about that sends this."""
    route = f"{request.method} {request.path}"
    if request.path.endswith("/batch"):
        first = request.json()["data"]["actions"][0]
        route = f"batch {first['method'].upper()} {first['relative_path'].split('?')[0]}"
    return next((name for sign, name in _STAGES if re.search(sign, route)), "looking up")


@dataclass(frozen=True, slots=True)
class Moment:
    """At which request from now on, and whether it is lost, carried out but not answered, or answered and the end comes `delay` seconds later.

    A stage that is named is waited for, for some requests more.
    """

    request: int
    stage: str
    how: How
    delay: float


class Watch:
    """Stands at every system's door: knows what was asked for last, and strikes at a chosen moment."""

    def __init__(self, sandboxes: Sequence[Sandbox]) -> None:
        self.stage = ""
        self._asked = 0
        self._chosen: tuple[Moment, Callable[[], None]] | None = None
        self._lock = threading.Lock()
        for sandbox in sandboxes:
            self._stand_at(sandbox)

    def arm(self, moment: Moment, strike: Callable[[], None]) -> None:
        with self._lock:
            self.stage, self._asked, self._chosen = "starting", 0, (moment, strike)

    def disarm(self) -> None:
        with self._lock:
            self._chosen = None

    def _stand_at(self, sandbox: Sandbox) -> None:
        answer = sandbox.answer

        async def watched(request: Request) -> Reply:
            chosen = self._comes(request)
            if chosen is None:
                return await answer(request)
            moment, strike = chosen
            if moment.how == "lost":
                strike()
                raise Dropped
            reply = await answer(request)
            if moment.how == "answered":
                strike()
            else:
                asyncio.get_running_loop().call_later(moment.delay, strike)
            return reply

        sandbox.answer = watched  # type: ignore[method-assign]

    def _comes(self, request: Request) -> tuple[Moment, Callable[[], None]] | None:
        with self._lock:
            self.stage = stage(request)
            if self._chosen is None:
                return None
            moment, strike = self._chosen
            self._asked += 1
            waits = moment.stage not in {"", self.stage} and self._asked < moment.request + PATIENCE
            if waits or self._asked < moment.request:
                return None
            self._chosen = None
            return moment, strike


@dataclass(slots=True)
class Figures:
    """What a play came to. `killed` counts by stage; `wrong` says what differs from an undisturbed run."""

    projects: int
    killed: Counter[str] = field(default_factory=Counter)
    hows: Counter[str] = field(default_factory=Counter)
    processes: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.killed.total()


@contextmanager
def won_deals(path: Path, count: int, state: str = "") -> Iterator[Desk]:
    """A desk with that many won deals, all of them due by the rule's own backfill; its state is a file, or at the URL given."""
    rules = RULES.replace("projects_per_run: 10", f"projects_per_run: {10 * count}").replace(
        "  - name: onboard\n", "  - name: onboard\n    backfill: 2026-01-01\n"
    )
    mapping = local({})["mappings/asana.yaml"].replace("  workspace:", f"  late_commit_seconds: {LATE_COMMIT}\n  workspace:")
    with desk(path) as ready:
        ready.env["HANDOFF_STATE"] = state or ready.env["HANDOFF_STATE"]
        ready.world.configure(local({"rules.yaml": rules, "mappings/asana.yaml": mapping}))
        for number in range(count):
            customer = ready.world.account(f"Customer {number}")
            deal = ready.world.deal(f"Deal {number}", stage="Closed Won", AccountId=customer)
            for line in range(number % 3):
                ready.world.line(deal, f"part {line} of {number}")
        yield ready


class Play:
    """`workers` processes at a time work on one backfill; each kill takes one of them, and another takes its place."""

    def __init__(self, at: Desk, *, projects: int, kills: int, seed: int, workers: int = 1) -> None:
        self._desk = at
        self._kills = kills
        self._workers = workers
        self._random = random.Random(seed)
        self._watch = Watch([at.world.crm, at.world.tool])
        self._running: list[subprocess.Popen[str]] = []
        self._rested = False
        self.figures = Figures(projects)

    def run(self) -> Figures:
        """Kill until the number is reached, then let it come to rest."""
        began = time.monotonic()
        try:
            for _ in range(3 * self._kills + 20):
                if self.figures.kills >= self._kills:
                    break
                self._turn()
        finally:
            self._watch.disarm()
            for process in self._running:
                process.kill()
                process.communicate()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    def _turn(self) -> None:
        while len(self._running) < self._workers:
            self._running.append(self._desk.start("sync"))
            self.figures.processes += 1
        victim, moment = self._random.choice(self._running), self._moment()
        struck: list[str] = []

        def strike() -> None:
            struck.append(self._watch.stage)
            victim.kill()

        self._watch.arm(moment, strike)
        ended = self._first_to_end()
        self._watch.disarm()
        out, err = ended.communicate()
        self._running.remove(ended)
        if ended.returncode == -9 and struck:
            self.figures.killed[struck[0]] += 1
            self.figures.hows[moment.how] += 1
        self._rested = ended.returncode == 0
        if ended.returncode not in {0, 1, -9}:
            raise AssertionError(f"a process ended by itself with exit code {ended.returncode}: {out}{err}")

    def _first_to_end(self) -> subprocess.Popen[str]:
        end = time.monotonic() + 200
        while time.monotonic() < end:
            for process in self._running:
                if process.poll() is not None:
                    return process
            time.sleep(0.005)
        raise AssertionError("a process neither ended nor came to the request it was to die at")

    def _moment(self) -> Moment:
        """Spread over what is left to do: some at the beginning, some at the end, the others over all that lies between."""
        made, choose = len(self._desk.world.projects()), self._random
        at, most, pause = "", 6, 0.1
        if made >= self.figures.projects:
            at, most = ("", 5) if self._rested else ("writing back", 9)
        elif self.figures.kills >= 0.1 * self._kills:
            left = max(0.85 * self._kills - self.figures.kills, 1)
            at, pause = choose.choice(("", "", *CREATION)), 0.03
            most = 4 + round(2 * REQUESTS_A_PROJECT * (self.figures.projects - made) / left)
        how: How = choose.choice(("lost", "answered", "later"))
        return Moment(choose.randint(1, most), at, how, choose.uniform(0, pause))


def settle(at: Desk, figures: Figures, wanted: dict[str, Any]) -> None:
    """Let it run in peace until there is nothing left, then note whatever is not as an undisturbed run would have left it."""
    for _ in range(6):
        code, out, err = at.run("sync", "--json")
        if code != 0:
            figures.wrong.append(f"a run in peace ended with {code}: {out}{err}")
        if '"nothing to do"' in out:
            break
    else:
        figures.wrong.append("it does not come to rest")
    found = picture(at.world)
    figures.wrong += [
        f"{part}: {name}: {found[part].get(name)} instead of {wanted[part].get(name)}"
        for part in wanted
        for name in {**wanted[part], **found[part]}
        if found[part].get(name) != wanted[part].get(name)
    ]
    if at.do("state", "verify").exit_code != 0:
        figures.wrong.append(at.do("state", "verify").output)


def play(path: Path, *, projects: int, kills: int, seed: int, workers: int = 1, state: str = "") -> Figures:
    """One backfill under fire. Raises AssertionError when a process ends by itself and badly."""
    with won_deals(path / "undisturbed", projects) as at:
        assert at.do("sync").exit_code == 0
        wanted = picture(at.world)
    with won_deals(path / "killed", projects, state) as at:
        figures = Play(at, projects=projects, kills=kills, seed=seed, workers=workers).run()
        settle(at, figures, wanted)
    return figures


def told(figures: Figures, seed: int) -> str:
    """The figures for people."""
    most = max(figures.killed.values(), default=1)
    lines = [f"  {name:28}{count:5}  {'█' * round(30 * count / most)}" for name, count in figures.killed.most_common()]
    hows = ", ".join(f"{count} {how}" for how, count in sorted(figures.hows.items()))
    return "\n".join(
        [
            f"{figures.projects} projects, {figures.kills} kills, {figures.processes} processes, seed {seed}, {figures.seconds:.0f} s",
            "killed while:",
            *lines,
            f"the request of that moment: {hows}",
            *(figures.wrong or ["Nothing twice, nothing lost, nothing half-done; as after one undisturbed run."]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--projects", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--state", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--workers", type=int, help="processes at a time: 1, on PostgreSQL 4")
    asked = parser.parse_args()
    on_server = asked.state == "postgresql"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        state = stack.enter_context(postgres.server(postgres.programs())).fresh_state() if on_server else ""
        workers = asked.workers or (4 if on_server else 1)
        figures = play(folder, projects=asked.projects, kills=asked.kills, seed=asked.seed, workers=workers, state=state)
    print(told(figures, asked.seed))  # noqa: T201 - its answer
    sys.exit(1 if figures.wrong or figures.kills < asked.kills else 0)


if __name__ == "__main__":
    main()
