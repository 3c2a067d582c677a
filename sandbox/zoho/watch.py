"""Notifications: channels that tell of what happens to the records of a module, until they expire."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sandbox.web import Reply
from sandbox.zoho.calls import Call
from sandbox.zoho.errors import Refused
from sandbox.zoho.shapes import value
from sandbox.zoho.values import Row, moment
from sandbox.zoho.world import Event, World

LIFE, LONGEST, LONGEST_ONCE = timedelta(hours=1), timedelta(weeks=1), timedelta(days=1)
OPERATIONS = {"insert": "create", "update": "edit", "delete": "delete"}
MOST = 50


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that Zoho would send to `url`."""

    url: str
    body: Row


@dataclass(frozen=True, slots=True)
class Channel:
    """What one channel listens to: `events` such as Deals.edit or Deals.all."""

    id: str
    events: tuple[str, ...]
    url: str
    token: str | None
    expiry: datetime
    values: bool

    def hears(self, module: str, operation: str, now: datetime) -> bool:
        return now < self.expiry and bool({f"{module}.{OPERATIONS[operation]}", f"{module}.all"} & set(self.events))


@dataclass(slots=True)
class Watch:
    """The channels, and what they have to tell: `outbox` is what would be sent. An expired channel says nothing."""

    world: World
    channels: dict[str, Channel] = field(default_factory=dict)
    outbox: deque[Delivery] = field(default_factory=deque)

    def hear(self, event: Event) -> None:
        now = self.world.clock()
        for channel in self.channels.values():
            if channel.hears(event.module, event.operation, now):
                self.outbox.append(Delivery(channel.url, self._body(channel, event, now)))

    def _body(self, channel: Channel, event: Event, now: datetime) -> Row:
        module = self.world.modules[event.module]
        names = [name for name in event.changes if module.seen(name)]
        told: Row = {
            "server_time": int(now.timestamp() * 1000),
            "module": event.module,
            "operation": event.operation,
            "resource_uri": f"/crm/v8/{event.module}",
            "ids": [event.id],
            "channel_id": channel.id,
            "token": channel.token,
            "query_params": {},
            "affected_fields": [{event.id: names}] if event.operation == "update" else [],
        }
        if channel.values:
            new = {name: value(self.world, module, {name: event.changes[name][1]}, module.fields[name]) for name in names}
            told["affected_values"] = [{"record_id": event.id, "values": new}]
        return told


def enable(call: Call) -> Reply:
    """Opens channels; one that is open already begins anew."""
    return _each(call, 201, lambda row, path: _open(call, row, path))


def replace_all(call: Call) -> Reply:
    return _each(call, 200, lambda row, path: _open(call, row, path, known=True))


def change(call: Call) -> Reply:
    """Changes parts of channels; `_delete_events` takes events away from them."""
    return _each(call, 200, lambda row, path: _change(call, row, path))


def listed(call: Call) -> Reply:
    module, id = call.query.get("module"), call.query.get("channel_id")
    found = [each for each in call.site.watch.channels.values() if id in (None, each.id) and each.expiry > call.world.clock()]
    rows = [_told(call, each, name) for each in found for name in _modules(each.events) if module in (None, name)]
    if not rows:
        return Reply(204)
    info = {"per_page": 200, "count": len(rows), "page": 1, "more_records": False}
    return Reply.json(200, {"watch": rows, "info": info})


def disable(call: Call) -> Reply:
    ids = call.query.get("channel_ids", "").split(",")
    rows = [_closed(call, id.strip()) for id in ids]
    return Reply.json(_status(200, rows), {"watch": rows})


def _closed(call: Call, id: str) -> Row:
    channel = call.site.watch.channels.pop(id, None)
    if channel is None:
        return Refused("NOT_SUBSCRIBED", "The given channel is not subscribed").body()
    name = _modules(channel.events)[0]
    details = {"resource_uri": f"/crm/v8/{name}", "resource_id": call.world.modules[name].id, "channel_id": id}
    return {"code": "SUCCESS", "details": details, "message": "Successfully un-subscribed for actions-watch", "status": "success"}


