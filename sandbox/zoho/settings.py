"""The set-up as the API describes it: modules, fields, pipelines, related lists."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.web import Reply
from sandbox.zoho.calls import Call
from sandbox.zoho.errors import Refused, invalid, missing_param, no_module
from sandbox.zoho.schema import Field, Module
from sandbox.zoho.values import Row
from sandbox.zoho.world import World

JSON_TYPES = {"boolean": "boolean", "integer": "integer", "double": "double", "currency": "double", "percent": "double"}
JSON_TYPES |= dict.fromkeys(("lookup", "userlookup", "ownerlookup"), "jsonobject") | dict.fromkeys(
    ("subform", "multiselectpicklist"), "jsonarray"
)
NOTHING: tuple[str, ...] = (
    "association_details",
    "multi_module_lookup",
    "external",
    "range",
    "rollup_summary",
    "formula",
    "multiselectlookup",
)
NOTHING += ("tooltip", "parent_field", "private", "crypt", "display_format", "additional_column", "global_picklist")
NO: tuple[str, ...] = (
    "webhook",
    "colour_code_enabled_by_system",
    "field_read_only",
    "businesscard_supported",
    "separator",
    "history_tracking_enabled",
)
NO += ("enable_colour_code", "virtual_field", "public", "pick_list_values_sorted_lexically", "hipaa_compliance_enabled")
YES = ("filterable", "visible", "searchable", "sortable", "mass_update")
MANY: tuple[str, ...] = (
    "global_search_supported",
    "recycle_bin_on_delete",
    "deletable",
    "creatable",
    "editable",
    "viewable",
    "api_supported",
)
MANY += ("triggers_supported", "show_as_tab", "quick_create", "filter_supported", "feeds_required", "webform_supported", "lookupable")
FEW: tuple[str, ...] = ("public_fields_configured", "has_more_profiles", "sub_menu_available", "cc_enabled", "inventory_template_supported")
FEW += ("presence_sub_menu", "convertable", "emailTemplate_support", "email_parser_supported", "scoring_supported", "track_current_data")


def modules(call: Call) -> Reply:
    world = call.world
    return Reply.json(200, {"modules": [_module(world, each, place) for place, each in enumerate(world.modules.values())]})


def one_module(call: Call) -> Reply:
    wanted = call.parts["name"]
    for place, each in enumerate(call.world.modules.values()):
        if wanted in (each.name, each.id):
            return Reply.json(200, {"modules": [_module(call.world, each, place)]})
    raise no_module(2)


def fields(call: Call) -> Reply:
    module = asked(call)
    return Reply.json(200, {"fields": [described(call, module, each) for each in module.visible]})


def one_field(call: Call) -> Reply:
    module, wanted = asked(call), call.parts["id"]
    found = [each for each in module.visible if each.id == wanted]
    if not found:
        raise invalid(resource_path_index=2)
    return Reply.json(200, {"fields": [described(call, module, each) for each in found]})


def pipelines(call: Call) -> Reply:
    """The pipelines of the layout of deals, with their stages."""
    layout = call.query.get("layout_id")
    if layout is None:
        raise missing_param("layout_id")
    if layout != call.world.modules["Deals"].layout_id:
        raise invalid(param_name="layout_id")
    name = "Standard (Standard)"
    found = {"display_value": name, "actual_value": name, "default": True, "id": call.world.id_of("pipeline"), "maps": _stages(call.world)}
    return Reply.json(200, {"pipeline": [found]})


def related_lists(call: Call) -> Reply:
    module = asked(call)
    if not module.related:
        return Reply(204)
    found = [_related(call.world, module, name, place) for place, name in enumerate(module.related, 1)]
    return Reply.json(200, {"related_lists": found})


def asked(call: Call) -> Module:
    name = call.query.get("module")
    if not name:
        raise missing_param("module")
    if name not in call.world.modules:
        raise Refused("INVALID_MODULE", "the module name given seems to be invalid", param_name="module")
    return call.world.modules[name]


def profiles(world: World) -> list[Row]:
    return [{"name": name, "id": world.id_of(f"profile {name}")} for name in ("Administrator", "Standard")]


def _module(world: World, module: Module, place: int) -> Row:
    kind = {"DealHistory": "field_tracker"}.get(module.name, module.sort)
    names = {
        "api_name": module.name,
        "module_name": module.name[:25],
        "plural_label": module.plural[:25],
        "singular_label": module.singular[:25],
    }
    parent = {"api_name": module.parent, "id": world.modules[module.parent].id} if module.parent else {}
    return {
        **dict.fromkeys(MANY, True),
        **dict.fromkeys(FEW, False),
        **names,
        "actual_plural_label": names["plural_label"],
        "actual_singular_label": names["singular_label"],
        "isBlueprintSupported": module.sort != "subform",
        "visibility": 1,
        "module_type": "ENTITIES",
        "generated_type": kind,
        "access_type": "org_based",
        "profile_count": 2,
        "description": None,
        "web_link": None,
        "arguments": [],
        "modified_by": None,
        "modified_time": None,
        "private_profile": None,
        "territory": None,
        "parent_module": parent,
        "business_card_field_limit": 5,
        "id": module.id,
        "profiles": profiles(world),
        "status": "visible",
        "sequence_number": place,
    }


def described(call: Call, module: Module, field: Field) -> Row:
    world = call.world
    may = not field.read_only
    money = {"rounding_option": "normal", "precision": 2} if field.type == "currency" else {}
    return {
        **dict.fromkeys(NOTHING),
        **dict.fromkeys(NO, False),
        **dict.fromkeys(YES, True),
        "api_name": field.name,
        "field_label": field.title[:50],
        "display_label": field.title[:50],
        "data_type": field.type,
        "json_type": JSON_TYPES.get(field.type, "string"),
        "length": field.longest or 16,
        "decimal_place": 2 if field.type == "currency" else None,
        "id": field.id,
        "type": "used",
        "read_only": field.read_only,
        "system_mandatory": field.required and not field.custom,
        "custom_field": field.custom,
        "operation_type": {"web_update": may, "api_create": may, "web_create": may, "api_update": may},
        "view_type": {"view": True, "edit": may, "quick_create": field.required, "create": may},
        "unique": {"case_sensitive": False} if field.unique else {},
        "pick_list_values": [_choice(world, module, field, value, place) for place, value in enumerate(field.values, 1)],
        "lookup": _lookup(call, field),
        **_subform(call, field),
        "currency": money,
        "auto_number": {"prefix": "", "suffix": "", "start_number": 1} if field.type == "autonumber" else {},
        "profiles": [{**each, "permission_type": "read_write"} for each in profiles(world)],
        "convert_mapping": {},
        "email_parser": {"fields_update_supported": False, "record_operations_supported": False},
        "created_source": "custom" if field.custom else "default",
        "display_field": field.name == module.title,
        "display_type": -1,
        "ui_type": 1,
        "created_time": None,
        "modified_time": None,
        "hipaa_compliance": None,
        "blueprint_supported": field.type == "picklist",
        "column_name": field.name.upper(),
    }


def _choice(world: World, module: Module, field: Field, value: str, place: int) -> Row:
    return {
        "display_value": value,
        "sequence_number": place,
        "reference_value": value,
        "actual_value": value,
        "colour_code": "#658ba8",
        "id": world.id_of(f"{module.name}.{field.name}={value}"),
        "type": "used",
    }


def _lookup(call: Call, field: Field) -> Row:
    """Version 2 names the module, later ones describe it."""
    if field.type != "lookup" or not field.to:
        return {}
    to = call.world.modules[field.to]
    module = {"api_name": to.name, "crypt": False, "id": to.id} if call.version >= 3 else to.name
    return {"display_label": field.title[:50], "api_name": field.name, "module": module, "id": field.id}


def _subform(call: Call, field: Field) -> Row:
    rows = {"module": field.to, "id": call.world.modules[field.to].id} if field.type == "subform" else None
    return {"associated_module": rows} if call.version >= 3 else {"subform": rows}


def _stages(world: World) -> Sequence[Row]:
    kinds = {"Open": "Pipeline", "Closed Won": "Closed", "Closed Lost": "Omitted"}
    return [
        {
            "display_value": name,
            "actual_value": name,
            "sequence_number": place,
            "forecast_category": {"name": kinds[kind], "id": world.id_of(f"forecast {kind}")},
            "forecast_type": kind,
            "id": world.id_of(f"Deals.Stage={name}"),
        }
        for place, (name, (_, kind)) in enumerate(world.stages.items(), 1)
    ]


def _related(world: World, module: Module, name: str, place: int) -> Row:
    target = {"Contact_Roles": "Contacts", "Stage_History": "DealHistory"}.get(name, name)
    known = world.modules.get(target)
    return {
        "id": world.id_of(f"related {module.name}.{name}"),
        "sequence_number": f"{place}",
        "display_label": name.replace("_", " "),
        "api_name": name,
        "name": name.replace("_", " "),
        "module": {"api_name": known.name, "id": known.id} if known else None,
        "action": None,
        "href": f"{module.name}/{{ENTITYID}}/{name}",
        "type": "default",
        "customize_sort": False,
        "customize_fields": True,
        "customize_display_label": True,
        "status": "visible",
        "connectedmodule": None,
        "linkingmodule": None,
    }
