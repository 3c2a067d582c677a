"""Decisions on their way to a project tool: links (what should be, what is) and intents (what is not known to be done).

    T1  decide   intents and links, together with the snapshots and the cursor that led to them
    T2  sent     committed before a request leaves
    T3  settle   link, outcome and done, together

Doubt is `sent_at` on an open create. Nothing here forgets it but `settle` with an answer and `refused` of that very create.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from connectors.base import StateError
from engine.model import Action, Op
from state.codec import dump, load, moment, stamp
from state.continuity import Continuity
from state.leases import touch
from state.rows import INTENT, LINK, PUBLISH_STAGE, UPDATE_STAGE, Intent, Link, Outcome, intent_of, link_of, new_link, stage_of
from state.store import Store

T = TypeVar("T")


class Outbox:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db
        self._continuity = Continuity(store)

    # T1

    def decide(self, actions: Iterable[Action], run: str, now: datetime) -> None:
        """Record decisions. A key is born once: a create of a known key is left out. An update of what was not sent changes what will be sent."""
        decided = list(actions)
        touch(self._store, (action.item.project for action in decided))
        by_op = _grouped(decided, lambda action: action.op)
        self._create(by_op["create"], run, now)
        self._update(by_op["update"], run, now)
        self._intend(_NEW_INTENT, ((action, PUBLISH_STAGE) for action in by_op["publish"]), run, now)

    def _create(self, actions: Sequence[Action], run: str, now: datetime) -> None:
        known = {
            row[0]
            for row in self._store.look_up("SELECT key FROM link WHERE key IN ({marks})", (), [action.item.key for action in actions])
        }
        born: dict[str, Action] = {}
        for action in actions:
            if action.item.key not in known:
                born.setdefault(action.item.key, action)
        self._db.executemany(_NEW_LINK, [new_link(action, now) for action in born.values()])
        self._intend(_BIRTH, ((action, stage_of(action.item)) for action in born.values()), run, now)

    def _update(self, actions: Sequence[Action], run: str, now: datetime) -> None:
        latest: dict[str, Action] = {}
        for action in actions:
            latest[action.item.key] = _both(latest.get(action.item.key), action)
        self._db.executemany("UPDATE link SET want = ? WHERE key = ?", [(dump(action.item.fields), key) for key, action in latest.items()])
        creates, updates = self._unsent("create", latest), self._unsent("update", latest)
        rows = []
        for key, (seq, changed, keep) in updates.items():
            action = latest[key]
            rows.append((dump(_joined(load(changed), action.changed)), dump({**load(keep), **action.keep}), action.why, seq))
        self._db.executemany("UPDATE intent SET changed = ?, keep = ?, why = ? WHERE seq = ?", rows)
        fresh = (action for key, action in latest.items() if key not in creates and key not in updates)
        self._intend(_NEW_INTENT, ((action, UPDATE_STAGE) for action in fresh), run, now)

    def _unsent(self, op: Op, keys: Iterable[str]) -> dict[str, tuple[int, str, str]]:
        """Open intents of a kind that were not sent yet, by key: number, what is changed, what is kept."""
        statement = "SELECT key, seq, changed, keep FROM intent WHERE op = ? AND state = 'open' AND sent_at IS NULL AND key IN ({marks})"
        return {key: (seq, changed, keep) for key, seq, changed, keep in self._store.look_up(statement, (op,), keys)}

    def _intend(self, statement: str, actions: Iterable[tuple[Action, int]], run: str, now: datetime) -> None:
        moment_ = stamp(now)
        rows = [
            (
                *(action.item.key, action.op, action.target, action.item.project, stage),
                *(dump(action.changed), dump(action.keep), action.why, run, moment_, moment_),
            )
            for action, stage in actions
        ]
        self._db.executemany(statement, rows)

    # the queue

    def due_projects(self, target: str, now: datetime) -> list[str]:
        """Projects with something to do now. Those of the latest decisions come first, however much is left of earlier ones; else the eldest."""
        rows = self._db.execute(
            "SELECT project FROM intent WHERE state = 'open' AND target = ? GROUP BY project HAVING min(due_at) <= ?"
            " ORDER BY max(created_at) DESC, min(seq)",
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
        rows = self._db.execute(f"SELECT {INTENT} FROM intent WHERE project = ? AND state = 'open' ORDER BY stage, seq", (project,))  # noqa: S608
        return [intent_of(row) for row in rows]

    def sent(self, intents: Sequence[Intent], nonces: Mapping[int, str], now: datetime, *, until: datetime | None = None) -> None:
        """T2: commit this before the requests leave.

        What no answer comes to may take effect until `until`; an update or a publishing is due again only then, and what is newer waits for it.
        A create or a first publish may turn out to have been carried out: with what is wanted now, whatever is wanted by then.
        """
        rows = [(stamp(now), nonces.get(intent.seq, intent.nonce), intent.seq) for intent in intents]
        self._db.executemany("UPDATE intent SET sent_at = ?, nonce = ? WHERE seq = ?", rows)
        self._hold_back(intents, until)
        first = [(intent.key,) for intent in intents if intent.op != "update" and intent.sent_at is None]
        self._db.executemany("UPDATE link SET base = want WHERE key = ?", first)
        self._continuity.sent(now)

    def leaving(self, intents: Sequence[Intent], now: datetime, *, until: datetime | None = None) -> None:
        """T2 once more, for requests that had to wait: nothing but the moment is another."""
        self._db.executemany("UPDATE intent SET sent_at = ? WHERE seq = ?", [(stamp(now), intent.seq) for intent in intents])
        self._hold_back(intents, until)
        self._continuity.sent(now)

    def _hold_back(self, intents: Sequence[Intent], until: datetime | None) -> None:
        rows = [(stamp(until), intent.seq) for intent in intents if intent.op != "create"] if until else []
        self._db.executemany("UPDATE intent SET due_at = ? WHERE seq = ?", rows)

    def doubt(self, since: datetime, *, projects: Collection[str] | None = None) -> int:
        """Take everything open or parked, or that of some projects, for sent at `since` by somebody who lost the record. Gives how many."""
        unsent = "state IN ('open', 'parked') AND sent_at IS NULL"
        noted = f"UPDATE link SET base = want WHERE key IN (SELECT key FROM intent WHERE op <> 'update' AND {unsent}"  # noqa: S608
        marked = f"UPDATE intent SET sent_at = ? WHERE {unsent}"  # noqa: S608
        rows = self._db.execute(f"SELECT DISTINCT project FROM intent WHERE {unsent}")  # noqa: S608
        touch(self._store, (row[0] for row in rows) if projects is None else projects)
        if projects is None:
            self._db.execute(f"{noted})")
            return self._db.execute(marked, (stamp(since),)).rowcount
        for project in projects:
            self._db.execute(f"{noted} AND project = ?)", (project,))
        return sum(self._db.execute(f"{marked} AND project = ?", (stamp(since), project)).rowcount for project in projects)

    def settle(self, outcomes: Iterable[Outcome], now: datetime) -> None:
        """T3: what became of them."""
        for verdict, alike in _grouped(outcomes, lambda outcome: outcome.verdict).items():
            _SETTLE[verdict](self, alike, now)

    def _done(self, outcomes: Sequence[Outcome], now: datetime) -> None:
        at = stamp(now)
        self._db.executemany(
            "UPDATE intent SET state = 'done', done_at = ?, error = '' WHERE seq = ?", [(at, outcome.intent.seq) for outcome in outcomes]
        )
        by_op = _grouped(outcomes, lambda outcome: outcome.intent.op)
        self._db.executemany(
            "UPDATE link SET remote_id = ?, url = ?, base = ?, done_at = ? WHERE key = ?",
            [(outcome.remote_id, outcome.url, dump(outcome.base), at, outcome.intent.key) for outcome in by_op["create"]],
        )
        self._updated(by_op["update"])
        self._db.executemany(
            "UPDATE link SET published_at = ?, base = ?, url = coalesce(nullif(?, ''), url) WHERE key = ?",
            [(at, dump(outcome.base), outcome.url, outcome.intent.key) for outcome in by_op["publish"]],
        )
        news = [(outcome.intent.key,) for outcome in by_op["publish"]]
        self._db.executemany("INSERT INTO news (key) VALUES (?) ON CONFLICT (key) DO NOTHING", news)

    def _updated(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        bases = {key: link.base for key, link in self.links([outcome.intent.key for outcome in outcomes]).items()}
        for outcome in outcomes:
            bases[outcome.intent.key] = _joined(bases[outcome.intent.key], outcome.base)
        self._db.executemany("UPDATE link SET base = ? WHERE key = ?", [(dump(base), key) for key, base in bases.items()])

    def _doubt(self, outcomes: Sequence[Outcome], now: datetime) -> None:
        del now
        self._db.executemany(
            "UPDATE intent SET attempts = attempts + 1, due_at = ?, error = ? WHERE seq = ?",
            [(stamp(_due(outcome)), outcome.error[:1000], outcome.intent.seq) for outcome in outcomes],
        )

    def _again(self, outcomes: Sequence[Outcome], now: datetime) -> None:
        """Not done for certain, or safe to repeat: then `sent_at` stays as a sign that it may have been done.

        The nonce of a project's create that had been in doubt is kept: what still turns up under it is an orphan.
        """
        given_up = [intent for intent in (outcome.intent for outcome in outcomes) if _may_turn_up(intent)]
        self._db.executemany(
            "INSERT INTO orphan (nonce, target, key, at) VALUES (?, ?, ?, ?) ON CONFLICT (nonce) DO NOTHING",
            [(intent.nonce, intent.target, intent.key, stamp(now)) for intent in given_up],
        )
        # a project doubted as a whole is not there: neither is what would be in it
        blank = [(outcome.intent.project,) for outcome in outcomes if _is_project(outcome.intent) and not outcome.intent.nonce]
        self._db.executemany("UPDATE intent SET sent_at = NULL WHERE project = ? AND state = 'open'", blank)
        self._db.executemany(
            "UPDATE intent SET sent_at = CASE op WHEN 'create' THEN NULL ELSE sent_at END, nonce = '', attempts = attempts + ?, due_at = ?,"
            " error = ? WHERE seq = ?",
            [(int(outcome.counts), stamp(_due(outcome)), outcome.error[:1000], outcome.intent.seq) for outcome in outcomes],
        )

    def _parked(self, outcomes: Sequence[Outcome], now: datetime) -> None:
        """The refusal is of this attempt; an earlier one in doubt stays so, to be looked up on a retry."""
        rows = []
        for outcome in outcomes:
            before = outcome.intent.sent_at
            rows.append((stamp(before) if before else None, stamp(now), outcome.error[:1000], outcome.intent.seq))
        self._db.executemany("UPDATE intent SET state = 'parked', sent_at = ?, done_at = ?, error = ? WHERE seq = ?", rows)

    # a person's word on parked work

    def parked(self) -> list[Intent]:
        rows = self._db.execute(f"SELECT {INTENT} FROM intent WHERE state = 'parked' ORDER BY seq")  # noqa: S608
        return [intent_of(row) for row in rows]

    def parked_of(self, project: str) -> list[Intent]:
        rows = self._db.execute(f"SELECT {INTENT} FROM intent WHERE state = 'parked' AND project = ? ORDER BY seq", (project,))  # noqa: S608
        return [intent_of(row) for row in rows]

    def intent(self, seq: int) -> Intent:
        return intent_of(self._db.execute(f"SELECT {INTENT} FROM intent WHERE seq = ?", (seq,)).fetchone())  # noqa: S608

    def _hold(self, seq: int) -> None:
        """Keep whoever works on the project out until the transaction ends. Raises StateError for what no longer waits for a person."""
        (project,) = self._db.execute("SELECT project FROM intent WHERE seq = ?", (seq,)).fetchone()
        touch(self._store, [project])
        if self.intent(seq).state != "parked":
            raise StateError(f"number {seq} was decided meanwhile; `handoff status` lists what waits")

    def retry(self, seq: int, now: datetime) -> None:
        """Open again. What an update brings is what is wanted by now: newer ones may have gone by."""
        self._hold(seq)
        intent = self.intent(seq)
        changed = _latest(intent.changed, self.links([intent.key])[intent.key].item.fields)
        self._db.execute(
            "UPDATE intent SET state = 'open', attempts = 0, changed = ?, due_at = ?, done_at = '' WHERE seq = ?",
            (dump(changed), stamp(now), seq),
        )

    def dismiss(self, seq: int, now: datetime) -> None:
        """Give one up for good, and with a creation everything that was to live in it."""
        self._hold(seq)
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

    def adopt(self, seq: int, remote_id: str, now: datetime, *, url: str = "") -> None:
        """A person says which object a parked creation made; it is taken to hold what was wanted."""
        self._hold(seq)
        row = self._db.execute(
            "UPDATE intent SET state = 'done', done_at = ?, error = '' WHERE seq = ? RETURNING key", (stamp(now), seq)
        ).fetchone()
        self._db.execute(
            "UPDATE link SET remote_id = ?, url = ?, base = want, done_at = ? WHERE key = ?", (remote_id, url, stamp(now), row[0])
        )

    # what is there

    def links(self, keys: Sequence[str]) -> dict[str, Link]:
        rows = self._store.look_up(f"SELECT {LINK} FROM link WHERE key IN ({{marks}})", (), keys)  # noqa: S608
        return {row[0]: link_of(row) for row in rows}

    def matching(self, what: str) -> list[Link]:
        """Links whose URL or remote id is `what`."""
        rows = self._db.execute(f"SELECT {LINK} FROM link WHERE remote_id <> '' AND (url = ? OR remote_id = ?) ORDER BY key", (what, what))  # noqa: S608
        return [link_of(row) for row in rows]

    def project_links(self, project: str) -> dict[str, Link]:
        """What a project consists of, in the order of birth."""
        rows = self._db.execute(
            f"SELECT {_OF_LINK} FROM link LEFT JOIN intent AS birth ON birth.key = link.key AND birth.op = 'create'"  # noqa: S608
            " WHERE link.project = ? ORDER BY birth.seq, link.key",
            (project,),
        )
        return {row[0]: link_of(row) for row in rows}

    def projects_of(self, sources: Sequence[str]) -> list[Link]:
        """The project links made from any of these CRM objects."""
        statement = f"SELECT {LINK} FROM link WHERE kind = 'project' AND source IN ({{marks}}) ORDER BY decided_at, key"  # noqa: S608
        return [link_of(row) for row in self._store.look_up(statement, (), sources)]

    def published(self, target: str = "") -> list[Link]:
        """Projects people can see."""
        where = "kind = 'project' AND published_at <> ''" + (" AND target = ?" if target else "")
        rows = self._db.execute(f"SELECT {LINK} FROM link WHERE {where} ORDER BY decided_at, key", (target,) if target else ())  # noqa: S608
        return [link_of(row) for row in rows]

    def published_by(self, run: str) -> list[Link]:
        """Projects that one run made visible."""
        rows = self._db.execute(
            f"SELECT {_OF_LINK} FROM audit JOIN link ON link.key = audit.key"  # noqa: S608
            " WHERE audit.run = ? AND verdict = 'published' ORDER BY audit.id",
            (run,),
        )
        return [link_of(row) for row in rows]

    def news(self, target: str) -> list[Link]:
        """Projects that became visible, whoever did it, and of which the CRM has not been told."""
        rows = self._db.execute("SELECT news.key FROM news JOIN link ON link.key = news.key WHERE target = ?", (target,))
        return list(self.links([row[0] for row in rows]).values())

    def told(self, news: Iterable[Link]) -> None:
        self._db.executemany("DELETE FROM news WHERE key = ?", [(link.item.key,) for link in news])

    def unattended(self, now: datetime) -> int:
        """Open intents of projects that nobody is working on."""
        row = self._db.execute(
            "SELECT count(*) FROM intent WHERE state = 'open' AND project NOT IN (SELECT name FROM lease WHERE expires_at > ?)",
            (stamp(now),),
        ).fetchone()
        return int(row[0])

    def count_tasks(self, project: str) -> int:
        """How many top-level tasks a project was made with."""
        row = self._db.execute("SELECT count(*) FROM link WHERE project = ? AND kind = 'task' AND parent = project", (project,)).fetchone()
        return int(row[0])

    def by_remote(self, target: str, remote_ids: Sequence[str]) -> dict[str, Link]:
        statement = f"SELECT {LINK} FROM link WHERE kind = 'project' AND target = ? AND remote_id IN ({{marks}})"  # noqa: S608
        links = (link_of(row) for row in self._store.look_up(statement, (target,), remote_ids))
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
        return [
            row[0]
            for row in self._db.execute("SELECT nonce FROM orphan WHERE target = ? AND at >= ? ORDER BY nonce", (target, stamp(since)))
        ]

    def counts(self) -> dict[str, int]:
        """Open intents, those in doubt, parked ones, projects made and published."""
        intents = self._db.execute(
            "SELECT count(*) FILTER (WHERE state = 'open'), count(*) FILTER (WHERE state = 'open' AND sent_at IS NOT NULL AND op = 'create'),"
            " count(*) FILTER (WHERE state = 'parked') FROM intent WHERE state IN ('open', 'parked')"
        ).fetchone()
        projects = self._db.execute(
            "SELECT count(*) FILTER (WHERE remote_id <> ''), count(*) FILTER (WHERE published_at <> '') FROM link WHERE kind = 'project'"
        ).fetchone()
        names = ("open", "in_doubt", "parked", "projects", "published")
        return dict(zip(names, (*intents, *projects), strict=True))


_SETTLE = {"done": Outbox._done, "doubt": Outbox._doubt, "again": Outbox._again, "parked": Outbox._parked}
_OF_LINK = ", ".join(f"link.{name.strip()}" for name in LINK.split(","))
_NEW_INTENT = (
    "INSERT INTO intent (key, op, target, project, stage, changed, keep, why, run, due_at, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_BIRTH = _NEW_INTENT + " ON CONFLICT (key) WHERE op = 'create' DO NOTHING"
_NEW_LINK = (
    "INSERT INTO link (key, kind, target, project, parent, section, depends_on, source, blueprint, rule, event, event_at, why, want, decided_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
)


def _grouped(things: Iterable[T], by: Callable[[T], str]) -> defaultdict[str, list[T]]:
    groups: defaultdict[str, list[T]] = defaultdict(list)
    for thing in things:
        groups[by(thing)].append(thing)
    return groups


def _both(earlier: Action | None, later: Action) -> Action:
    """Two updates of one object as one."""
    if earlier is None:
        return later
    return replace(later, changed=_joined(earlier.changed, later.changed), keep={**earlier.keep, **later.keep})


def _may_turn_up(intent: Intent) -> bool:
    """A project whose creation was in doubt: what was given up may still appear under its nonce."""
    return _is_project(intent) and intent.sent_at is not None and intent.nonce != ""


def _is_project(intent: Intent) -> bool:
    return intent.op == "create" and intent.key == intent.project


def _joined(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the later one's values where they meet; custom fields one by one."""
    custom = {**before.get("custom", {}), **after.get("custom", {})}
    return {**before, **after, **({"custom": custom} if custom else {})}


def _latest(changed: Mapping[str, Any], want: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields with the values wanted now; custom fields one by one."""
    return {name: _latest(value, want.get(name, {})) if name == "custom" else want.get(name) for name, value in changed.items()}


def _due(outcome: Outcome) -> datetime:
    if outcome.due_at is None:
        raise ValueError(f"a {outcome.verdict} outcome says when to look again")
    return outcome.due_at
