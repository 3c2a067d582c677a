"""What expressions may reach: the fields of the canonical models, known before any record is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from engine.model import Contact, Customer, Deal, EventInfo, Feedback, LineItem

Kind = Literal["text", "number", "truth", "day", "moment", "record", "list", "any"]
Custom = Mapping[str, Collection[str]]
Values = Mapping[str, Collection[str]]
NO_VALUES: Values = {}

_PLAIN: Mapping[type, Kind] = {
    str: "text",
    int: "number",
    Decimal: "number",
    float: "number",
    bool: "truth",
    date: "day",
    datetime: "moment",
}
_CUSTOM_OF: Mapping[type[BaseModel], str] = {
    Customer: "customer",
    Deal: "deal",
    Feedback: "feedback",
    Contact: "contacts",
    LineItem: "line_items",
    EventInfo: "event",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a name or a field holds. A record has `fields`, a list has `of`, a closed text has its possible `values`."""

    kind: Kind
    fields: Mapping[str, Shape] = field(default_factory=dict)
    of: Shape | None = None
    values: tuple[str, ...] = ()


ANY = Shape("any")
TEXT = Shape("text")
NUMBER = Shape("number")
TRUTH = Shape("truth")
DAY = Shape("day")
LOOP = Shape("record", {"index": NUMBER, "index0": NUMBER, "length": NUMBER, "first": TRUTH, "last": TRUTH})


def shape_of(annotation: Any, custom: Custom, values: Values = NO_VALUES) -> Shape:
    """The shape of a type.

    `custom` names what mappings add to each kind ("deal", "customer", "feedback", "contacts", "line_items"); `values` are the only values of
    a field (`customer.tier`), where mappings close them.
    """
    if isinstance(annotation, Shape):
        return annotation
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape_of(args[0], custom, values)
    if origin in (Union, UnionType):
        kinds = [arg for arg in args if arg is not NoneType]
        return shape_of(kinds[0], custom, values) if len(kinds) == 1 else ANY
    if origin is Literal:
        return Shape("text", values=tuple(str(arg) for arg in args))
    if origin in (tuple, list):
        return Shape("list", of=shape_of(args[0], custom, values))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _record(annotation, custom, values)
    return Shape(_PLAIN.get(annotation, "any"))


def _record(model: type[BaseModel], custom: Custom, values: Values) -> Shape:
    kind = _CUSTOM_OF.get(model, "")
    fields = {name: shape_of(info.annotation, custom, values) for name, info in model.model_fields.items()}
    fields |= {name: Shape("text", values=tuple(values[f"{kind}.{name}"])) for name in fields if f"{kind}.{name}" in values}
    # AwareDatetime is a marker class, not a datetime, once it is inside an annotation
    fields |= {name: Shape("moment") for name in ("created_at", "at") if name in fields}
    if "custom" in fields:
        fields["custom"] = Shape("record", dict.fromkeys(custom.get(kind, ()), ANY))
    return Shape("record", fields)


def shape_at(root: Mapping[str, Shape], path: str) -> Shape | None:
    """The shape at a dotted path, or None when there is no such field."""
    first, *rest = path.split(".")
    shape = root.get(first)
    for name in rest:
        shape = shape.fields.get(name) if shape else None
    return shape
