"""Whether connection and mapping fit the server. Every problem at once, each at its place in the mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from connectors.base import ConfigError, Rejected, Report
from connectors.tryton.connection import FieldMap
from connectors.tryton.errors import SYSTEM
from connectors.tryton.rpc import Row, Rpc
from connectors.tryton.works import DATES, WORK
from engine.model import Problem

SETTABLE = frozenset({"char", "text", "integer", "float", "numeric", "boolean", "date", "datetime", "timedelta", "selection", "many2one"})
_RIGHTS = "let the user read, write and create it, or install the module it comes from"


async def check_target(rpc: Rpc, fields: Mapping[str, FieldMap]) -> Report:
    """Who we are. Raises ConfigError with everything that is wrong, AuthError when the login is."""
    who = await identity(rpc)
    problems = await company_problems(rpc)
    there = await described(rpc, WORK)
    if there is None:
        raise ConfigError([Problem(f"this user sees no {WORK}", hint=_RIGHTS, path=("connection", "login"))], system=SYSTEM)
    planned = DATES["due_on"] in there
    if rpc.connection.planning and not planned:
        problems.append(
            Problem(
                "planning is set, but the module project_plan is not active",
                hint="activate it, or set planning: false",
                path=("connection", "planning"),
            )
        )
    problems += [problem for name, each in fields.items() for problem in _field(name, each, there)]
    if problems:
        raise ConfigError(problems, system=SYSTEM)
    idle = () if rpc.connection.planning or not planned else ("the module project_plan is active; planning: true would use it",)
    return Report(who, (f"database {rpc.connection.database}", rpc.connection.url), idle)


async def identity(rpc: Rpc) -> str:
    """The login, and the company worked in."""
    context = await rpc.context()
    rows = await rpc.rows("company.company", [["id", "=", context.get("company") or -1]], ("rec_name",))
    return f"{rpc.connection.login} at {rows[0]['rec_name']}" if rows else rpc.connection.login


async def company_problems(rpc: Rpc) -> list[Problem]:
    context = await rpc.context()
    if not context.get("company"):
        hint = "give the user a company, or name one"
        return [Problem("the user has no company to work in", hint=hint, path=("connection", "company"))]
    rows = await rpc.rows("company.company", [], ("rec_name",))
    if context["company"] in {row["id"] for row in rows}:
        return []
    seen = ", ".join(f"{row['id']} ({row['rec_name']})" for row in rows) or "none"
    return [Problem(f"the user sees no company {context['company']}", hint=f"it sees {seen}", path=("connection", "company"))]


async def described(rpc: Rpc, model: str) -> Mapping[str, Row] | None:
    """The model's fields by name; None where there is no such model for this user."""
    try:
        found: Mapping[str, Row] = await rpc.call(f"{model}.fields_get", [])
    except Rejected:
        return None
    return found


def near(name: str, names: Iterable[str]) -> str:
    """What may have been meant."""
    close = get_close_matches(name, list(names), n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else ""


def _field(name: str, wanted: FieldMap, there: Mapping[str, Row]) -> list[Problem]:
    place = ("fields", name, "custom_field")
    if wanted.label:
        return []
    found = there.get(wanted.custom_field)
    if found is None:
        return [
            Problem(f"Tryton's works have no field {wanted.custom_field!r}", hint=near(wanted.custom_field, there) or _RIGHTS, path=place)
        ]
    if found["type"] not in SETTABLE:
        return [
            Problem(
                f"{wanted.custom_field} is a {found['type']}, which cannot be set",
                hint=f"choose one of {', '.join(sorted(SETTABLE))}",
                path=place,
            )
        ]
    return []
