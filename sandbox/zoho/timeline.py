"""The time line of a record: what happened, by whom, through what."""

from __future__ import annotations

from sandbox.web import Reply
from sandbox.zoho.calls import Call
from sandbox.zoho.errors import no_record
from sandbox.zoho.schema import Module
from sandbox.zoho.shapes import value
from sandbox.zoho.values import Row
from sandbox.zoho.world import Event

ACTIONS = {"insert": "added", "update": "updated", "delete": "deleted"}


def read(call: Call) -> Reply:
    """Latest first, with which fields changed from what to what."""
    module, id = call.module(), call.parts["id"]
    if id not in call.world.rows[module.name]:
        raise no_record()
    found = [each for each in reversed(call.world.events) if (each.module, each.id) == (module.name, id)]
    size, page = call.number("per_page", 200, 200), call.number("page", 1)
    part = found[(page - 1) * size : page * size]
    if not part:
        return Reply(204)
    info: Row = {"per_page": size, "count": len(part), "page": page, "more_records": page * size < len(found)}
    info |= {"next_page_token": None, "previous_page_token": None}
    return Reply.json(200, {"__timeline": [_told(call, module, each, place) for place, each in enumerate(part)], "info": info})


def _told(call: Call, module: Module, event: Event, place: int) -> Row:
    about = {"name": call.world.name_of(module.name, call.record(module)), "id": event.id}
    return {
        "audited_time": call.told(event.at),
        "action": ACTIONS[event.operation],
        "id": f"{event.id}{place:02d}",
        "source": event.source,
        "done_by": {"name": call.world.users[event.by]["full_name"], "id": event.by},
        "related_record": None,
        "automation_details": None,
        "extension": None,
        "record": {**about, "module": {"api_name": module.name, "id": module.id}},
        "field_history": [_change(call, module, name, *values) for name, values in event.changes.items() if module.seen(name)],
    }


def _change(call: Call, module: Module, name: str, old: object, new: object) -> Row:
    field = module.fields[name]

    def told(held: object) -> str | None:
        shown = value(call.world, module, {name: held}, field)
        return None if shown is None else str(shown["name"] if isinstance(shown, dict) else shown)

    about = {"api_name": name, "field_label": field.title, "data_type": field.type, "id": field.id}
    return {**about, "_value": {"old": told(old), "new": told(new)}}
