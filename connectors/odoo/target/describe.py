"""What Odoo's projects and tasks can hold, which stages there are and who works there, for `handoff discover`."""

from __future__ import annotations

from connectors.base import Description, FieldInfo, Member, ObjectInfo, Stage
from connectors.odoo.rpc import Rpc
from connectors.odoo.schema import Field, Schema
from connectors.odoo.target.fields import MODELS, settable
from engine.model import ItemKind


async def describe(rpc: Rpc, schema: Schema) -> Description:
    stages = await rpc.search_read("project.task.type", [["user_id", "=", False]], ["name"], order="sequence, id")
    users = await rpc.search_read("res.users", [["share", "=", False], ["active", "=", True]], ["name", "login", "email"], order="name, id")
    return Description(
        objects=(await _object(schema, "project", "Project"), await _object(schema, "task", "Task")),
        stages=tuple(Stage(name) for name in dict.fromkeys(str(row["name"]) for row in stages)),
        people=tuple(Member(str(row["id"]), str(row["name"]), str(row["email"] or row["login"])) for row in users),
    )


async def _object(schema: Schema, kind: ItemKind, label: str) -> ObjectInfo:
    fields = await schema.fields(MODELS[kind])
    return ObjectInfo(MODELS[kind], label, tuple(_info(fields[name]) for name in sorted(fields) if settable(fields[name])), kind)


def _info(field: Field) -> FieldInfo:
    return FieldInfo(field.name, field.label, field.type, field.name.startswith("x_"), field.required, True, field.choices)
