"""What a project must have before its tasks can: members (nobody else is assigned tasks or sees a private project), and custom fields."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from connectors.http import Effect
from connectors.redmine.api import Api, Json
from connectors.redmine.errors import Invalid


class Members:
    """What is known of memberships while a few writes are carried out."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._rows: dict[str, dict[int, Json]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def join(self, project: str, users: Iterable[int], role: int, *, enough: frozenset[int] | None = None) -> None:
        """Let them be members with the role, unless they are with one that is `enough` (None: any). Safe to repeat; nobody loses a role."""
        async with self._locks[project]:
            for user in users:
                row = (await self._held(project)).get(user)
                roles = roles_of(row)
                if row is None:
                    await self._add(project, user, role)
                elif enough is not None and not roles & enough:
                    data = {"role_ids": sorted({*roles, role})}
                    await self._api.put(f"/memberships/{row['id']}.json", "membership", data, effect=Effect.UPDATE)
                else:
                    continue
                self._rows.pop(project, None)

    async def _held(self, project: str) -> dict[int, Json]:
        if project not in self._rows:
            self._rows[project] = {row["user"]["id"]: row for row in await members(self._api, project) if "user" in row}
        return self._rows[project]

    async def _add(self, project: str, user: int, role: int) -> None:
        data = {"user_id": user, "role_ids": [role]}
        try:
            await self._api.post(f"/projects/{project}/memberships.json", "membership", data, effect=Effect.REPEATABLE)
        except Invalid:
            self._rows.pop(project, None)
            if user not in await self._held(project):  # else somebody, or our own lost request, was there first
                raise


class Attached:
    """Which custom fields of tasks a project has, while a few writes are carried out: a value of another one Redmine drops without a word."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._ids: dict[str, set[int]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def attach(self, project: str, ids: Iterable[int]) -> None:
        """Let the tasks of the project have these fields. Safe to repeat."""
        path = f"/projects/{project}.json"
        async with self._locks[project]:
            if project not in self._ids:
                row = await self._api.get(path, "project", include="issue_custom_fields")
                self._ids[project] = {field["id"] for field in row.get("issue_custom_fields") or ()}
            held, wanted = self._ids[project], set(ids)
            if wanted - held:
                await self._api.put(path, "project", {"issue_custom_field_ids": sorted(held | wanted)})
                held |= wanted


def roles_of(row: Json | None) -> frozenset[int]:
    """Ids of a membership's roles; those inherited from a group or a parent project count."""
    return frozenset(role["id"] for role in (row or {}).get("roles") or ())


async def members(api: Api, project: str) -> Sequence[Json]:
    """The memberships of a project, the oldest first."""
    return sorted(await api.every(f"/projects/{project}/memberships.json", "memberships"), key=lambda row: int(row["id"]))
