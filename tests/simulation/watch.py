"""Somebody who looks on all the time: what people could ever see in the tool, who changed what there, and what the CRM ever held."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from flows.pipeline import Summary
from state import Store
from tests.simulation.scenario import Sync

if TYPE_CHECKING:
    from tests.simulation.stage import Stage

_MARK = re.compile(r"handoff:([^\s<]+)")
_LONGEST_RUN = 45 * 60
_OURS = {"task": {"name", "notes"}, "project": {"name", "notes", "custom_fields"}}
_IN_STEP = {("task", "name"), ("project", "notes"), ("project", "custom_fields")}


class Row(dict[str, Any]):
    """A row of the CRM; a field that was never set is None."""

    def __missing__(self, name: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the CRM held of a record from one moment on. `order` counts everything that happens anywhere."""

    order: int
    row: Row


@dataclass(frozen=True, slots=True)
class Edit:
    order: int
    by_us: bool
    value: Any


class Watch:
    """`violations` are the promises that were seen broken, the moment they were."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.violations: list[str] = []
        self.shown: dict[str, str] = {}
        self.key_of: dict[str, str] = {}
        self.born: dict[str, list[str]] = defaultdict(list)
        self.home: dict[str, str] = {}
        self.sections: dict[str, list[str]] = defaultdict(list)
        self.comments: list[tuple[str, str]] = []
        self.statuses: dict[str, list[int]] = defaultdict(list)
        self.edits: dict[tuple[str, str], list[Edit]] = defaultdict(list)
        self.deleted: set[str] = set()
        self.theirs: list[tuple[str, str]] = []
        self.settled: set[str] = set()
        self.parked = 0
        self.crm: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        self.lines_when_won: dict[str, set[str]] = {}
        self.baselined: int | None = None
        self.begun: int | None = None
        self.order = 0
        self._at: dict[str, datetime] = {}
        self._shown_at: dict[str, datetime] = {}
        board = stage.board
        self._happened, self._note = board.happened, board.note_visibility
        board.happened = self.happened  # type: ignore[method-assign]
        board.note_visibility = self.note_visibility  # type: ignore[method-assign]

    def wrong(self, what: str) -> None:
        self.stage.say(f"## {what}")
        self.violations.append(what)

    # the tool

    def gid(self, key: str) -> str:
        """The first project people saw of a key."""
        return next((gid for gid, of in self.shown.items() if of == key), "")

    def tasks_by_key(self) -> list[tuple[str, str]]:
        """Keys and gids of our tasks in projects that people see."""
        return [(key, gid) for key, gids in self.born.items() for gid in gids if self.project_of(gid) in self.shown]

    def project_of(self, gid: str) -> str:
        while gid in self.home:
            gid = self.home[gid]
        return gid

    def age(self, gid: str) -> timedelta:
        return self.stage.clock() - self._at.get(gid, self.stage.clock() - timedelta(days=1))

    def happened(self, kind: str, record: dict[str, Any], action: str, by: str, **more: Any) -> None:
        self._happened(kind, record, action, by, **more)
        self.order += 1
        ours, gid = by == self.stage.board.bot, record["gid"]
        match action:
            case "deleted":
                self.deleted.add(gid)
                if ours:
                    self.wrong(f"deleted a {kind}: {record.get('name')!r}")
            case "changed":
                self._changed(kind, record, more.get("change") or {}, ours=ours)
            case "added" if gid not in self._at:
                self._at[gid] = self.stage.clock()
                self._added(kind, record, ours=ours)

    def _added(self, kind: str, record: dict[str, Any], *, ours: bool) -> None:
        gid = record["gid"]
        match kind:
            case "task":
                self.home[gid] = record["parent"] or record["memberships"][0]["project"]
                if ours:
                    key = self.key_of[gid] = key_in(record["html_notes"])
                    self.born[key].append(gid)
                    twins = [twin for twin in self.born[key] if self.project_of(twin) in self.shown]
                    if len(twins) > 1:
                        self.wrong(f"task {key} is there {len(twins)} times")
            case "section" if ours:
                self.sections[record["project"]].append(record["name"])
            case "story" if ours and record["resource_subtype"] == "comment_added":
                self.comments.append((record["task"], record["text"]))
            case "status_update" if ours:
                self.statuses[record["parent"]].append(self.order)
        if not ours and kind in ("task", "story"):
            self.theirs.append((kind, gid))

    def _changed(self, kind: str, record: dict[str, Any], change: dict[str, Any], *, ours: bool) -> None:
        gid, field, now = record["gid"], change.get("field", ""), self.stage.clock()
        value = record.get(field)
        value = dict(value) if isinstance(value, dict) else value
        past = self.edits[gid, field]
        visible = self._shown_at.get(self.project_of(gid), now) < now
        if ours and visible and kind in _OURS and field not in _OURS[kind] and field != "dependencies":
            self.wrong(f"changed {field} of a {kind} that people own: {record.get('name')!r}")
        if ours and visible and (kind, field) in _IN_STEP and past and not past[-1].by_us:
            self.wrong(f"overwrote what a person put into {field} of a {kind}: {past[-1].value!r} by {value!r}")
        past.append(Edit(self.order, ours, value))

    def note_visibility(self, project: dict[str, Any]) -> None:
        before = len(self.stage.board.visible_history)
        self._note(project)
        gid = project["gid"]
        if len(self.stage.board.visible_history) > before and gid not in self.shown:
            self._shown(gid, project)

    def _shown(self, gid: str, project: dict[str, Any]) -> None:
        key = key_in(project["html_notes"])
        if key in self.shown.values():
            self.wrong(f"project {key} is shown a second time")
        self.shown[gid], self._shown_at[gid] = key, self.stage.clock()
        if not key:
            self.wrong(f"a project without a key is shown: {project['name']!r}")
        elif missing := self._missing(gid, key):
            self.wrong(f"project {key} is shown without {', '.join(missing)}")
        self.stage.say(f"++ people see {project['name']!r} ({key})")

    def _missing(self, gid: str, key: str) -> list[str]:
        """What a project that is being shown lacks, by the blueprints of the small world."""
        board, deal = self.stage.board, key.split("/", maxsplit=1)[0].removeprefix("salesforce:deal:")
        if key.endswith("/review"):
            slots, sections, waits = {"history"}, ["Know"], {}
        else:
            lines = {f"line:{line}" for line in self.lines_when_won.get(deal, ())}
            slots, sections = {"kickoff", "agenda", "scope", "done", *lines}, ["Begin", "Deliver"]
            waits = {"scope": "kickoff", "done": "scope", **dict.fromkeys(lines, "scope")}
        tasks = {self.key_of.get(row["gid"], "").removeprefix(f"{key}/"): row for row in self._rows(gid)}
        missing = sorted(slots - tasks.keys())
        kinds = self.stage.traits.kinds
        if "section" in kinds and [board.sections[each]["name"] for each in board.sections_of[gid]] != sections:
            missing.append("its sections")
        for slot, before in waits.items() if "dependency" in kinds else ():
            if slot in tasks and before in tasks and tasks[before]["gid"] not in tasks[slot]["dependencies"]:
                missing.append(f"{slot} waiting for {before}")
        return missing

    def _rows(self, project: str) -> list[dict[str, Any]]:
        board = self.stage.board
        top = list(board.tasks_of(project))
        return [*top, *(board.tasks[gid] for task in top for gid in board.subtasks_of.get(task["gid"], ()))]

    # the CRM

    def look(self) -> None:
        """Note what the CRM holds now."""
        self.order += 1
        org = self.stage.org
        for name in ("Opportunity", "Account"):
            for row in org.rows(name):
                if str(row["Name"]).startswith("Flood"):
                    continue
                past = self.crm[name, row["Id"]]
                if not past or past[-1].row != row:
                    past.append(Seen(self.order, Row(row)))
                    self._won(name, row)

    def _won(self, name: str, row: dict[str, Any]) -> None:
        if name == "Opportunity" and row["IsWon"] and row["Id"] not in self.lines_when_won:
            lines = self.stage.org.rows("OpportunityLineItem")
            self.lines_when_won[row["Id"]] = {each["Id"] for each in lines if each["OpportunityId"] == row["Id"]}

    # the runs

    def opened(self, store: Store) -> None:
        """A run begins: is history behind us?"""
        self.order += 1
        self.begun = self.begun or self.order
        self._note_baseline(store)

    def _note_baseline(self, store: Store) -> None:
        marks = [store.meta(f"baseline:salesforce:{kind}") for kind in ("deal", "customer")]
        if self.baselined is None and None not in marks:
            self.baselined = self.order

    def ended(self, store: Store) -> None:
        """A run has ended: what of the tool's objects is known to the state, and what waits for a person."""
        self.order += 1
        self._note_baseline(store)
        self.parked = store.db.execute("SELECT count(*) FROM intent WHERE state = 'parked'").fetchone()[0]
        self.settled = {row[0] for row in store.db.execute("SELECT remote_id FROM link WHERE remote_id <> ''").fetchall()}

    def ran(self, sync: Sync, summary: Summary | None, span: float) -> None:
        self.order += 1
        if span > _LONGEST_RUN:
            self.wrong(f"sync {sync.name} took {span:.0f} seconds")
        if summary is not None and summary.result == "refused":
            self.wrong(f"sync {sync.name} was refused: {summary.error}")


def key_in(notes: str) -> str:
    """The key an object carries where people can read it."""
    found = _MARK.findall(notes)
    return unquote(found[-1]) if found else ""
