"""One backfill, its processes killed again and again, until it is done: `python -m tests.processes.kills --kills 200 --seed 1`.

Whoever stands at the systems' doors sees what a process is about when it dies, and can strike at the worst moment: a request on its way, carried
out but not answered, or answered and not yet written down.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests import postgres
from tests.flows.desk import Desk
from tests.processes.backfill import differences, rest, undisturbed, won_deals
from tests.processes.picture import picture
from tests.processes.watch import How, Moment, Watch

REQUESTS_A_PROJECT = 14
CREW_PACE = 150  # requests a minute and process: while one of them starts, the others shall not do it all
CREATION = ("creating projects", "making sections", "making tasks", "linking tasks", "publishing")


Command = tuple[str, ...]
ALONE: Sequence[Command] = (("sync",),)
CREW: Sequence[Command] = (("sync",), *(("work", "--lease", str(seconds), "--every", "1") for seconds in (5, 6, 7)))


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


class Play:
    """A crew of processes, one a command, works on one backfill; each kill takes one of them, and another takes its place."""

    def __init__(self, at: Desk, *, projects: int, kills: int, seed: int, crew: Sequence[Command] = ALONE) -> None:
        self._desk = at
        self._kills = kills
        self._crew = crew
        self._random = random.Random(seed)
        self._watch = Watch([at.world.crm, at.world.tool])
        self._running: dict[Command, subprocess.Popen[str]] = {}
        self._rested = False
        self._share = (
            0.85 if crew == ALONE else 0.5
        )  # of the kills, while there are projects to make: a crew of idle workers asks for nothing
        self._first = 0.1 * kills if crew == ALONE else 2  # who is killed reading holds up the others for a minute
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
            self._desk.end()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    def _turn(self) -> None:
        for command in [command for command in self._crew if command not in self._running]:
            self._running[command] = self._desk.start(*command)
            self.figures.processes += 1
        victim, moment = next(iter(self._running.values())), self._moment()  # the eldest: it is at work by now
        struck: list[str] = []

        def strike() -> None:
            struck.append(self._watch.stage)
            victim.kill()

        self._watch.arm(moment, strike)
        command = self._first_to_end()
        ended = self._running.pop(command)
        self._watch.disarm()
        out, err = ended.communicate()
        if ended.returncode == -9 and struck:
            self.figures.killed[struck[0]] += 1
            self.figures.hows[moment.how] += 1
        self._rested = ended.returncode == 0
        if ended.returncode not in {0, 1, -9}:
            raise AssertionError(f"a process ended by itself with exit code {ended.returncode}: {out}{err}")

    def _first_to_end(self) -> Command:
        end = time.monotonic() + 200
        while time.monotonic() < end:
            for command, process in self._running.items():
                if process.poll() is not None:
                    return command
            time.sleep(0.005)
        raise AssertionError("a process neither ended nor came to the request it was to die at")

    def _moment(self) -> Moment:
        """Spread over what is left to do: some at the beginning, some at the end, the others over all that lies between."""
        made, choose = len(self._desk.world.projects()), self._random
        at, most, pause = "", 6, 0.1
        if made >= self.figures.projects:
            at, most = ("", 5) if self._rested else ("writing back", 9)
        elif self.figures.kills >= self._first:
            left = max(self._share * self._kills - self.figures.kills, 1)
            at, pause = choose.choice(("", "", *CREATION)), 0.03
            most = 4 + round(2 * REQUESTS_A_PROJECT * (self.figures.projects - made) / left)
        how: How = choose.choice(("lost", "answered", "later"))
        return Moment(choose.randint(1, most), at, how, choose.uniform(0, pause))


def play(path: Path, *, projects: int, kills: int, seed: int, state: str = "", crew: Sequence[Command] = ALONE) -> Figures:
    """One backfill under fire. Raises AssertionError when a process ends by itself and badly."""
    wanted = undisturbed(path / "undisturbed", projects)
    pace = {} if crew == ALONE else {"per_minute": CREW_PACE}
    with won_deals(path / "killed", projects, state, **pace) as at:
        figures = Play(at, projects=projects, kills=kills, seed=seed, crew=crew).run()
        figures.wrong = [*rest(at), *differences(picture(at.world), wanted)]
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
            *([line[:300] for line in figures.wrong] or ["Nothing twice, nothing lost, nothing half-done; as after one undisturbed run."]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--projects", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--state", choices=("sqlite", "postgresql"), default="sqlite", help="on PostgreSQL four processes at a time")
    asked = parser.parse_args()
    on_server = asked.state == "postgresql"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        state = stack.enter_context(postgres.server(postgres.programs())).fresh_state() if on_server else ""
        figures = play(folder, projects=asked.projects, kills=asked.kills, seed=asked.seed, state=state, crew=CREW if on_server else ALONE)
    print(told(figures, asked.seed))  # noqa: T201 - its answer
    sys.exit(1 if figures.wrong or figures.kills < asked.kills else 0)


if __name__ == "__main__":
    main()
