"""Rows become records: only what the mapping asks for, children in a steady order, a version that changes with any of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.base import ConfigError
from connectors.zoho.errors import SYSTEM, NoSuchField
from connectors.zoho.reading import Reading, Shape
from connectors.zoho.schema import BY_RECORD_ONLY, PEOPLE, Schema
from connectors.zoho.values import Row, digest, project, stamp, together
from engine.model import CrmKind, Problem, Read, Record

WON, CLOSED, CURRENCY = "$won", "$closed", "$currency"
COMPUTED: Mapping[str, str] = {WON: "Stage", CLOSED: "Stage", CURRENCY: "Currency"}
"""What Zoho does not tell with a record, by the field it is worked out from: whether a deal's stage counts as won or as closed, from the
forecast type of its pipeline; and a record's currency, which is the organisation's own unless it has several."""

GIVEN = frozenset({"id", "name", "email"})  # of a record that another one refers to
LISTS = frozenset({"Contact_Roles", "Stage_History", "Products", "Notes", "Contacts", "Deals"})
"""Related lists that every organisation has. A child of another name is a subform where the module has one, else a related list."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind as it is read."""

    name: CrmKind
    read: Read
    shape: Shape

    @staticmethod
    def of(name: CrmKind, read: Read) -> Kind:
        fields = [COMPUTED.get(path, path.split(".")[0]) for path in read.fields if path != "id"]
        fields += ["Pipeline"] if {WON, CLOSED} & set(read.fields) else []
        optional = frozenset({"Pipeline", "Currency"}) - set(read.fields)  # where an organisation has switched them on
        return Kind(name, read, Shape(read.object, tuple(fields), optional))

    def links(self) -> dict[str, list[str]]:
        """What is read of other records beyond what comes with the record itself, by the lookup that leads there."""
        found: dict[str, list[str]] = {}
        for name, _, rest in (path.partition(".") for path in self.read.fields):
            if rest and rest not in GIVEN:
                found.setdefault(name, []).append(rest)
        return found

    def token(self, row: Row) -> tuple[str, str]:
        """What a cursor remembers of a row that was yielded: its stamp, and its id with the mark of its content.

        A stamp has whole seconds: without the content a second change within one would pass for the first.
        """
        return stamp(row["Modified_Time"]), f"{row['id']}~{digest(project(row, self.shape.wanted))}"


