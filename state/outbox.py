"""Decisions on their way to a project tool: links (what should be, what is) and intents (what is not known to be done).

    T1  decide   intents and links, together with the snapshots and the cursor that led to them
    T2  sent     committed before a request leaves
    T3  settle   link, outcome and done, together

Doubt is `sent_at` on an open create. Nothing here forgets it but `settle` with an answer and `refused` of that very create.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from engine.model import Action, Item, ItemKind
from state.codec import dump, load, moment, stamp
from state.store import Store

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


class Outbox:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db

    # T1

    def decide(self, actions: Iterable[Action], run: str, now: datetime) -> None:
        """Record decisions. A key is born once: a create of a known key is left out. An update of what was not sent changes what will be sent."""
        for action in actions:
            match action.op:
                case "create":
                    self._create(action, run, now)
                case "update":
                    self._update(action, run, now)
                case "publish":
                    self._intend(action, PUBLISH_STAGE, run, now)

    def _create(self, action: Action, run: str, now: datetime) -> None:
        item = action.item
        born = self._db.execute(
            "INSERT OR IGNORE INTO link (key, kind, target, project, parent, section, depends_on, source, blueprint, rule, event, event_at, why,"
            " want, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(item.key, item.kind, action.target, item.project, item.parent, item.section, dump(item.depends_on)),
                *(action.source, action.blueprint, action.rule, action.event, stamp(action.event_at), action.why),
                *(dump(item.fields), stamp(now)),
            ),
        ).rowcount
        if born:
            self._intend(action, _stage(item), run, now)

    def _update(self, action: Action, run: str, now: datetime) -> None:
        key = action.item.key
        # a create in doubt may turn out to have been carried out: with what was wanted then
        self._db.execute(
            "UPDATE link SET base = want WHERE key = ? AND base = '{}'"
            " AND EXISTS (SELECT 1 FROM intent WHERE intent.key = link.key AND op = 'create' AND state = 'open' AND sent_at IS NOT NULL)",
            (key,),
        )
        self._db.execute("UPDATE link SET want = ? WHERE key = ?", (dump(action.item.fields), key))
        waiting = self._db.execute(
            "SELECT seq, changed, keep FROM intent WHERE key = ? AND op = 'update' AND state = 'open' AND sent_at IS NULL", (key,)
        ).fetchone()
        if waiting is None:
            unsent = "SELECT 1 FROM intent WHERE key = ? AND op = 'create' AND state = 'open' AND sent_at IS NULL"
            if self._db.execute(unsent, (key,)).fetchone() is None:
                self._intend(action, UPDATE_STAGE, run, now)
            return
        changed, keep = _joined(load(waiting[1]), action.changed), {**load(waiting[2]), **action.keep}
        self._db.execute(
            "UPDATE intent SET changed = ?, keep = ?, why = ? WHERE seq = ?", (dump(changed), dump(keep), action.why, waiting[0])
        )

    def _intend(self, action: Action, stage: int, run: str, now: datetime) -> None:
        moment_ = stamp(now)
        self._db.execute(
            "INSERT INTO intent (key, op, target, project, stage, changed, keep, why, run, due_at, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(action.item.key, action.op, action.target, action.item.project, stage),
                *(dump(action.changed), dump(action.keep), action.why, run, moment_, moment_),
            ),
        )

    # the queue

    def due_projects(self, target: str, now: datetime) -> list[str]:
        """Projects with something to do now, eldest first."""
        rows = self._db.execute(
            "SELECT project FROM intent WHERE state = 'open' AND target = ? GROUP BY project HAVING min(due_at) <= ? ORDER BY min(seq)",
            (target, stamp(now)),
        )
        return [row[0] for row in rows]

    def next_due(self, target: str, *, after: datetime | None = None) -> datetime | None:
        """When the next open intent falls due, or the next one after a moment."""
        row = self._db.execute(
            "SELECT min(due_at) FROM intent WHERE state = 'open' AND target = ? AND due_at > ?", (target, stamp(after) if after else "")
        ).fetchone()
        return moment(row[0]) if row[0] else None

    def of_project(self, project: str) -> list[Intent]:
        """Every open intent of a project, in the order they are to be done."""
        rows = self._db.execute(f"SELECT {_INTENT} FROM intent WHERE project = ? AND state = 'open' ORDER BY stage, seq", (project,))  # noqa: S608
        return [_intent(row) for row in rows]

    def sent(self, intents: Iterable[Intent], nonces: Mapping[int, str], now: datetime) -> None:
        """T2: commit this before the requests leave."""
        rows = [(stamp(now), nonces.get(intent.seq, intent.nonce), intent.seq) for intent in intents]
        self._db.conn.executemany("UPDATE intent SET sent_at = ?, nonce = ? WHERE seq = ?", rows)

    def settle(self, outcomes: Iterable[Outcome], now: datetime) -> None:
        """T3: what became of them."""
        for outcome in outcomes:
            _SETTLE[outcome.verdict](self, outcome, now)

    def _done(self, outcome: Outcome, now: datetime) -> None:
        intent, at = outcome.intent, stamp(now)
        self._db.execute("UPDATE intent SET state = 'done', done_at = ?, error = '' WHERE seq = ?", (at, intent.seq))
        match intent.op:
            case "create":
                statement = "UPDATE link SET remote_id = ?, url = ?, base = ?, done_at = ? WHERE key = ?"
                self._db.execute(statement, (outcome.remote_id, outcome.url, dump(outcome.base), at, intent.key))
            case "update":
                known = self.links([intent.key])[intent.key].base
                self._db.execute("UPDATE link SET base = ? WHERE key = ?", (dump(_joined(known, outcome.base)), intent.key))
            case "publish":
                statement = "UPDATE link SET published_at = ?, base = ?, url = coalesce(nullif(?, ''), url) WHERE key = ?"
                self._db.execute(statement, (at, dump(outcome.base), outcome.url, intent.key))

    def _doubt(self, outcome: Outcome, now: datetime) -> None:
        del now
        self._db.execute(
            "UPDATE intent SET attempts = attempts + 1, due_at = ?, error = ? WHERE seq = ?",
            (stamp(_due(outcome)), outcome.error[:1000], outcome.intent.seq),
        )

    def _again(self, outcome: Outcome, now: datetime) -> None:
        """Not done for certain, or safe to repeat: then `sent_at` stays as a sign that it may have been done.

        The nonce of a project's create that had been in doubt is kept: what still turns up under it is an orphan.
        """
        is_project = outcome.intent.op == "create" and outcome.intent.key == outcome.intent.project
        if is_project and outcome.intent.sent_at is not None and outcome.intent.nonce:
            self._db.execute(
                "INSERT OR IGNORE INTO orphan VALUES (?, ?, ?, ?)",
                (outcome.intent.nonce, outcome.intent.target, outcome.intent.key, stamp(now)),
            )
        self._db.execute(
            "UPDATE intent SET sent_at = CASE op WHEN 'create' THEN NULL ELSE sent_at END, nonce = '', attempts = attempts + ?, due_at = ?,"
            " error = ? WHERE seq = ?",
            (int(outcome.counts), stamp(_due(outcome)), outcome.error[:1000], outcome.intent.seq),
        )

    def _parked(self, outcome: Outcome, now: datetime) -> None:
        before = outcome.intent.sent_at  # the refusal is of this attempt; an earlier one in doubt stays so, to be looked up on a retry
        self._db.execute(
            "UPDATE intent SET state = 'parked', sent_at = ?, done_at = ?, error = ? WHERE seq = ?",
            (stamp(before) if before else None, stamp(now), outcome.error[:1000], outcome.intent.seq),
        )

    # a person's word on parked work

    def parked(self) -> list[Intent]:
        rows = self._db.execute(f"SELECT {_INTENT} FROM intent WHERE state = 'parked' ORDER BY seq")  # noqa: S608
        return [_intent(row) for row in rows]

    def parked_of(self, project: str) -> list[Intent]:
        rows = self._db.execute(f"SELECT {_INTENT} FROM intent WHERE state = 'parked' AND project = ?", (project,))  # noqa: S608
        return [_intent(row) for row in rows]

    def intent(self, seq: int) -> Intent:
        return _intent(self._db.execute(f"SELECT {_INTENT} FROM intent WHERE seq = ?", (seq,)).fetchone())  # noqa: S608

    def retry(self, seq: int, now: datetime) -> None:
        self._db.execute("UPDATE intent SET state = 'open', attempts = 0, due_at = ?, done_at = '' WHERE seq = ?", (stamp(now), seq))

    def dismiss(self, seq: int, now: datetime) -> None:
        """Give one up for good, and with a creation everything that was to live in it."""
        self._db.execute(
            "WITH RECURSIVE given_up (key) AS (SELECT key FROM intent WHERE seq = ? AND op = 'create'"
            " UNION SELECT link.key FROM link JOIN given_up ON given_up.key IN (link.parent, link.section))"
            " UPDATE intent SET state = 'dismissed', done_at = ?"
            " WHERE seq = ? OR (state IN ('open', 'parked') AND key IN (SELECT key FROM given_up))",
            (seq, stamp(now), seq),
        )

    def dismissed(self, project: str) -> set[str]:
        """Keys whose creation was given up; nothing waits for them."""
        rows = self._db.execute("SELECT key FROM intent WHERE project = ? AND op = 'create' AND state = 'dismissed'", (project,))
        return {row[0] for row in rows}

    def adopt(self, seq: int, remote_id: str, now: datetime) -> None:
        """A person says which object a parked creation made; it is taken to hold what was wanted."""
        row = self._db.execute(
            "UPDATE intent SET state = 'done', done_at = ?, error = '' WHERE seq = ? RETURNING key", (stamp(now), seq)
        ).fetchone()
        self._db.execute("UPDATE link SET remote_id = ?, base = want, done_at = ? WHERE key = ?", (remote_id, stamp(now), row[0]))

    # what is there

    def links(self, keys: Sequence[str]) -> dict[str, Link]:
        rows = self._store.look_up(f"SELECT {_LINK} FROM link WHERE key IN ({{marks}})", (), keys)  # noqa: S608
        return {row[0]: _link(row) for row in rows}

    def matching(self, what: str) -> list[Link]:
        """Links whose URL or remote id is `what`."""
        rows = self._db.execute(f"SELECT {_LINK} FROM link WHERE remote_id <> '' AND (url = ? OR remote_id = ?)", (what, what))  # noqa: S608
        return [_link(row) for row in rows]

    def project_links(self, project: str) -> dict[str, Link]:
        rows = self._db.execute(f"SELECT {_LINK} FROM link WHERE project = ?", (project,))  # noqa: S608
        return {row[0]: _link(row) for row in rows}

    def projects_of(self, sources: Sequence[str]) -> list[Link]:
        """The project links made from any of these CRM objects."""
        statement = f"SELECT {_LINK} FROM link WHERE kind = 'project' AND source IN ({{marks}})"  # noqa: S608
        return [_link(row) for row in self._store.look_up(statement, (), sources)]

    def published(self, target: str = "") -> list[Link]:
        """Projects people can see."""
        where = "kind = 'project' AND published_at <> ''" + (" AND target = ?" if target else "")
        rows = self._db.execute(f"SELECT {_LINK} FROM link WHERE {where} ORDER BY decided_at, key", (target,) if target else ())  # noqa: S608
        return [_link(row) for row in rows]

    def published_by(self, run: str) -> list[Link]:
        """Projects that one run made visible."""
        columns = ", ".join(f"link.{name.strip()}" for name in _LINK.split(","))
        rows = self._db.execute(
            f"SELECT {columns} FROM audit JOIN link ON link.key = audit.key WHERE audit.run = ? AND verdict = 'published'",  # noqa: S608
            (run,),
        )
        return [_link(row) for row in rows]

    def count_tasks(self, project: str) -> int:
        """How many top-level tasks a project was made with."""
        row = self._db.execute("SELECT count(*) FROM link WHERE project = ? AND kind = 'task' AND parent = project", (project,)).fetchone()
        return int(row[0])

    def by_remote(self, target: str, remote_ids: Sequence[str]) -> dict[str, Link]:
        statement = f"SELECT {_LINK} FROM link WHERE kind = 'project' AND target = ? AND remote_id IN ({{marks}})"  # noqa: S608
        links = (_link(row) for row in self._store.look_up(statement, (target,), remote_ids))
        return {link.remote_id: link for link in links}

    def locate(self, target: str, remote_ids: Collection[str]) -> dict[str, str]:
        """Of the objects we made: the remote id of the project each is in."""
        statement = (
            "SELECT link.remote_id, home.remote_id FROM link JOIN link AS home ON home.key = link.project"
            " WHERE link.kind <> 'dependency' AND link.target = ? AND link.remote_id IN ({marks})"
        )
        return dict(self._store.look_up(statement, (target,), remote_ids))

    def orphans(self, target: str, since: datetime) -> list[str]:
        """Nonces of creates given up since then; what turns up under them is nobody's."""
        return [row[0] for row in self._db.execute("SELECT nonce FROM orphan WHERE target = ? AND at >= ?", (target, stamp(since)))]

    def counts(self) -> dict[str, int]:
        """Open intents, those in doubt, parked ones, projects made and published."""
        (opened, doubt, parked), (made, published) = (
            self._db.execute(
                "SELECT total(state = 'open'), total(state = 'open' AND sent_at IS NOT NULL AND op = 'create'), total(state = 'parked') FROM intent"
                " WHERE state IN ('open', 'parked')"
            ).fetchone(),
            self._db.execute("SELECT total(remote_id <> ''), total(published_at <> '') FROM link WHERE kind = 'project'").fetchone(),
        )
        names = ("open", "in_doubt", "parked", "projects", "published")
        return dict(zip(names, (int(opened), int(doubt), int(parked), int(made), int(published)), strict=True))


