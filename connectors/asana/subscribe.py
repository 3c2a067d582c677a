"""Asana's webhooks: one a project, because what happens to tasks is told no higher. https://developers.asana.com/docs/webhooks-guide

Asana shakes hands while a webhook is made, and deletes one whose deliveries fail for a day. A webhook whose secret is not known here is worth
nothing, so it is made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.asana.batch import Action, Api, Json, post
from connectors.asana.connection import Connection
from connectors.asana.errors import Judge
from connectors.asana.reach import reach
from connectors.base import Ambiguous, Gone, RateLimited, Rejected, Runtime, Transient
from connectors.http import Effect
from connectors.push import Endpoint, Place, PushSettings, Subscription

HEARTBEAT = timedelta(hours=8)
_FIELDS = ("active", "resource.gid", "target", "delivery_retry_count", "failure_deletion_timestamp", "last_failure_content")
# What progress is made of; a comment or another due date of a task is no news for a CRM.
_FILTERS: tuple[Mapping[str, Any], ...] = (
    *({"resource_type": "task", "action": action} for action in ("added", "removed", "deleted", "undeleted")),
    {"resource_type": "task", "action": "changed", "fields": ["completed"]},
    *({"resource_type": "project", "action": action} for action in ("changed", "deleted", "undeleted")),
)
_UNSHAKEN = "Asana's handshake was answered, but not here: does the address lead to this hub, and to this state?"


async def subscribe(
    connection: Connection, settings: PushSettings, place: Place, resources: Sequence[str], *, until: datetime, runtime: Runtime
) -> Sequence[Subscription]:
    """See `connectors.push.Subscribe`. Costs one call when nothing is to be done."""
    del settings, until  # webhooks do not expire
    async with _asana(connection, runtime) as asana:
        return await asana.each(resources, place, make=True)


async def subscriptions(
    connection: Connection, settings: PushSettings, place: Place, resources: Sequence[str], *, until: datetime, runtime: Runtime
) -> Sequence[Subscription]:
    """See `connectors.push.Subscribe`."""
    del settings, until
    async with _asana(connection, runtime) as asana:
        return await asana.each(resources, place, make=False)


async def unsubscribe(
    connection: Connection, settings: PushSettings, place: Place, resources: Sequence[str], *, runtime: Runtime
) -> Sequence[str]:
    """See `connectors.push.Unsubscribe`."""
    del settings
    async with _asana(connection, runtime) as asana:
        return [gid for gid in resources if await asana.release(gid, place)]


def _asana(connection: Connection, runtime: Runtime) -> _Asana:
    judge = Judge()
    return _Asana(Api(reach(connection, judge, runtime), judge), connection.workspace)


@dataclass(slots=True)
class _Asana:
    api: Api
    workspace: str

    async def __aenter__(self) -> _Asana:
        await self.api.http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.api.http.__aexit__(None, None, None)

    async def each(self, projects: Sequence[str], place: Place, *, make: bool) -> list[Subscription]:
        held: dict[str, list[Json]] = {}
        for hook in await self.api.every("/webhooks", _FIELDS, workspace=self.workspace):
            held.setdefault(str((hook.get("resource") or {}).get("gid")), []).append(hook)
        asked = (self._one(gid, held.get(gid, []), place, make=make) for gid in projects)
        found = await asyncio.gather(*asked, return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return [one for one in found if isinstance(one, Subscription)]

    async def _one(self, project: str, hooks: Sequence[Json], place: Place, *, make: bool) -> Subscription | None:
        """The project's webhook, made where it is wanted and missing. What is wrong with one project is said of that one."""
        endpoint = await place(project)
        ours = next((hook for hook in hooks if hook["target"] == endpoint.url), None)
        if ours is not None and endpoint.secret:
            return _standing(project, ours)
        if not make:
            return Subscription(project, "", healthy=False, detail="there is no webhook, or its secret is lost: register again")
        try:
            return await self._make(project, [hook for hook in hooks if _is_ours(hook, endpoint)], place)
        except Gone:
            return None
        except (Rejected, Transient, Ambiguous, RateLimited) as error:
            return Subscription(project, "", healthy=False, detail=error.message)

    async def _make(self, project: str, old: Sequence[Json], place: Place) -> Subscription:
        for hook in old:
            await self._remove(hook)
        endpoint = await place(project, awaited=True)
        wanted = {"resource": project, "target": endpoint.url, "filters": _FILTERS}
        try:
            made = await self.api.one(post("/webhooks", wanted))
        except Rejected as refusal:
            if "duplicate" not in refusal.message.lower():
                raise
            await self._remove(await self._duplicate(project, endpoint, refusal))
            made = await self.api.one(post("/webhooks", wanted))
        shaken = bool((await place(project)).secret)
        return Subscription(project, str(made["data"]["gid"]), healthy=shaken, detail="" if shaken else _UNSHAKEN)

    async def release(self, project: str, place: Place) -> bool:
        """Whether nothing of it leads here any more. What is wrong with one project is left for another time."""
        endpoint = await place(project)
        try:
            for hook in await self.api.every("/webhooks", _FIELDS, workspace=self.workspace, resource=project):
                if _is_ours(hook, endpoint):
                    await self._remove(hook)
        except Gone:
            return True
        except (Rejected, Transient, Ambiguous, RateLimited):
            return False
        return True

    async def _duplicate(self, project: str, endpoint: Endpoint, refusal: Rejected) -> Json:
        """The webhook that stands in the way: made meanwhile, or not listed before."""
        hooks = await self.api.every("/webhooks", _FIELDS, workspace=self.workspace, resource=project)
        found = next((hook for hook in hooks if hook["target"] == endpoint.url), None)
        if found is None:
            raise refusal
        return found

    async def _remove(self, hook: Json) -> None:
        with suppress(Gone):
            await self.api.one(Action("DELETE", f"/webhooks/{hook['gid']}", Effect.REPEATABLE))


def _is_ours(hook: Json, endpoint: Endpoint) -> bool:
    """Whether a webhook leads to this hub, be it by an address of a secret that is lost: `…/hooks/<name>/<secret>/<resource>`."""
    theirs, ours = str(hook["target"]).split("/"), endpoint.url.split("/")
    return len(theirs) == len(ours) and theirs[:-2] == ours[:-2] and theirs[-1] == ours[-1]


def _standing(project: str, hook: Json) -> Subscription:
    failed = int(hook.get("delivery_retry_count") or 0)
    told: list[str] = [] if hook.get("active", True) else ["Asana calls it inactive"]
    if failed:
        gone = f", deleted at {hook['failure_deletion_timestamp']} unless one succeeds" if hook.get("failure_deletion_timestamp") else ""
        told.append(f"{failed} deliveries failed in a row{gone}: {' '.join(str(hook.get('last_failure_content') or '').split())[:120]}")
    return Subscription(project, str(hook["gid"]), healthy=not told, detail="; ".join(told))
