"""What hangs on a record: notes, linked records, contact roles, stage history."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sandbox.web import Reply
from sandbox.zoho import records, writes
from sandbox.zoho.calls import Call
from sandbox.zoho.errors import Refused, missing_param
from sandbox.zoho.schema import Module
from sandbox.zoho.shapes import show
from sandbox.zoho.values import Row

LINKED = {"Products": "Products", "Contact_Roles": "Contacts"}
CHILDREN = {"Contacts": "Account_Name", "Deals": "Account_Name"}
HISTORY = ("Stage", "Modified_Time", "Modified_By", "Amount", "Probability", "Expected_Revenue", "Closing_Date", "Moved_To__s")


def listed(call: Call) -> Reply:
    """A page of a related list, latest first. Notes may be asked for without fields, the others may not."""
    module, record, name = _place(call)
    names = call.query["fields"].split(",") if call.query.get("fields") else None
    if names is None and name != "Notes" and call.version >= 3:
        raise missing_param("fields")
    rows, told = _rows(call, module, record, name, names)
    since = call.since()
    if since is not None:
        rows = [row for row in rows if row["Modified_Time"] >= since]
        if not rows:
            return Reply(304)
    ordered, key, _ = records.order(call, rows)
    page, info = call.site.pages.cut(call, ordered, key)
    return Reply.json(200, {"data": [told(row) for row in page], "info": info}) if page else Reply(204)


def link(call: Call) -> Reply:
    """Puts records into a list; a contact's role goes with it."""
    module, record, name = _place(call)
    _linkable(name)
    return writes.results(call, 200, lambda row, path: _link(call, (module, record["id"], name), row, path))


def unlink(call: Call) -> Reply:
    module, record, name = _place(call)
    _linkable(name)
    ids = call.ids()
    if ids is None:
        raise missing_param("ids")
    return _unlinked(call, (module.name, record["id"], name), ids)


def _unlinked(call: Call, place: tuple[str, str, str], ids: Iterable[str]) -> Reply:
    held = call.world.links.get(place, {})
    found = [
        _done(id, "relation removed") if held.pop(id, None) is not None else Refused("INVALID_DATA", "invalid data", id=id).body()
        for id in ids
    ]
    return Reply.json(writes.status(200, found), {"data": found})


def one(call: Call) -> Reply:
    """One record of a related list; 204 when it is not in it."""
    module, record, name = _place(call)
    names = call.query["fields"].split(",") if call.query.get("fields") else None
    rows, told = _rows(call, module, record, name, names)
    found = [told(row) for row in rows if row["id"] == call.parts["other"]]
    return Reply.json(200, {"data": found}) if found else Reply(204)


def link_one(call: Call) -> Reply:
    module, record, name = _place(call)
    _linkable(name)
    other = {"id": call.parts["other"]}
    return writes.results(call, 200, lambda row, path: _link(call, (module, record["id"], name), {**row, **other}, path), most=1)


def unlink_one(call: Call) -> Reply:
    module, record, name = _place(call)
    _linkable(name)
    return _unlinked(call, (module.name, record["id"], name), [call.parts["other"]])


def add_notes(call: Call) -> Reply:
    """Notes under a record; its Modified_Time stands."""
    module = call.module()
    record = call.record(module)
    notes = call.world.modules["Notes"]
    above = {"Parent_Id": record["id"], "$se_module": module.name}

    def add(row: Row, path: str) -> Row:
        own = {name: held for name, held in row.items() if name not in ("Parent_Id", "$se_module")}
        if not own.get("Note_Content"):
            lacking = [{"api_name": "Note_Content", "json_path": f"{path}.Note_Content"}]
            raise Refused("EXPECTED_FIELD_MISSING", "expected field is missing", expected_fields=lacking)
        done = writes.add(call, notes, own, path, above)
        del done["details"]["$approval_state"]
        return done

    return writes.results(call, 201, add)


def roles(call: Call) -> Reply:
    found = [{"id": id, "name": name, "sequence_number": place} for place, (id, name) in enumerate(call.world.roles.items(), 1)]
    return Reply.json(200, {"contact_roles": found})


def _place(call: Call) -> tuple[Module, Row, str]:
    module, name = call.module(), call.parts["list"]
    if name not in module.related and name not in module.fields:
        raise Refused("INVALID_DATA", "the relation name given seems to be invalid", resource_path_index=2)
    return module, call.record(module), name


def _rows(call: Call, module: Module, record: Row, name: str, names: Iterable[str] | None) -> tuple[list[Row], Callable[[Row], Row]]:
    world, id = call.world, record["id"]
    if name == "Notes":
        target, rows = world.modules["Notes"], [row for row in world.rows["Notes"].values() if row["Parent_Id"] == id]
    elif name == "Stage_History" and module.name == "Deals":
        target, rows = world.modules["DealHistory"], [row for row in world.rows["DealHistory"].values() if row["Potential_Name"] == id]
    elif name in CHILDREN and module.name == "Accounts":
        target, rows = world.modules[name], [row for row in world.rows[name].values() if row.get(CHILDREN[name]) == id]
    elif name in LINKED:
        target, held = world.modules[LINKED[name]], world.links.get((module.name, id, name), {})
        rows = [world.rows[target.name][other] for other in held if other in world.rows[target.name]]
    else:
        return [], lambda row: row
    return rows, lambda row: _shown(call, target, row, names, (module.name, id, name))


def _shown(call: Call, target: Module, row: Row, names: Iterable[str] | None, place: tuple[str, str, str]) -> Row:
    told = show(call.world, target, row, names)
    if place[2] == "Contact_Roles":
        role = call.world.links[place][row["id"]].get("role", "")
        told["Contact_Role"] = {"name": call.world.roles.get(role, ""), "id": role}
    return told


def _linkable(name: str) -> None:
    if name not in LINKED:
        raise Refused("NOT_SUPPORTED", "the related list does not take records", resource_path_index=2)


def _link(call: Call, place: tuple[Module, str, str], row: Row, path: str) -> Row:
    module, record, name = place
    id, role = str(row.get("id")), row.get("Contact_Role")
    if id not in call.world.rows[LINKED[name]]:
        raise Refused("INVALID_DATA", "the id given seems to be invalid", api_name="id", json_path=f"{path}.id")
    more: Row = {}
    if name == "Contact_Roles":
        more = {"role": str(role.get("id")) if isinstance(role, dict) else None}
        if more["role"] not in call.world.roles:
            raise Refused("INVALID_DATA", "invalid data", api_name="Contact_Role", json_path=f"{path}.Contact_Role.id")
    known = id in call.world.links.get((module.name, record, name), {})
    call.world.link(module.name, record, name, id, **more)
    return _done(id, "relation updated" if known else "relation added")


def _done(id: str, message: str) -> Row:
    return {"code": "SUCCESS", "details": {"id": id}, "message": message, "status": "success"}