class Records:
    """Makes records of rows: looks up what other records and lists have to say about them."""

    def __init__(self, reading: Reading, schema: Schema, api_url: str) -> None:
        self._reading = reading
        self._schema = schema
        self._web = web_address(api_url)

    async def of(self, kind: Kind, rows: Sequence[Row]) -> list[Record]:
        """In the order of the rows. Raises ConfigError where a field of the mapping is not there."""
        if not rows:
            return []
        await self.hold(kind, rows)
        rows = await self._linked(kind, [dict(row) for row in rows])
        await self._compute(kind, rows)
        nested = await together(*(self._children(kind, row) for row in rows))
        return [self._record(kind, row, children) for row, children in zip(rows, nested, strict=True)]

    async def hold(self, kind: Kind, rows: Sequence[Row]) -> None:
        """A field that is gone is left out of the answer without a word: look once more before saying so."""
        shape = kind.shape
        missing = [name for name in shape.wanted if name not in shape.optional and any(name not in row for row in rows)]
        if not missing:
            return
        known = await self._schema.fields(shape.module) or {}
        for name in missing:
            if name not in known:
                raise NoSuchField(f"{shape.module} has no field {name}", field=name, module=shape.module)
            if known[name].type in BY_RECORD_ONLY:
                hint = "read it under `children`, or leave it out"
                problem = Problem(f"{shape.module}.{name} is a list ({known[name].type})", hint=hint, path=kind.read.places.get(name, ()))
                raise ConfigError([problem], system=SYSTEM)

    async def _linked(self, kind: Kind, rows: list[Row]) -> list[Row]:
        for name, paths in kind.links().items():
            ids = [row[name]["id"] for row in rows if isinstance(row.get(name), Mapping)]
            target = await self._target(kind.shape.module, name)
            found = {row["id"]: row for row in await self._reading.by_id(Shape(target, tuple(paths)), ids)} if target and ids else {}
            for row in rows:
                if isinstance(row.get(name), Mapping):
                    row[name] = {**dict.fromkeys(paths), **found.get(row[name]["id"], {}), **row[name]}
        return rows

    async def _target(self, module: str, name: str) -> str:
        known = (await self._schema.fields(module) or {}).get(name)
        return known.to if known and known.type not in PEOPLE else ""

    async def _compute(self, kind: Kind, rows: Sequence[Row]) -> None:
        if {WON, CLOSED} & set(kind.read.fields):
            statuses = await self._statuses()
            for row in rows:
                status = statuses.get((row.get("Pipeline") or "", row.get("Stage"))) or statuses.get(("", row.get("Stage")))
                row[WON], row[CLOSED] = status == "won", status in ("won", "lost")
        if CURRENCY in kind.read.fields:
            own = "" if all(row.get("Currency") for row in rows) else await self._schema.currency()
            for row in rows:
                row[CURRENCY] = row.get("Currency") or own or None

    async def _statuses(self) -> dict[tuple[str, Any], str]:
        """By pipeline and stage, and by stage alone for records without a pipeline."""
        stages = await self._schema.stages()
        alone = {("", stage.name): stage.status for stage in reversed(stages)}
        return {**alone, **{(stage.pipeline, stage.name): stage.status for stage in stages}}

    async def _children(self, kind: Kind, row: Row) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        whole: Row | None = None
        for name, child in kind.read.children.items():
            if await self._is_subform(kind.shape.module, child.object):
                whole = whole or await self._reading.whole(kind.shape.module, row["id"])
                rows = list((whole or {}).get(child.object) or ())
            else:
                fields = list(dict.fromkeys(path.split(".")[0] for path in child.fields if path != "id")) or ["Modified_Time"]
                rows = await self._reading.related(kind.shape.module, row["id"], child.object, fields)
            found[name] = [project(each, child.fields) for each in rows]
        return found

    async def _is_subform(self, module: str, name: str) -> bool:
        if name in LISTS:
            return False
        known = (await self._schema.fields(module) or {}).get(name)
        return known is not None and known.type == "subform"

    def _record(self, kind: Kind, row: Row, children: Mapping[str, list[Row]]) -> Record:
        fields = {**project(row, kind.read.fields), **children}
        moment = stamp(row["Modified_Time"])
        return Record(
            system=SYSTEM,
            kind=kind.name,
            id=str(row["id"]),
            version=f"{moment}~{digest(fields)}",
            modified_at=datetime.fromisoformat(moment),
            fields=fields,
            url=f"{self._web}/crm/tab/{_tab(kind.shape.module)}/{row['id']}",
        )

    def buried(self, kind: Kind, row: str, moment: str) -> Record:
        """A record that was deleted; what it held is not told any more."""
        return Record(SYSTEM, kind.name, row, f"{moment}~deleted", datetime.fromisoformat(moment), {}, deleted=True)


def web_address(api_url: str) -> str:
    """Where people see records: crm.zoho.<region> for the vendor's own API servers, else the server itself."""
    scheme, _, host = api_url.partition("://")
    name, dot, region = host.partition(".zohoapis.")
    if not dot:
        return api_url
    address = "crm.zohocloud.ca" if region == "ca" else f"crm.zoho.{region}"
    return f"{scheme}://{'crmsandbox' + address[3:] if name == 'sandbox' else address}"


def _tab(module: str) -> str:
    """Deals are still called Potentials in addresses."""
    return "Potentials" if module == "Deals" else module