def _each(call: Call, good: int, do: Any) -> Reply:
    rows = call.body().get("watch")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Refused("INVALID_DATA", "invalid data", api_name="watch", expected_data_type="jsonarray", json_path="$.watch")
    if len(rows) > MOST:
        raise Refused("LIMIT_REACHED", "more channels than allowed", api_name="watch", json_path="$.watch")
    results = []
    for place, row in enumerate(rows):
        try:
            results.append(do(row, f"$.watch[{place}]"))
        except Refused as refused:
            results.append(refused.body())
    return Reply.json(_status(good, results), {"watch": results})


def _status(good: int, rows: list[Row]) -> int:
    failed = sum(row["status"] == "error" for row in rows)
    return good if not failed else 400 if failed == len(rows) else 207


def _open(call: Call, row: Row, path: str, *, known: bool = False) -> Row:
    id, url, token = str(row.get("channel_id", "")), row.get("notify_url"), row.get("token")
    if known and id not in call.site.watch.channels:
        raise Refused("NOT_SUBSCRIBED", "The given channel is not subscribed")
    if not id.isdigit():
        raise _wrong("channel_id", path, expected_data_type="bigint")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise _wrong("notify_url", path)
    if token is not None and (not isinstance(token, str) or len(token) > 50):
        raise _wrong("token", path, maximum_length=50)
    events = _events(call, row.get("events"), path)
    channel = Channel(
        id, events, url, token, _expiry(call, row.get("channel_expiry"), path), row.get("return_affected_field_values") is True
    )
    call.site.watch.channels[id] = channel
    return _opened(call, channel)


def _change(call: Call, row: Row, path: str) -> Row:
    channel = call.site.watch.channels.get(str(row.get("channel_id", "")))
    if channel is None:
        raise Refused("NOT_SUBSCRIBED", "The given channel is not subscribed")
    if "events" in row:
        events = _events(call, row["events"], path)
        gone = row.get("_delete_events") is True
        kept = tuple(each for each in channel.events if each not in events) if gone else tuple(dict.fromkeys((*channel.events, *events)))
        channel = replace(channel, events=kept)
    if "channel_expiry" in row:
        channel = replace(channel, expiry=_expiry(call, row["channel_expiry"], path))
    call.site.watch.channels[channel.id] = channel
    if not channel.events:
        del call.site.watch.channels[channel.id]
    return _opened(call, channel)


def _events(call: Call, given: Any, path: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not given:
        raise _wrong("events", path, expected_data_type="jsonarray")
    for each in given:
        name, _, what = str(each).partition(".")
        if name not in call.world.modules or what not in ("all", *OPERATIONS.values()):
            raise _wrong("events", path)
    return tuple(dict.fromkeys(map(str, given)))


def _expiry(call: Call, given: Any, path: str) -> datetime:
    """An hour when nothing is said, a week at most; a day in the first versions."""
    now = call.world.clock()
    if given is None:
        return now + LIFE
    found = moment(given) if isinstance(given, str) else None
    if found is None or not now < found <= now + (LONGEST if call.version >= 4 else LONGEST_ONCE):
        raise _wrong("channel_expiry", path, expected_data_type="datetime")
    return found


def _wrong(name: str, path: str, **details: Any) -> Refused:
    return Refused("INVALID_DATA", "invalid data", **details, api_name=name, json_path=f"{path}.{name}")


def _modules(events: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(each.partition(".")[0] for each in events))


def _opened(call: Call, channel: Channel) -> Row:
    told = [
        {
            "channel_expiry": call.told(channel.expiry),
            "resource_uri": f"/crm/v8/{name}",
            "resource_id": call.world.modules[name].id,
            "resource_name": name,
            "channel_id": channel.id,
        }
        for name in _modules(channel.events)
    ]
    message = "Successfully subscribed for actions-watch of the given module"
    return {"code": "SUCCESS", "details": {"events": told}, "message": message, "status": "success"}


def _told(call: Call, channel: Channel, name: str) -> Row:
    return {
        "notify_on_related_action": False,
        "channel_expiry": call.told(channel.expiry),
        "return_affected_field_values": channel.values,
        "resource_uri": f"/crm/v8/{name}",
        "resource_id": call.world.modules[name].id,
        "notify_url": channel.url,
        "resource_name": name,
        "fields": None,
        "notification_condition": None,
        "channel_id": channel.id,
        "events": [each for each in channel.events if each.startswith(f"{name}.")],
        "token": channel.token,
    }
