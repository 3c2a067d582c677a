"""Whether the connection and the mapping fit the server. Every problem at once, each at its place in `mappings/redmine.yaml`."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.base import ConfigError, Gone, Rejected, Report
from connectors.redmine.api import Api, Json
from connectors.redmine.catalogue import Catalogue, meant, named
from connectors.redmine.connection import Connection
from connectors.redmine.errors import Forbidden
from connectors.redmine.fields import Fields, trackers_of
from connectors.redmine.people import People
from engine.model import Problem

_UNSEEN = "the text formatting, whether parent tasks take their dates from sub-tasks, and the working days cannot be asked for"


async def check(connection: Connection, api: Api, catalogue: Catalogue, fields: Fields, people: People) -> Report:
    """Who we are. Raises ConfigError with everything that is wrong, AuthError when the key is."""
    me = await _me(api)
    try:
        await catalogue.load()
    except Forbidden as refusal:
        hint = "use the key of an administrator: only they may look people up by e-mail and see custom fields"
        raise ConfigError(
            [Problem(f"{me['login']} is not an administrator of Redmine", hint=hint, path=("connection", "api_key"))], system="redmine"
        ) from refusal
    problems = [
        *_roles(connection, catalogue, await catalogue.assignable()),
        *_trackers(connection, catalogue),
        *_key(connection, catalogue, fields),
        *fields.problems(),
    ]
    problems += [*await _parent(connection, api), *await _priority(api)]
    if problems:
        raise ConfigError(problems, system="redmine")
    await people.resolve(connection.members)
    trackers = ", ".join(str(row["name"]) for row in catalogue.trackers)
    return Report(
        f"{me['firstname']} {me['lastname']} <{me.get('mail')}>", (f"trackers: {trackers}", _UNSEEN), tuple(_warnings(connection, people))
    )


async def _me(api: Api) -> Json:
    try:
        return await api.confirm()
    except Gone as gone:
        hint = "it ends before /projects, for instance https://redmine.example.com"
        raise ConfigError(
            [Problem("there is no Redmine at this address", hint=hint, path=("connection", "base_url"))], system="redmine"
        ) from gone


def _roles(connection: Connection, catalogue: Catalogue, assignable: frozenset[int]) -> Iterator[Problem]:
    for name, wanted in (("role", connection.role), ("owner_role", connection.owner_role)):
        found = named(catalogue.roles, wanted)
        if found is None:
            yield Problem(f"Redmine has no role {wanted!r}", hint=meant(wanted, catalogue.roles), path=("connection", name))
        elif name == "role" and found["id"] not in assignable:
            yield Problem(f"tasks cannot be assigned to members with the role {wanted!r}", path=("connection", name))


def _trackers(connection: Connection, catalogue: Catalogue) -> Iterator[Problem]:
    for name, wanted in (("tracker", connection.tracker), ("milestone_tracker", connection.milestone_tracker)):
        if wanted is not None and named(catalogue.trackers, wanted) is None:
            yield Problem(f"Redmine has no tracker {wanted!r}", hint=meant(wanted, catalogue.trackers), path=("connection", name))
    if not catalogue.trackers:
        yield Problem("Redmine has no tracker at all", hint="add one under Administration, Trackers", path=("connection", "tracker"))


def _key(connection: Connection, catalogue: Catalogue, fields: Fields) -> Iterator[Problem]:
    if connection.key != "custom_field":
        return
    path, wanted = ("connection", "key_field"), connection.key_field or ""
    found = fields.find("issue", wanted)
    if found is None or found["field_format"] not in ("string", "text"):
        yield Problem(f"custom field {wanted!r} of tasks does not exist or is not a text, so it cannot carry keys", path=path)
        return
    if not found.get("is_filter"):
        yield Problem(
            f"custom field {wanted!r} is not used as a filter, so nothing is found by it", hint="tick 'Used as a filter'", path=path
        )
    used = [one for one in (connection.tracker or _first(catalogue), connection.milestone_tracker) if one]
    for row in filter(None, (named(catalogue.trackers, one) for one in used)):
        if row["id"] not in trackers_of(found):
            yield Problem(
                f"tasks of the tracker {row['name']!r} have no custom field {wanted!r}", hint="tick the tracker in the field", path=path
            )


def _first(catalogue: Catalogue) -> str:
    return str(catalogue.trackers[0]["name"]) if catalogue.trackers else ""


async def _parent(connection: Connection, api: Api) -> list[Problem]:
    if not connection.parent:
        return []
    try:
        await api.get(f"/projects/{connection.parent}.json")
    except Rejected:
        return [Problem(f"Redmine shows no project {connection.parent!r}", hint="give its identifier", path=("connection", "parent"))]
    return []


async def _priority(api: Api) -> list[Problem]:
    rows = await api.get("/enumerations/issue_priorities.json", "issue_priorities")
    if any(row.get("is_default") for row in rows):
        return []
    hint = "choose one under Administration, Enumerations"
    return [Problem("Redmine has no default priority, without which it takes no task", hint=hint, path=("connection", "base_url"))]


def _warnings(connection: Connection, people: People) -> list[str]:
    warnings = [f"nobody in Redmine has the e-mail {email}; they become members of no project" for email in sorted(people.unknown)]
    if connection.privacy == "public":
        warnings.append("projects are public: whoever can reach the server can read them unless it asks everybody to sign in")
    return warnings
