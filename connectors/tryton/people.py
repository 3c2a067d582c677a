"""Who can be assigned: employees, by the e-mails of their party or of their user. Every e-mail is looked up once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from connectors.tryton.rpc import Row, Rpc

_MAILS = ("party.contact_mechanisms.type", "party.contact_mechanisms.value")


class People:
    """`resolve` e-mails first; then `employee` answers. `unknown` holds, as written, the e-mails no employee has."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._employees: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self.unknown: set[str] = set()

    async def resolve(self, emails: Iterable[str]) -> None:
        """Look up those not met before."""
        async with self._lock:
            wanted = {email for email in emails if email and email.casefold() not in self._employees} - self.unknown
            if not wanted:
                return
            self._employees |= await self._users(wanted) | await self._employed(wanted)
            self.unknown |= {email for email in wanted if email.casefold() not in self._employees}

    def employee(self, email: str) -> int | None:
        return self._employees.get(email.casefold())

    async def _employed(self, wanted: Iterable[str]) -> dict[str, int]:
        asked = ["OR", *(["party.contact_mechanisms.value", "ilike", _literal(email)] for email in sorted(wanted))]
        rows = await self._rpc.rows("company.employee", [asked], _MAILS)
        return {mail.casefold(): row["id"] for row in rows for mail in emails(row)}

    async def _users(self, wanted: Iterable[str]) -> dict[str, int]:
        asked = ["OR", *(["email", "ilike", _literal(email)] for email in sorted(wanted))]
        rows = await self._rpc.rows("res.user", [asked, ["employee", "!=", None]], ("email", "employee"))
        return {str(row["email"]).casefold(): row["employee"] for row in rows}


def emails(employee: Mapping[str, Any]) -> list[str]:
    """The e-mails of an employee's party, the first one first."""
    party: Row = employee.get("party") or {}
    return [str(each["value"]) for each in party.get("contact_mechanisms") or () if each.get("type") == "email" and each.get("value")]


def _literal(text: str) -> str:
    """For `ilike`: exactly this text, in any case."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
