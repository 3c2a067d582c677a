"""Checks of `mappings/<system>.yaml`: names of ours, statuses, people."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel

from engine.config import ChildMapping, FieldSource, FieldSpec, KindMapping, StatusFlags, SystemMapping
from engine.document import Path
from engine.expressions import Scope, compile_template
from engine.findings import Findings, is_template
from engine.mapping import CHILDREN, MODELS
from engine.model import DealStatus, Person

STATUSES = DealStatus.__args__  # type: ignore[attr-defined]
_SET_BY_US = frozenset({"system", "id", "url", "custom", "customer", *CHILDREN})
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def fields_of(model: type[BaseModel], *, child: bool) -> list[str]:
    """Our field names that a mapping may fill, `owner.email` and its like included."""
    names = [name for name in model.model_fields if name != "custom" and (child or name not in _SET_BY_US)]
    if "owner" in names:
        names.remove("owner")
        names += [f"owner.{name}" for name in Person.model_fields]
    return names


def custom_names(mappings: Mapping[str, SystemMapping]) -> dict[str, frozenset[str]]:
    """What mappings add to each kind; the contacts of a deal and contacts read by themselves are the same."""
    found: dict[str, frozenset[str]] = {}
    for mapping in mappings.values():
        for kind, spec in mapping.read.items():
            name = "contacts" if kind == "contact" else kind
            found[name] = found.get(name, frozenset()) | spec.custom.keys()
            for child, inner in spec.children.items():
                found[child] = found.get(child, frozenset()) | inner.custom.keys()
    return found


def closed_values(mappings: Mapping[str, SystemMapping]) -> dict[str, frozenset[str]]:
    """The only values of a field (`customer.tier`), where every mapping that reads it lists them and has a default."""
    found: dict[str, frozenset[str]] = {}
    still_open: set[str] = set()
    for mapping in mappings.values():
        for kind, spec in mapping.read.items():
            for name, source in spec.fields.items():
                if isinstance(source, FieldSource) and source.default is not None:
                    values = frozenset({*source.values.values(), source.default})
                    found[f"{kind}.{name}"] = found.get(f"{kind}.{name}", frozenset()) | values
                else:
                    still_open.add(f"{kind}.{name}")
    return {name: values for name, values in found.items() if name not in still_open}


def check_mapping(mapping: SystemMapping, findings: Findings, people_scope: Scope) -> None:
    if mapping.push is None and "connection" not in mapping.model_fields_set:
        findings.refuse("missing key 'connection'", (), "or a 'push' section, for a system that pushes and is nothing else")
    for kind, spec in mapping.read.items():
        path: Path = ("read", kind)
        _fields(spec, MODELS[kind], path, findings, child=False)
        for name, inner in spec.children.items():
            _child(kind, name, inner, path, findings)
    _people(mapping, findings, people_scope)


def _child(kind: str, name: str, spec: ChildMapping, path: Path, findings: Findings) -> None:
    place = (*path, "children", name)
    lists = [child for child in CHILDREN if child in MODELS[kind].model_fields]  # type: ignore[index]
    if findings.known(f"list of a {kind}", name, lists, place, at_key=True):
        _fields(spec, CHILDREN[name], place, findings, child=True)


def _fields(spec: KindMapping | ChildMapping, model: type[BaseModel], path: Path, findings: Findings, *, child: bool) -> None:
    allowed = fields_of(model, child=child)
    for name, source in spec.fields.items():
        if findings.known("field of ours", name, allowed, (*path, "fields", name), at_key=True):
            _source(name, source, (*path, "fields", name), findings)
    for name in allowed if child else ():
        if model.model_fields[name].is_required() and name not in spec.fields:
            findings.refuse(f"missing field {name}", (*path, "fields"), "every row needs one")
    for name, source in spec.custom.items():
        _custom(name, source, model, (*path, "custom", name), findings)


def _custom(name: str, source: FieldSpec, model: type[BaseModel], place: Path, findings: Findings) -> None:
    if "custom" not in model.model_fields:
        findings.refuse("this list has no custom fields", place, at_key=True)
    elif not _IDENTIFIER.fullmatch(name):
        findings.refuse(f"the name {name} cannot be used in expressions", place, "letters, digits and _ only", at_key=True)
    _source(name, source, place, findings)


def _source(name: str, source: FieldSpec, place: Path, findings: Findings) -> None:
    is_status = place == ("read", "deal", "fields", "status")
    if isinstance(source, StatusFlags):
        if not is_status:
            findings.refuse(f"won and closed make a deal's status, not {name}", place)
        return
    if not is_status:
        return
    if isinstance(source, str) or (not source.values and source.default is None):
        findings.refuse("a status is made of the flags won and closed, or of values", place, "status: {won: IsWon, closed: IsClosed}")
        return
    for theirs, ours in source.values.items():
        findings.known("status", ours, STATUSES, (*place, "values", theirs))
    if source.default is not None:
        findings.known("status", source.default, STATUSES, (*place, "default"))


def _people(mapping: SystemMapping, findings: Findings, scope: Scope) -> None:
    people = mapping.people
    for theirs, ours in people.overrides.items():
        findings.email(theirs, ("people", "overrides", theirs), at_key=True)
        findings.email(ours, ("people", "overrides", theirs))
    if people.fallback:
        findings.email(people.fallback, ("people", "fallback"))
    for role, text in people.roles.items():
        path = ("people", "roles", role)
        if is_template(text):
            findings.compiled(path, lambda text=text: compile_template(text, scope))  # type: ignore[misc]
        else:
            findings.email(text, path)
