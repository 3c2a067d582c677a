"""Projects as people see them: what we made, with what the tool holds of it now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.base import Remote, Target
from engine.model import Item
from flows.view import ProjectView, SectionView, TaskView
from state import Link, Outbox


async def pictures(outbox: Outbox, target: Target, links: Sequence[Link], *, titles: Mapping[str, tuple[str, str]]) -> list[ProjectView]:
    """A view of each project, read from the tool. `titles` gives customer and CRM address by source."""
    found = []
    for link in links:
        held = {remote.id: remote for remote in await target.children(link.remote_id)}
        found.append(picture(link, outbox.project_links(link.item.key), held, titles.get(link.source, ("", ""))))
    return found


def picture(project: Link, links: Mapping[str, Link], held: Mapping[str, Remote], title: tuple[str, str]) -> ProjectView:
    fields = project.item.fields
    names = {key: str(link.item.fields.get("name", key)) for key, link in links.items()}
    waits = {
        link.item.parent: tuple(names[key] for key in link.item.depends_on) for link in links.values() if link.item.kind == "dependency"
    }
    tasks = [link for link in links.values() if link.item.kind == "task"]
    sections = [link for link in links.values() if link.item.kind == "section"]
    return ProjectView(
        key=project.item.key,
        name=str(fields.get("name", "")),
        url=project.url,
        customer=title[0],
        context_markdown=str(fields.get("notes", "")),
        owner=str(fields.get("owner", "")),
        start_on=fields.get("start_on"),
        due_on=fields.get("due_on"),
        sections=tuple(
            SectionView(names[section.item.key], _tasks(section.item.key, tasks, held, waits)) for section in _in_order(sections, held)
        ),
        why=f"{project.event} · {project.why}",
        source_url=title[1],
        blueprint=project.blueprint,
    )


def _tasks(section: str, tasks: Sequence[Link], held: Mapping[str, Remote], waits: Mapping[str, tuple[str, ...]]) -> tuple[TaskView, ...]:
    inside = [link for link in tasks if link.item.section == section]
    return tuple(_task(link, tasks, held, waits) for link in sorted(inside, key=lambda link: _when(link.item)))


def _task(link: Link, tasks: Sequence[Link], held: Mapping[str, Remote], waits: Mapping[str, tuple[str, ...]]) -> TaskView:
    remote = held.get(link.remote_id)
    fields: Mapping[str, Any] = {**link.item.fields, **(remote.fields if remote else {})}
    inner = [other for other in tasks if other.item.parent == link.item.key]
    return TaskView(
        key=link.item.key,
        name=str(fields.get("name", "")),
        assignee=str(fields.get("assignee", "")),
        start_on=fields.get("start_on"),
        due_on=fields.get("due_on"),
        done=bool(fields.get("completed")),
        milestone=bool(fields.get("milestone")),
        waits_for=waits.get(link.item.key, ()),
        subtasks=tuple(_task(other, tasks, held, waits) for other in inner),
        notes_markdown=str(link.item.fields.get("notes", "")),
        url=link.url,
    )


def _when(item: Item) -> tuple[str, str]:
    start = item.fields.get("start_on") or item.fields.get("due_on")
    return (str(start or "9999"), str(item.fields.get("due_on") or "9999"))


def _in_order(sections: Iterable[Link], held: Mapping[str, Remote]) -> list[Link]:
    """As the tool shows them."""
    order = {id_: position for position, id_ in enumerate(held)}
    return sorted(sections, key=lambda link: order.get(link.remote_id, len(order)))
