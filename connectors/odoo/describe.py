"""What Odoo says about itself: its models' fields as a mapping names them, its stages, its salespeople."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.base import Description, FieldInfo, Member, ObjectInfo, Rejected, Stage
from connectors.odoo.rpc import Rpc
from connectors.odoo.schema import Field, Schema
from engine.model import CrmKind, Read

_BEYOND = ("name", "email", "code")
_OFTEN = ("partner_id", "user_id", "stage_id", "country_id", "company_currency", "currency_id", "commercial_partner_id", "team_id")


async def describe(rpc: Rpc, schema: Schema, reads: Mapping[CrmKind, Read]) -> Description:
    """Each object that is read, once, with its children's; what this user may not see is left out."""
    kinds = {read.object: kind for kind, read in reads.items()}
    names = dict.fromkeys(each.object for read in reads.values() for each in (read, *read.children.values()))
    objects = [await _object(schema, name, kinds.get(name)) for name in names]
    return Description(objects=tuple(objects), stages=await _stages(rpc), people=await _people(rpc))


async def _object(schema: Schema, name: str, kind: CrmKind | None) -> ObjectInfo:
    fields = await schema.fields(name)
    infos = [_info(field, field.name) for field in fields.values()]
    for way in (name for name in _OFTEN if name in fields):
        behind = await schema.fields(fields[way].relation)
        infos += [_info(behind[each], f"{way}.{each}") for each in _BEYOND if each in behind]
    return ObjectInfo(name=name, label=name, fields=tuple(sorted(infos, key=lambda info: info.path)), kind=kind)


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
