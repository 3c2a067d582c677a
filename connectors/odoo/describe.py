"""What Odoo says about itself: its models' fields as a mapping names them, its stages, its salespeople."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

from connectors.base import Description, FieldInfo, Member, ObjectInfo, Rejected, Stage
from connectors.odoo.rpc import Rpc
from connectors.odoo.schema import Field, Schema
from engine.model import CrmKind, Read

_BEYOND = ("name", "email", "code")
_INNER = re.compile(r"(activity|message|website_message|my_activity)_")  # of the chatter beside a record
_OFTEN = ("partner_id", "user_id", "stage_id", "country_id", "company_currency", "currency_id", "commercial_partner_id", "team_id")


async def describe(rpc: Rpc, schema: Schema, reads: Mapping[CrmKind, Read]) -> Description:
    """Each object that is read, once, with its children's; what is not there or hidden from this user is left out."""
    kinds = {read.object: kind for kind, read in reads.items()}
    paths: dict[str, list[str]] = {}
    for each in (each for read in reads.values() for each in (read, *read.children.values())):
        paths.setdefault(each.object, []).extend(each.fields)
    objects = [await _object(schema, name, wanted, kinds.get(name)) for name, wanted in paths.items()]
    return Description(tuple(each for each in objects if each), stages=await _stages(rpc), people=await _people(rpc))


async def _object(schema: Schema, name: str, wanted: Sequence[str], kind: CrmKind | None) -> ObjectInfo | None:
    """The model's own fields, and those behind its relations that are read already or often are."""
    try:
        fields = await schema.fields(name)
    except Rejected:
        return None
    infos = {field.name: _info(field, field.name) for field in fields.values() if not _INNER.match(field.name) and field.type != "binary"}
    beyond = [f"{way}.{each}" for way in _OFTEN if way in fields for each in _BEYOND]
    for path in (*beyond, *(path for path in wanted if "." in path)):
        with suppress(Rejected):
            infos[path] = _info(await schema.end(name, path), path)
    return ObjectInfo(name=name, label=name, fields=tuple(infos[path] for path in sorted(infos)), kind=kind)


def _info(field: Field, path: str) -> FieldInfo:
    custom = field.name.startswith("x_")
    writable = field.writable and "." not in path
    return FieldInfo(path, field.label, field.type, custom=custom, required=field.required, writable=writable, choices=field.choices)


async def _stages(rpc: Rpc) -> tuple[Stage, ...]:
    try:
        rows = await rpc.search_read("crm.stage", [], ["name", "is_won"], order="sequence, id")
    except Rejected:
        return ()
    return tuple(Stage(str(row["name"]), status="won" if row["is_won"] else "open") for row in rows)


async def _people(rpc: Rpc) -> tuple[Member, ...]:
    try:
        rows = await rpc.search_read(
            "res.users", [["share", "=", False], ["active", "=", True]], ["name", "login", "email"], order="name, id"
        )
    except Rejected:
        return ()
    return tuple(Member(str(row["id"]), str(row["name"]), str(row["email"] or row["login"])) for row in rows)
