"""Works, Tryton's projects and tasks, in `Item`'s field names: what to ask for, how to read it, how to write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.base import Create, Publish, Rejected, Remote, Update
from connectors.tryton.connection import Connection, FieldMap
from connectors.tryton.errors import SYSTEM
from connectors.tryton.lines import joined, shown, split
from connectors.tryton.people import People, emails
from connectors.tryton.rpc import Row
from connectors.tryton.text import clean, is_section, key_in, line, name, normal, number
from connectors.tryton.values import plain
from engine.model import Item, ItemKind

WORK, NOTE, STATUS = "project.work", "ir.note", "project.work.status"
DATES = {"start_on": "constraint_start_date", "due_on": "constraint_finish_date"}
ASK = ("name", "type", "number", "path", "parent", "comment", "progress", "sequence")
PLANNED = (
    *DATES.values(),
    "allocations.employee.party.contact_mechanisms.type",
    "allocations.employee.party.contact_mechanisms.value",
    "allocations.employee.party.name",
)


def fields_of(*, planning: bool, custom: bool) -> dict[ItemKind, frozenset[str]]:
    """What each kind can hold."""
    dates = frozenset(DATES) if planning else frozenset()
    lead = frozenset({"assignee"}) if planning else frozenset()
    own = frozenset({"custom"}) if custom else frozenset()
    return {
        "project": frozenset({"name", "notes"}) | dates | own,
        "section": frozenset({"name"}),
        "task": frozenset({"name", "notes"}) | dates | lead | own,
        "comment": frozenset({"text"}),
        "status": frozenset({"status", "title", "text"}),
        **({"dependency": frozenset()} if planning else {}),
    }


@dataclass(frozen=True, slots=True)
class Works:
    """The shapes of one connection. `types` are the fields of project.work by name, as the server describes them; needed for custom ones."""

    connection: Connection
    fields: Mapping[str, FieldMap]
    people: People
    types: Mapping[str, Row]
    done: int | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The custom fields that are lines of the comment."""
        return {name: each.label for name, each in self.fields.items() if each.label}

    @property
    def ask(self) -> tuple[str, ...]:
        own = [each.custom_field for each in self.fields.values() if not each.label]
        return (*ASK, *own, *(PLANNED if self.connection.planning else ()))

    # reading

    def remote(self, row: Row) -> Remote:
        kind = kind_of(row)
        return Remote(str(row["id"]), kind, self.connection.address(WORK, row["id"]), key_in(row.get("number")), self._held(kind, row))

    def _held(self, kind: ItemKind, row: Row) -> dict[str, Any]:
        if kind == "section":
            return {"name": row["name"]}
        notes, lines = split(row.get("comment") or "", self.labels)
        held: dict[str, Any] = {"name": row["name"], "notes": notes}
        if self.connection.planning:
            held |= {ours: row.get(theirs) for ours, theirs in DATES.items()}
        if self.connection.planning and kind == "task":
            held["assignee"] = _assignee(row.get("allocations") or ())
        if self.fields:
            held["custom"] = {
                name: lines.get(name) if each.label else _bare(row.get(each.custom_field)) for name, each in self.fields.items()
            }
        return held

    # writing

    def created(self, create: Create, default: Mapping[str, int], sequence: int | None) -> Row:
        """The values of a new work. `default` is the status of each type."""
        item = create.item
        if item.kind == "section":
            finished = {"status": self.done, "progress": 1.0} if self.done is not None else {"status": default["task"]}
            own = {"type": "task", "number": number(item.key, section=True), "name": _name(item), "sequence": sequence, **finished}
            return own | {"parent": int(create.project)}
        kind = "project" if item.kind == "project" else "task"
        values = {"type": kind, "number": number(item.key), "name": _name(item), "status": default[kind], "sequence": sequence}
        values |= self.values(item.kind, item.fields)
        return values | ({"parent": int(create.parent or create.project)} if kind == "task" else {})

    def values(self, kind: ItemKind, fields: Mapping[str, Any], held: Row | None = None) -> Row:
        """Raises Rejected for what Tryton cannot hold. `held` is the work as it is, when one is changed."""
        planning, values = self.connection.planning, dict[str, Any]()
        if "name" in fields:
            values["name"] = name(str(fields["name"]))
        if kind != "section":
            values |= self._comment(fields, held)
        if planning and kind != "section":
            values |= {theirs: fields[ours] for ours, theirs in DATES.items() if ours in fields}
            _in_order({**{theirs: (held or {}).get(theirs) for theirs in DATES.values()}, **values})
        if planning and kind == "task" and "assignee" in fields:
            values |= self._allocated(fields["assignee"], held)
        for own, value in (fields.get("custom") or {}).items():
            if own in self.fields and not self.fields[own].label:
                values[self.fields[own].custom_field] = self._custom(own, value)
        return values

    def _allocated(self, email: str | None, held: Row | None) -> Row:
        """The one person a task is for, wholly. Somebody unknown leaves it as it is."""
        employee = self.people.employee(email) if email else None
        if email and employee is None:
            return {}
        before = [each["id"] for each in (held or {}).get("allocations") or ()]
        made = [["create", [{"employee": employee, "percentage": 100.0}]]] if employee else []
        return {"allocations": [*([["delete", before]] if before else []), *made]}

    def _comment(self, fields: Mapping[str, Any], held: Row | None) -> Row:
        """Notes, and below them the lines that hold custom values. What is not written stays as it is."""
        before, lines = split((held or {}).get("comment") or "", self.labels)
        new = {name: self._line(name, value) for name, value in (fields.get("custom") or {}).items() if name in self.labels}
        if "notes" not in fields and not new:
            return {}
        notes = clean(str(fields["notes"] or "")) if "notes" in fields else before
        return {"comment": joined(notes, {**lines, **new}, self.labels)}

    def _line(self, name: str, value: Any) -> str:
        text = shown(value)
        return self.fields[name].values.get(text, text)

    def _custom(self, name: str, value: Any) -> Any:
        described = self.types.get(self.fields[name].custom_field)
        if described is None:
            raise Rejected(f"Tryton's works have no field {self.fields[name].custom_field!r}", field=name, system=SYSTEM)
        return typed(described, self.fields[name].values.get(str(value), value), name)

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        """See `Target.same`."""
        if field.startswith("custom."):
            return self._same_custom(field.removeprefix("custom."), ours, held)
        match field:
            case "name":
                return name(str(ours or "")) == name(str(held or ""))
            case "title":
                return line(str(ours or "")) == line(str(held or ""))
            case "notes" | "text":
                return normal(str(ours or "")) == normal(str(held or ""))
            case "assignee" | "owner":
                return _fold(ours) == _fold(held) or (not held and ours in self.people.unknown)
            case "custom":
                return all(
                    self._same_custom(name, value, (held or {})[name]) for name, value in (ours or {}).items() if name in (held or {})
                )
            case "followers" | "milestone":
                return True  # not held
        return bool(ours == held)

    def _same_custom(self, name: str, ours: Any, held: Any) -> bool:
        if name in self.labels:
            return self._line(name, ours) == str(held or "")
        try:
            return name in self.fields and comparable(self._custom(name, ours)) == comparable(held)
        except Rejected:
            return False


