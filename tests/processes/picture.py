"""What people and the CRM see after all is said and done, without ids: alike after any history that ends well."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from tests.flows.world import World


def picture(world: World) -> dict[str, dict[str, Any]]:
    """Three parts, by name: `shown`, how often each project was ever visible; `projects`, what is in each; `told`, what the CRM was told."""
    board, shown = world.board, world.shown()
    projects = {board.projects[gid]["name"]: _project(world, gid) for gid in world.projects()}
    return {"shown": dict(Counter(shown)), "projects": projects, "told": _told(world)}


def _project(world: World, gid: str) -> dict[str, Any]:
    board = world.board
    project, sections = board.projects[gid], board.sections_of[gid]
    return {
        "notes": project["notes"],
        "privacy": project["privacy_setting"],
        "owner": project["owner"],
        "due": project["due_on"],
        "sections": [board.sections[each]["name"] for each in sections],
        "tasks": sorted((_task(world, task) for task in world._tasks(gid)), key=str),
    }


def _task(world: World, task: dict[str, Any]) -> dict[str, Any]:
    board = world.board
    names = {"in": [home["section"] for home in task["memberships"]], "under": [task["parent"]], "after": task["dependencies"]}
    named = {what: sorted(_name(world, gid) for gid in gids if gid) for what, gids in names.items()}
    comments = [
        board.stories[gid]["text"] for gid in board.stories_of[task["gid"]] if board.stories[gid]["resource_subtype"] == "comment_added"
    ]
    kept = {field: task[field] for field in ("name", "notes", "assignee", "due_on", "start_on", "resource_subtype")}
    return {**kept, **named, "comments": comments}


def _name(world: World, gid: str) -> str:
    record = world.board.sections.get(gid) or world.board.tasks[gid]
    return str(record["name"])


def _told(world: World) -> dict[str, Any]:
    found = {}
    for deal in world.org.rows("Opportunity"):
        url = deal.get("Handoff_Project_URL__c") or ""
        project = next((gid for gid in re.findall(r"\d{6,}", url) if gid in world.board.projects), "")
        name = world.board.projects[project]["name"] if project else ""
        found[deal["Name"]] = (name, *(deal.get(f"Handoff_{what}__c") for what in ("Status", "Progress", "Key")))
    return found
