"""A folder of configuration, the `handoff` command in processes of its own, and somebody who kills them at work."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.real.hands import MANAGER, Crm, Project, Tool

ROOT = Path(__file__).parents[2]
HANDOFF = Path(sys.executable).with_name("handoff")
LATE_COMMIT = 5  # seconds a server on this machine may still be busy with a request whose sender is gone: more than it ever is

LOST = {"name": "lost", "on": ["deal.lost"], "do": [{"comment": "The deal is **lost**.", "on": "delivery/kickoff"}]}
ALONE: Mapping[str, Mapping[str, int]] = {  # on SQLite they refuse the second of two at once
    "redmine": {"writes_at_once": 1},
    "kanboard": {"writes_at_once": 1, "reads_at_once": 1},
}
PATIENT = {"late_commit_seconds": LATE_COMMIT}

_TASKS = """
sections:
  - slot: prepare
    name: 1 Prepare
    tasks:
      - {slot: brief, name: "Brief for {{ deal.name }}", assignee: manager, due: anchor + 1 working day, notes: "Worth {{ deal.amount }} 🚀 客户"}
      - {slot: plan, name: Plan, assignee: manager, after: [brief], due: brief.due + 2 working days}
      - slot: kickoff
        name: Kick-off
        after: [plan]
        due: plan.due + 3 working days
        subtasks:
          - {slot: agenda, name: Agenda, assignee: manager, due: kickoff.due}
      - {slot: access, name: Access & accounts <all>, due: anchor + 4 working days}
  - slot: deliver
    name: 2 Deliver
    tasks:
      - {slot: build, name: Build, after: [kickoff], due: kickoff.due + 10 working days}
      - {slot: review, name: Review, assignee: manager, after: [build], due: build.due + 2 working days}
      - {slot: training, name: Train people, after: [build], due: build.due + 5 working days}
      - {slot: handover, name: Hand over, after: [review, training], due: training.due + 2 working days}
keep:
  project: {name: in_step, notes: in_step}
  task: {name: in_step}
"""
TASKS = ("Plan", "Kick-off", "Agenda", "Access & accounts <all>", "Build", "Review", "Train people", "Hand over")
SECTIONS = ("1 Prepare", "2 Deliver")
AFTER = {
    "Plan": {"Brief"}, "Kick-off": {"Plan"}, "Build": {"Kick-off"}, "Review": {"Build"}, "Train people": {"Build"},
    "Hand over": {"Review", "Train people"},
}  # fmt: skip


def blueprint(name: str) -> str:
    project = {
        "name": f"{{{{ deal.name }}}} {name}",
        "notes": "Sold for **{{ deal.amount }}**",
        "owner": "manager",
        "start": "anchor",
        "due": "last due",
    }
    return _dump({"version": 1, "name": name, "project": project}) + _TASKS


def rules(source: str, placed: Mapping[str, str], extra: Sequence[Mapping[str, Any]] = ()) -> str:
    """Each blueprint of `placed` in its target, whenever a deal is won."""
    made = [
        {"name": f"{name}-in-{target}", "on": ["deal.won"], "do": [{"create": name, "target": target}]} for name, target in placed.items()
    ]
    limits = {"projects_per_run": 1000, "updates_per_run": 100_000, "comments_per_run": 1000, "touched_share": 1}
    return _dump({"version": 1, "sources": [source], "timezone": "UTC", "limits": limits, "rules": [*made, *extra]})


def mapping(system: str, **sections: Any) -> str:
    """The shipped mapping, some sections replaced."""
    shipped = yaml.safe_load((ROOT / "mappings" / f"{system}.yaml").read_text(encoding="utf-8"))
    shipped["people"] = {"roles": {"manager": MANAGER}}
    shipped.pop("fields", None)
    connection = {**shipped["connection"], **sections.pop("connection", {})}
    return _dump({**shipped, **sections, "connection": connection})


def _dump(what: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(what, allow_unicode=True, sort_keys=False))


@dataclass
class Desk:
    """`told` runs a verb to its end and gives the JSON it prints."""

    folder: Path
    env: Mapping[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    said: str = ""

    @property
    def state(self) -> Path:
        return self.folder / "state.db"

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def start(self, *words: str, as_json: bool = True) -> subprocess.Popen[str]:
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        env = {**keep, **self.env, "HANDOFF_STATE": str(self.state)}
        command = [str(HANDOFF), *words, *(["--json"] if as_json else []), "-C", str(self.folder)]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - the command itself
        self.started.append(process)
        return process

    def told(self, *words: str) -> Any:
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        assert process.returncode in {0, 1, 3}, f"{words}: exit code {process.returncode}\n{out}\n{err}"
        return json.loads(out)

    def code(self, *words: str, as_json: bool = True) -> int:
        """A verb's exit code; what it printed is in `said`."""
        process = self.start(*words, as_json=as_json)
        self.said = "".join(process.communicate(timeout=600))
        return process.returncode

    def rest(self, runs: int = 30) -> None:
        """Sync until there is nothing left to do."""
        for _ in range(runs):
            done = self.told("sync")
            if done["result"] == "nothing to do":
                return
            assert done["result"] in {"done", "waiting"}, done
            time.sleep(LATE_COMMIT / 2 if done["result"] == "waiting" else 0)
        raise AssertionError(f"it does not come to rest: {done}")

    def open(self) -> int:
        """How much is decided and not done."""
        if not self.state.exists():
            return 0
        with closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True, timeout=30)) as connection:
            return int(connection.execute("SELECT count(*) FROM intent WHERE state = 'open'").fetchone()[0])

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()


