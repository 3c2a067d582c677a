"""What Tryton says about itself: its fields, its stages, its people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base import Description, FieldInfo, Member, ObjectInfo, Stage
from connectors.tryton.check import SETTABLE, described
from connectors.tryton.people import emails
from connectors.tryton.rpc import Row, Rpc
from connectors.tryton.works import STATUS, WORK
from engine.model import CrmKind, ItemKind

_STATUS: Mapping[str, Any] = {"won": "won", "lost": "lost", "cancelled": "lost"}
_MAILS = ("active", "party.name", "party.contact_mechanisms.type", "party.contact_mechanisms.value")


async def describe_works(rpc: Rpc) -> Description:
    """A target's side: the fields of works a blueprint can set, and the statuses."""
    fields = await fields_of(rpc, WORK)
    settable = tuple(each for each in fields if each.type in SETTABLE and each.writable)
    states = await rpc.rows(STATUS, [], ("name", "types"))
    stages = tuple(Stage(str(row["name"]), kind) for row in states for kind in row["types"] or ())
    kinds: tuple[ItemKind, ...] = ("project", "task")
    return Description(tuple(ObjectInfo(WORK, kind.title(), settable, kind) for kind in kinds), stages, await people(rpc))


async def describe_crm(rpc: Rpc, kinds: Mapping[CrmKind, str]) -> Description:
    """A source's side: the objects of `kinds` with their fields, and the states of opportunities."""
    objects = tuple([ObjectInfo(model, model, await fields_of(rpc, model), kind) for kind, model in kinds.items()])
    states = next((each.choices for one in objects for each in one.fields if one.kind == "deal" and each.path == "state"), {})
    return Description(objects, tuple(Stage(name, status=_STATUS.get(name, "open")) for name in states), await people(rpc))


async def fields_of(rpc: Rpc, model: str) -> tuple[FieldInfo, ...]:
    return tuple(_info(name, row) for name, row in sorted((await described(rpc, model) or {}).items()))


async def people(rpc: Rpc) -> tuple[Member, ...]:
    """Employees who can own a deal or be given a task."""
    rows = await rpc.rows("company.employee", [], _MAILS)
    return tuple(Member(str(row["id"]), str(row["party"]["name"]), next(iter(emails(row)), "")) for row in rows if row["active"])


def _info(name: str, row: Row) -> FieldInfo:
    choices = row.get("selection")
    listed = {str(value): str(label) for value, label in choices if value is not None} if isinstance(choices, list) else {}
    return FieldInfo(
        path=name,
        label=str(row.get("string") or name),
        type=str(row["type"]),
        required=bool(row.get("required")),
        writable=not row.get("readonly"),
        choices=listed,
    )
