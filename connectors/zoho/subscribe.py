"""Zoho CRM's notifications: one channel for all modules, which falls silent a week after it was enabled, so it is enabled again in time.

https://www.zoho.com/crm/developer/docs/api/v8/notifications/enable.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from connectors.base import Rejected, Runtime
from connectors.http import Effect
from connectors.push import Endpoint, Place, PushSettings, Subscription
from connectors.zoho.connection import Connection
from connectors.zoho.errors import row_error
from connectors.zoho.rest import Rest

_PATH = "/actions/watch"
_LIFE = timedelta(weeks=1) - timedelta(hours=1)  # a week is the most, by Zoho's clock
_NONE = "Zoho tells of nothing here: the channel has expired, or was never there; register again"


async def subscribe(
    connection: Connection, settings: PushSettings, place: Place, resources: Sequence[str], *, until: datetime, runtime: Runtime
) -> Sequence[Subscription]:
    """See `connectors.push.Subscribe`. Costs one call when nothing is to be done."""
    del settings
    endpoint, rest = await place(), Rest(connection, runtime)
    await rest.open()
    try:
        held = await _held(rest, endpoint)
        if all(name in held and held[name] > until for name in resources):
            return _found(endpoint, resources, held)
        await _enable(rest, endpoint, resources, runtime.clock() + _LIFE)
        return _found(endpoint, resources, await _held(rest, endpoint))
    finally:
        await rest.close()


async def subscriptions(
    connection: Connection, settings: PushSettings, place: Place, resources: Sequence[str], *, until: datetime, runtime: Runtime
) -> Sequence[Subscription]:
    """See `connectors.push.Subscribe`."""
    del settings, until
    endpoint, rest = await place(), Rest(connection, runtime)
    await rest.open()
    try:
        return _found(endpoint, resources, await _held(rest, endpoint))
    finally:
        await rest.close()


def channel(endpoint: Endpoint) -> str:
    """The channel's number: the same for the same hub and name, also under another secret, so that it is replaced and not added to."""
    hub = "/".join(endpoint.url.split("/")[:-1])
    return str(10**14 + int.from_bytes(sha256(hub.encode()).digest()[:8]) % 10**14)


async def _held(rest: Rest, endpoint: Endpoint) -> dict[str, datetime]:
    """Until when each module is told of at this very address."""
    try:
        answer = await rest.get(_PATH, channel_id=channel(endpoint))
    except Rejected as refusal:
        if not refusal.message.startswith("NOT_SUBSCRIBED"):
            raise
        return {}
    rows: Sequence[Mapping[str, Any]] = (answer.data or {}).get("watch") or ()
    return {str(row["resource_name"]): datetime.fromisoformat(row["channel_expiry"]) for row in rows if _is_ours(row, endpoint)}


def _is_ours(row: Mapping[str, Any], endpoint: Endpoint) -> bool:
    return row.get("notify_url") == endpoint.url and row.get("token", endpoint.token) == endpoint.token and bool(row.get("channel_expiry"))


async def _enable(rest: Rest, endpoint: Endpoint, modules: Sequence[str], expiry: datetime) -> None:
    wanted = {
        "channel_id": channel(endpoint),
        "events": [f"{module}.all" for module in modules],
        "channel_expiry": expiry.replace(microsecond=0).isoformat(),
        "token": endpoint.token,
        "notify_url": endpoint.url,
        "notify_on_related_action": False,
    }
    answer = await rest.send("POST", _PATH, effect=Effect.REPEATABLE, body={"watch": [wanted]})
    for row in answer.data.get("watch") or ():
        if row.get("status") == "error":
            raise row_error(row)


def _found(endpoint: Endpoint, modules: Sequence[str], held: Mapping[str, datetime]) -> list[Subscription]:
    number = channel(endpoint)
    return [
        Subscription(module, number, held[module]) if module in held else Subscription(module, number, healthy=False, detail=_NONE)
        for module in modules
    ]
