"""A mapping to start from, made of what a system says of itself: what fits is written, everything else is a comment to pick from. Pure text.

Nothing is guessed in silence. A field of ours is matched by the mapping that is there already or by the one that ships; a likeness of names is
written as a comment that says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from connectors.base import Description, FieldInfo, ObjectInfo
from engine.check_mapping import fields_of
from engine.config import ChildMapping, FieldSource, FieldSpec, KindMapping, StatusFlags, SystemMapping
from engine.mapping import CHILDREN, MODELS, raw_names

_PLAIN = re.compile(r"[A-Za-z_][\w./@-]*( [\w./@-]+)*")
_REFERRED = re.compile(r"(?=.*\$\{)[$A-Za-z][\w${}:/.@+-]*")
_RESERVED = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})
_MOST_CHOICES = 12
_MOST_PEOPLE = 60


@dataclass(frozen=True, slots=True)
class Known:
    """What is matched by: the user's own mapping first, then the one that ships."""

    name: str
    system: str
    own: SystemMapping
    shipped: tuple[SystemMapping, ...] = ()
    connection: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> dict[Any, KindMapping]:
        return dict(self.own.read) or {kind: spec for one in self.shipped for kind, spec in one.read.items()}

    def write_back(self) -> dict[Any, dict[Any, str]]:
        return dict(self.own.write_back) or {kind: columns for one in self.shipped for kind, columns in one.write_back.items()}


