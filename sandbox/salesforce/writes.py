"""Saving a record the way the API does: with every check a person in the org would be spared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.salesforce.errors import ApiError, no_column
from sandbox.salesforce.org import Org
from sandbox.salesforce.schema import Field, Spec
from sandbox.salesforce.store import Table
from sandbox.salesforce.values import held, long_id

_LOCKED = "unable to obtain exclusive access to this record or 1 records: {id}"


def insert(org: Org, table: Table, fields: Mapping[str, Any]) -> str:
    """Creates a record as the integration user and gives its id; raises ApiError."""
    values = _checked(org, table, fields, None)
    _require(table.spec, values, {name for name in table.spec.fields if name not in values})
    return org.insert(table.spec.name, values, by=org.user_id)


def update(org: Org, table: Table, id: str, fields: Mapping[str, Any]) -> str:
    """Changes a record as the integration user and gives its id; raises ApiError."""
    key = find(org, table, id)
    values = _checked(org, table, fields, key)
    _require(table.spec, values, {name for name, value in values.items() if value is None})
    org.update(table.spec.name, key, values, by=org.user_id)
    return key


def delete(org: Org, table: Table, id: str) -> str:
    key = find(org, table, id)
    if not table.spec.deletable:
        raise ApiError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", 403)
    org.delete(table.spec.name, key, by=org.user_id)
    return key


def find(org: Org, table: Table, id: str) -> str:
    """The id of a live, unlocked record to write to."""
    key = long_id(id)
    if len(key) != 18 or not key.isalnum():
        raise ApiError("MALFORMED_ID", f"{table.spec.name} ID: id value of incorrect type: {id}", 400, ("Id",))
    row = table.rows.get(key)
    if row is None:
        raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", 404)
    if row.get("IsDeleted"):
        raise ApiError("ENTITY_IS_DELETED", "entity is deleted", 404)
    if org.locked(key):
        raise ApiError("UNABLE_TO_LOCK_ROW", _LOCKED.format(id=key))
    return key


def matches(table: Table, field_name: str, value: str) -> tuple[Field, list[str]]:
    """The live records whose external id has that value; raises NOT_FOUND when the field is no external id."""
    field = table.spec.find(field_name)
    if field is None or not (field.external_id or field.type == "id"):
        raise ApiError("NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field_name}", 404)
    if field.type == "id":
        return field, [key] if (key := long_id(value)) in table.rows else []
    wanted = float(value) if field.type == "double" else value
    return field, [id for id in table.ids(field.name, wanted) if not table.rows[id].get("IsDeleted")]


def upsert(org: Org, table: Table, field_name: str, value: str, fields: Mapping[str, Any]) -> tuple[str, bool]:
    """Creates or updates by external id: the record's id, and whether it is new. Raises ApiError, status 300 when several match."""
    field, found = matches(table, field_name, value)
    if len(found) > 1:
        raise ApiError(
            "DUPLICATE_EXTERNAL_ID", f"{field.name}: more than one record found for external id field: {found}", 300, (field.name,)
        )
    if found:
        return update(org, table, found[0], fields), False
    if field.type == "id":
        raise ApiError("NOT_FOUND", "The requested resource does not exist", 404)
    return insert(org, table, {**fields, field.name: held(float(value) if field.type == "double" else value, field.type)}), True


def _checked(org: Org, table: Table, fields: Mapping[str, Any], id: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    refused = []
    for name, value in fields.items():
        if name == "attributes" or name.lower() == "id":
            continue
        field = table.spec.find(name)
        if field is None:
            raise no_column(name, table.spec.name)
        if not (field.createable if id is None else field.updateable) or not table.spec.writable:
            refused.append(field.name)
        else:
            values[field.name] = _valid(org, table, field, value, id)
    if refused:
        words = (
            f"Unable to create/update fields: {', '.join(refused)}. Please check the security settings of this field and verify that it is "
        )
        raise ApiError("INVALID_FIELD_FOR_INSERT_UPDATE", f"{words}read/write for your profile or permission set.", 400, tuple(refused))
    return values


def _valid(org: Org, table: Table, field: Field, value: Any, id: str | None) -> Any:
    try:
        plain = held(value, field.type)
    except (ValueError, TypeError) as wrong:
        raise ApiError(
            "JSON_PARSER_ERROR", f"Cannot deserialize instance of {field.type} from value {value!r}", 400, (field.name,)
        ) from wrong
    if plain is None:
        return None
    if field.length and isinstance(plain, str) and len(plain) > field.length:
        words = f"{field.name}: data value too large: {plain[:255]} (max length={field.length})"
        raise ApiError("STRING_TOO_LONG", words, 400, (field.name,))
    if field.restricted and plain not in field.values:
        words = f"{field.name}: bad value for restricted picklist field: {plain}"
        raise ApiError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", words, 400, (field.name,))
    if field.to and plain not in org.tables[field.to].rows:
        raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", 400, (field.name,))
    if field.unique and (twin := next((other for other in table.ids(field.name, plain) if other != id), None)):
        words = f"duplicate value found: {field.name} duplicates value on record with id: {twin[:15]}"
        raise ApiError("DUPLICATE_VALUE", words, 400, (field.name,))
    return plain


def _require(spec: Spec, values: Mapping[str, Any], empty: set[str]) -> None:
    must = (field for field in spec.fields.values() if not field.nillable and field.createable and field.default is None)
    missing = [field.name for field in must if field.name in empty and field.name != "OwnerId"]
    missing += [name for name, value in values.items() if value is None and not spec.fields[name].nillable and name not in missing]
    if missing:
        raise ApiError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", 400, tuple(missing))
