"""What the server says about its models: the type of each field this user may see, and where relations lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.base import Rejected
from connectors.http import Effect
from connectors.odoo.errors import NotThere
from connectors.odoo.rpc import Rpc

_ATTRIBUTES = ("string", "type", "relation", "relation_field", "selection", "required", "readonly", "store")
MANY = frozenset({"one2many", "many2many"})


@dataclass(frozen=True, slots=True)
class Field:
    """`relation` is the model a relation leads to, `inverse` the field there that leads back, where there is one."""

    name: str
    type: str
    label: str = ""
    relation: str = ""
    inverse: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    required: bool = False
    writable: bool = True


class Missing(Rejected):
    """A path that leads nowhere: `name` is not a field of `model`, or is hidden from this user. `known` are the fields there are."""

    def __init__(self, model: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"{model} has no field {name}", field=name, system="odoo")
        self.model, self.name, self.known = model, name, known


class Schema:
    """Models' fields, asked for once each."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._known: dict[str, Mapping[str, Field]] = {}

    async def fields(self, model: str) -> Mapping[str, Field]:
        """The fields this user may see. Raises NotThere where the server has no such model."""
        if model not in self._known:
            self._known[model] = await self._ask(model)
        return self._known[model]

    async def _ask(self, model: str) -> Mapping[str, Field]:
        try:
            told = await self._rpc.call(model, "fields_get", effect=Effect.READ, attributes=list(_ATTRIBUTES))
        except Rejected as refusal:
            if isinstance(refusal, NotThere) or f"{model} doesn't exist" in refusal.message:
                raise NotThere(f"this server has no {model}", system="odoo") from refusal
            raise
        return {name: _field(name, each) for name, each in told.items()}

    async def end(self, model: str, path: str) -> Field:
        """The field at the end of a dotted path. Raises Missing for the first that is not there, NotThere."""
        name, _, rest = path.partition(".")
        fields = await self.fields(model)
        if name not in fields:
            raise Missing(model, name, sorted(fields))
        if not rest:
            return fields[name]
        if not fields[name].relation:
            raise Missing(model, path, ())
        return await self.end(fields[name].relation, rest)


def _field(name: str, told: Mapping[str, Any]) -> Field:
    choices = {str(value): str(label) for value, label in told.get("selection") or ()}
    return Field(
        name=name,
        type=str(told.get("type", "")),
        label=str(told.get("string", "")),
        relation=str(told.get("relation") or ""),
        inverse=str(told.get("relation_field") or ""),
        choices=choices,
        required=bool(told.get("required")),
        writable=not told.get("readonly"),
    )
