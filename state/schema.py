"""The tables, as migrations. Add a migration, never edit one: states out there have run it.

Written as SQLite reads it, with `TEXT`, `INTEGER` and `INTEGER PRIMARY KEY` (numbered by the database) as the only types: each engine's adapter
says what it makes of them. Moments are text of fixed width that sorts as time does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables that lie together. `keys` are the tables and their keys; `alone`: embedded, one process at a time has them."""

    name: str
    migrations: tuple[Migration, ...]
    keys: Mapping[str, str]
    alone: bool


# Rows of a kilobyte and more do not go WITHOUT ROWID: SQLite would put each one's end on a page of its own.
_FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE cursor (system TEXT, kind TEXT, value TEXT NOT NULL, at TEXT NOT NULL,
       PRIMARY KEY (system, kind)) WITHOUT ROWID""",
    # What the CRM last told us about each record: the "before" of the next change.
    """CREATE TABLE snapshot (
       system TEXT, kind TEXT, id TEXT, hash TEXT NOT NULL, data TEXT NOT NULL, customer TEXT NOT NULL DEFAULT '',
       deleted INTEGER NOT NULL DEFAULT 0, merged_into TEXT NOT NULL DEFAULT '', modified_at TEXT NOT NULL, seen_at TEXT NOT NULL,
       PRIMARY KEY (system, kind, id))""",
    "CREATE INDEX snapshot_customer ON snapshot (system, customer) WHERE customer <> ''",
    "CREATE INDEX snapshot_merged ON snapshot (system, kind, merged_into) WHERE merged_into <> ''",
    # Every item ever decided. The key is unique for ever: a second birth is impossible. remote_id is empty until the tool holds it.
    # want: fields as last decided; base: fields as last written (the base of three-way merges).
    """CREATE TABLE link (
       key TEXT PRIMARY KEY, kind TEXT NOT NULL, target TEXT NOT NULL, project TEXT NOT NULL, parent TEXT NOT NULL, section TEXT NOT NULL,
       depends_on TEXT NOT NULL, source TEXT NOT NULL, blueprint TEXT NOT NULL, rule TEXT NOT NULL, event TEXT NOT NULL,
       event_at TEXT NOT NULL, why TEXT NOT NULL, want TEXT NOT NULL, base TEXT NOT NULL DEFAULT '{}', remote_id TEXT NOT NULL DEFAULT '',
       url TEXT NOT NULL DEFAULT '', decided_at TEXT NOT NULL, done_at TEXT NOT NULL DEFAULT '', published_at TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX link_project ON link (project)",
    "CREATE INDEX link_source ON link (source) WHERE kind = 'project'",
    "CREATE INDEX link_remote ON link (target, remote_id) WHERE remote_id <> ''",
    # The outbox. Doubt is sent_at on an open create; only a look-up that settles it, or a refusal of that very create, clears it.
    """CREATE TABLE intent (
       seq INTEGER PRIMARY KEY, key TEXT NOT NULL, op TEXT NOT NULL, target TEXT NOT NULL, project TEXT NOT NULL, stage INTEGER NOT NULL,
       changed TEXT NOT NULL DEFAULT '{}', keep TEXT NOT NULL DEFAULT '{}', why TEXT NOT NULL, run TEXT NOT NULL,
       state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'parked', 'dismissed')),
       sent_at TEXT, nonce TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, due_at TEXT NOT NULL, error TEXT NOT NULL DEFAULT '',
       created_at TEXT NOT NULL, done_at TEXT NOT NULL DEFAULT '')""",
    "CREATE UNIQUE INDEX intent_birth ON intent (key) WHERE op = 'create'",
    "CREATE INDEX intent_open ON intent (project, stage, seq) WHERE state = 'open'",
    "CREATE INDEX intent_parked ON intent (project) WHERE state = 'parked'",
    "CREATE INDEX intent_dismissed ON intent (project) WHERE state = 'dismissed'",
    "CREATE INDEX intent_key ON intent (key)",
    # Nonces of creates that were given up: what still turns up under them is an orphan to sweep.
    "CREATE TABLE orphan (nonce TEXT PRIMARY KEY, target TEXT NOT NULL, key TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE audit (
       id INTEGER PRIMARY KEY, at TEXT NOT NULL, run TEXT NOT NULL, source TEXT NOT NULL, event TEXT NOT NULL, rule TEXT NOT NULL,
       verdict TEXT NOT NULL, reason TEXT NOT NULL, key TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '{}')""",
    "CREATE INDEX audit_source ON audit (source)",
    "CREATE INDEX audit_key ON audit (key) WHERE key <> ''",
    "CREATE INDEX audit_run ON audit (run)",
    """CREATE TABLE run (
       id TEXT PRIMARY KEY, kind TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT NOT NULL DEFAULT '',
       outcome TEXT NOT NULL DEFAULT '', counts TEXT NOT NULL DEFAULT '{}', digest TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT ''
       ) WITHOUT ROWID""",
    # Records to read again on the next run: their rules could not be evaluated, or they belong to something not visible yet.
    """CREATE TABLE recheck (system TEXT, kind TEXT, id TEXT, why TEXT NOT NULL, since TEXT NOT NULL, PRIMARY KEY (system, kind, id))
       WITHOUT ROWID""",
    # What the CRM should say about each object (want) and what we last managed to write (done).
    """CREATE TABLE write_back (system TEXT, kind TEXT, id TEXT, want TEXT NOT NULL, done TEXT NOT NULL DEFAULT '{}', error TEXT NOT NULL DEFAULT '',
       parked INTEGER NOT NULL DEFAULT 0, at TEXT NOT NULL, PRIMARY KEY (system, kind, id)) WITHOUT ROWID""",
    "CREATE INDEX write_back_due ON write_back (system) WHERE want <> done AND parked = 0",
)

# Who works on what: see state/leases.py. A lease nobody holds has no holder and no end.
_LEASES = (
    """CREATE TABLE lease (
       name TEXT PRIMARY KEY, holder TEXT NOT NULL DEFAULT '', fence INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 0,
       expires_at TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
)

