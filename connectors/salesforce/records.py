"""Rows become records: only what the mapping asked for, children in a steady order, a version that changes with any of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from connectors.salesforce.cursor import Key
from connectors.salesforce.errors import SYSTEM
from connectors.salesforce.query import Child, Row, Shape, main_shape
from connectors.salesforce.soql import full_id, stamp
from engine.model import CrmKind, Read, Record


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind as it is read: the mapping's wish, how its children hang on it, and the query for both."""

    name: CrmKind
    read: Read
    children: Mapping[str, Child]
    shape: Shape

    @staticmethod
    def of(name: CrmKind, read: Read, children: Mapping[str, Child]) -> Kind:
        return Kind(name, read, children, main_shape(read, children))

    def record(self, row: Row, instance_url: str) -> Record:
        fields = project(row, self.read.fields)
        nested = {name: self._nested(row, name, child) for name, child in self.children.items()}
        moment, master = stamp(row["SystemModstamp"]), full_id(row.get("MasterRecordId") or "")
        mark = digest([fields, nested, bool(row["IsDeleted"]), master])
        return Record(
            system=SYSTEM,
            kind=self.name,
            id=full_id(row["Id"]),
            version=f"{moment}~{mark}",
            modified_at=datetime.fromisoformat(moment),
            fields={**fields, **nested},
            url=f"{instance_url}/lightning/r/{self.read.object}/{full_id(row['Id'])}/view",
            deleted=bool(row["IsDeleted"]),
            merged_into=master,
        )

    def _nested(self, row: Row, name: str, child: Child) -> list[dict[str, Any]]:
        rows: Sequence[Row] = sorted(row.get(child.relationship) or (), key=lambda each: (stamp(each["CreatedDate"]), each["Id"]))
        return [project(each, self.read.children[name].fields) for each in rows]


def token(record: Record) -> Key:
    """What a cursor remembers of a record that was yielded: its stamp, and its id with the mark of its content.

    A stamp has whole seconds: without the content a second change within one would pass for the first.
    """
    moment, _, mark = record.version.partition("~")
    return moment, f"{record.id}~{mark}"


def child_token(row: Row, stamp_field: str, fields: Sequence[str]) -> Key:
    """The same for a child row, by the fields that the mapping reads of it. A row without IsDeleted is a living one."""
    return stamp(row[stamp_field]), f"{row['Id']}~{digest([project(row, fields), bool(row.get('IsDeleted'))])}"


def project(row: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """The row cut down to dotted paths. A parent that is not there is None; what the vendor adds of its own is left out."""
    result: dict[str, Any] = {}
    for path in paths:
        _copy(row, result, path.split("."))
    return result


def _copy(source: Mapping[str, Any], result: dict[str, Any], path: Sequence[str]) -> None:
    name, *rest = path
    value = source[name] if name in source else _any_case(source, name)
    if not rest:
        result[name] = _plain(value)
    elif value is None:
        result[name] = None
    else:
        _copy(value, result.setdefault(name, {}), rest)


def _any_case(source: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in source.items() if key.lower() == name.lower()), None)


def _plain(value: Any) -> Any:
    return {key: each for key, each in value.items() if key != "attributes"} if isinstance(value, dict) else value


def digest(content: Sequence[Any]) -> str:
    return blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()
