"""What the organisation says about itself: modules, fields, stages, currency, people."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base import Member, Rejected, Stage
from connectors.zoho.errors import EMPTY, NoSuchField
from connectors.zoho.rest import Rest

BY_RECORD_ONLY = frozenset({"subform", "multiselectlookup", "multiuserlookup"})  # lists of records leave these out
PEOPLE = frozenset({"ownerlookup", "userlookup"})
STATUSES = {"Closed Won": "won", "Closed Lost": "lost", "Open": "open"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field as settings/fields has it. `to` is the module that a lookup leads to, or that holds a subform's rows."""

    name: str
    label: str
    type: str
    to: str
    writable: bool
    custom: bool
    required: bool
    choices: Mapping[str, str]


class Schema:
    """Asked for when first needed, and kept."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._one_at_a_time = asyncio.Lock()
        self._fields: dict[str, Mapping[str, Field] | None] = {}
        self._stages: tuple[Stage, ...] | None = None
        self._org: Mapping[str, Any] | None = None

    async def fields(self, module: str) -> Mapping[str, Field] | None:
        """The module's fields as this user sees them; None when there is no such module."""
        async with self._one_at_a_time:
            if module not in self._fields:
                self._fields[module] = await self._ask(module)
        return self._fields[module]

    async def _ask(self, module: str) -> Mapping[str, Field] | None:
        try:
            answer = await self._rest.get("/settings/fields", module=module)
        except NoSuchField:
            return None
        return {each["api_name"]: _field(each) for each in _listed(answer.status, answer.data, "fields")}

    async def modules(self) -> list[Mapping[str, Any]]:
        answer = await self._rest.get("/settings/modules")
        return [each for each in _listed(answer.status, answer.data, "modules") if each.get("api_supported")]

    async def lists(self, module: str) -> list[str]:
        """The module's related lists."""
        answer = await self._rest.get("/settings/related_lists", module=module)
        return [str(each["api_name"]) for each in _listed(answer.status, answer.data, "related_lists")]

    async def stages(self) -> tuple[Stage, ...]:
        """Stages of every pipeline of deals with what a deal in them counts as: their forecast type. None where pipelines cannot be read."""
        if self._stages is None:
            answer = await self._rest.get("/settings/layouts", module="Deals")
            found: list[Stage] = []
            for layout in _listed(answer.status, answer.data, "layouts"):
                found += await self._pipelines(str(layout["id"]))
            self._stages = tuple(dict.fromkeys(found))
        return self._stages

    async def _pipelines(self, layout: str) -> list[Stage]:
        try:
            answer = await self._rest.get("/settings/pipeline", layout_id=layout)
        except Rejected:
            return []
        return [
            Stage(str(each.get(name)), str(pipeline.get("display_value") or ""), _status(each))
            for pipeline in _listed(answer.status, answer.data, "pipeline")
            for each in pipeline.get("maps") or ()
            for name in dict.fromkeys(("display_value", "actual_value"))
            if each.get(name) and (name == "display_value" or each.get(name) != each.get("display_value"))
        ]

    async def org(self) -> Mapping[str, Any]:
        if self._org is None:
            answer = await self._rest.get("/org")
            self._org = next(iter(_listed(answer.status, answer.data, "org")), {})
        return self._org

    async def currency(self) -> str:
        """ISO code of the organisation's own currency; empty when it is not told."""
        return str((await self.org()).get("iso_code") or "")

    async def me(self) -> str:
        """Name and e-mail of the user the token acts for."""
        answer = await self._rest.get("/users", type="CurrentUser")
        found: Mapping[str, Any] = next(iter(_listed(answer.status, answer.data, "users")), {})
        return f"{found.get('full_name') or found.get('id', '')} ({found.get('email', '')})"

    async def people(self) -> tuple[Member, ...]:
        found: list[Member] = []
        for page in range(1, 1_000):
            answer = await self._rest.get("/users", type="ActiveUsers", page=str(page), per_page="200")
            rows = _listed(answer.status, answer.data, "users")
            found += [Member(str(each["id"]), str(each.get("full_name") or ""), str(each.get("email") or "")) for each in rows]
            if answer.status in EMPTY or not (answer.data.get("info") or {}).get("more_records"):
                break
        return tuple(found)


def _listed(status: int, data: Any, name: str) -> list[Mapping[str, Any]]:
    return [] if status in EMPTY else list(data.get(name) or ())


def _status(each: Mapping[str, Any]) -> Any:
    return STATUSES.get(str(each.get("forecast_type") or ""), "")


def _field(data: Mapping[str, Any]) -> Field:
    lookup, held = data.get("lookup") or {}, data.get("associated_module") or {}
    target = lookup.get("module") or held.get("module") or ""
    operations = data.get("operation_type") or {}
    choices = {str(each.get("actual_value")): str(each.get("display_value")) for each in data.get("pick_list_values") or ()}
    return Field(
        name=str(data["api_name"]),
        label=str(data.get("display_label") or data.get("field_label") or data["api_name"]),
        type=str(data.get("data_type") or ""),
        to=str(target.get("api_name", "") if isinstance(target, Mapping) else target),
        writable=not (data.get("read_only") or data.get("field_read_only")) and bool(operations.get("api_update", True)),
        custom=bool(data.get("custom_field")),
        required=bool(data.get("system_mandatory")),
        choices=choices,
    )
