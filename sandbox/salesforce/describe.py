"""What describe says of an object."""

from __future__ import annotations

from typing import Any

from sandbox.salesforce.org import Org
from sandbox.salesforce.schema import Field, Spec

_PRECISION = {"currency": (18, 2), "double": (18, 2), "percent": (18, 2), "int": (0, 0)}
_SOAP = {"currency": "xsd:double", "percent": "xsd:double", "double": "xsd:double", "int": "xsd:int", "boolean": "xsd:boolean"}
_SOAP |= {"date": "xsd:date", "datetime": "xsd:dateTime", "id": "tns:ID", "reference": "tns:ID", "address": "urn:address"}


def summary(spec: Spec, sobjects: str) -> dict[str, Any]:
    """An object as the list of objects shows it. `sobjects` is the URL before its name."""
    url = f"{sobjects}{spec.name}"
    return {
        "name": spec.name,
        "label": spec.name,
        "labelPlural": spec.label_plural,
        "keyPrefix": spec.prefix,
        "custom": spec.name.endswith("__c"),
        "queryable": True,
        "retrieveable": True,
        "replicateable": spec.replicateable,
        "createable": spec.writable,
        "updateable": spec.writable,
        "deletable": spec.deletable,
        "undeletable": spec.deletable,
        "mergeable": spec.mergeable,
        "searchable": spec.writable,
        "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
    }


def describe(org: Org, spec: Spec, sobjects: str) -> dict[str, Any]:
    return {
        **summary(spec, sobjects),
        "fields": [_field(org, spec, field) for field in spec.visible()],
        "childRelationships": [
            {
                "childSObject": child.object,
                "field": child.field,
                "relationshipName": child.name,
                "cascadeDelete": child.cascade,
                "deprecatedAndHidden": False,
            }
            for child in spec.children
        ],
        "recordTypeInfos": [],
    }


def _field(org: Org, spec: Spec, field: Field) -> dict[str, Any]:
    precision, scale = _PRECISION.get(field.type, (0, 0))
    return {
        "name": field.name,
        "label": field.label or field.name.removesuffix("__c").replace("_", " "),
        "type": field.type,
        "soapType": _SOAP.get(field.type, "xsd:string"),
        "length": field.length,
        "precision": precision,
        "scale": scale,
        "digits": 9 if field.type == "int" else 0,
        "nillable": field.nillable,
        "createable": field.createable and spec.writable,
        "updateable": field.updateable and spec.writable,
        "custom": field.name.endswith("__c"),
        "externalId": field.external_id,
        "idLookup": field.external_id or field.type == "id",
        "unique": field.unique,
        "calculated": field.calculated,
        "defaultedOnCreate": field.default is not None or field.name in ("OwnerId", "CurrencyIsoCode"),
        "filterable": field.type not in ("textarea", "address"),
        "sortable": field.type not in ("textarea", "address"),
        "compoundFieldName": field.compound or None,
        "restrictedPicklist": field.restricted,
        "picklistValues": _values(org, spec, field),
        "referenceTo": [field.to] if field.to else [],
        "relationshipName": field.relationship or None,
    }


def _values(org: Org, spec: Spec, field: Field) -> list[dict[str, Any]]:
    values = org.stages if (spec.name, field.name) == ("Opportunity", "StageName") else field.values
    return [{"value": value, "label": value, "active": True, "defaultValue": False} for value in values]
