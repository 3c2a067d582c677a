"""Which rows belong to an opportunity or a party, and whose changes concern them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.tryton.rpc import Domain
from engine.model import Read

LOG = "ir.model.log"
PARTY, MECHANISM = "party.party", "party.contact_mechanism"

# (object, child object): where the rows are listed on the object
PATHS: Mapping[tuple[str, str], str] = {
    ("sale.opportunity", "sale.opportunity.line"): "lines",
    ("sale.opportunity", MECHANISM): "party.contact_mechanisms",
    ("sale.opportunity", "party.address"): "party.addresses",
    ("sale.opportunity", "sale.sale"): "sales",
    (PARTY, MECHANISM): "contact_mechanisms",
    (PARTY, "party.address"): "addresses",
    (PARTY, "party.identifier"): "identifiers",
}
LISTS: Mapping[str, Mapping[str, str]] = {PARTY: {path: child for (name, child), path in PATHS.items() if name == PARTY}}
# What the server works out from a party's contact mechanisms.
COMPUTED = frozenset({"email", "phone", "mobile", "fax", "website"})
# A contact mechanism has a type and a value. The server's own `email` of one is its value whatever its type is.
BY_TYPE: Mapping[str, frozenset[str]] = {
    "email": frozenset({"email"}),
    "phone": frozenset({"phone", "mobile"}),
    "website": frozenset({"website"}),
}
_HIDING = frozenset({PARTY, MECHANISM, "party.address", "party.identifier"})

# The log of a button that ends a deal has no line of the transition itself, because the button's own code sets the state.
STATE_OF_BUTTON: Mapping[str, str] = {"lost": "lost", "cancel": "cancelled"}
HISTORY_FIELDS = frozenset({"state", "at", "id"})


@dataclass(frozen=True, slots=True)
class Watch:
    """Rows of `model`, listed at `path` on the object, whose changes concern it. `fields` are what is read of them."""

    model: str
    path: str
    fields: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.model}@{self.path}"


def everywhere(model: str) -> Domain:
    """Deactivated rows, too, where a model has such."""
    return [["active", "in", [True, False]]] if model in _HIDING else []


def stored(read: Read) -> tuple[str, ...]:
    """The fields the server must give for those that are read of a list's rows."""
    if read.object != MECHANISM:
        return read.fields
    return tuple(dict.fromkeys(each for name in read.fields for each in (("type", "value") if name in BY_TYPE else (name,))))


def watches(read: Read) -> list[Watch]:
    """Each list once: those of the mapping's children, and those its own paths lead through."""
    fields: dict[tuple[str, str], dict[str, None]] = {}
    for child in read.children.values():
        if child.object != LOG:
            fields.setdefault((child.object, PATHS[read.object, child.object]), {}).update(dict.fromkeys(stored(child)))
    for path in read.fields:
        first, _, rest = path.partition(".")
        if rest and first in LISTS.get(read.object, {}):
            fields.setdefault((LISTS[read.object][first], first), {})[rest] = None
        elif read.object == PARTY and first in COMPUTED:
            fields.setdefault((MECHANISM, "contact_mechanisms"), {}).update({"type": None, "value": None})
    return [Watch(model, path, tuple(wanted)) for (model, path), wanted in fields.items()]


def asked(read: Read) -> list[str]:
    """All that one call must bring for complete rows."""
    lists = [f"{watch.path}.{name}" for watch in watches(read) for name in (*watch.fields, "last_modified_at")]
    merged = ["replaced_by"] if read.object == PARTY else []
    return list(dict.fromkeys([*read.fields, *lists, "last_modified_at", *merged]))