_SETTLE = {"done": Outbox._done, "doubt": Outbox._doubt, "again": Outbox._again, "parked": Outbox._parked}
_INTENT = "seq, key, op, target, project, stage, changed, keep, why, run, state, sent_at, nonce, attempts, due_at, error"
_LINK = (
    "key, kind, target, project, parent, section, depends_on, source, blueprint, rule, event, event_at, why, want, base, remote_id, url, done_at,"
    " published_at"
)


def _stage(item: Item) -> int:
    if item.kind == "task" and item.parent != item.project:
        return SUBTASK_STAGE
    return STAGES[item.kind]


def _joined(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the later one's values where they meet; custom fields one by one."""
    custom = {**before.get("custom", {}), **after.get("custom", {})}
    return {**before, **after, **({"custom": custom} if custom else {})}


def _due(outcome: Outcome) -> datetime:
    if outcome.due_at is None:
        raise ValueError(f"a {outcome.verdict} outcome says when to look again")
    return outcome.due_at


def _intent(row: Sequence[Any]) -> Intent:
    seq, key, op, target, project, stage, changed, keep, why, run, state, sent_at, nonce, attempts, due_at, error = row
    sent = moment(sent_at) if sent_at else None
    return Intent(
        seq, key, op, target, project, stage, load(changed), load(keep), why, run, state, sent, nonce, attempts, moment(due_at), error
    )


def _link(row: Sequence[Any]) -> Link:
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
