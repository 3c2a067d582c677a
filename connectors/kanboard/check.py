"""Whether the connection and the mapping fit this Kanboard, and what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.base import ConfigError, Description, FieldInfo, ObjectInfo, Rejected, Report
from connectors.kanboard.connection import Connection, FieldMap
from connectors.kanboard.rpc import Api, read, whole
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


async def describe(connection: Connection, site: Site, fields: Mapping[str, FieldMap]) -> Description:
    """What a blueprint can set. Columns belong to single projects, so there are no stages to tell of."""
    await site.load()
    custom = tuple(FieldInfo(name, one.custom_field, "metadata", custom=True, choices=dict(one.values)) for name, one in fields.items())
    project = ObjectInfo("project", "Project", (*_PROJECT, *custom), "project")
    milestone = FieldInfo("milestone", f"Tag “{connection.milestone_tag}”", "tag")
    task = ObjectInfo("task", "Task", (*_TASK, milestone), "task")
    column = ObjectInfo("column", "Column", (FieldInfo("name", "Title", "string", required=True),), "section")
    comment = ObjectInfo("comment", "Comment", (FieldInfo("text", "Comment", "Markdown", required=True),), "comment")
    return Description((project, column, task, comment), (), tuple(site.members()))


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
