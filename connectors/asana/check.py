"""Whether the connection and the mapping fit the workspace. Every problem at once, each at its place in `mappings/asana.yaml`."""

from __future__ import annotations

from connectors.asana.batch import Api, get
from connectors.asana.connection import Connection
from connectors.asana.fields import Fields
from connectors.asana.people import People
from connectors.base import ConfigError, Rejected, Report
from engine.model import Problem

_UNTRIED = "dependencies, start dates and custom fields may need a paid plan; Asana tells only when they are first written"


async def check(connection: Connection, api: Api, fields: Fields, people: People) -> Report:
    """Who we are. Raises ConfigError with everything that is wrong, AuthError when the token is."""
    me = (await api.one(get("/users/me", ("name", "email", "workspaces.gid", "workspaces.name"))))["data"]
    problems = _workspace(connection, me.get("workspaces") or ())
    if not problems:
        problems = [*await _team(connection, api), *await _fields(connection, fields)]
        await people.resolve(connection.members)
    if problems:
        raise ConfigError(problems, system="asana")
    return Report(f"{me.get('name')} <{me.get('email')}>", _facts(connection, me), tuple(_warnings(connection, people)))


def _workspace(connection: Connection, workspaces: object) -> list[Problem]:
    rows = list(workspaces) if isinstance(workspaces, list | tuple) else []
    if any(row["gid"] == connection.workspace for row in rows):
        return []
    seen = ", ".join(f"{row['gid']} ({row.get('name', '')})" for row in rows) or "none"
    return [Problem(f"the token sees no workspace {connection.workspace}", hint=f"it sees {seen}", path=("connection", "workspace"))]


async def _team(connection: Connection, api: Api) -> list[Problem]:
    if not connection.team:
        return []
    try:
        await api.one(get(f"/teams/{connection.team}", ("name",)))
    except Rejected:
        hint = "copy the gid from the team's address in Asana, and let the token's user join it"
        return [Problem(f"the token sees no team {connection.team}", hint=hint, path=("connection", "team"))]
    return []


async def _fields(connection: Connection, fields: Fields) -> list[Problem]:
    await fields.load()
    problems = fields.problems()
    if connection.key == "custom_field":
        found = fields.find(connection.key_field or "")
        if found is None or found.type != "text":
            words = f"custom field {connection.key_field!r} does not exist or is not a text field, so it cannot carry keys"
            problems.append(Problem(words, path=("connection", "key_field")))
    return problems


def _facts(connection: Connection, me: dict[str, object]) -> tuple[str, ...]:
    rows = me.get("workspaces")
    name = next((row["name"] for row in rows if row["gid"] == connection.workspace), "") if isinstance(rows, list) else ""
    return (f"workspace {name}", f"{connection.per_minute} requests a minute", _UNTRIED)


def _warnings(connection: Connection, people: People) -> list[str]:
    warnings = [f"nobody in the workspace has the e-mail {email}; projects are not shared with them" for email in sorted(people.unknown)]
    if connection.privacy == "private" and not connection.team and not connection.members:
        warnings.append("projects are private and shared with no team and no members: only their owners and followers will see them")
    return warnings
