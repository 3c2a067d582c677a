"""What `describe` tells of an org: the objects a mapping reads or usually would, their fields and what they refer to, stages, users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from connectors.base import Description, FieldInfo, Member, ObjectInfo, Rejected, Stage
from connectors.salesforce.describe import Field, Missing, Schema
from connectors.salesforce.errors import SchemaMismatch
from connectors.salesforce.query import RELATIONS, Query
from connectors.salesforce.soql import select
from engine.model import CrmKind, Read

KINDS: Mapping[str, CrmKind] = {"Account": "customer", "Opportunity": "deal"}
_OF_A_USER = ("Id", "Name", "Email", "IsActive")
_MOST_USERS = 500


async def about(schema: Schema, query: Query, reads: Mapping[CrmKind, Read]) -> Description:
    kinds: dict[str, CrmKind] = {**KINDS, **{read.object: kind for kind, read in reads.items()}}
    objects = [found for name in kinds if (found := await _object(schema, name, kinds[name], _paths(reads.values(), name))) is not None]
    for name in dict.fromkeys([*(child for main, child in RELATIONS if main == "Opportunity"), *_children(reads.values())]):
        if name not in kinds and (found := await _object(schema, name, None, _paths(reads.values(), name))) is not None:
            objects.append(found)
    return Description(tuple(objects), await _stages(schema, query), await _people(query))


def _children(reads: Iterable[Read]) -> Iterator[str]:
    return (child.object for read in reads for child in read.children.values())


def _paths(reads: Iterable[Read], name: str) -> set[str]:
    """The paths to other objects that the mapping follows from one."""
    every = [each for read in reads for each in (read, *read.children.values())]
    return {path for each in every if each.object == name for path in each.fields if "." in path}


async def _object(schema: Schema, name: str, kind: CrmKind | None, paths: set[str]) -> ObjectInfo | None:
    known = await schema.known(name)
    if known is None:
        return None
    own = list(known.fields.values())
    further = {f"{field.relationship}.{part}" for field in own if field.relationship for part in _parts(field)} | paths
    found = await schema.resolve((name, path) for path in sorted(further))
    there = {path: field for (_, path), field in found.items() if not isinstance(field, Missing)}
    infos = [*(_info(field.name, field) for field in own), *(_info(path, field, writable=False) for path, field in there.items())]
    return ObjectInfo(name, known.label, tuple(infos), kind)


def _parts(field: Field) -> tuple[str, ...]:
    return _OF_A_USER if field.target == "User" else ("Name",)


def _info(path: str, field: Field, *, writable: bool = True) -> FieldInfo:
    label = field.label if "." not in path else f"{path.rpartition('.')[0]}: {field.label}"
    return FieldInfo(path, label, field.type, field.custom, field.required and writable, field.updateable and writable, field.choices)


async def _stages(schema: Schema, query: Query) -> tuple[Stage, ...]:
    """From the catalogue of stages; their names alone where this user may not read it."""
    try:
        rows = await query.rows(select(["MasterLabel", "IsWon", "IsClosed"], "OpportunityStage", where="IsActive = true"))
    except (Rejected, SchemaMismatch):
        deal = await schema.known("Opportunity")
        names = deal.fields["StageName"].choices if deal and "StageName" in deal.fields else ()
        return tuple(Stage(name) for name in names)
    return tuple(Stage(row["MasterLabel"], status="won" if row["IsWon"] else "lost" if row["IsClosed"] else "open") for row in rows)


async def _people(query: Query) -> tuple[Member, ...]:
    try:
        rows = await query.rows(f"{select(['Id', 'Name', 'Email'], 'User', where='IsActive = true')} ORDER BY Name LIMIT {_MOST_USERS}")
    except (Rejected, SchemaMismatch):
        return ()
    return tuple(Member(row["Id"], row["Name"] or "", row["Email"] or "") for row in rows)
