"""Records as JSON shows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sandbox.zoho.schema import LOOKUPS, Field, Module
from sandbox.zoho.values import Row, text_of
from sandbox.zoho.world import World

SYSTEM = {"$approved": True, "$editable": True, "$approval_state": "approved", "$currency_symbol": "$", "$in_merge": False}


def show(world: World, module: Module, row: Row, names: Iterable[str] | None) -> Row:
    """The record with these fields, or with all. A name that nothing has, or that is hidden, is left out without a word."""
    fields = module.visible if names is None else [each for each in map(module.seen, names) if each is not None]
    told: Row = {"id": row["id"]}
    for field in fields:
        if field.type != "subform":
            told[field.name] = value(world, module, row, field)
    return told


def show_whole(world: World, module: Module, row: Row) -> Row:
    """The record with everything in it, subforms too."""
    told = show(world, module, row, None)
    for field in module.visible:
        if field.type == "subform":
            held = world.modules[field.to]
            told[field.name] = [show(world, held, each, None) for each in world.children(field.to, row["id"])]
    return {**told, **SYSTEM}


def value(world: World, module: Module, row: Row, field: Field) -> Any:
    held = row.get(field.name)
    if field.type in LOOKUPS and held is not None:
        return user(world, held, mail=field.name == "Owner") if field.type != "lookup" else _linked(world, module, row, field)
    if isinstance(held, datetime):
        return text_of(held, world.zone)
    if field.name == "Tag":
        return held or []
    return held


def user(world: World, id: str, *, mail: bool = False) -> Row:
    person = world.users.get(id, {"full_name": "", "email": ""})
    return {"name": person["full_name"], "id": id, **({"email": person["email"]} if mail else {})}


def _linked(world: World, module: Module, row: Row, field: Field) -> Row:
    id, target = row[field.name], field.to or row.get("$se_module", "")
    other = world.rows.get(target, {}).get(id)
    told: Row = {"name": world.name_of(target, other) if other else None, "id": id}
    if module.name == "Notes" and target in world.modules:
        return {"module": {"api_name": target, "id": world.modules[target].id}, **told, "name": told["name"] or ""}
    return told
