"""Whether the connection and the mapping fit the database. Every problem at once, each at its place in the mapping file."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.base import ConfigError, Rejected, Report
from connectors.http import Effect
from connectors.odoo.errors import SYSTEM
from connectors.odoo.rpc import Rpc
from connectors.odoo.schema import Field, Schema
from connectors.odoo.target.fields import MODELS, Fields
from engine.model import Problem

_STARTS = ("date", "datetime")


async def check(rpc: Rpc, schema: Schema, fields: Fields) -> Report:
    """Who we are. Raises ConfigError with everything that is wrong, AuthError when the key is refused."""
    uid = await rpc.uid()
    (me,) = await rpc.search_read("res.users", [["id", "=", uid]], ["name", "login", "company_id"])
    try:
        await fields.load("project", "task")
        there = await schema.fields(MODELS["task"])
    except Rejected as refusal:
        problem = Problem("this database has no project module that the user may use", hint=str(refusal), path=("connection", "database"))
        raise ConfigError([problem], system=SYSTEM) from refusal
    problems = [*fields.problems(), *_start(rpc.connection.start_field, there)]
    if problems:
        raise ConfigError(problems, system=SYSTEM)
    major, minor = await rpc.version()
    facts = (f"Odoo {major}.{minor}", f"due dates are kept at {rpc.connection.due_time:%H:%M} {rpc.connection.zone}")
    return Report(f"{me['name']} ({me['login']})", facts, tuple(await _warnings(rpc)))


def _start(name: str, there: Mapping[str, Field]) -> list[Problem]:
    if not name or (name in there and there[name].type in _STARTS):
        return []
    words = f"tasks have no date field {name!r} for their start"
    return [Problem(words, hint="add one (x_…, type Date), or leave start_field out", path=("connection", "start_field"))]


async def _warnings(rpc: Rpc) -> list[str]:
    """What only the first write would tell."""
    try:
        may = await rpc.call("project.project", "has_access", effect=Effect.READ, ids=[], operation="create")
    except Rejected:
        return []  # older servers ask otherwise
    return [] if may else ["this user may not create projects: give it the role Project / Administrator"]
