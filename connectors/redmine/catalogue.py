"""What the administrators of a Redmine have set up: trackers, roles, custom fields. Fetched once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from difflib import get_close_matches

from connectors.base import Rejected
from connectors.redmine.api import Api, Json


class Catalogue:
    """Answers once `load` has been awaited. Names win over ids, as a name may be a number."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = asyncio.Lock()
        self._loaded = False
        self._assignable: frozenset[int] | None = None
        self.trackers: list[Json] = []
        self.roles: list[Json] = []
        self.fields: list[Json] = []

    async def load(self) -> None:
        """Fetch all of it unless it is known. Custom fields are listed for administrators only."""
        async with self._lock:
            if self._loaded:
                return
            trackers, roles, fields = await asyncio.gather(
                self._api.get("/trackers.json", "trackers"),
                self._api.get("/roles.json", "roles"),
                self._api.get("/custom_fields.json", "custom_fields"),
            )
            self.trackers, self.roles, self.fields, self._loaded = trackers, roles, fields, True

    def tracker(self, wanted: str | None) -> int:
        """Id of the tracker of this name or id, of the first one without either. Raises Rejected."""
        if wanted is None and self.trackers:
            return int(self.trackers[0]["id"])
        return int(_the(self.trackers, wanted or "", "tracker")["id"])

    def role(self, wanted: str) -> int:
        """Id of the role of this name or id. Raises Rejected."""
        return int(_the(self.roles, wanted, "role")["id"])

    async def assignable(self) -> frozenset[int]:
        """Roles whose members may get tasks; asked for when first needed."""
        async with self._lock:
            if self._assignable is None:
                rows = await asyncio.gather(*(self._api.get(f"/roles/{row['id']}.json", "role") for row in self.roles))
                self._assignable = frozenset(row["id"] for row in rows if row.get("assignable", True))
            return self._assignable


def named(rows: Sequence[Json], wanted: str) -> Json | None:
    """The row of this name or id."""
    return next((row for row in rows if row["name"] == wanted), None) or next((row for row in rows if str(row["id"]) == wanted), None)


def meant(wanted: str, rows: Sequence[Json]) -> str:
    """What somebody may have meant who wrote `wanted`, in words; what there is when nothing is near."""
    names = [str(row["name"]) for row in rows]
    near = get_close_matches(wanted, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there is {', '.join(map(repr, names)) or 'none'}"


def _the(rows: Sequence[Json], wanted: str, kind: str) -> Json:
    found = named(rows, wanted)
    if found is None:
        raise Rejected(f"Redmine has no {kind} {wanted!r}; {meant(wanted, rows)}", field=kind)
    return found
