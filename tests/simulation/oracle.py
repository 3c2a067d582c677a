"""What must be true once the faults have stopped and everything is quiet: the rules of the small world, written down a second time.

It looks at what the CRM held over time, at what people could see in the tool, and at what the state says of itself. It knows nothing of
how plans are made. Where the outcome depends on which of two quick changes a run happened to see, it asks for neither.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from state import Outbox, Store
from state.care import verify
from tests.simulation.stage import Stage
from tests.simulation.watch import Edit, Row, Seen, key_in

_AT_LEAST = 1000


def judge(stage: Stage) -> list[str]:
    """Every promise that does not hold."""
    with stage.store() as store:
        oracle = _Oracle(stage, store)
        return [*stage.watch.violations, *oracle.due(), *oracle.contents(), *oracle.people(), *oracle.told(), *oracle.accounts()]


class _Oracle:
    def __init__(self, stage: Stage, store: Store) -> None:
        self.stage, self.watch, self.board, self.org = stage, stage.watch, stage.board, stage.org
        self.store, self.outbox = store, Outbox(store)
        self.parked = {intent.key: intent for intent in self.outbox.parked()}
        self.deals = {id_: past for (name, id_), past in self.watch.crm.items() if name == "Opportunity"}
        self.customers = {id_: past for (name, id_), past in self.watch.crm.items() if name == "Account"}

    def _row(self, name: str, id_: str | None) -> Row | None:
        row = self.org.tables[name].rows.get(id_ or "")
        return None if row is None else Row(row)

    # what is due exists once, what is not due never

    def due(self) -> Iterator[str]:
        counts = Counter(self.watch.shown.values())
        yield from (f"project {key} was shown {count} times" for key, count in counts.items() if count > 1)
        for id_, past in self.deals.items():
            key = f"salesforce:deal:{id_}/onboarding"
            if self._deal_is_due(past) and not counts[key]:
                yield f"project {key} is due and was never shown"
            if counts[key] and not self._deal_may_be_due(past):
                yield f"project {key} was shown and nothing calls for it"
        for id_, past in self.customers.items():
            key = f"salesforce:customer:{id_}/review"
            losers = [f"salesforce:customer:{loser}/review" for loser in self._merged_into(id_)]
            if self._review_is_due(past) and not any(counts[each] for each in (key, *losers)):
                yield f"project {key} is due and was never shown"
            if counts[key] and not any(seen.row["Tier__c"] == "VIP" for seen in past[1:]):
                yield f"project {key} was shown and nothing calls for it"
        yield from self._twice()

    def _deal_is_due(self, past: list[Seen]) -> bool:
        """Won for good, with enough money whenever it was won, and not before history was recorded."""
        last, since = past[-1].row, self.watch.baselined
        if since is None or last["IsDeleted"] or not last["IsWon"]:
            return False
        return all(seen.order > since and (seen.row["Amount"] or 0) >= _AT_LEAST for seen in past if seen.row["IsWon"])

    def _deal_may_be_due(self, past: list[Seen]) -> bool:
        """Won with enough money at some time after the first contact began, and not merely still won."""
        begun = self.watch.begun or 0
        wins = [
            at for at, seen in enumerate(past) if seen.row["IsWon"] and (seen.row["Amount"] or 0) >= _AT_LEAST and not seen.row["IsDeleted"]
        ]
        still = [
            at for at in wins if all(seen.row["IsWon"] and not seen.row["IsDeleted"] for seen in past[: at + 1]) and past[0].order < begun
        ]
        return len(wins) > len(still)

    def _review_is_due(self, past: list[Seen]) -> bool:
        last, since = past[-1].row, self.watch.baselined
        if since is None or last["IsDeleted"] or last["Tier__c"] != "VIP" or not self._was_there(past):
            return False
        return all(seen.order > since for seen in past if seen.row["Tier__c"] == "VIP")

    def _was_there(self, past: list[Seen]) -> bool:
        """Whether a record is part of the history that was recorded at first contact."""
        return self.watch.begun is not None and past[0].order < self.watch.begun

    def _merged_into(self, winner: str) -> set[str]:
        found: set[str] = set()
        heads = {winner}
        while heads:
            heads = {id_ for id_, past in self.customers.items() if past[-1].row["MasterRecordId"] in heads} - found
            found |= heads
        return found

    def _twice(self) -> Iterator[str]:
        for key, gids in self.watch.born.items():
            seen = [gid for gid in gids if self.watch.project_of(gid) in self.watch.shown]
            if len(seen) > 1:
                yield f"task {key} was made {len(seen)} times"
        for gid, names in self.watch.sections.items():
            if gid in self.watch.shown and len(set(names)) < len(names):
                yield f"project {self.watch.shown[gid]} got sections twice: {names}"
        said = Counter((self.watch.key_of.get(task, ""), text) for task, text in self.watch.comments)
        yield from (f"{key}: {text!r} was said {count} times" for (key, text), count in said.items() if count > 1)

    # what is kept in step is current, unless a person changed it

    def contents(self) -> Iterator[str]:
        for gid, key in self.watch.shown.items():
            kind, id_ = key.split("/")[0].split(":")[1:]
            row = self._row("Opportunity", id_)
            if kind != "deal" or gid not in self.board.projects or row is None or row["IsDeleted"]:
                continue
            yield from self._project(gid, key, row)
            yield from self._lines(gid, key, row)
            yield from self._comments(gid, key, row)

    def _project(self, gid: str, key: str, row: Row) -> Iterator[str]:
        project, name = self.board.projects[gid], line(row["Name"])
        account = self._row("Account", row["AccountId"])
        notes = f"Deal {row['Name']}, next: {row['NextStep'] or 'nothing'}, for {account['Name'] if account else 'nobody'}"
        yield from self._current(key, gid, "name", project["name"], f"{name} onboarding", id_=row["Id"], column="Name")
        yield from self._current(key, gid, "notes", words(project["notes"]), line(notes))
        value = next(field for field, held in self.board.custom_fields.items() if held["name"] == "Value")
        if "custom" in self.stage.traits.fields["project"]:
            yield from self._current(key, gid, "custom_fields", project["custom_fields"].get(value), float(row["Amount"]), custom=value)
        for slot, field, wanted in (("kickoff", "name", f"Kick off {name}"), ("kickoff", "notes", f"Worth {row['Amount']:g}")):
            task = self._task(f"{key}/{slot}")
            if task is not None:
                held = words(task[field]) if field == "notes" else task[field]
                column = "Amount" if field == "notes" else ""
                yield from self._current(f"{key}/{slot}", task["gid"], field, held, wanted, id_=row["Id"], column=column)

    def _task(self, key: str) -> dict[str, Any] | None:
        gids = [gid for of, gid in self.watch.tasks_by_key() if of == key]
        return self.board.tasks.get(gids[0]) if gids else None

    def _current(
        self, key: str, gid: str, field: str, held: Any, wanted: Any, *, id_: str = "", column: str = "", custom: str = ""
    ) -> Iterator[str]:
        """`column` names the CRM's field when it wins over people as soon as it changes."""
        edits = [edit for edit in self.watch.edits[gid, field] if not edit.by_us]
        if not edits or self._is_later(id_, column, edits[-1]):
            if held != wanted:
                yield f"{key}: {field} is {held!r}, should be {wanted!r}"
        elif held not in (wanted, _of(edits[-1], custom, field)) if column else held != _of(edits[-1], custom, field):
            yield f"{key}: {field} is {held!r}, a person wrote {_of(edits[-1], custom, field)!r}"

    def _is_later(self, id_: str, column: str, edit: Edit) -> bool:
        """Whether the CRM changed its field after a person changed ours."""
        if not column:
            return False
        past = self.deals[id_]
        changes = [new for old, new in pairwise(past) if old.row[column] != new.row[column]]
        return bool(changes) and changes[-1].order > edit.order

    def _lines(self, gid: str, key: str, row: Row) -> Iterator[str]:
        for each in self.org.rows("OpportunityLineItem"):
            if each["OpportunityId"] != row["Id"] or each["IsDeleted"]:
                continue
            slot = f"{key}/line:{each['Id']}"
            gids = [of for known, of in self.watch.tasks_by_key() if known == slot]
            if not gids and slot not in self.parked:
                yield f"task {slot} is due and was never made"
            elif gids and gids[0] in self.board.tasks:
                yield from self._current(slot, gids[0], "name", self.board.tasks[gids[0]]["name"], line(f"Deliver {each['Description']}"))

    def _comments(self, gid: str, key: str, row: Row) -> Iterator[str]:
        past, since, kickoff = self.deals[row["Id"]], self.watch.baselined, self._task(f"{key}/kickoff")
        changes = [new.order for old, new in pairwise(past) if old.row["Amount"] != new.row["Amount"]]
        if (
            since is None
            or kickoff is None
            or "comment" not in self.stage.traits.kinds
            or not changes
            or not self._was_there(past)
            or changes[-1] < since
        ):
            return
        if not all(seen.row["IsWon"] and not seen.row["IsDeleted"] for seen in past if seen.order >= changes[-1]):
            return
        text = f"Now worth {row['Amount']:g}"
        said = [(task, words) for task, words in self.watch.comments if task == kickoff["gid"] and words == text]
        if not said and not any(of.startswith(f"{key}/kickoff#comment") for of in self.parked):
            yield f"{key}/kickoff: nobody said {text!r}"

    # what people made is there

    def people(self) -> Iterator[str]:
        for kind, gid in self.watch.theirs:
            rows = self.board.tasks if kind == "task" else self.board.stories
            if gid not in rows and gid not in self.watch.deleted:
                yield f"a person's {kind} is gone"
        for project in self.board.projects.values():
            gid = project["gid"]
            if project["created_by"] == self.board.bot and gid not in self.watch.shown and not project["archived"] and not self._waits(gid):
                yield f"project {project['name']!r} was left lying about"

    def _waits(self, gid: str) -> bool:
        """Whether an unpublished project stands for something that waits for a person."""
        rows = self.store.db.execute("SELECT key FROM link WHERE remote_id = ? AND kind = 'project'", (gid,)).fetchall()
        return any(intent.project == row[0] for row in rows for intent in self.parked.values())

    # the CRM says what the tool says

    def told(self) -> Iterator[str]:
        for gid, key in self.watch.shown.items():
            kind, id_ = key.split("/")[0].split(":")[1:]
            row = self._row("Opportunity", id_)
            if kind != "deal" or gid not in self.board.projects or row is None or row["IsDeleted"]:
                continue
            wanted = (key, self.board.projects[gid]["permalink_url"], *self._progress(gid))
            said = tuple(row[f"Handoff_{name}__c"] for name in ("Key", "Project_URL", "Status", "Progress"))
            if said != wanted:
                yield f"the CRM says {said}, the tool {wanted}"

    def _progress(self, gid: str) -> tuple[str, int]:
        tasks = list(self.board.tasks_of(gid))
        done = sum(task["completed"] for task in tasks)
        statuses = self.board.statuses_of[gid]
        status = self.board.status_updates[statuses[-1]]["status_type"] if statuses else "in_progress"
        return "complete" if tasks and done == len(tasks) else status, 100 * done // len(tasks) if tasks else 0

    # everything is accounted for

    def accounts(self) -> Iterator[str]:
        for key, op, error in self.store.db.execute("SELECT key, op, error FROM intent WHERE state = 'open'").fetchall():
            if not self._waits_for_parked(key):
                yield f"left open: {op} {key} {error}"
        yield from verify(self.store).problems
        notes = self.store.audit(limit=100_000)
        parked = {note["key"] for note in notes if note["verdict"] == "parked" and note["reason"]}
        for key, intent in self.parked.items():
            if key not in parked:
                yield f"{key} is parked, and the audit trail does not say why"
            if not self._is_peoples_doing(intent.key):
                yield f"{intent.op} {key} is still parked: {intent.error}"
        decided = {note["source"] for note in notes if note["rule"] == "onboard" and note["reason"]}
        for id_, past in self.deals.items():
            source = f"salesforce:deal:{id_}"
            if past[-1].row["IsWon"] and not past[-1].row["IsDeleted"] and self._won_after(past) and source not in decided:
                yield f"{source} was won, and no verdict says what became of it"
        published = {note["key"] for note in notes if note["verdict"] in ("published", "parked")}
        yield from (f"{key} is shown, and the audit trail does not tell" for key in self.watch.shown.values() if key not in published)
        for row in self.store.parked_back():
            yield f"write-back of {row['id']} is still parked: {row['error']}" if not self._is_deleted(row["id"]) else ""

    def _waits_for_parked(self, key: str) -> bool:
        item = self.outbox.links([key])[key].item
        return any(each in self.parked for each in (item.parent, item.section, item.project, *item.depends_on))

    def _won_after(self, past: list[Seen]) -> bool:
        since = self.watch.baselined
        return since is not None and all(seen.order > since for seen in past if seen.row["IsWon"])

    def _is_deleted(self, id_: str) -> bool:
        row = self._row("Opportunity", id_)
        return row is None or bool(row["IsDeleted"])

    def _is_peoples_doing(self, key: str) -> bool:
        """Whether the object, or what it would be in, was deleted by a person."""
        link = self.outbox.links([key])[key]
        chain = self.outbox.links([key, link.item.parent, link.item.project, *link.item.depends_on])
        return any(each.remote_id in self.watch.deleted for each in chain.values() if each.remote_id)


def line(text: str) -> str:
    """A text as a tool shows it in one line."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def words(notes: str) -> str:
    """Notes without the key at their end, in one line."""
    return line(notes.rpartition("handoff:")[0] if key_in(notes) else notes)


def _of(edit: Edit, custom: str, field: str) -> Any:
    if custom:
        return edit.value.get(custom)
    return words(edit.value) if field == "notes" else edit.value
