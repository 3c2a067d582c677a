"""Rows become records: only what the mapping asked for, and a version that changes with any of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from connectors.odoo.cursor import STAMP, Token
from connectors.odoo.errors import SYSTEM
from connectors.odoo.reader import project
from connectors.odoo.relations import DOMAINS
from connectors.odoo.rpc import Domain, Row
from engine.model import CrmKind, Read, Record

_PAGES = {"crm.lead": "crm"}  # other models are found by their names


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind as it is read. `url` is the server's, whose pages have had plain addresses since it speaks JSON-2."""

    name: CrmKind
    read: Read
    url: str
    plain: bool = True

    @property
    def domain(self) -> Domain:
        return DOMAINS.get((self.name, self.read.object), ())

    def record(self, row: Row) -> Record:
        fields = {**project(row, self.read.fields), **{name: row[name] for name in self.read.children}}
        stamp = str(row["write_date"])
        return Record(
            system=SYSTEM,
            kind=self.name,
            id=str(row["id"]),
            version=f"{stamp}~{digest(fields)}",
            modified_at=datetime.strptime(stamp, STAMP).replace(tzinfo=UTC),
            fields=fields,
            url=self._page(row["id"]),
        )

    def deleted(self, row: int, merged_into: int | None, seen: datetime) -> Record:
        """The record of a row that is not there any more; `seen` is when that was."""
        winner = str(merged_into) if merged_into else ""
        return Record(SYSTEM, self.name, str(row), f"deleted~{winner}", seen, {}, self._page(row), deleted=True, merged_into=winner)

    def _page(self, row: int) -> str:
        model = self.read.object
        return (
            f"{self.url}/odoo/{_PAGES.get(model, model)}/{row}" if self.plain else f"{self.url}/web#id={row}&model={model}&view_type=form"
        )


def token(record: Record) -> Token:
    """What a cursor remembers of a record that was yielded."""
    stamp, _, mark = record.version.partition("~")
    return Token(int(record.id), stamp, mark)


def row_token(row: Mapping[str, Any]) -> Token:
    """The same for a row as it was read."""
    return Token(row["id"], str(row["write_date"]), digest(row))


def digest(content: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()
