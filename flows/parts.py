"""The parts of a project that lives in several tools: that their projects name each other, and how far they are together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from connectors.base import Progress
from engine.model import Action, ProjectStatus
from engine.parts import main_of, with_links
from flows.session import Session
from state import Link
from state.codec import dump, load

_WORST: Sequence[ProjectStatus] = ("off_track", "at_risk", "on_hold", "on_track", "dropped")


def family(session: Session, link: Link) -> list[Link]:
    """A project and its parts, the main one first."""
    mine = main_of(link.item.key)
    return sorted((one for one in session.outbox.projects_of([link.source]) if main_of(one.item.key) == mine), key=lambda one: one.item.key)


def link_parts(session: Session, fresh: Link) -> Iterator[Action]:
    """What makes the parts that people can see name each other, now that one more can be seen: an update of the notes of each.

    Decided in the transaction that takes the news of the last of them, so once; merged when it is sent, so that notes a person edited stay.
    """
    visible = [one for one in family(session, fresh) if one.published_at and one.target in session.targets]
    for one in visible if len(visible) > 1 else ():
        if "notes" not in session.targets[one.target].traits.fields.get("project", {"notes"}):
            continue
        before = str(one.item.fields.get("notes", ""))
        notes = with_links(before, [(other.item.key, other.target, other.url) for other in visible if other is not one])
        if notes != before:
            yield _update(one, notes)


def _update(link: Link, notes: str) -> Action:
    item = replace(link.item, fields={**link.item.fields, "notes": notes})
    why = "its parts name each other"
    about = (link.source, link.blueprint, link.event, link.event_at, link.rule, why)
    return Action("update", item, link.target, *about, {"notes": notes}, {"notes": "in_step"})


def note(session: Session, link: Link, progress: Progress) -> None:
    """Keep how far one part is; the others are not asked when it moves."""
    told = {"done": progress.done, "total": progress.total, "status": progress.status, "completed": progress.completed}
    session.store.save_meta(_mark(link), dump(told))


def overall(session: Session, parts: Sequence[Link]) -> Progress:
    """All parts as one: tasks are added up, the status is the worst of those not complete, and it is complete when all are."""
    every = [_noted(session, link) for link in parts]
    going = [one for one in every if not one.is_complete]
    status = next((each for each in _WORST if any(one.status == each for one in going)), None)
    total = sum(one.total for one in every)
    done = sum(one.done for one in every) if going else total
    return Progress(parts[0].remote_id, done, total, status, completed=not going)


def _noted(session: Session, link: Link) -> Progress:
    told = session.store.meta(_mark(link))
    if told is None:
        return Progress(link.remote_id, 0, session.outbox.count_tasks(link.item.key))
    return Progress(link.remote_id, **load(told))


def _mark(link: Link) -> str:
    return f"progress:{link.item.key}"
