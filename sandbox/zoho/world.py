"""One organisation of Zoho CRM: its records, its set-up, and what happens to both without the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.zoho import derive
from sandbox.zoho.schema import LOOKUPS, STAGES, SYSTEM, Blueprint, Field, Module, Transition, standard_modules
from sandbox.zoho.values import Row, plain, stamp

Clock = Callable[[], datetime]
ORG = 4_876_876


@dataclass(frozen=True, slots=True)
class Gone:
    """A deleted record; `permanent` when it is out of the recycle bin, too."""

    row: Row
    name: str
    at: datetime
    by: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a record: what a notification or a time line tells. `source` is crm_ui or crm_api."""

    module: str
    id: str
    operation: str
    at: datetime
    by: str
    source: str
    changes: Mapping[str, tuple[Any, Any]]


class World:
    """Edits made here are those of people in Zoho's own pages, stamped by `admin`; the API's are stamped by `user`, the integration's.

    Every edit takes `at`, the moment it is stamped with (the clock's by default): a commit that comes late is an edit made now with
    an earlier `at`. `time_zone` is that of the integration's user, in whose offset every moment is told. Stamps are whole seconds.
    """

    def __init__(self, clock: Clock, *, time_zone: str = "Asia/Kolkata", edition: str = "enterprise", pipelines: bool = True) -> None:
        self.clock = clock
        self.time_zone = time_zone
        self.edition = edition
        self.pipelines = pipelines
        self.modules = standard_modules()
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in self.modules}
        self.gone: dict[str, dict[str, Gone]] = {name: {} for name in self.modules}
        self.links: dict[tuple[str, str, str], dict[str, Row]] = {}
        self.users: dict[str, Row] = {}
        self.stages: dict[str, tuple[int, str]] = {}
        self.roles: dict[str, str] = {}
        self.blueprints: dict[str, Blueprint] = {}
        self.workflows: list[tuple[str, str, Mapping[str, Any]]] = []
        self.locked: set[str] = set()
        self.events: list[Event] = []
        self.listeners: list[Callable[[Event], None]] = []
        self.ids: dict[str, str] = {}
        self.stage_rows: dict[str, str] = {}
        self._number = 0
        self._set_up()

    def _set_up(self) -> None:
        for module in self.modules.values():
            self._register(module)
        self.user = self.add_user("Handoff Integration", "integration@handoff.test", profile="Administrator")
        self.admin = self.add_user("Ada Admin", "ada@handoff.test", profile="Administrator")
        for name, probability, kind in STAGES:
            self.stages[name] = (probability, kind)
        for name in ("Decision Maker", "Product Management", "Purchasing", "Executive Sponsor"):
            self.roles[self.next_id()] = name

    @property
    def zone(self) -> tzinfo:
        return ZoneInfo(self.time_zone)

    def next_id(self) -> str:
        self._number += 1
        return f"{ORG}{self._number:012d}"

    def id_of(self, thing: str) -> str:
        """The lasting id of a piece of the set-up."""
        return self.ids.setdefault(thing, self.next_id())

    # set-up

    def _register(self, module: Module) -> None:
        module.id, module.layout_id = self.next_id(), self.next_id()
        module.fields = {name: replace(each, id=self.next_id()) for name, each in module.fields.items()}
        self.modules[module.name] = module
        self.rows.setdefault(module.name, {})
        self.gone.setdefault(module.name, {})

    def add_module(self, name: str, label: str, fields: Iterable[Field]) -> None:
        """A custom module."""
        held = {each.name: replace(each, custom=True) for each in fields}
        title = next(iter(held))
        self._register(
            Module(name, label, f"{label}s", title, held | {each.name: each for each in SYSTEM}, sort="custom", related=("Notes",))
        )

    def add_subform(self, module: str, name: str, fields: Iterable[Field]) -> None:
        """A table inside each record of a module; its rows are records of a module of that name, under `Parent_Id`."""
        held = {each.name: replace(each, custom=True) for each in fields}
        parent = Field("Parent_Id", "lookup", "Parent", to=module, read_only=True)
        stamps = {each.name: each for each in SYSTEM if each.name in ("Created_Time", "Modified_Time")}
        self._register(Module(name, name, name, next(iter(held)), {**held, "Parent_Id": parent, **stamps}, sort="subform", parent=module))
        self.add_field(module, Field(name, "subform", name.replace("_", " "), to=name))

    def add_field(self, module: str, field: Field) -> None:
        """A custom field."""
        self.modules[module].fields[field.name] = replace(field, custom=True, id=self.next_id())

    def hide_field(self, module: str, name: str) -> None:
        """The field is no longer there for the integration's user: not described, not read, not written."""
        self.modules[module].hidden.add(name)

    def unhide_field(self, module: str, name: str) -> None:
        self.modules[module].hidden.discard(name)

    def add_stage(self, name: str, probability: int, kind: str = "Open") -> None:
        """A stage of the pipeline; `kind` is Open, Closed Won or Closed Lost."""
        self.stages[name] = (probability, kind)
        fields = self.modules["Deals"].fields
        fields["Stage"] = replace(fields["Stage"], values=tuple(self.stages))

    def add_user(self, name: str, email: str, *, active: bool = True, profile: str = "Standard") -> str:
        id = self.next_id()
        first, _, last = name.rpartition(" ")
        person = {"id": id, "full_name": name, "first_name": first, "last_name": last, "email": email, "profile": profile}
        self.users[id] = person | {"status": "active" if active else "inactive", "confirm": active, "zuid": f"6{self._number:08d}"}
        return id

    def add_blueprint(self, module: str, field: str, transitions: Iterable[tuple[str, str]], *, needs: Iterable[str] = ()) -> Blueprint:
        """A process over a field: `transitions` are (name, target value), each open from everywhere, each asking for `needs`."""
        ways = [Transition(self.next_id(), name, target, needs=tuple(needs)) for name, target in transitions]
        made = Blueprint(self.next_id(), f"{module} process", module, field, ways)
        self.blueprints[module] = made
        return made

    def add_workflow(self, module: str, when: str, then: Mapping[str, Any]) -> None:
        """A rule of the organisation: where the field `when` changes, `then` is set besides, which moves Modified_Time like any edit.

        It follows every edit of people, and those of the API whose `trigger` holds "workflow" or that have none.
        """
        self.workflows.append((module, when, then))

    def _follow(self, event: Event) -> None:
        """Runs the rules that an event calls for; their own edits call for none."""
        for module, when, then in self.workflows:
            if module == event.module and when in event.changes:
                self.update(module, event.id, then, event.at, source="workflow", rules=False)

    # records

    def get(self, module: str, id: str) -> Row:
        """The row as it is held, for reading only. Raises KeyError when it is not there."""
        return self.rows[module][id]

    def has(self, module: str, id: str) -> bool:
        if module == "Users":
            return id in self.users
        return any(id in rows for name, rows in self.rows.items() if not module or name == module)

    def name_of(self, module: str, row: Row) -> str | None:
        found = row.get(self.modules[module].title)
        return None if found is None else str(found)

    def insert(
        self,
        module: str,
        fields: Mapping[str, Any],
        at: datetime | None = None,
        *,
        by: str | None = None,
        source: str = "crm_ui",
        rules: bool = True,
    ) -> str:
        """A new record; gives its id. Subforms come as lists of their rows' fields. `rules`: whether workflows follow."""
        when, user = stamp(at or self.clock()), by or self.admin
        id = self.next_id()
        row: Row = {"id": id, "Owner": user, "Created_By": user, "Modified_By": user, "Created_Time": when, "Modified_Time": when}
        row |= self._given(module, fields)
        derive.complete(self, module, row, None, set(fields))
        self.rows[module][id] = row
        self._put_subforms(module, id, fields, when)
        changes = {name: (None, value) for name, value in self._given(module, fields).items()}
        self._tell(Event(module, id, "insert", when, user, source, changes), rules=rules)
        return id

    def update(
        self,
        module: str,
        id: str,
        fields: Mapping[str, Any],
        at: datetime | None = None,
        *,
        by: str | None = None,
        source: str = "crm_ui",
        rules: bool = True,
    ) -> None:
        """Sets fields and moves Modified_Time, even where nothing is different. `rules`: whether workflows follow."""
        old, when, user = self.get(module, id), stamp(at or self.clock()), by or self.admin
        given = self._given(module, fields)
        row = {**old, **given, "Modified_Time": when, "Modified_By": user}
        derive.complete(self, module, row, old, set(fields))
        self.rows[module][id] = row
        self._put_subforms(module, id, fields, when)
        changes = {
            name: (old.get(name), value) for name, value in row.items() if old.get(name) != value and not name.startswith("Modified_")
        }
        self._tell(Event(module, id, "update", when, user, source, changes), rules=rules)

    def delete(self, module: str, id: str, at: datetime | None = None, *, by: str | None = None, source: str = "crm_ui") -> None:
        """Into the recycle bin."""
        row, when, user = self.rows[module].pop(id), stamp(at or self.clock()), by or self.admin
        self.gone[module][id] = Gone(row, self.name_of(module, row) or "", when, user)
        self._tell(Event(module, id, "delete", when, user, source, {}))

    def restore(self, module: str, id: str, at: datetime | None = None) -> None:
        """Out of the recycle bin."""
        found = self.gone[module][id]
        if found.permanent:
            raise KeyError(id)
        del self.gone[module][id]
        self.rows[module][id] = {**found.row, "Modified_Time": stamp(at or self.clock()), "Modified_By": self.admin}
        self._tell(Event(module, id, "insert", stamp(at or self.clock()), self.admin, "crm_ui", {}))

    def purge(self, module: str, id: str, at: datetime | None = None) -> None:
        """Out of the recycle bin for ever; only the list of deleted records still knows of it."""
        if id not in self.gone[module]:
            self.delete(module, id, at)
        self.gone[module][id] = replace(self.gone[module][id], permanent=True)

    def merge(self, module: str, winner: str, losers: Iterable[str], at: datetime | None = None) -> None:
        """The losers are deleted, whatever pointed at them points at the winner. Nothing in the API says that they were merged."""
        for loser in losers:
            for name, target in self.modules.items():
                links = [each.name for each in target.fields.values() if each.type == "lookup" and each.to in (module, "")]
                for row in [row for row in self.rows[name].values() if any(row.get(link) == loser for link in links)]:
                    self.update(name, row["id"], {link: winner for link in links if row.get(link) == loser}, at)
            self.delete(module, loser, at)
        self.update(module, winner, {}, at)

    def lock(self, id: str) -> None:
        """Writes to the record end in RECORD_LOCKED until `unlock`."""
        self.locked.add(id)

    def unlock(self, id: str) -> None:
        self.locked.discard(id)

    # what hangs on a record

    def add_note(self, module: str, id: str, title: str, content: str, at: datetime | None = None, *, by: str | None = None) -> str:
        """A note under a record; the record's own Modified_Time stands."""
        given = {"Note_Title": title, "Note_Content": content, "Parent_Id": id, "$se_module": module}
        return self.insert("Notes", given, at, by=by)

    def link(self, module: str, id: str, name: str, other: str, **more: Any) -> None:
        """Puts a record into a related list (Products, say); neither record's Modified_Time moves."""
        self.links.setdefault((module, id, name), {})[other] = more

    def unlink(self, module: str, id: str, name: str, other: str) -> None:
        self.links.get((module, id, name), {}).pop(other, None)

    def add_contact_role(self, deal: str, contact: str, role: str) -> None:
        """A contact takes part in a deal as, for one, "Decision Maker"."""
        known = next((id for id, name in self.roles.items() if name == role), None) or self.next_id()
        self.roles[known] = role
        self.link("Deals", deal, "Contact_Roles", contact, role=known)

    def children(self, subform: str, id: str) -> list[Row]:
        return [row for row in self.rows[subform].values() if row["Parent_Id"] == id]

    def _put_subforms(self, module: str, id: str, fields: Mapping[str, Any], when: datetime) -> None:
        for name, rows in fields.items():
            known = self.modules[module].fields.get(name)
            if known is None or known.type != "subform" or rows is None:
                continue
            for each in rows:
                self._put_child(known.to, id, each, when)

    def _put_child(self, subform: str, parent: str, fields: Mapping[str, Any], when: datetime) -> None:
        """A row with an id is changed (or, with `_delete`, taken away), one without is added; the others stay."""
        id, table = str(fields.get("id")), self.rows[subform]
        if id in table and fields.get("_delete", 0) is None:
            del table[id]
            return
        old = table.get(id) or {"id": self.next_id(), "Parent_Id": parent, "Created_Time": when}
        given = {name: plain(value) for name, value in fields.items() if name in self.modules[subform].fields}
        table[old["id"]] = {**old, **given, "Modified_Time": when}

    def _given(self, module: str, fields: Mapping[str, Any]) -> Row:
        known = self.modules[module].fields
        unknown = [name for name in fields if name not in known and name != "$se_module"]
        if unknown:
            raise KeyError(f"{module} has no field {', '.join(unknown)}; add_field makes one")
        return {
            name: _bare(value) if name in known and known[name].type in LOOKUPS else plain(value)
            for name, value in fields.items()
            if name not in known or known[name].type != "subform"
        }

    def _tell(self, event: Event, *, rules: bool = False) -> None:
        self.events.append(event)
        for listener in self.listeners:
            listener(event)
        if rules:
            self._follow(event)


def _bare(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value
