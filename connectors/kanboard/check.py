"""Whether the connection and the mapping fit this Kanboard, and what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.base import ConfigError, Description, FieldInfo, ObjectInfo, Rejected, Report
from connectors.kanboard.connection import Connection, FieldMap
from connectors.kanboard.rpc import MOST, Api, read, whole
from connectors.kanboard.shapes import KEY
from connectors.kanboard.site import Site
from engine.model import Problem

_TESTED = "1.2.51"


async def check(connection: Connection, api: Api, site: Site) -> Report:
    """Who we are. Raises ConfigError with everything that is wrong, AuthError when the token is."""
    version = str(whole((await api.run([read("getVersion")]))[0]))
    await site.load()
    problems = [
        Problem(
            f"Kanboard has no kind of links called {label!r}", hint=f"it has {', '.join(sorted(site.labels))}", path=("connection", name)
        )
        for name, label in (("waits_for", connection.waits_for), ("part_of", connection.part_of))
        if label not in site.labels
    ]
    if problems:
        raise ConfigError(problems, system="kanboard")
    site.resolve(connection.members)
    missing = sorted(set(connection.members) & site.unknown)
    warnings = [f"nobody active has the e-mail {email}; projects are not shared with them" for email in missing]
    if len(missing) == len(connection.members):
        warnings.append("nobody in `members`: only a project's owner, its followers and those its tasks are for will see it")
    return Report(await _identity(connection, api), _facts(version, site), tuple(warnings))


async def describe(connection: Connection, api: Api, site: Site, fields: Mapping[str, FieldMap]) -> Description:
    """What a blueprint can set. Columns belong to single projects, so there are no stages to tell of.

    Metadata need no set-up: told of are those the mapping names and those the latest projects have.
    """
    await site.load()
    names = {one.custom_field for one in fields.values()} | await _entries(api)
    custom = tuple(FieldInfo(name, name, "metadata", custom=True) for name in sorted(names - {KEY}))
    project = ObjectInfo("project", "Project", (*_PROJECT, *custom), "project")
    milestone = FieldInfo("milestone", f"Tag “{connection.milestone_tag}”", "tag")
    task = ObjectInfo("task", "Task", (*_TASK, milestone), "task")
    column = ObjectInfo("column", "Column", (FieldInfo("name", "Title", "string", required=True),), "section")
    comment = ObjectInfo("comment", "Comment", (FieldInfo("text", "Comment", "Markdown", required=True),), "comment")
    return Description((project, column, task, comment), (), tuple(site.members()))


async def _entries(api: Api) -> set[str]:
    """The names of the metadata of the projects touched last."""
    projects = sorted(await api.one(read("getAllProjects")) or (), key=lambda row: row["last_modified"], reverse=True)
    replies = await api.run([read("getProjectMetadata", project_id=row["id"]) for row in projects[:MOST]])
    return {name for reply in replies if not isinstance(reply, Rejected) for name in whole(reply) or ()}


_PROJECT = (
    FieldInfo("name", "Name", "string", required=True),
    FieldInfo("notes", "Description", "Markdown"),
    FieldInfo("start_on", "Start date", "date"),
    FieldInfo("due_on", "End date", "date"),
    FieldInfo("owner", "Project owner", "user"),
    FieldInfo("followers", "Members", "users"),
)
_TASK = (
    FieldInfo("name", "Title", "string", required=True),
    FieldInfo("notes", "Description", "Markdown"),
    FieldInfo("start_on", "Start date", "date and time"),
    FieldInfo("due_on", "Due date", "date and time"),
    FieldInfo("assignee", "Assignee", "user"),
)


async def _identity(connection: Connection, api: Api) -> str:
    if connection.is_application:
        return "the application itself"
    me = whole((await api.run([read("getMe")]))[0])
    if not isinstance(me, dict):
        raise Rejected("Kanboard does not say who the token's user is", field="login")
    return f"{me.get('name') or me.get('username')} <{me.get('email') or me.get('username')}>"


def _facts(version: str, site: Site) -> tuple[str, ...]:
    tested = "" if version.startswith(_TESTED) else f", tested with {_TESTED}"
    return (f"Kanboard {version}{tested}", f"days are those of {site.zone}", f"{len(site.members())} people")
