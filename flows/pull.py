"""Pull: what the CRMs changed since last time, as changes against what was last seen. Nothing is committed here but a baseline's pages."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, tzinfo
from typing import Any, cast

from pydantic import BaseModel

from connectors.base import ConfigError, Source
from engine.events import Change, compare
from engine.hints import suggest
from engine.mapping import CHILDREN, MODELS, Mapper
from engine.model import CrmKind, Customer, Deal, Problem, Record
from flows import hints
from flows.session import Session, worst
from state import Note, Snapshot
from state.codec import moment, stamp
from state.held import sights
from state.inbox import Told

Place = tuple[str, CrmKind]
ORDER: tuple[CrmKind, ...] = ("customer", "contact", "deal", "feedback")


@dataclass(slots=True)
class Pulled:
    """What one pull found, not yet committed.

    `changes` by source; `history` to act on, with the rules that may (None: all); the snapshots and cursors that belong to them;
    `settled` are records that waited to be looked at again and are as they were last seen;
    `backfilled` are the rules whose own backfill is in `history`, with the source it is of; `told` are the hints that were followed and `polled`
    the changes found without them, with their moments; `is_whole` unless just some records were asked for, or a source gave out, of which then
    nothing is in here. `notes` are for the audit trail and `remembered` for meta, with the rest of it.
    """

    changes: dict[str, Change] = field(default_factory=dict)
    history: list[tuple[Change, frozenset[str] | None]] = field(default_factory=list)
    snapshots: dict[Place, dict[str, Snapshot]] = field(default_factory=dict)
    cursors: dict[Place, str] = field(default_factory=dict)
    settled: dict[Place, set[str]] = field(default_factory=dict)
    backfilled: dict[tuple[str, str], date] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    polled: dict[str, datetime] = field(default_factory=dict)
    baselined: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[Note] = field(default_factory=list)
    remembered: dict[str, str] = field(default_factory=dict)
    is_whole: bool = True

    def take(self, part: Pulled) -> None:
        """Add what one source told."""
        self.changes |= part.changes
        self.history += part.history
        self.snapshots |= part.snapshots
        self.cursors |= part.cursors
        self.settled |= part.settled
        self.backfilled |= part.backfilled
        self.told += part.told
        self.polled |= part.polled
        self.notes += part.notes
        self.remembered |= part.remembered


Around = Callable[[Session, Source, Pulled], AbstractAsyncContextManager[None]]


def alone(session: Session, source: Source, part: Pulled) -> AbstractAsyncContextManager[None]:
    """The `Around` of a pull with nothing around it."""
    del session, source, part
    return nullcontext()


async def pull(
    session: Session,
    *,
    only: Sequence[str] = (),
    since: date | None = None,
    pushed: Sequence[str] = (),
    sources: Sequence[str] = (),
    around: Around = alone,
) -> Pulled:
    """Everything that changed, in all `sources` or some; or just the records named (`salesforce:deal:006…`), or those that pushes of some systems
    told of, whose cursors then stay where they are. With `since`, and for rules that look back, history as well. What was told is read in any case,
    but for records named.

    A kind whose history is not recorded yet is recorded first, whatever was named: an old record would pass for a new one. A source that gives
    out leaves nothing but the pages of a baseline; its cursors stay, and the others go on. Raises its error when there are no others.
    `around` is entered for each source before it is read, and left when what it told is in.
    """
    session.forgive("source")
    if unknown := [name for name in sources if name not in session.sources]:
        raise ConfigError([Problem(f"unknown source {name}", hint=suggest(name, list(session.sources))) for name in unknown])
    wanted = [name for name in session.sources if name in (pushed or sources or session.sources)]
    total, looked_back = Pulled(is_whole=not (only or pushed) and len(wanted) == len(session.sources)), _looked_back(session)
    for name in wanted:
        source = session.sources[name]
        part = Pulled(told=[] if only else hints.take(session, name))
        with session.apart("source", name):
            async with around(session, source, part):
                await _pull(session, source, part, only, pushed=bool(pushed))
            if since is not None:
                await _backfill(session, source, since, part, only=only)
            if not (only or pushed):
                await _look_back(session, source, part, looked_back)
            named = only or ([told.source for told in part.told] if pushed else None)
            await _go_on_waiting(session, source, part, named)
            total.take(part)
        total.is_whole = total.is_whole and not session.has_failed("source", name)
        total.counts.update(part.counts)
        total.baselined.update({_recorded(session, name, kind): count for kind, count in part.baselined.items()})
    if session.sources and not session.standing_sources:
        raise worst(session.failures.values())
    return total


async def _pull(session: Session, source: Source, pulled: Pulled, only: Sequence[str], *, pushed: bool) -> None:
    for kind in sorted(source.kinds, key=ORDER.index):
        puller = Puller(session, source, kind, pulled)
        hinted = [told.hint.id for told in pulled.told if told.hint.kind == kind]
        if only and puller.is_baselined():
            await puller.read([name.split(":", 2)[2] for name in only if name.startswith(f"{source.system}:{kind}:")])
        elif pushed and puller.is_baselined():
            await puller.read(hinted)
        else:
            await puller.pull()
            await puller.read([id_ for id_ in hinted if id_ not in puller.seen])
    await _follow_customers(session, pulled)


def _recorded(session: Session, system: str, kind: str) -> str:
    """What a baseline's count is of: `deal`, or `salesforce deal` where there are others."""
    return kind if len(session.sources) == 1 else f"{system} {kind}"


