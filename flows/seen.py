"""What a system said of itself when `handoff discover` last looked, in a file beside the mapping, and what has changed since.

The file is `mappings/.seen/<name>.yaml`: part of the configuration, to be committed with it, so that whoever changes a CRM's fields shows up in a
diff and every machine compares with the same. It holds names, types and choices; no people and no data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from connectors.base import ConfigError, Description
from engine.config import ChildMapping, FieldSource, KindMapping, SystemMapping
from engine.mapping import reads
from engine.model import Problem, Read
from engine.yaml import Invalid, parse
from flows.starter import word

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Type and choices of each field, by object and path, and the day they were seen."""

    on: str
    fields: Mapping[tuple[str, str], tuple[str, frozenset[str]]]


def place_of(folder: Path, name: str) -> Path:
    return folder / "mappings" / ".seen" / f"{name}.yaml"


def record(folder: Path, name: str, found: Description, today: date) -> Path:
    """Write down what was seen; what was noted before is replaced. Raises ConfigError where it cannot be written."""
    path = place_of(folder, name)
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text("\n".join(_lines(name, found, today)) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise ConfigError([Problem(f"cannot be written ({error.strerror})", str(path))]) from error
    return path


def _lines(name: str, found: Description, today: date) -> Iterator[str]:
    yield f"# What {name} said of its fields. Written by `handoff discover {name}`, compared by `handoff check`. Commit it with the mapping."
    yield f"seen: {today.isoformat()!r}"
    yield "objects:"
    for each in sorted(found.objects, key=lambda each: each.name):
        yield f"  {word(each.name)}:"
        for field in sorted(each.fields, key=lambda field: field.path):
            choices = f", choices: [{', '.join(word(one) for one in sorted(field.choices))}]" if field.choices else ""
            yield f"    {word(field.path)}: {{type: {word(field.type)}{choices}}}"


def read(folder: Path, name: str) -> Seen | None:
    """What was seen; None when nobody looked yet. Raises ConfigError for a file that is none of ours."""
    path = place_of(folder, name)
    if not path.exists():
        return None
    shown = str(path.relative_to(folder))
    try:
        data: Any = parse(path.read_bytes(), shown).data
        return Seen(str(data["seen"]), dict(_fields(data["objects"] or {})))
    except Invalid as error:
        raise ConfigError(error.problems) from error
    except (OSError, KeyError, TypeError, AttributeError) as error:
        hint = f"run `handoff discover {name}` again"
        raise ConfigError([Problem("cannot be read as what `handoff discover` writes", shown, hint=hint)]) from error


def _fields(objects: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[str, frozenset[str]]]]:
    for name, fields in objects.items():
        for path, told in (fields or {}).items():
            yield (str(name), str(path)), (str(told["type"]), frozenset(map(str, told.get("choices") or ())))


@dataclass(frozen=True, slots=True)
class _Use:
    """A field that the mapping names: of which object, where, and what is said of it there."""

    object: str
    field: str
    place: Place
    source: Any = None

    @property
    def key(self) -> tuple[str, str]:
        return self.object, self.field


def drift(name: str, mapping: SystemMapping, seen: Seen, found: Description) -> list[Problem]:
    """What of the fields a mapping uses has vanished or is another type or choice than it was, each at its place in the mapping."""
    now = {(each.name, field.path): (field.type, frozenset(field.choices)) for each in found.objects for field in each.fields}
    accept = f"then run `handoff discover {name}` to take it for known"
    told = (_changed(use, seen, now.get(use.key), accept) for use in _used(mapping, found) if use.key in seen.fields)
    return [problem for problem in told if problem is not None]


def _used(mapping: SystemMapping, found: Description) -> Iterator[_Use]:
    for kind, wanted in reads(mapping).items():
        yield from _read(wanted, mapping.read[kind])
        for ours, column in mapping.write_back.get(kind, {}).items():
            yield _Use(wanted.object, column, ("write_back", kind, str(ours)))
    objects = [each.name for each in found.objects if each.kind in ("project", "task")]
    for name, field in mapping.fields.items():
        yield from (_Use(one, field.custom_field, ("fields", name, "custom_field")) for one in objects)


def _read(wanted: Read, spec: KindMapping | ChildMapping) -> Iterator[_Use]:
    for path, place in wanted.places.items():
        group = spec.fields if place[-2] == "fields" else spec.custom
        yield _Use(wanted.object, path, place, group.get(str(place[-1])))
    if isinstance(spec, KindMapping):
        for name, child in spec.children.items():
            yield from _read(wanted.children[name], child)


def _changed(use: _Use, seen: Seen, now: tuple[str, frozenset[str]] | None, accept: str) -> Problem | None:
    what, (type_, choices) = ".".join(use.key), seen.fields[use.key]
    if now is None:
        return Problem(
            f"{what} was there on {seen.on} and is gone", hint=f"map another field or take the line out, {accept}", path=use.place
        )
    if now[0] != type_:
        told = f"{what} was {type_} on {seen.on} and is {now[0]} now"
        return Problem(told, hint=f"see that what is made of it still fits, {accept}", path=use.place)
    gone, fresh = choices - now[1], now[1] - choices
    if isinstance(use.source, FieldSource) and use.source.values and use.source.default is not None:
        gone, fresh = gone & use.source.values.keys(), frozenset()  # for all others there is the default
    parts = [f"{verb} {', '.join(sorted(some))}" for verb, some in (("lost", gone), ("gained", fresh)) if some]
    if not parts:
        return None
    return Problem(f"{what} has {' and '.join(parts)} since {seen.on}", hint=f"see to `values` and the rules, {accept}", path=use.place)