def word(value: object) -> str:
    """A scalar as YAML reads it back: plain where that is safe, in quotes otherwise."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED else json.dumps(text, ensure_ascii=False)


def connection_lines(system: str, model: type[BaseModel], known: Mapping[str, Any]) -> Iterator[str]:
    """A `connection:` section to fill in: what has to be said by the name of an environment variable, the rest as comments."""
    yield "connection:"
    for name, info in model.model_fields.items():
        about = f"   # {_line(info.description)}" if info.description else ""
        variable = f"${{{_variable(system, name)}}}"
        if name in known:
            yield f"  {name}: {_value(known[name])}{about}"
        elif info.is_required():
            yield f"  {name}: {variable}{about}"
        else:
            yield f"  # {name}: {variable if _is_secret(info.annotation) else _value(info.get_default(call_default_factory=True))}{about}"


def starter(known: Known, model: type[BaseModel], source: Description | None, target: Description | None, today: date) -> str:
    """The whole file, as text that is a valid mapping."""
    lines = [
        f"# {known.system} as it described itself on {today.isoformat()}. Take from here what you need into mappings/{known.name}.yaml.",
        "# Lines that are no comments fit: your mapping or the one that ships names them, and they are there. `guess` is a likeness of names.",
        "version: 1",
        f"system: {word(known.system)}",
        "",
        *connection_lines(known.system, model, _without_secrets(known, model)),
    ]
    if source is not None:
        lines += ["", *_reading(known, source)]
    if target is not None:
        lines += ["", *_people(known, target), "", *_custom_fields(known, target)]
    return "\n".join(lines) + "\n"


# what a CRM is read for


def _reading(known: Known, found: Description) -> Iterator[str]:
    objects = {each.name: each for each in found.objects}
    specs = {kind: spec for kind, spec in known.read().items() if spec.object in objects}
    yield "read:" if specs else "read: {}"
    for kind, spec in specs.items():
        yield from _kind(kind, spec, objects[spec.object], objects, found)
    used = {spec.object for spec in specs.values()} | {child.object for spec in specs.values() for child in spec.children.values()}
    for each in found.objects:
        if each.name in used:
            continue
        if each.kind in MODELS and each.kind not in specs:
            yield f"# No mapping reads a {each.kind} yet; it could be:"
            yield from (f"# {line}" for line in _kind(each.kind, None, each, objects, found))
        else:
            yield f"# Another object: {word(each.name)}, {_line(each.label)}"
            yield from _unused(each, frozenset(), "#")
    yield from _writing(known, {kind: specs[kind].object for kind in specs}, objects)


def _kind(kind: Any, spec: KindMapping | None, about: ObjectInfo, objects: Mapping[str, ObjectInfo], found: Description) -> Iterator[str]:
    yield f"  {kind}:"
    yield f"    object: {word(about.name)}   # {_line(about.label)}"
    yield from _fields(spec, about, MODELS[kind], "    ", child=False)
    if kind == "deal" and found.stages:
        yield "    # Stages, and what a deal in them counts as:"
        for stage in found.stages:
            pipeline = f" in {_line(stage.pipeline)}" if stage.pipeline else ""
            yield f"    #   {word(stage.name)}: {stage.status or 'the system does not say'}{pipeline}"
    yield from _unused(about, _named(spec), "    #")
    if spec is not None and spec.children:
        yield "    children:"
        for name, child in spec.children.items():
            yield f"      {name}:"
            inside = objects.get(child.object)
            yield f"        object: {word(child.object)}" + ("" if inside else "   # not described; `handoff check` looks")
            yield from _fields(child, inside, CHILDREN[name], "        ", child=True)
            if inside is not None:
                yield from _unused(inside, _named(child), "        #")


def _fields(
    spec: KindMapping | ChildMapping | None, about: ObjectInfo | None, model: type[BaseModel], pad: str, *, child: bool
) -> Iterator[str]:
    named = dict(spec.fields) if spec else {}
    lines = list(_matched(named, about, f"{pad}  "))
    yield f"{pad}fields:" if any(not line.lstrip().startswith("#") for line in lines) else f"{pad}fields: {{}}"
    yield from lines
    yield from _guesses([name for name in fields_of(model, child=child) if name not in named], about, f"{pad}  ")
    custom = list(_matched(dict(spec.custom), about, f"{pad}  ")) if spec else []
    if custom:
        yield f"{pad}custom:" if any(not line.lstrip().startswith("#") for line in custom) else f"{pad}custom: {{}}"
        yield from custom


def _matched(named: Mapping[str, FieldSpec], about: ObjectInfo | None, pad: str) -> Iterator[str]:
    infos = {info.path: info for info in about.fields} if about else {}
    for name, source in named.items():
        lost = [raw for raw in raw_names(source) if about is not None and raw not in infos]
        line = f"{name}: {_source(source)}"
        if lost:
            yield f"{pad}# {line}   # there is no {', '.join(map(_line, lost))} here"
        else:
            yield f"{pad}{line}" + _about([infos[raw] for raw in raw_names(source) if raw in infos])


def _guesses(missing: Iterable[str], about: ObjectInfo | None, pad: str) -> Iterator[str]:
    alike = {_bare(text): info for info in (about.fields if about else ()) for text in (info.label, info.path)}
    for name in missing:
        if info := alike.get(_bare(name)):
            yield f"{pad}# guess: {name}: {word(info.path)}{_about([info])}"


def _unused(about: ObjectInfo, used: frozenset[str], pad: str) -> Iterator[str]:
    left = [info for info in about.fields if info.path not in used]
    if left:
        yield f"{pad} Every other field of {_line(about.name)}; under fields as `ours: theirs`, under custom by a name of yours:"
    for info in left:
        yield f"{pad}   {word(info.path)}{_about([info])}"


def _named(spec: KindMapping | ChildMapping | None) -> frozenset[str]:
    sources = [*spec.fields.values(), *spec.custom.values()] if spec else []
    return frozenset(raw for source in sources for raw in raw_names(source))


def _writing(known: Known, of: Mapping[Any, str], objects: Mapping[str, ObjectInfo]) -> Iterator[str]:
    lines: list[str] = []
    for kind, columns in known.write_back().items():
        if kind not in of:
            continue
        infos = {info.path: info for info in objects[of[kind]].fields}
        can = {ours: column for ours, column in columns.items() if column in infos and infos[column].writable}
        lines.append(f"  {kind}:" if can else f"  {kind}: {{}}")
        for ours, column in columns.items():
            mark = "" if ours in can else "# "
            why = (
                "" if ours in can else f"   # {'it cannot be written' if column in infos else 'add it to the CRM, or choose another field'}"
            )
            lines.append(f"    {mark}{ours}: {word(column)}{why}")
    if lines:
        yield from ("", "# What flows back.", "write_back:", *lines)


# what a tool offers


def _people(known: Known, found: Description) -> Iterator[str]:
    people = known.own.people
    yield "people:"
    yield "  roles:" if people.roles else "  roles: {}"
    yield from (f"    {role}: {word(text)}" for role, text in people.roles.items())
    if people.overrides:
        yield "  overrides:"
        yield from (f"    {word(theirs)}: {word(ours)}" for theirs, ours in people.overrides.items())
    if people.fallback:
        yield f"  fallback: {word(people.fallback)}"
    yield "  # Who may be given a role, as `role: e-mail`, or be the fallback:"
    listed = [one for one in found.people if one.email]
    yield from (f"  #   {one.email}   # {_line(one.name)}" for one in listed[:_MOST_PEOPLE])
    if len(found.people) > len(listed[:_MOST_PEOPLE]):
        yield f"  #   … and {len(found.people) - len(listed[:_MOST_PEOPLE])} more, or without an e-mail to be found by"


def _custom_fields(known: Known, found: Description) -> Iterator[str]:
    infos = {info.path: info for each in found.objects for info in each.fields if info.custom}
    infos = {**{info.label: info for info in infos.values()}, **infos}
    wanted = dict(known.own.fields)
    fits = {name: one for name, one in wanted.items() if one.custom_field in infos}
    yield "# A blueprint's custom field: the tool's."
    yield "fields:" if fits else "fields: {}"
    for name, one in wanted.items():
        values = f", values: {_value(one.values)}" if one.values else ""
        line = f"{word(name)}: {{ custom_field: {word(one.custom_field)}{values} }}"
        yield f"  {line}{_about([infos[one.custom_field]])}" if name in fits else f"  # {line}   # there is none here"
    used = {infos[one.custom_field].path for one in fits.values()}
    for path, info in infos.items():
        if path == info.path and path not in used:
            yield f"  # {_slug(info.label)}: {{ custom_field: {word(info.path)} }}{_about([info])}"


# words


def _source(source: FieldSpec) -> str:
    if isinstance(source, StatusFlags):
        return f"{{ won: {word(source.won)}, closed: {word(source.closed)} }}"
    if isinstance(source, FieldSource):
        parts = [f"field: {word(source.field)}"]
        parts += [f"values: {_value(source.values)}"] if source.values else []
        parts += [f"default: {word(source.default)}"] if source.default is not None else []
        return f"{{ {', '.join(parts)} }}"
    return word(source)


def _about(infos: Iterable[FieldInfo]) -> str:
    told = []
    for info in infos:
        facts = [_line(info.type), *(["required"] if info.required else []), *([] if info.writable else ["read only"])]
        choices = [_line(one) if one == shown else f"{_line(one)} ({_line(shown)})" for one, shown in info.choices.items()]
        more = f": {', '.join(choices[:_MOST_CHOICES])}{' …' if len(choices) > _MOST_CHOICES else ''}" if choices else ""
        told.append(f"{_line(info.label)} ({', '.join(facts)}){more}")
    return f"   # {'; '.join(told)}" if told else ""


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{word(key)}: {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value) if isinstance(value, int | float) or ("${" in str(value) and '"' not in str(value)) else word(value)


def _without_secrets(known: Known, model: type[BaseModel]) -> dict[str, Any]:
    """The connection as it is written, secrets that stand in it in plain words left to the environment."""
    secret = {name for name, info in model.model_fields.items() if _is_secret(info.annotation)}
    variable = {name: f"${{{_variable(known.system, name)}}}" for name in secret}
    return {name: value if name not in secret or "${" in str(value) else variable[name] for name, value in known.connection.items()}


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(inner) for inner in get_args(annotation))


def _variable(system: str, name: str) -> str:
    return re.sub(r"\W", "_", f"{system}_{name}").upper()


def _bare(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.removesuffix("__c").lower())


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "field"


def _line(text: object) -> str:
    """One line, fit for a comment."""
    return " ".join(str(text).split())