class Puller:
    """One kind of one source."""

    def __init__(self, session: Session, source: Source, kind: CrmKind, pulled: Pulled) -> None:
        self._session = session
        self._source = source
        self._place: Place = (source.system, kind)
        self._kind = kind
        self._pulled = pulled
        self._mapper = session.mappers[source.system]
        self._customers: dict[str, Customer] = {}
        self.seen: set[str] = set()

    @property
    def _mark(self) -> str:
        return f"baseline:{self._source.system}:{self._kind}"

    @property
    def _mapped(self) -> str:
        return f"mapping:{self._source.system}:{self._kind}"

    def is_baselined(self) -> bool:
        return self._session.store.meta(self._mark) is not None

    def is_settled(self) -> bool:
        """Whether what is known was recorded, and by the mapping as it is: else whatever the CRM shows would pass for a change."""
        return self.is_baselined() and self._session.store.meta(self._mapped) in (None, self._mapping())

    async def pull(self) -> None:
        if not self.is_baselined():
            self._note_mapping(anew=False)
            await self._baseline(self._mark)
            return
        if self._note_mapping(anew=False) != self._mapping():
            await self._map_anew()
        await self._recheck()
        async for page in self._source.pull(self._kind, self._session.store.cursor(*self._place)):
            await self.take(page.records)
            self.seen.update(record.id for record in page.records)
            self._pulled.polled |= {_source(one): one.modified_at for one in page.records if _source(one) in self._pulled.changes}
            self._pulled.cursors[self._place] = page.cursor
            self._session.progress(f"reading {self._kind}s", len(page.records), page.total)

    async def read(self, ids: Sequence[str]) -> set[str]:
        """Compare these with what is known; gives those the CRM showed."""
        found = await self._source.read(self._kind, ids) if ids else ()
        await self.take(found)
        return {record.id for record in found}

    async def _recheck(self) -> None:
        waiting = self._session.store.recheck(*self._place)
        if not waiting:
            return
        found = await self._source.read(self._kind, list(waiting))
        await self.take(found)
        # what the CRM does not show keeps waiting: it may be back, and absence is no deletion
        seen = {record.id for record in found}
        self._pulled.settled[self._place] = seen - self._pulled.snapshots.get(self._place, {}).keys()

    # a baseline records history and acts on none of it

    async def _baseline(self, mark: str) -> None:
        store, now = self._session.store, self._session.runtime.clock()
        async for page in self._source.pull(self._kind, store.cursor(*self._place)):
            mapped = [(record, self._mapper.map(record)) for record in page.records if not record.deleted]
            snapshots = [_snapshot(record, found.value) for record, found in mapped]
            notes = [Note(_source(record), "", "", "issue", "; ".join(found.issues)[:500]) for record, found in mapped if found.issues]
            with self._session.reader.transaction():
                store.save_snapshots(*self._place, snapshots, now)
                store.save_cursor(*self._place, page.cursor, now)
                store.note(self._session.run, notes, now)
            self._pulled.baselined[self._kind] += len(snapshots)
            self._pulled.counts["issues"] += len(notes)
            self._session.progress(f"recording {self._kind}s", len(page.records), page.total)
        with self._session.reader.transaction():
            store.save_meta(mark, stamp(now))
            store.note(
                self._session.run, [Note("", "", "", "baseline", f"{self._pulled.baselined[self._kind]} {self._kind}s recorded")], now
            )

    # an edit of the mapping is no change of any record

    async def _map_anew(self) -> None:
        """Record what is known as the edited mapping has it, and act on none of it. What changed in the CRM since it was last seen is left alone:
        that is a change, and comes with the increment."""
        store, now = self._session.store, self._session.runtime.clock()
        async for page in self._source.pull(self._kind, None):
            known = store.snapshots(*self._place, [record.id for record in page.records])
            pairs = [(known[record.id], record) for record in page.records if record.id in known and not record.deleted]
            fresh = [snapshot for before, record in pairs if (snapshot := self._anew(before, record)) is not None]
            with self._session.reader.transaction():
                store.save_snapshots(*self._place, fresh, now)
            self._session.progress(f"mapping {self._kind}s anew", len(page.records), page.total)
        self._note_mapping(anew=True)

    def _anew(self, known: Snapshot, record: Record) -> Snapshot | None:
        """None when nothing is different, or when more than the mapping is: a later version, or other children (they leave no mark on it)."""
        value = self._mapper.map(record).value
        snapshot = _snapshot(record, value)
        if known.deleted or snapshot.hash == known.hash or snapshot.modified_at != known.modified_at:
            return None
        before = revive(self._kind, known.data)
        return snapshot if all(getattr(before, name, ()) == getattr(value, name, ()) for name in CHILDREN) else None

    def _mapping(self) -> str:
        spec = self._session.configuration.mappings[self._source.system].read[self._kind]
        return hashlib.blake2b(spec.model_dump_json().encode(), digest_size=16).hexdigest()

    def _note_mapping(self, *, anew: bool) -> str:
        """The mapping that made the snapshots; the present one where none is noted yet, or when they are made `anew`."""
        store, mark = self._session.store, self._mapped
        noted = store.meta(mark)
        if noted is None or anew:
            with self._session.reader.transaction():
                store.save_meta(mark, noted := self._mapping())
        return noted

    # an increment

    async def take(self, records: Sequence[Record]) -> None:
        """Compare records with what is known; what is different is a change. What was taken later counts."""
        self._pulled.counts["read"] += len(records)
        known = self._session.store.snapshots(*self._place, [record.id for record in records])
        found = [change for record in records if (change := self._compare(record, known.get(record.id))) is not None]
        for change in await self.with_customers(found):
            self._pulled.changes[change.source] = change

    def _compare(self, record: Record, known: Snapshot | None) -> Change | None:
        pending = self._pulled.snapshots.setdefault(self._place, {})
        was_deleted, bare = bool(known and known.deleted), replace(record, fields={})  # what it held is in the snapshot
        if record.deleted:
            if known is None or (known.deleted and known.merged_into == record.merged_into):
                self._nothing_new(record)
                return None
            pending[record.id] = _buried(known, record)
            return compare(bare, revive(self._kind, known.data), None, was_deleted=was_deleted, since=known.modified_at)
        mapped = self._mapper.map(record)
        snapshot = _snapshot(record, mapped.value)
        if known and known.hash == snapshot.hash and not known.deleted:
            self._nothing_new(record)
            if known.modified_at != snapshot.modified_at:
                pending[record.id] = snapshot  # what it holds is known, and as of now
            return None
        pending[record.id] = snapshot
        self._pulled.counts["issues"] += bool(mapped.issues)
        before = revive(self._kind, known.data) if known else None
        since = known.modified_at if known else ""
        return compare(bare, before, mapped.value, was_deleted=was_deleted, issues=mapped.issues, since=since)

    def _nothing_new(self, record: Record) -> None:
        """As it was last seen, whatever an earlier page of this pull said of it."""
        self._pulled.snapshots[self._place].pop(record.id, None)
        self._pulled.changes.pop(_source(record), None)

    def history(self, since: date) -> Iterator[Change]:
        """Every known record whose present state came about on or after `since`, as a change from nothing."""
        past = self._past(self._session.store.all_snapshots(*self._place))
        return (change for change in past if change.at.astimezone(self._session.zone).date() >= since)

    def past_of(self, ids: Iterable[str]) -> Iterator[Change]:
        """Likewise, of the records named."""
        return self._past(self._session.store.snapshots(*self._place, ids).values())

    def _past(self, known: Iterable[Snapshot]) -> Iterator[Change]:
        system, kind = self._place
        fresh = self._pulled.snapshots.get(self._place, {})
        for stored in known:
            snapshot = fresh.get(stored.id, stored)
            value = revive(kind, snapshot.data)
            at = _happened(value, snapshot, self._session.zone)
            if not snapshot.deleted:
                change = compare(Record(system, kind, snapshot.id, snapshot.hash, at, {}, value.url), None, value)
                yield Change(change.record, None, value, change.events, at)

    async def with_customers(self, changes: Sequence[Change]) -> list[Change]:
        if self._kind == "customer":
            return list(changes)
        ids = {
            value.customer_id for change in changes for value in (change.before, change.after) if value is not None and value.customer_id
        }
        self._customers |= await customers_of(self._session, self._source, ids - self._customers.keys(), self._pulled)
        return [_attach(change, self._customers) for change in changes]