def configure(desk: Desk, crm: Crm, tools: Mapping[str, Tool]) -> None:
    """Each blueprint goes to its tool."""
    desk.env = {**crm.env, **{name: value for tool in tools.values() for name, value in tool.env.items()}}
    files = {"rules.yaml": rules(crm.system, {name: tool.system for name, tool in tools.items()}, [LOST])}
    files[f"mappings/{crm.system}.yaml"] = mapping(crm.system)
    for name, tool in tools.items():
        files[f"mappings/blueprints/{name}.yaml"] = blueprint(name)
        files[f"mappings/{tool.system}.yaml"] = mapping(tool.system, connection={**PATIENT, **ALONE.get(tool.system, {})})
    desk.write(files)


def count(tools: Mapping[str, Tool]) -> dict[str, int]:
    return {name: tool.count() for name, tool in tools.items()}


def is_quiet(desk: Desk, crm: Crm, tools: Mapping[str, Tool]) -> None:
    """One more run writes nothing, neither here nor there."""
    told, shown = crm.told(), {name: tool.projects() for name, tool in tools.items()}
    quiet = desk.told("sync")
    assert quiet["result"] == "nothing to do"
    assert (crm.told(), {name: tool.projects() for name, tool in tools.items()}) == (told, shown)


def kill(desk: Desk, times: int, chance: random.Random) -> list[int]:
    """Kill so many syncs at work, or fewer when all is done before; gives how much was left to do at each kill."""
    left: list[int] = []
    while len(left) < times:
        process = desk.start("sync")
        begun = time.monotonic()
        while process.poll() is None and not desk.open():
            time.sleep(0.05)
            assert time.monotonic() < begun + 300, "the sync decides nothing"
        until = time.monotonic() + chance.uniform(0, 2.5)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            left.append(desk.open())
            continue
        out, err = process.communicate()
        assert process.returncode in {0, 1}, f"exit code {process.returncode}\n{out}\n{err}"
        if not desk.open():
            break
    return left


def faults(projects: Mapping[str, Project], deals: Sequence[str], suffix: str) -> list[str]:
    """What is wrong with the projects of these deals, in words: missing, there twice, incomplete, not as the blueprint says."""
    wrong = [f"nothing calls for {name!r}" for name in projects if name.removesuffix(f" {suffix}") not in deals]
    for deal in deals:
        project = projects.get(f"{deal} {suffix}")
        wrong += [f"{deal} {suffix}: {what}" for what in _faults(project, deal)] if project else [f"{deal} {suffix} was never made"]
    return wrong


def _faults(project: Project, deal: str) -> list[str]:
    wrong = [f"is there {project.copies} times"] if project.copies != 1 else []
    names = sorted(task.name for task in project.tasks)
    wanted = sorted((f"Brief for {deal}", *TASKS))
    if names != wanted:
        return [*wrong, f"holds {names}"]
    if project.sections != SECTIONS:
        wrong.append(f"has the sections {project.sections}")
    for name, before in AFTER.items():
        expected = {f"Brief for {deal}" if one == "Brief" else one for one in before}
        if project.task(name).after != expected:
            wrong.append(f"{name} waits for {sorted(project.task(name).after)}")
    if project.task("Agenda").under != "Kick-off":
        wrong.append(f"Agenda stands under {project.task('Agenda').under!r}")
    wrong += [f"{task.name} has no due date" for task in project.tasks if not task.due]
    wrong += [
        f"{name} is assigned to {project.task(name).assignee!r}" for name in ("Plan", "Review") if project.task(name).assignee != MANAGER
    ]
    return wrong
