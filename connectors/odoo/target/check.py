"""Whether the connection and the mapping fit the database. Every problem at once, each at its place in the mapping file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    problems = [*fields.problems(), *_start(rpc.connection.start_field, there), *await _dependencies(rpc)]
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


async def _dependencies(rpc: Rpc) -> list[Problem]:
    """Odoo lets only an administrator make the first project of a database in which tasks wait for each other."""
    on = (await _asked(rpc, "project.project", "check_features_enabled", {}) or {}).get("allow_task_dependencies", True)
    if on or await _may(rpc, "mail.message.subtype", "write"):
        return []
    hint = "let an administrator switch on Task Dependencies in the settings of any project, once"
    return [
        Problem("task dependencies are off in this database, and this user may not switch them on", hint=hint, path=("connection", "key"))
    ]


async def _warnings(rpc: Rpc) -> list[str]:
    """What only the first write would tell."""
    if await _may(rpc, "project.project", "create"):
        return []
    return ["this user may not create projects: give it the role Project / Administrator"]


async def _may(rpc: Rpc, model: str, operation: str) -> bool:
    return (await _asked(rpc, model, "has_access", {"ids": [], "operation": operation})) is not False


async def _asked(rpc: Rpc, model: str, method: str, named: Mapping[str, Any]) -> Any:
    """The method's answer; None from a server too old to know it."""
    try:
        return await rpc.call(model, method, effect=Effect.READ, **named)
    except Rejected:
        return None
