"""Layouts: which fields a record of a module shows, in sections."""

from __future__ import annotations

from sandbox.web import Reply
from sandbox.zoho import settings
from sandbox.zoho.calls import Call
from sandbox.zoho.schema import Field, Module
from sandbox.zoho.values import Row


def read(call: Call) -> Reply:
    return Reply.json(200, {"layouts": [_layout(call, settings.asked(call))]})


def _layout(call: Call, module: Module) -> Row:
    world = call.world
    view = {"name": "Standard", "id": module.layout_id, "type": "layout"}
    named = {"name": "Standard", "api_name": "Standard", "display_label": "Standard", "id": module.layout_id}
    profile = [{**each, "default": True, "_default_view": view, "_default_assignment_view": view} for each in settings.profiles(world)]
    allowed = dict.fromkeys(("edit", "rename", "clone", "downgrade", "delete", "deactivate", "set_layout_permissions"), False)
    return {
        **named,
        "has_more_profiles": False,
        "created_time": None,
        "modified_time": None,
        "modified_by": None,
        "visible": True,
        "created_for": None,
        "profiles": profile,
        "source": "crm",
        "sections": [_section(call, module)],
        "show_business_card": True,
        "actions_allowed": allowed,
        "generated_type": "system",
        "status": "active",
    }


def _section(call: Call, module: Module) -> Row:
    allowed = ("add_field", "rename", "change_tab_traversal", "reorder", "delete", "remove_field", "change_column_count")
    shown = [_in_layout(call, module, each, place) for place, each in enumerate(module.visible, 1)]
    name = f"{module.singular} Information"
    return {
        "isSubformSection": False,
        "display_label": name,
        "name": name,
        "api_name": name.replace(" ", "_"),
        "mode": "all",
        "sequence_number": 1,
        "actions_allowed": dict.fromkeys(allowed, True),
        "tab_traversal": "left_to_right",
        "column_count": 2,
        "generated_type": "default",
        "id": call.world.id_of(f"section {module.name}"),
        "fields": shown,
    }


def _in_layout(call: Call, module: Module, field: Field, place: int) -> Row:
    """What a layout adds to a field: its place, and whether it has to be filled in."""
    whole = settings.described(call, module, field)
    names = ("api_name", "field_label", "display_label", "data_type", "json_type", "id", "read_only", "custom_field", "length", "visible")
    return {**{name: whole[name] for name in names}, "required": field.required, "sequence_number": place}
