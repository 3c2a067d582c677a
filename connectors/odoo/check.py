"""Holding the mapping against the server's own description: every field and every right that is missing, at its place in the file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from difflib import get_close_matches

from connectors.base import Rejected
from connectors.odoo.errors import NotThere
from connectors.odoo.reader import Reader, heads
from connectors.odoo.rpc import Rpc
from connectors.odoo.schema import Missing, Schema
from engine.model import CrmKind, Problem, Read

Place = tuple[str | int, ...]

ABSENT = "not there, or hidden from this user"
NO_MODEL = "install the Odoo module that brings it, or take it out of the mapping"
NO_RIGHT = "give the integration user the right to read it, or take it out of the mapping"
ADD_FIELD = "add it in Odoo under Settings > Technical > Fields (a name beginning with x_), or take this line out"


class Checker:
    """Finds what is wrong with a mapping. Asks, and changes nothing."""

    def __init__(self, rpc: Rpc, schema: Schema, reader: Reader) -> None:
        self._rpc, self._schema, self._reader = rpc, schema, reader

    async def reading(self, reads: Mapping[CrmKind, Read]) -> list[Problem]:
        """What cannot be read."""
        return [problem for read in reads.values() async for problem in self._kind(read)]

    async def writing(self, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]]) -> list[Problem]:
        """What cannot be written back."""
        wanted = [(kind, name, field) for kind, columns in write_back.items() for name, field in columns.items()]
        found = [await self._writable(kind, field, reads, ("write_back", kind, name)) for kind, name, field in wanted]
        return [problem for problem in found if problem]

    async def _kind(self, read: Read) -> AsyncIterator[Problem]:
        async for problem in self._model(read):
            yield problem
        for child in read.children.values():
            try:
                relation = await self._reader.relation(read.object, child.object)
            except Missing:
                yield Problem(
                    f"{child.object} does not belong to {read.object}", hint="there is no way from one to the other", path=_of(child)
                )
            except NotThere:
                continue  # said of the parent already
            else:
                async for problem in self._model(child, relation.path):
                    yield problem

    async def _model(self, read: Read, *more: str) -> AsyncIterator[Problem]:
        """The fields one by one; where all are there, whether this user may read them."""
        problems = [found for path in read.fields if (found := await self._field(read, path))]
        problems = _once(problems + _ambiguous(read))
        if not problems:
            try:
                await self._rpc.search_read(read.object, [["id", "=", 0]], heads([*read.fields, *more]))
            except Rejected as refusal:
                problems = [Problem(refusal.message, hint=NO_RIGHT, path=_of(read))]
        for problem in problems:
            yield problem

    async def _field(self, read: Read, path: str) -> Problem | None:
        at = read.places.get(path, ())
        try:
            await self._schema.end(read.object, path)
        except Missing as missing:
            close = get_close_matches(missing.name, missing.known, n=1, cutoff=0.7)
            return Problem(missing.message, hint=f"did you mean {close[0]}? otherwise {ABSENT}" if close else ABSENT, path=at)
        except NotThere as missing:
            return Problem(missing.message, hint=NO_MODEL, path=_of(read))
        except Rejected as refusal:
            return Problem(refusal.message, hint=NO_RIGHT, path=at)
        return None

    async def _writable(self, kind: CrmKind, name: str, reads: Mapping[CrmKind, Read], place: Place) -> Problem | None:
        if kind not in reads:
            return Problem(f"nothing is read of {kind}, so nothing can be written back to it", path=place)
        try:
            field = (await self._schema.fields(reads[kind].object)).get(name)
        except Rejected:
            return None  # said of what is read
        if field is None:
            return Problem(f"{reads[kind].object} has no field {name}", hint=ADD_FIELD, path=place)
        if not field.writable:
            hint = "give the integration user the right to edit it, or choose a field that is not calculated"
            return Problem(f"{reads[kind].object}.{name} cannot be written by this user", hint=hint, path=place)
        return None


def _ambiguous(read: Read) -> list[Problem]:
    """A relation is an id, or what it leads to: not both."""
    through = {path.partition(".")[0] for path in read.fields if "." in path}
    return [
        Problem(f"{path} is read as an id and through a dot as well", hint=f"write {path}.id for the id", path=read.places.get(path, ()))
        for path in read.fields
        if path in through
    ]


def _of(read: Read) -> Place:
    """Where the mapping begins to speak of this object."""
    return next(iter(read.places.values()), ())[:-2]


def _once(problems: Sequence[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