async def customers_of(session: Session, source: Source, ids: Iterable[str], pulled: Pulled) -> dict[str, Customer]:
    """Customers by id: as pulled in this run, as last seen, or read now. Those nobody can see are missing."""
    wanted = list(dict.fromkeys(ids))
    place: Place = (source.system, "customer")
    fresh, waits = pulled.snapshots.get(place, {}), session.store.recheck(*place)
    known = {**session.store.snapshots(*place, wanted), **{i: s for i, s in fresh.items() if i in wanted}}
    found = {id_: cast("Customer", revive("customer", snapshot.data)) for id_, snapshot in known.items()}
    # of one that waits to be looked at again, what was last seen is not how it is
    missing = [id_ for id_ in wanted if id_ not in found or (id_ in waits and id_ not in fresh)]
    if missing and "customer" in source.kinds:
        mapper: Mapper = session.mappers[source.system]
        records = await source.read("customer", missing)
        found.update({record.id: mapper.map(record).value for record in records if not record.deleted})
    return found


async def _follow_customers(session: Session, pulled: Pulled) -> None:
    """Projects of deals show their customer: one that changed, or came late, is a change, without an event, of each deal with a project."""
    for change in [change for change in pulled.changes.values() if change.record.kind == "customer" and change.after]:
        system = change.record.system
        deals = session.store.of_customer(system, change.record.id)
        sources = [f"{system}:deal:{id_}" for id_ in deals]
        with_project = {link.source for link in session.outbox.projects_of(sources)} - pulled.changes.keys()
        ids = [name.split(":", 2)[2] for name in with_project]
        for id_, snapshot in session.store.snapshots(system, "deal", ids).items():
            if snapshot.deleted:
                continue
            deal = revive("deal", snapshot.data)
            record = Record(system, "deal", id_, change.record.version, change.record.modified_at, {}, deal.url)
            before, after = deal.model_copy(update={"customer": change.before}), deal.model_copy(update={"customer": change.after})
            pulled.changes[f"{system}:deal:{id_}"] = Change(record, before, after, (), change.at)


