"""What a tracker says about itself. The REST interface shows no schema, so fields are those of the latest item, and what every class has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base import Description, FieldInfo, Member, ObjectInfo, Rejected, Stage
from connectors.roundup.api import Api
from engine.model import CrmKind

_ALWAYS = {"creation": "date", "activity": "date", "creator": "link", "actor": "link"}
_PEOPLE = ("id", "username", "realname", "address")
_LARGE = ("user", "msg", "file", "query", "patch")


async def describe(api: Api, kinds: Mapping[str, CrmKind]) -> Description:
    """Each class that is read, the statuses there are, and the users whose e-mail this user may see."""
    classes = await api.classes()
    objects = [ObjectInfo(name, name, tuple(await _fields(api, name, classes)), kind) for name, kind in kinds.items()]
    stages = [Stage(label) for label in (await _choices(api, "status", classes)).values()]
    return Description(tuple(objects), tuple(stages), tuple(await _people(api)))


async def _fields(api: Api, name: str, classes: list[str]) -> list[FieldInfo]:
    try:
        newest = await api.items(name, ["id"], ("@sort", "-id"), ("@page_size", "1"), ("@page_index", "1"))
    except Rejected:
        return []
    values = (await api.whole(name, str(newest[0]["id"]))) if newest else {}
    fields = {field: await _info(api, field, value, classes) for field, value in values.items()}
    fields |= {field: FieldInfo(field, field, kind, writable=False) for field, kind in _ALWAYS.items()}
    people = [field for field, value in values.items() if isinstance(value, dict) and "/user/" in str(value.get("link"))]
    for way in (*people, "creator", "actor"):
        fields |= {f"{way}.{each}": FieldInfo(f"{way}.{each}", f"{each} of {way}", "text", writable=False) for each in _PEOPLE}
    if "messages" in fields:
        fields["messages.content"] = FieldInfo("messages.content", "text of the first message", "text", writable=False)
    return [fields[path] for path in sorted(fields)]


async def _info(api: Api, field: str, value: Any, classes: list[str]) -> FieldInfo:
    named = field in classes and field not in _LARGE
    kind = "list" if isinstance(value, list) else "link" if isinstance(value, dict) or named else "value"
    return FieldInfo(field, field, kind, choices=await _choices(api, field, classes) if named else {})


async def _choices(api: Api, name: str, classes: list[str]) -> dict[str, str]:
    """The names behind a link: they can be written in place of the id."""
    if name not in classes:
        return {}
    try:
        return {str(row["name"]): str(row["name"]) for row in await api.items(name, ["name"]) if "name" in row}
    except Rejected:
        return {}


async def _people(api: Api) -> list[Member]:
    try:
        rows = await api.items("user", ["username", "realname", "address"])
    except Rejected:
        return []
    return [
        Member(str(row["id"]), str(row.get("realname") or row.get("username")), str(row["address"])) for row in rows if row.get("address")
    ]