# Projects that were published and of which the CRM has not been told yet.
_NEWS = ("CREATE TABLE news (key TEXT PRIMARY KEY) WITHOUT ROWID",)

# What people are to be told. The key is unique for ever: nobody is told twice of one event. A message that has left and whose answer is not known
# has `sent_at` and is still due; it is not sent again.
_NOTICES = (
    """CREATE TABLE notice (
       key TEXT PRIMARY KEY, channel TEXT NOT NULL, source TEXT NOT NULL, rule TEXT NOT NULL, text TEXT NOT NULL, url TEXT NOT NULL DEFAULT '',
       state TEXT NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'given up')), attempts INTEGER NOT NULL DEFAULT 0,
       at TEXT NOT NULL, due_at TEXT NOT NULL, sent_at TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX notice_due ON notice (channel, due_at) WHERE state = 'due'",
    "CREATE INDEX notice_source ON notice (source)",
    # What is wrong with Handoff's own work just now, and when people were last told. `mark` says whether it is still the same.
    """CREATE TABLE alert (kind TEXT, subject TEXT, mark TEXT NOT NULL, text TEXT NOT NULL, since TEXT NOT NULL, told_at TEXT NOT NULL,
       PRIMARY KEY (kind, subject)) WITHOUT ROWID""",
)

# How a record was when a person was first asked about what is planned for it, as JSON; empty for one that waits for anything else.
_HELD = ("ALTER TABLE recheck ADD COLUMN held TEXT NOT NULL DEFAULT ''",)

# Every table and its key.
KEYS = {
    "meta": "key",
    "cursor": "system, kind",
    "snapshot": "system, kind, id",
    "link": "key",
    "intent": "seq",
    "orphan": "nonce",
    "audit": "id",
    "run": "id",
    "recheck": "system, kind, id",
    "write_back": "system, kind, id",
    "lease": "name",
    "news": "key",
    "notice": "key",
    "alert": "kind, subject",
}
MIGRATIONS = (
    Migration("m001_first_tables", _FIRST),
    Migration("m002_leases", _LEASES),
    Migration("m003_news", _NEWS),
    Migration("m004_notices", _NOTICES),
    Migration("m005_held", _HELD),
)
STATE = Schema("handoff", MIGRATIONS, KEYS, alone=True)

# What the hub takes in while somebody else has the state: hints, what is known of each push, approvals, who may look.
_HUB = (
    # Records that may have changed. However often it is told, a record is one row; `revision` says whether it was told again since it was read.
    """CREATE TABLE hint (
       system TEXT, kind TEXT, id TEXT, revision INTEGER NOT NULL DEFAULT 1, count INTEGER NOT NULL DEFAULT 1, first_at TEXT NOT NULL,
       last_at TEXT NOT NULL, PRIMARY KEY (system, kind, id)) WITHOUT ROWID""",
    # What came in by push, per system; `missed` are changes that polling found and no push had told.
    """CREATE TABLE feed (
       system TEXT PRIMARY KEY, since TEXT NOT NULL, deliveries INTEGER NOT NULL DEFAULT 0, events INTEGER NOT NULL DEFAULT 0,
       hints INTEGER NOT NULL DEFAULT 0, last_at TEXT NOT NULL DEFAULT '', missed INTEGER NOT NULL DEFAULT 0, missed_at TEXT NOT NULL DEFAULT ''
       ) WITHOUT ROWID""",
    # What was refused, and why; without a system where the path was unknown.
    """CREATE TABLE refusal (system TEXT, reason TEXT, count INTEGER NOT NULL DEFAULT 0, last_at TEXT NOT NULL, PRIMARY KEY (system, reason))
       WITHOUT ROWID""",
    # What is subscribed to where. `secret` is what the system gave at its handshake, encrypted.
    """CREATE TABLE subscription (
       system TEXT, resource TEXT, id TEXT NOT NULL DEFAULT '', secret TEXT NOT NULL DEFAULT '', expires_at TEXT NOT NULL DEFAULT '',
       checked_at TEXT NOT NULL DEFAULT '', healthy INTEGER NOT NULL DEFAULT 1, detail TEXT NOT NULL DEFAULT '',
       open_until TEXT NOT NULL DEFAULT '', PRIMARY KEY (system, resource)) WITHOUT ROWID""",
    # Plans that wait for a person's word. `subject` is a record, or `run` for a whole plan; `plan` is what the person reads, as JSON.
    """CREATE TABLE approval (
       number INTEGER PRIMARY KEY, subject TEXT NOT NULL, digest TEXT NOT NULL, title TEXT NOT NULL, why TEXT NOT NULL, plan TEXT NOT NULL,
       state TEXT NOT NULL DEFAULT 'waiting'
         CHECK (state IN ('waiting', 'approved', 'rejected', 'expired', 'superseded', 'done')),
       asked_at TEXT NOT NULL, expires_at TEXT NOT NULL, decided_at TEXT NOT NULL DEFAULT '', decided_by TEXT NOT NULL DEFAULT '',
       words TEXT NOT NULL DEFAULT '', flow_run TEXT NOT NULL DEFAULT '')""",
    "CREATE UNIQUE INDEX approval_waiting ON approval (subject) WHERE state = 'waiting'",
    "CREATE INDEX approval_digest ON approval (subject, digest)",
    # Who may look at the hub's pages; of a token only its hash is kept.
    """CREATE TABLE token (
       name TEXT PRIMARY KEY, hash TEXT NOT NULL, role TEXT NOT NULL CHECK (role IN ('reader', 'approver')), created_at TEXT NOT NULL,
       used_at TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
)
HUB_KEYS = {
    "hint": "system, kind, id",
    "feed": "system",
    "refusal": "system, reason",
    "subscription": "system, resource",
    "approval": "number",
    "token": "name",
}
HUB = Schema("hub", (Migration("h001_first_tables", _HUB),), HUB_KEYS, alone=False)
