"""What an org's objects look like: their fields, and how they hang together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

TEXT_KINDS = frozenset({"string", "textarea", "picklist", "email", "phone", "url", "combobox"})
ID_KINDS = frozenset({"id", "reference"})
NUMBER_KINDS = frozenset({"double", "currency", "percent", "int"})


@dataclass(frozen=True, slots=True)
class Field:
    """`to` names the object a reference points at, `relationship` the way there in SOQL, `compound` the field this one is a part of."""

    name: str
    type: str = "string"
    length: int = 0
    label: str = ""
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    external_id: bool = False
    unique: bool = False
    calculated: bool = False
    values: tuple[str, ...] = ()
    restricted: bool = False
    to: str = ""
    relationship: str = ""
    compound: str = ""
    default: bool | None = None

    @property
    def indexed(self) -> bool:
        return self.type == "reference" or self.external_id or self.unique

    @property
    def textual(self) -> bool:
        return self.type in TEXT_KINDS


@dataclass(frozen=True, slots=True)
class Child:
    """A child relationship: the rows of `object` whose `field` holds the parent's id. `cascade`: they are deleted with it."""

    name: str
    object: str
    field: str
    cascade: bool = False


@dataclass(slots=True)
class Spec:
    """One object. Fields hidden from the integration user are in `hidden`; everything the API does goes by `find`, which passes them over."""

    name: str
    prefix: str
    fields: dict[str, Field]
    children: list[Child] = field(default_factory=list)
    label_plural: str = ""
    replicateable: bool = True
    deletable: bool = True
    writable: bool = True
    mergeable: bool = False
    ordered: tuple[str, ...] = ("SystemModstamp",)
    hidden: set[str] = field(default_factory=set)
    changed_at: str = ""
    _names: dict[str, str] = field(default_factory=dict)
    _relationships: dict[str, Field] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.fields.values():
            self._learn(each)

    def add(self, new: Field) -> None:
        self.fields[new.name] = new
        self._learn(new)

    def _learn(self, new: Field) -> None:
        self._names[new.name.lower()] = new.name
        if new.relationship:
            self._relationships[new.relationship.lower()] = new

    def find(self, name: str) -> Field | None:
        """The visible field of that name, in any case."""
        canonical = self._names.get(name.lower())
        return None if canonical is None or canonical in self.hidden else self.fields[canonical]

    def relation(self, name: str) -> Field | None:
        """The reference field behind a parent relationship such as `Account` or `Owner`."""
        reference = self._relationships.get(name.lower())
        return None if reference is None or reference.name in self.hidden else reference

    def child(self, name: str) -> Child | None:
        return next((child for child in self.children if child.name.lower() == name.lower()), None)

    def visible(self) -> Iterator[Field]:
        return (each for each in self.fields.values() if each.name not in self.hidden)


def read_only(kind: Field) -> Field:
    return replace(kind, createable=False, updateable=False)


def ref(name: str, to: str, relationship: str = "", *, nillable: bool = True) -> Field:
    return Field(name, "reference", 18, to=to, relationship=relationship or name.removesuffix("Id"), nillable=nillable)


def texts(*names: str, length: int = 255, type: str = "string", compound: str = "") -> list[Field]:
    return [Field(name, type, length, compound=compound) for name in names]


def money(*names: str) -> list[Field]:
    return [Field(name, "currency") for name in names]


def flag(name: str, *, default: bool = False) -> Field:
    return Field(name, "boolean", nillable=False, default=default)


def pick(name: str, *values: str, nillable: bool = True, restricted: bool = False) -> Field:
    return Field(name, "picklist", 255, values=values, nillable=nillable, restricted=restricted)


def audit(*, deleted: bool = True) -> list[Field]:
    stamps = [read_only(Field(name, "datetime", nillable=False)) for name in ("CreatedDate", "LastModifiedDate", "SystemModstamp")]
    users = [read_only(ref(name, "User")) for name in ("CreatedById", "LastModifiedById")]
    return [read_only(Field("Id", "id", 18, nillable=False)), *([read_only(flag("IsDeleted"))] if deleted else []), *stamps, *users]


def spec(
    name: str,
    prefix: str,
    *fields: Field | list[Field],
    children: Iterable[Child] = (),
    deleted: bool = True,
    plural: str = "",
    replicateable: bool = True,
    writable: bool = True,
    mergeable: bool = False,
    ordered: tuple[str, ...] = (),
) -> Spec:
    flat = [each for group in (audit(deleted=deleted), *fields) for each in (group if isinstance(group, list) else [group])]
    return Spec(
        name,
        prefix,
        {each.name: each for each in flat},
        list(children),
        plural or f"{name}s",
        replicateable,
        deletable=writable and deleted,
        writable=writable,
        mergeable=mergeable,
        ordered=("SystemModstamp", *ordered),
    )
