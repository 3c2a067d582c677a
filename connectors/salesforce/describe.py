"""What the org itself says about its objects: field types, references, children, and what this user may write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from difflib import get_close_matches
from typing import Any

from connectors.base import ConfigError
from connectors.http import Effect
from connectors.salesforce.errors import HIDDEN, SYSTEM
from connectors.salesforce.query import RELATIONS, Child, chunks
from connectors.salesforce.rest import Rest
from engine.model import CrmKind, Problem, Read

BATCH = 25
Want = tuple[str, str]  # object, dotted path


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    updateable: bool
    relationship: str
    target: str
    label: str = ""
    custom: bool = False
    required: bool = False
    choices: Mapping[str, str] = dataclass_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    name: str
    fields: Mapping[str, Field]
    children: Mapping[str, Child]
    label: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A path that leads nowhere, and the name that may have been meant."""

    message: str
    hint: str


class Schema:
    """Describes of the org's objects, fetched 25 in a call and kept."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._known: dict[str, Description | None] = {}

    async def load(self, names: Iterable[str]) -> None:
        unknown = sorted(set(names) - self._known.keys())
        for chunk in chunks(unknown, BATCH):
            version = self._rest.root.rsplit("/", 1)[-1]
            requests = [{"method": "GET", "url": f"{version}/sobjects/{name}/describe"} for name in chunk]
            answer = await self._rest.send("POST", "/composite/batch", effect=Effect.READ, body={"batchRequests": requests})
            for name, result in zip(chunk, answer.data["results"], strict=True):
                self._known[name] = _description(result["result"]) if result["statusCode"] == 200 else None

    async def known(self, name: str) -> Description | None:
        """What the org says of an object; None when it has none, or hides it."""
        await self.load([name])
        return self._known[name]

    async def resolve(self, wants: Iterable[Want]) -> dict[Want, Field | Missing]:
        """The field each path ends at, or what is missing on the way."""
        found: dict[Want, Field | Missing] = {}
        heads = {want: want for want in wants}
        while heads:
            await self.load(name for name, _ in heads.values())
            steps = {want: self._step(*head) for want, head in heads.items()}
            found |= {want: step for want, step in steps.items() if not isinstance(step, tuple)}
            heads = {want: step for want, step in steps.items() if isinstance(step, tuple)}
        return found

    def _step(self, name: str, path: str) -> Field | Missing | Want:
        description = self._known[name]
        if description is None:
            return Missing(f"there is no object {name}", "misspelt, or hidden from this user")
        first, _, rest = path.partition(".")
        if not rest:
            return description.fields.get(first) or _missing(f"{name} has no field {first}", first, description.fields)
        relations = {field.relationship: field.target for field in description.fields.values() if field.target}
        if first not in relations:
            return _missing(f"{name} has no relationship {first}", first, relations)
        return relations[first], rest

    async def relations(self, read: Read) -> dict[str, Child]:
        """How each child list of `read` hangs on its object. Raises ConfigError when one does not."""
        found = {name: RELATIONS.get((read.object, child.object)) for name, child in read.children.items()}
        if None in found.values():
            await self.load([read.object])
        own = self._known.get(read.object)
        for name, child in read.children.items():
            found[name] = found[name] or (own.children.get(child.object) if own else None)
        lost = [f"{read.object} has no list of {read.children[name].object} ({name})" for name, child in found.items() if child is None]
        if lost:
            raise ConfigError([Problem(message, hint=HIDDEN) for message in lost], system=SYSTEM)
        return {name: child for name, child in found.items() if child is not None}


def _description(data: Mapping[str, Any]) -> Description:
    fields = {each["name"]: _field(each) for each in data["fields"]}
    children = {
        each["childSObject"]: Child(each["relationshipName"], each["field"])
        for each in data.get("childRelationships") or ()
        if each.get("relationshipName")
    }
    return Description(data["name"], fields, children, data.get("label") or data["name"])


def _field(data: Mapping[str, Any]) -> Field:
    targets = data.get("referenceTo") or []
    target = "User" if "User" in targets else targets[0] if targets else ""
    return Field(
        data["name"],
        data["type"],
        bool(data.get("updateable")),
        data.get("relationshipName") or "",
        target,
        data.get("label") or data["name"],
        bool(data.get("custom")),
        bool(data.get("createable")) and not data.get("nillable", True) and not data.get("defaultedOnCreate"),
        {one["value"]: one.get("label") or one["value"] for one in data.get("picklistValues") or () if one.get("active", True)},
    )


def _missing(message: str, name: str, names: Iterable[str]) -> Missing:
    known = {each.lower(): each for each in names if each}
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    return Missing(message, f"did you mean {known[close[0]]}? otherwise {HIDDEN}" if close else HIDDEN)


async def mapping_problems(schema: Schema, reads: Mapping[CrmKind, Read], write_back: Mapping[CrmKind, Mapping[str, str]]) -> list[Problem]:
    """Every field the mapping reads or writes that this user does not have, each once, in the order of the mapping."""
    reading = [(read, path) for main in reads.values() for read in (main, *main.children.values()) for path in read.fields]
    writing = [(kind, name, path) for kind, columns in write_back.items() for name, path in columns.items()]
    wants = [(read.object, path) for read, path in reading]
    targets = [(reads[kind].object, path) for kind, _, path in writing if kind in reads]
    found = await schema.resolve([*wants, *targets])
    return [*_unreadable(reading, found), *_unwritable(writing, reads, found)]


def _unreadable(reading: Iterable[tuple[Read, str]], found: Mapping[Want, Field | Missing]) -> Iterator[Problem]:
    for read, path in reading:
        answer = found[read.object, path]
        if isinstance(answer, Missing):
            yield Problem(answer.message, hint=answer.hint, path=read.places.get(path, ()))


def _unwritable(
    writing: Iterable[tuple[CrmKind, str, str]], reads: Mapping[CrmKind, Read], found: Mapping[Want, Field | Missing]
) -> Iterator[Problem]:
    for kind, name, column in writing:
        path = ("write_back", kind, name)
        if kind not in reads:
            yield Problem(f"nothing is read of {kind}, so nothing can be written back to it", path=path)
            continue
        answer = found[reads[kind].object, column]
        if isinstance(answer, Missing):
            yield Problem(answer.message, hint=answer.hint, path=path)
        elif not answer.updateable:
            hint = "give the integration user edit rights on it, or choose a field that is not calculated"
            yield Problem(f"{reads[kind].object}.{column} cannot be written by this user", hint=hint, path=path)
