"""From a CRM's raw record to the canonical model, by the user's mapping. Compiled once, then pure and quick."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from engine.config import ChildMapping, FieldSource, FieldSpec, KindMapping, StatusFlags, SystemMapping
from engine.model import Contact, CrmKind, Customer, Deal, Feedback, LineItem, Read, Record, StageChange

_UNFIT = re.compile("[\0\ud800-\udfff]")
Raw = Mapping[str, Any]
Get = Callable[[Raw], Any]

MODELS: dict[CrmKind, type[BaseModel]] = {"customer": Customer, "deal": Deal, "contact": Contact, "feedback": Feedback}
CHILDREN: dict[str, type[BaseModel]] = {"contacts": Contact, "line_items": LineItem, "stage_history": StageChange}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A canonical object and what could not be taken over (`amount: "12,5 EUR" is not a number`); such a field is left empty."""

    value: Any
    issues: tuple[str, ...] = ()


class Mapper:
    """Maps the records of one system, which goes by the `name` of its mapping file; that of the connector by default.

    A value that does not fit its field is left out and told in `Mapped.issues`; nothing else about the record is lost.
    """

    def __init__(self, mapping: SystemMapping, name: str = "") -> None:
        self._system = name or mapping.system
        self._shapes = {kind: _Shape(spec, MODELS[kind]) for kind, spec in mapping.read.items()}

    def map(self, record: Record) -> Mapped:
        shape = self._shapes[record.kind]
        data = shape.collect(record.fields)
        data["id"] = record.id
        if "system" in MODELS[record.kind].model_fields:
            data["system"] = self._system
            data["url"] = record.url
        return _validate(MODELS[record.kind], data)


def reads(mapping: SystemMapping) -> dict[CrmKind, Read]:
    """What a source must fetch so that this mapping finds everything it names, with the place of each raw field in the mapping file."""
    return {kind: _read(spec, ("read", kind)) for kind, spec in mapping.read.items()}


def writes(mapping: SystemMapping) -> dict[CrmKind, dict[str, str]]:
    """What a source may write back: for each kind, the system's field behind each of our names."""
    return {kind: {str(ours): theirs for ours, theirs in fields.items()} for kind, fields in mapping.write_back.items()}


def _read(spec: KindMapping | ChildMapping, path: tuple[str | int, ...]) -> Read:
    places: dict[str, tuple[str | int, ...]] = {}
    for group, fields in (("fields", spec.fields), ("custom", spec.custom)):
        for name, source in fields.items():
            for raw in raw_names(source):
                places.setdefault(raw, (*path, group, name))
    children = spec.children if isinstance(spec, KindMapping) else {}
    nested: dict[str, Read] = {name: _read(child, (*path, "children", name)) for name, child in children.items()}
    return Read(spec.object, tuple(places), nested, places)


def raw_names(source: FieldSpec) -> tuple[str, ...]:
    if isinstance(source, StatusFlags):
        return (source.won, source.closed)
    return (source.field if isinstance(source, FieldSource) else source,)


class _Shape:
    """One object's mapping, compiled to closures."""

    def __init__(self, spec: KindMapping | ChildMapping, model: type[BaseModel]) -> None:
        named = [(tuple(name.split(".")), _getter(source)) for name, source in spec.fields.items()]
        self._flat = [(path[0], get) for path, get in named if len(path) == 1]
        self._nested = [(path, get) for path, get in named if len(path) > 1]
        self._custom = [(name, _getter(source)) for name, source in spec.custom.items()]
        children = spec.children if isinstance(spec, KindMapping) else {}
        self._children = [(name, _Shape(child, CHILDREN[name])) for name, child in children.items()]
        self._model = model

    def collect(self, raw: Raw) -> dict[str, Any]:
        data = {name: value for name, get in self._flat if (value := get(raw)) is not None}
        for path, get in self._nested:
            if (value := get(raw)) is not None:
                data.setdefault(path[0], {})[path[1]] = value
        if self._custom:
            data["custom"] = {name: get(raw) for name, get in self._custom}
        for name, shape in self._children:
            data[name] = shape.collect_all(raw.get(name) or ())
        return data

    def collect_all(self, rows: Iterable[Raw]) -> list[dict[str, Any]]:
        found = [self.collect(row) for row in rows]
        if self._model is StageChange:
            found.sort(key=lambda row: str(row.get("at", "")))
        return found


def _getter(source: FieldSpec) -> Get:
    if isinstance(source, StatusFlags):
        return _status(_path(source.won), _path(source.closed))
    if isinstance(source, str):
        return _path(source)
    return _translated(_path(source.field), source.values, source.default)


def _path(dotted: str) -> Get:
    first, *rest = dotted.split(".")

    def get(raw: Raw) -> Any:
        value = raw.get(first)
        for name in rest:
            value = value.get(name) if isinstance(value, dict) else None
        return _fit(value) if isinstance(value, str) else value

    return get


def _fit(text: str) -> str:
    """Without NUL and halves of a character, which a system that cuts texts may leave: nothing can store or send those."""
    return text if text.isascii() and "\0" not in text else _UNFIT.sub("", text)


def _status(won: Get, closed: Get) -> Get:
    return lambda raw: "won" if won(raw) is True else "lost" if closed(raw) is True else "open"


def _translated(get: Get, values: Mapping[str, str], default: str | None) -> Get:
    def translate(raw: Raw) -> Any:
        value = get(raw)
        if str(value) in values:
            return values[str(value)]
        return value if default is None else default

    return translate


def _validate(model: type[BaseModel], data: dict[str, Any]) -> Mapped:
    issues: list[str] = []
    while True:
        try:
            return Mapped(model.model_validate(data), tuple(issues))
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                issues.append(_describe(fault["loc"], fault["input"], fault["msg"]))
                _remove(data, fault["loc"])
            _close_ranks(data)


def _describe(place: tuple[int | str, ...], value: Any, message: str) -> str:
    shown = f'"{str(value)[:40]}"'
    return f"{'.'.join(str(part) for part in place)}: {shown} left out ({message[:80].lower()})"


def _remove(data: dict[str, Any], place: tuple[int | str, ...]) -> None:
    """Take the faulty value out; a child row without the fields it must have goes as a whole."""
    node: Any = data
    for depth, part in enumerate(place):
        inner = node.get(part) if isinstance(node, dict) else node[part] if isinstance(part, int) and part < len(node) else None
        if depth == len(place) - 1 or inner is None:
            if isinstance(node, dict) and part in node:
                del node[part]
            elif isinstance(node, dict):
                _drop_row(data, place[:depth])
            return
        node = inner


def _drop_row(data: dict[str, Any], place: tuple[int | str, ...]) -> None:
    if not place:
        return
    node: Any = data
    for part in place[:-1]:
        node = node[part]
    last = place[-1]
    if isinstance(node, list) and isinstance(last, int):
        node[last] = None  # its place is kept until all faults are dealt with: they name rows by position
    elif isinstance(node, dict):
        node.pop(last, None)


def _close_ranks(data: dict[str, Any]) -> None:
    for name, value in data.items():
        if isinstance(value, list):
            data[name] = [row for row in value if row is not None]
