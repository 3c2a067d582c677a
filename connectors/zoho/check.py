"""The mapping held against the organisation's own description; and that description, for whoever writes a mapping."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from connectors.base import Description, FieldInfo, ObjectInfo, Rejected
from connectors.zoho.errors import HIDDEN
from connectors.zoho.records import CLOSED, COMPUTED, CURRENCY, GIVEN, LISTS, WON
from connectors.zoho.schema import BY_RECORD_ONLY, PEOPLE, Field, Schema
from engine.model import CrmKind, Problem, Read

KINDS: Mapping[str, CrmKind] = {"Accounts": "customer", "Deals": "deal", "Contacts": "contact", "Cases": "feedback"}
OF_HISTORY = "DealHistory"
COMPUTED_LABELS = {
    WON: "Stage counts as won",
    CLOSED: "Stage counts as won or lost",
    CURRENCY: "Currency of the record, else of the organisation",
}


async def mapping_problems(schema: Schema, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]]) -> list[Problem]:
    """Every field the mapping reads or writes that this user does not have, each once, in the order of the mapping."""
    found = [problem for read in reads.values() async for problem in _unreadable(schema, read)]
    return [*found, *[problem async for problem in _unwritable(schema, reads, write_back)]]


async def _unreadable(schema: Schema, read: Read) -> AsyncIterator[Problem]:
    known = await schema.fields(read.object)
    if known is None:
        yield Problem(f"there is no module {read.object}", hint="misspelt, or hidden from this user")
        return
    for path in read.fields:
        if problem := await _path_problem(schema, read, path, known):
            yield problem
    for child in read.children.values():
        async for problem in _child_problems(schema, read, child, known):
            yield problem


async def _path_problem(schema: Schema, read: Read, path: str, known: Mapping[str, Field]) -> Problem | None:
    at = read.places.get(path, ())
    if path.startswith("$"):
        return _computed_problem(path, known, at)
    name, _, rest = path.partition(".")
    if name == "id":
        return None
    if name not in known:
        return _missing(f"{read.object} has no field {name}", name, known, at)
    if known[name].type in BY_RECORD_ONLY:
        return Problem(f"{read.object}.{name} is a list ({known[name].type})", hint="read it under `children`, or leave it out", path=at)
    if not rest or rest in GIVEN - {"email"} or (rest == "email" and known[name].type in PEOPLE):
        return None
    if known[name].type in PEOPLE:
        return Problem(f"{read.object}.{name} holds id, name and email, no {rest}", path=at)
    if known[name].type != "lookup" or not known[name].to:
        return Problem(f"{read.object}.{name} refers to no record ({known[name].type}), so there is no {path}", path=at)
    beyond = await schema.fields(known[name].to) or {}
    return None if rest in beyond else _missing(f"{known[name].to} has no field {rest}", rest, beyond, at)


def _computed_problem(path: str, known: Mapping[str, Field], at: tuple[str | int, ...]) -> Problem | None:
    if path not in COMPUTED:
        return Problem(f"{path} cannot be read", hint=f"of this kind there are {', '.join(COMPUTED)}", path=at)
    if COMPUTED[path] == "Stage" and "Stage" not in known:
        return Problem(f"{path} is worked out from Stage, which is not there", hint=HIDDEN, path=at)
    return None


async def _child_problems(schema: Schema, read: Read, child: Read, known: Mapping[str, Field]) -> AsyncIterator[Problem]:
    subform = known.get(child.object)
    if subform is None and child.object not in LISTS:
        lists = await schema.lists(read.object)
        if child.object not in lists:
            place = next(iter(child.places.values()), ())[:-2]
            yield _missing(
                f"{read.object} has no related list or subform {child.object}", child.object, [*LISTS, *lists], (*place, "object")
            )
            return
    module = subform.to if subform else {"Contact_Roles": "Contacts", "Stage_History": OF_HISTORY}.get(child.object, child.object)
    try:
        inside = await schema.fields(module)
    except Rejected:
        inside = None
    for path in child.fields if inside else ():
        name = path.split(".")[0]
        if inside and name not in inside and name not in ("id", "Contact_Role"):
            yield _missing(f"{child.object} has no field {name}", name, inside, child.places.get(path, ()))


async def _unwritable(
    schema: Schema, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]]
) -> AsyncIterator[Problem]:
    for kind, name, column in ((kind, name, column) for kind, columns in write_back.items() for name, column in columns.items()):
        path = ("write_back", kind, name)
        if kind not in reads:
            yield Problem(f"nothing is read of {kind}, so nothing can be written back to it", path=path)
            continue
        module = reads[kind].object
        known = await schema.fields(module) or {}
        if known and column not in known:
            yield _missing(f"{module} has no field {column}", column, known, path)
        elif known and not known[column].writable:
            yield Problem(f"{module}.{column} cannot be written", hint="choose a field that is not calculated or read-only", path=path)


def _missing(message: str, name: str, names: Iterable[str], at: tuple[str | int, ...]) -> Problem:
    known = {each.lower(): each for each in names}
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    return Problem(message, hint=f"did you mean {known[close[0]]}? otherwise {HIDDEN}" if close else HIDDEN, path=at)


async def describe(schema: Schema, reads: Iterable[Read]) -> Description:
    """What a mapping can name: the modules usually mapped and those mapped now, stages with their meaning, active users."""
    present: Mapping[str, Mapping[str, Any]] = {str(each["api_name"]): each for each in await schema.modules()}
    names = [name for name in dict.fromkeys([*KINDS, *(read.object for read in reads)]) if name in present]
    objects = [await _object(schema, present[name]) for name in names]
    return Description(tuple(objects), await schema.stages(), await schema.people())


async def _object(schema: Schema, module: Mapping[str, Any]) -> ObjectInfo:
    name = str(module["api_name"])
    known = await schema.fields(name) or {}
    fields = [info for field in known.values() for info in _infos(field)]
    fields += [
        FieldInfo(path, words, "computed", writable=False)
        for path, words in COMPUTED_LABELS.items()
        if COMPUTED[path] in ("Currency", *known)
    ]
    return ObjectInfo(name, str(module.get("plural_label") or name), tuple(fields), KINDS.get(name))


def _infos(field: Field) -> list[FieldInfo]:
    """A field, and what comes with it of the record it refers to."""
    parts = {"": field.label}
    if field.type in PEOPLE or field.type == "lookup":
        parts = {".id": f"{field.label}: id", ".name": f"{field.label}: name"}
    if field.type in PEOPLE:
        parts[".email"] = f"{field.label}: e-mail"
    return [
        FieldInfo(field.name + part, label, field.type, field.custom, field.required, field.writable, field.choices)
        for part, label in parts.items()
    ]