async def _look_back(session: Session, source: Source, pulled: Pulled, looked_back: set[tuple[str, str]]) -> None:
    """Add what happened in a source since the day each rule names, once."""
    for rule in session.configuration.rules.rules:
        if rule.backfill is not None and rule.enabled and (rule.name, source.system) not in looked_back:
            await _backfill(session, source, rule.backfill, pulled, rules=frozenset({rule.name}))
            pulled.backfilled[rule.name, source.system] = rule.backfill


async def _backfill(
    session: Session, source: Source, since: date, pulled: Pulled, *, only: Sequence[str] = (), rules: frozenset[str] | None = None
) -> None:
    """Add what happened on or after `since`, from what is known, as if it were seen for the first time; for all rules or those named."""
    for kind in source.kinds:
        puller = Puller(session, source, kind, pulled)
        due = [change for change in puller.history(since) if not only or change.source in only]
        pulled.history.extend((change, rules) for change in await puller.with_customers(due))


async def _go_on_waiting(session: Session, source: Source, pulled: Pulled, named: Sequence[str] | None) -> None:
    """What is held by what was planned for its history is history in this pull as well."""
    known = {(change.source, among) for change, among in pulled.history}
    held = {name: sight for name, sight in sights(session.store).items() if sight.past and (named is None or name in named)}
    for kind in source.kinds:
        prefix = f"{source.system}:{kind}:"
        puller = Puller(session, source, kind, pulled)
        past = puller.past_of(name.removeprefix(prefix) for name in held if name.startswith(prefix))
        for change in await puller.with_customers(list(past)):
            amongs = [frozenset(names) if names is not None else None for names in held[change.source].past]
            pulled.history.extend((change, among) for among in amongs if (change.source, among) not in known)


