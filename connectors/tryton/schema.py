"""Holding a mapping against the server's own description of its models: fields that are not there, or not for this user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connectors.tryton.check import SETTABLE, described, near
from connectors.tryton.errors import Denied
from connectors.tryton.relations import HISTORY_FIELDS, LOG, PATHS, stored
from connectors.tryton.rpc import Row, Rpc
from engine.model import CrmKind, Problem, Read

Place = tuple[str | int, ...]
_HIDDEN = "misspelt, of a module that is not active, or hidden from this user"


class Schema:
    """Descriptions of models, fetched once each."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._known: dict[str, Mapping[str, Row] | None] = {}

    async def fields(self, model: str) -> Mapping[str, Row]:
        """A model's fields; none where there is no such model."""
        if model not in self._known:
            self._known[model] = await described(self._rpc, model)
        return self._known[model] or {}

    async def problems(self, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]]) -> list[Problem]:
        """Everything the mapping reads or writes that is not there for this user, each at its place."""
        found: list[Problem] = []
        for read in reads.values():
            found += await self._unreadable(read)
            for child in read.children.values():
                found += await self._child(read, child)
        for kind, columns in write_back.items():
            for name, column in columns.items():
                found += await self._unwritable(reads.get(kind), column, ("write_back", kind, name))
        return found

    async def _child(self, read: Read, child: Read) -> list[Problem]:
        place = next(iter(child.places.values()), ())
        if child.object == LOG:
            odd = [path for path in child.fields if path not in HISTORY_FIELDS]
            words = "the history has no {}: it has id, state and at"
            return [Problem(words.format(path), path=child.places.get(path, ())) for path in odd]
        if (read.object, child.object) not in PATHS:
            known = ", ".join([LOG, *(of for name, of in PATHS if name == read.object)])
            return [Problem(f"{read.object} has no list of {child.object}", hint=f"its lists are {known}", path=place)]
        return await self._unreadable(replace(child, fields=tuple(path for path in child.fields if path in stored(child))))

    async def _unreadable(self, read: Read) -> list[Problem]:
        if not await self.fields(read.object):
            return [Problem(f"there is no {read.object}", hint=_HIDDEN, path=next(iter(read.places.values()), ()))]
        found: list[Problem] = []
        for path in read.fields:
            if problem := await self._missing(read.object, path, read.places.get(path, ())):
                found.append(problem)
            elif not await self._allowed(read.object, path):
                found.append(Problem(f"this user may not read {read.object}.{path}", hint=_HIDDEN, path=read.places.get(path, ())))
        return found

    async def _missing(self, model: str, path: str, place: Place) -> Problem | None:
        first, _, rest = path.partition(".")
        fields = await self.fields(model)
        if first not in fields:
            return Problem(f"{model} has no field {first}", hint=near(first, fields) or _HIDDEN, path=place)
        if not rest:
            return None
        relation = fields[first].get("relation")
        if not relation:
            return Problem(f"{model}.{first} leads to no other record", hint="leave out what follows it", path=place)
        return await self._missing(relation, rest, place)

    async def _allowed(self, model: str, path: str) -> bool:
        try:
            await self._rpc.call(f"{model}.read", [], [path.partition(".")[0]])
        except Denied:
            return False
        return True

    async def _unwritable(self, read: Read | None, column: str, place: Place) -> list[Problem]:
        if read is None:
            return [Problem("nothing is read of this kind, so nothing can be written back to it", path=place)]
        name, dot, label = column.partition(".")
        described_ = (await self.fields(read.object)).get(name)
        if described_ is None:
            return [Problem(f"{read.object} has no field {name}", hint=near(name, await self.fields(read.object)) or _HIDDEN, path=place)]
        if dot and (described_["type"] != "text" or not label.strip()):
            return [Problem(f"{column} should be a line of a text", hint="write comment.<what the line begins with>", path=place)]
        if not dot and described_["type"] not in SETTABLE:
            return [Problem(f"{read.object}.{name} is a {described_['type']}, which cannot be written", path=place)]
        return []


def labels(fields: Mapping[str, Row], names: Iterable[str]) -> dict[str, str]:
    """What a refusal calls each of these fields."""
    return {str(fields[name]["string"]): name for name in names if name in fields}
