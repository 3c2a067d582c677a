"""Holding a mapping against a tracker. The REST interface does not describe classes: they are read by the mapping, and each refusal is told."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.base import Rejected
from connectors.roundup.api import Api
from connectors.roundup.errors import Denied
from connectors.roundup.reader import HIDDEN, MESSAGES
from engine.model import CrmKind, Problem, Read

ABSENT = "add it to the tracker's schema.py, or take the line out of the mapping"
THROUGH = "only links lead on, and of lists only messages: messages.content is the text of the first"
_SAMPLE = 50  # items looked at: what is hidden is seen where an item has it


async def problems(api: Api, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]]) -> list[Problem]:
    """Everything that cannot be read or written."""
    found: list[Problem] = []
    for read in reads.values():
        found += await _reading(api, read)
        places = list(read.children.values())
        found += [Problem(f"Roundup has no lists to read for {child.object}", path=_of(child)) for child in places]
    for kind, columns in write_back.items():
        if kind not in reads:
            found.append(Problem(f"nothing is read of {kind}, so nothing can be written back to it", path=("write_back", kind)))
            continue
        for name, column in columns.items():
            found += await _tried(api, reads[kind].object, column, ("write_back", kind, name), hidden=False)
    return found


async def _reading(api: Api, read: Read) -> list[Problem]:
    own = [path for path in read.fields if not path.startswith(MESSAGES)]
    through = {path.partition(".")[0] for path in own if "." in path}
    found = [
        Problem(f"{path} is read as an id and through a dot as well", hint=f"write {path}.id for the id", path=read.places.get(path, ()))
        for path in own
        if path in through
    ]
    for path in read.fields:
        name, field = ("msg", path.removeprefix(MESSAGES)) if path.startswith(MESSAGES) else (read.object, path)
        found += await _tried(api, name, field, read.places.get(path, ()))
    return found


async def _tried(api: Api, name: str, field: str, place: tuple[str | int, ...], *, hidden: bool = True) -> list[Problem]:
    size = ("@page_size", str(_SAMPLE)), ("@page_index", "1")
    try:
        rows = await api.items(name, [field], *size)
    except Denied:
        return [Problem(f"{name}.{field} is hidden from this user", hint=HIDDEN, path=place)]
    except Rejected as refusal:
        hint = THROUGH if "not allowed" in refusal.message else ABSENT
        return [Problem(f"{name}.{field}: {refusal.message}", hint=hint, path=place)]
    if hidden and any(field not in row for row in rows):
        return [Problem(f"{name}.{field} is hidden from this user", hint=HIDDEN, path=place)]
    return []


def _of(read: Read) -> tuple[str | int, ...]:
    """Where the mapping begins to speak of this object."""
    return next(iter(read.places.values()), ())[:-2]