def _looked_back(session: Session) -> set[tuple[str, str]]:
    """Which rules have looked back into which source. A mark without a source is of those whose history was recorded by then: look before any
    other is."""
    store, found = session.store, set()
    known = [name for name, source in session.sources.items() if any(store.meta(f"baseline:{name}:{kind}") for kind in source.kinds)]
    for rule in session.configuration.rules.rules:
        of_all = store.meta(f"backfilled:{rule.name}")
        found |= {
            (rule.name, name) for name in session.sources if store.meta(f"backfilled:{rule.name}:{name}") or (of_all and name in known)
        }
        if of_all and session.reader.is_reading:
            with session.reader.transaction():
                for name in known:
                    store.save_meta(f"backfilled:{rule.name}:{name}", of_all)
                store.save_meta(f"backfilled:{rule.name}", "")
    return found


def _happened(value: Any, snapshot: Snapshot, zone: tzinfo) -> datetime:
    """When a record's present state came about: a closed deal's closing, else its creation, else its last modification."""
    if isinstance(value, Deal) and value.status != "open":
        if value.close_date is not None:
            return datetime.combine(value.close_date, time(12), zone)
        entered = [entry.at for entry in value.stage_history if entry.stage == value.stage]
        if entered:
            return max(entered)
    created = getattr(value, "created_at", None)
    return cast("datetime", created) if created is not None else moment(snapshot.modified_at)


def _attach(change: Change, customers: dict[str, Customer]) -> Change:
    before, after = (_with_customer(value, customers) for value in (change.before, change.after))
    return replace(change, before=before, after=after)


def _with_customer(value: Any, customers: dict[str, Customer]) -> Any:
    if value is None or not getattr(value, "customer_id", ""):
        return value
    return value.model_copy(update={"customer": customers.get(value.customer_id)})


def revive(kind: CrmKind, data: str) -> Any:
    return MODELS[kind].model_validate_json(data)


def _source(record: Record) -> str:
    return f"{record.system}:{record.kind}:{record.id}"


def _snapshot(record: Record, value: BaseModel) -> Snapshot:
    data = value.model_dump_json(exclude_defaults=True)
    digest = hashlib.blake2b(data.encode(), digest_size=16).hexdigest()
    return Snapshot(record.id, digest, data, getattr(value, "customer_id", ""), modified_at=stamp(record.modified_at))


def _buried(known: Snapshot, record: Record) -> Snapshot:
    return Snapshot(
        known.id, known.hash, known.data, known.customer, deleted=True, merged_into=record.merged_into, modified_at=known.modified_at
    )
