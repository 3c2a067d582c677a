"""Tell the CRM: where the project is, how far it is. Absolute values, batched, only what differs from what was last written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from connectors.base import AuthError, ConnectorError, Gone, LeaseLost, Progress, QuotaExhausted, Rejected, Source, StateError, Target
from engine.model import CrmKind, Value, WriteBack
from flows import finished
from flows.parts import family, link_parts, note, overall
from flows.session import Session
from state import Link

_CHUNK = 200


async def listen(session: Session) -> None:
    """Start hearing of changes in tools not heard before, so that progress made from now on is noticed."""
    for name, target in session.standing_targets.items():
        if session.store.meta(_cursor(target)) is None:
            with session.apart("target", name):
                changed = await target.changes(None)
                with session.reader.transaction():
                    session.store.save_meta(_cursor(target), changed.cursor)


async def follow_progress(session: Session) -> Counter[str]:
    """Note the progress of every published project that changed in its tool, and what the CRM should say about each new one.

    Decide that the parts of a project name each other as soon as people can see them; `counts["linked"]` says how many are to.
    """
    counts: Counter[str] = Counter()
    for name, target in session.standing_targets.items():
        with session.apart("target", name):
            counts.update(await _follow(session, target))
    return counts


async def _follow(session: Session, target: Target) -> Mapping[str, int]:
    changed = await target.changes(session.store.meta(_cursor(target)), locate=partial(session.outbox.locate, target.system))
    links = {link.remote_id: link for link in session.outbox.published(target.system)} if not changed.complete else {}
    touched = session.outbox.by_remote(target.system, sorted(changed.projects))
    links = links or {id_: link for id_, link in touched.items() if link.published_at}
    seen = await target.progress(sorted(links)) if links else []
    fresh = session.outbox.news(target.system)
    with session.reader.transaction():
        for progress in seen:
            finished.note(session, links[progress.project], progress)
            _want(session, links[progress.project], progress)
        for link in fresh:
            if link.remote_id not in links:
                _want(session, link, Progress(link.remote_id, 0, session.outbox.count_tasks(link.item.key)))
        links_due = [action for link in fresh for action in link_parts(session, link)]
        session.outbox.decide(links_due, session.run, session.runtime.clock())
        session.outbox.told(fresh)
        session.store.save_meta(_cursor(target), changed.cursor)
    return {"progress": len(seen), "linked": len({action.item.key for action in links_due})}


def _cursor(target: Target) -> str:
    return f"changes:{target.system}"


def _want(session: Session, link: Link, progress: Progress) -> None:
    parts = family(session, link)
    if len(parts) > 1:
        note(session, link, progress)
        link, progress = parts[0], overall(session, parts)
    system, kind, id_ = link.source.split(":", 2)
    if system not in session.sources or not link.published_at or not _is_first(session, link):
        return
    fields = session.configuration.mappings[system].write_back.get(_kind(kind), {})
    values = _values(link, progress)
    row = WriteBack(_kind(kind), id_, {theirs: values[ours] for ours, theirs in fields.items() if ours in values})
    if row.fields:
        session.store.want_back(system, [row], session.runtime.clock())


def _is_first(session: Session, link: Link) -> bool:
    """A CRM object shows one project: the first one made for it."""
    others = session.outbox.projects_of([link.source])
    return min(others, key=lambda other: (other.event_at, other.item.key)).item.key == link.item.key


def _values(link: Link, progress: Progress) -> Mapping[str, Value]:
    status = "complete" if progress.is_complete else progress.status or "in_progress"
    percent = 100 * progress.done // progress.total if progress.total else 0
    return {"project_url": link.url, "project_status": status, "progress": percent, "project_key": link.item.key}


def _kind(kind: str) -> CrmKind:
    return "customer" if kind == "customer" else "feedback" if kind == "feedback" else "deal"


async def write_back(session: Session) -> Counter[str]:
    """Write what is due. A refused row is parked and told; everything else goes on."""
    counts: Counter[str] = Counter()
    for name, source in session.standing_sources.items():
        with session.apart("source", name):
            await _write_back(session, name, source, counts)
    return counts


async def _write_back(session: Session, name: str, source: Source, counts: Counter[str]) -> None:
    due = session.store.due_back(name)
    for start in range(0, len(due), _CHUNK):
        if session.stop.asked:
            return
        chunk = due[start : start + _CHUNK]
        answers = await _written(source, chunk)
        counts.update(_settle(session, name, chunk, answers))
        session.progress("writing back", len(chunk), len(due))


async def _written(source: Source, chunk: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
    try:
        return await source.write_back(chunk)
    except (AuthError, QuotaExhausted, LeaseLost, StateError):
        raise
    except ConnectorError as error:
        return [error] * len(chunk)


def _settle(session: Session, system: str, rows: Iterable[WriteBack], answers: Sequence[ConnectorError | None]) -> Counter[str]:
    counts: Counter[str] = Counter()
    now = session.runtime.clock()
    with session.reader.transaction():
        for row, error in zip(rows, answers, strict=True):
            why = "" if error is None else str(error) or type(error).__name__  # an error without words is an error still
            session.store.settle_back(system, row, why, park=isinstance(error, Rejected | Gone), now=now)
            counts["written back" if error is None else "write-back refused" if isinstance(error, Rejected) else "write-back later"] += 1
    return counts
