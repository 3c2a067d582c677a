"""The sync-state store: what was seen, what was decided, what was done."""

from state.continuity import Continuity, Doubt
from state.leases import Lease, Leases
from state.notices import Notices
from state.outbox import Outbox
from state.rows import Intent, Link, Outcome
from state.store import Note, Run, Snapshot, Store

__all__ = ["Continuity", "Doubt", "Intent", "Lease", "Leases", "Link", "Note", "Notices", "Outbox", "Outcome", "Run", "Snapshot", "Store"]