def kind_of(row: Row) -> ItemKind:
    return "project" if row["type"] == "project" else "section" if is_section(row.get("number")) else "task"


def typed(described: Row, value: Any, name: str) -> Any:
    """A value as the field's type takes it. Raises Rejected."""
    if value is None or value == "":
        return None
    try:
        match described["type"]:
            case "integer" | "many2one":
                return int(value)
            case "float":
                return float(value)
            case "numeric":
                return Decimal(str(value))
            case "boolean":
                return bool(value)
            case "timedelta":
                return timedelta(hours=float(value))
            case "date":
                return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
            case "datetime" | "timestamp":
                return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            case "char" | "selection":
                return line(_text(value))
            case "text":
                return clean(_text(value))
    except (ValueError, TypeError, InvalidOperation) as failure:
        raise Rejected(f"{value!r} does not fit Tryton's field {name} ({described['type']})", field=name, system=SYSTEM) from failure
    raise Rejected(f"Tryton's field {name} is a {described['type']}, which cannot be set here", field=name, system=SYSTEM)


def comparable(value: Any) -> Any:
    """The same for values that are the same once written and read back."""
    if isinstance(value, str):
        return normal(value)
    if isinstance(value, bool) or value is None:
        return bool(value) or None
    if isinstance(value, int | float | Decimal | timedelta):
        number_ = plain(value)
        return Decimal(str(number_)).normalize()
    return value


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value.isoformat() if isinstance(value, date) else str(value)


def _bare(value: Any) -> Any:
    return value["id"] if isinstance(value, Mapping) else value


def _assignee(allocations: Sequence[Row]) -> str | None:
    """The e-mail of the one person it is for; several are told by all their names, which nobody's e-mail equals."""
    people = [each.get("employee") or {} for each in allocations]
    named = [next(iter(emails(one)), str((one.get("party") or {}).get("name") or "")) for one in people]
    return ", ".join(named) or None


def _in_order(values: Row) -> None:
    start, due = (values.get(theirs) for theirs in DATES.values())
    if start and due and start > due:
        raise Rejected(f"it would start on {start} and be due before that, on {due}", field="start_on", system=SYSTEM)


def _name(item: Item) -> str:
    return name(str(item.fields.get("name") or item.key))


def _fold(email: Any) -> str:
    return str(email or "").casefold()


def note(item: Item) -> str:
    """The text of a comment, or of a status update: its title and its status stand above it."""
    text = clean(str(item.fields.get("text") or "")).strip()
    if item.kind == "comment":
        return text
    title, status = line(str(item.fields.get("title") or "")), str(item.fields.get("status") or "on_track").replace("_", " ")
    return "\n\n".join(each for each in (f"{title} ({status})" if title else status, text) if each)


def named(write: Create | Update | Publish) -> set[str]:
    """The e-mails a write names."""
    fields: Mapping[str, Any] = write.fields if isinstance(write, Update) else write.item.fields
    return {str(fields["assignee"])} if fields.get("assignee") else set()
