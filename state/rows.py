"""What the outbox holds: links (what should be, what is), intents (what is not known to be done), and how each lies in its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from engine.model import Action, Item, ItemKind
from state.codec import dump, load, moment, stamp

STAGES: Mapping[ItemKind, int] = {"project": 0, "section": 1, "task": 2, "dependency": 5, "comment": 7, "status": 7}
SUBTASK_STAGE, PUBLISH_STAGE, UPDATE_STAGE = 3, 6, 8


@dataclass(frozen=True, slots=True)
class Link:
    """Key ↔ remote object. `want` are the fields as last decided, `base` as last written; `remote_id` is empty until the tool holds it."""

    item: Item
    target: str
    source: str
    blueprint: str
    rule: str
    event: str
    event_at: datetime
    why: str
    base: Mapping[str, Any] = field(default_factory=dict)
    remote_id: str = ""
    url: str = ""
    done_at: str = ""
    published_at: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """An action that was decided and is not known to be done."""

    seq: int
    key: str
    op: Literal["create", "update", "publish"]
    target: str
    project: str
    stage: int
    changed: Mapping[str, Any]
    keep: Mapping[str, str]
    why: str
    run: str
    state: Literal["open", "done", "parked", "dismissed"]
    sent_at: datetime | None
    nonce: str
    attempts: int
    due_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one intent.

    done      the object as the tool now holds it; `base` are the fields that were written
    doubt     a create whose answer was lost: look again at `due_at`
    again     certainly not done: try again at `due_at`; an attempt only if `counts`
    parked    refused for good; waits for a person
    """

    intent: Intent
    verdict: Literal["done", "doubt", "again", "parked"]
    remote_id: str = ""
    url: str = ""
    base: Mapping[str, Any] = field(default_factory=dict)
    due_at: datetime | None = None
    error: str = ""
    counts: bool = True


INTENT = "seq, key, op, target, project, stage, changed, keep, why, run, state, sent_at, nonce, attempts, due_at, error"
LINK = (
    "key, kind, target, project, parent, section, depends_on, source, blueprint, rule, event, event_at, why, want, base, remote_id, url, done_at,"
    " published_at"
)


def stage_of(item: Item) -> int:
    if item.kind == "task" and item.parent != item.project:
        return SUBTASK_STAGE
    return STAGES[item.kind]


def new_link(action: Action, now: datetime) -> tuple[Any, ...]:
    item = action.item
    return (
        *(item.key, item.kind, action.target, item.project, item.parent, item.section, dump(item.depends_on)),
        *(action.source, action.blueprint, action.rule, action.event, stamp(action.event_at), action.why),
        *(dump(item.fields), stamp(now)),
    )


def intent_of(row: Sequence[Any]) -> Intent:
    seq, key, op, target, project, stage, changed, keep, why, run, state, sent_at, nonce, attempts, due_at, error = row
    sent = moment(sent_at) if sent_at else None
    return Intent(
        seq, key, op, target, project, stage, load(changed), load(keep), why, run, state, sent, nonce, attempts, moment(due_at), error
    )


def link_of(row: Sequence[Any]) -> Link:
    item = Item(key=row[0], kind=row[1], fields=load(row[13]), project=row[3], parent=row[4], section=row[5], depends_on=load(row[6]))
    return Link(
        item=item,
        target=row[2],
        source=row[7],
        blueprint=row[8],
        rule=row[9],
        event=row[10],
        event_at=moment(row[11]),
        why=row[12],
        base=load(row[14]),
        remote_id=row[15],
        url=row[16],
        done_at=row[17],
        published_at=row[18],
    )
