"""Plans that wait for a person. One waits for each subject at a time; a plan is what its digest says, and another one is asked for anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from connectors.base import StateError
from engine.model import Hint
from state.codec import moment, stamp
from state.database import Database
from state.inbox import Inbox

Answer = Literal["approved", "rejected"]
State = Literal["waiting", "approved", "rejected", "expired", "superseded", "done"]
RUN = "run"
"""The subject of a whole plan above its limits; with the names of systems behind it, of a run that reads only those."""


def run_of(sources: Sequence[str]) -> str:
    """The subject of the whole plan of a run that reads these, all of them if none is named."""
    return " ".join([RUN, *sources])


def sources_of(subject: str) -> list[str] | None:
    """The other way round; None for what is no whole plan."""
    head, *sources = subject.split(" ")
    return sources if head == RUN else None


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person is asked. `subject` is a record (`salesforce:deal:006…`), or `run` for a whole plan; `plan` is what there is to read.

    `decided_by` and `words` are the person's. `flow_run` is the Prefect run that waits for the answer, where there is one.
    """

    number: int
    subject: str
    digest: str
    title: str
    why: Sequence[str]
    plan: Mapping[str, Any]
    state: State
    asked_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""
    words: str = ""
    flow_run: str = ""

    def state_at(self, now: datetime) -> State:
        """Nobody need have looked for it to have expired."""
        return "expired" if self.state == "waiting" and self.expires_at <= now else self.state


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask. `once`: a yes is used up by what it led to, and the same plan is asked about again the next time."""

    subject: str
    digest: str
    title: str
    why: Sequence[str]
    plan: Mapping[str, Any]
    once: bool = False


class Approvals:
    """Any process may ask and any may answer; each answer is given once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def ask(self, question: Question, now: datetime, expires_at: datetime) -> Approval:
        """The approval of exactly this plan, whatever its state; it waits from now on if nobody was asked yet. What else of its subject was open is
        superseded, and the question says so."""
        with self._db.atomic():
            self.expire(now)
            known = self.of(question.subject, question.digest)
            if known is None or known.state == "superseded" or (known.state == "done" and question.once):
                question = replace(question, why=[*question.why, *self._replaced(question.subject)])
                self.withdraw(question.subject)
                self._db.execute(
                    "INSERT INTO approval (subject, digest, title, why, plan, asked_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(question.subject, question.digest, question.title, _text(list(question.why)), _text(dict(question.plan))),
                        *(stamp(now), stamp(expires_at)),
                    ),
                )
                known = self.of(question.subject, question.digest)
        assert known is not None  # noqa: S101 - it was made above
        return known

    def _replaced(self, subject: str) -> list[str]:
        open_ = self._select(f"WHERE subject = ? AND {_OPEN} ORDER BY number", (subject,))
        return [f"it takes the place of approval {one.number} ({one.state}): what would be done has changed since" for one in open_]

    def together(self) -> AbstractContextManager[None]:
        """What is asked and answered inside is on disk at once, or not at all."""
        return self._db.atomic()

    def of(self, subject: str, digest: str) -> Approval | None:
        """The latest asked for exactly this plan."""
        found = self._select("WHERE subject = ? AND digest = ? ORDER BY number DESC LIMIT 1", (subject, digest))
        return found[0] if found else None

    def get(self, number: int) -> Approval | None:
        found = self._select("WHERE number = ?", (number,))
        return found[0] if found else None

    def waiting(self, now: datetime) -> list[Approval]:
        """Eldest first; what has expired waits no more."""
        return self._select("WHERE state = 'waiting' AND expires_at > ? ORDER BY number", (stamp(now),))

    def approved(self) -> list[Approval]:
        """What a person said yes to and no run has taken up yet, or noted that it did."""
        return self._select("WHERE state = 'approved' ORDER BY number")

    def approved_runs(self) -> list[int]:
        """The numbers of whole plans that wait for a run to take them up."""
        rows = self._db.execute("SELECT number, subject FROM approval WHERE state = 'approved' ORDER BY number").fetchall()
        return [number for number, subject in rows if sources_of(subject) is not None]

    def about(self, subject: str, limit: int = 20) -> list[Approval]:
        """Newest first."""
        return self._select("WHERE subject = ? ORDER BY number DESC LIMIT ?", (subject, limit))

    def recent(self, limit: int = 50) -> list[Approval]:
        """Newest first, whatever their state."""
        return self._select("ORDER BY number DESC LIMIT ?", (limit,))

    def decide(self, number: int, answer: Answer, *, by: str, words: str = "", now: datetime) -> Approval:
        """A person's answer. The same one twice is taken once. The record it is about is read again as if a push had told of it, so that nobody
        waits for the schedule. Raises StateError for what does not wait (any more)."""
        with self._db.atomic():
            self.expire(now)
            self._db.execute(
                "UPDATE approval SET state = ?, decided_at = ?, decided_by = ?, words = ? WHERE number = ? AND state = 'waiting'",
                (answer, stamp(now), by[:200], words[:2000], number),
            )
            found = self.get(number)
            if found is not None and found.subject.count(":") > 1:
                system, kind, id_ = found.subject.split(":", 2)
                Inbox(self._db).remind(system, Hint(kind, id_), now)  # type: ignore[arg-type]
        if found is None:
            raise StateError(f"there is no approval {number}; `handoff approvals` lists those that wait")
        if found.state != answer:
            raise StateError(f"approval {number} is {found.state} already; `handoff approvals` lists those that wait")
        return found

    def expire(self, now: datetime) -> list[Approval]:
        """Those nobody answered in time; gives those that expired just now."""
        late = self._select("WHERE state = 'waiting' AND expires_at <= ? ORDER BY number", (stamp(now),))
        self._db.executemany(
            "UPDATE approval SET state = 'expired' WHERE number = ? AND state = 'waiting'", [(one.number,) for one in late]
        )
        return late

    def withdraw(self, subject: str) -> None:
        """There is nothing to ask about a subject any more, nor an answer to wait for."""
        self._db.execute(f"UPDATE approval SET state = 'superseded' WHERE subject = ? AND {_OPEN}", (subject,))  # noqa: S608 - words from below

    def done(self, number: int) -> None:
        """An approved plan was taken over. Harmless to repeat; forgotten by a crash, it is noted the next time."""
        self._db.execute("UPDATE approval SET state = 'done' WHERE number = ? AND state = 'approved'", (number,))

    def note_flow_run(self, number: int, flow_run: str) -> None:
        self._db.execute("UPDATE approval SET flow_run = ? WHERE number = ?", (flow_run, number))

    def forget_before(self, cut: datetime) -> int:
        """Drop those asked before `cut` that neither wait nor are to be taken up; gives how many."""
        return int(self._db.execute(f"DELETE FROM approval WHERE asked_at < ? AND NOT {_OPEN}", (stamp(cut),)).rowcount)  # noqa: S608

    def _select(self, rest: str, parameters: Sequence[Any] = ()) -> list[Approval]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM approval {rest}", parameters).fetchall()  # noqa: S608 - words from above
        return [_approval(row) for row in rows]


_OPEN = "state IN ('waiting', 'approved')"
_COLUMNS = "number, subject, digest, title, why, plan, state, asked_at, expires_at, decided_at, decided_by, words, flow_run"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _approval(row: Sequence[Any]) -> Approval:
    number, subject, digest, title, why, plan, state, asked, expires, decided, by, words, flow_run = row
    answered = moment(decided) if decided else None
    return Approval(
        *(number, subject, digest, title, json.loads(why), json.loads(plan), state, moment(asked), moment(expires), answered),
        *(by, words, flow_run),
    )
