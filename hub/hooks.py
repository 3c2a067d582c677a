"""The inbox's door: one address for each system that pushes. What is genuine is stored, and only then acknowledged; anything else is refused cheaply.

It lies in front of everything else: no session, no cookie, no page. What a delivery says is never trusted nor logged: it names records to read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from connectors.base import ConnectorError
from connectors.push import Delivery, Endpoint, Receive, Received, Refused
from engine.model import CrmKind, Hint
from flows import logs
from hub import web
from hub.body import Bodies, Disconnected, Limits
from hub.buckets import Buckets
from hub.ledger import Ledger, NotStored
from hub.places import Place, Places

_log = logs.get("hub")
_AT_ONCE = 64 << 10  # bytes that are taken apart without anybody else noticing
_LATER = web.Answer(503, b"not stored; send it again later\n", headers={"retry-after": "5"})
_NOWHERE = web.Answer(404, b"not found\n")


@dataclass(frozen=True, slots=True)
class Listening:
    """A system that is listened to. `wants` says which hints are read by anybody; `objects` are those of the CRM that are read."""

    receive: Receive
    settings: Any
    wants: Callable[[Hint], bool]
    objects: Mapping[str, CrmKind] = field(default_factory=dict)


class Hooks:
    """`keep` stores a handshake's secret; False where none is awaited (any more). `url` is the hub's as systems reach it."""

    def __init__(
        self,
        systems: Mapping[str, Listening],
        places: Places,
        ledger: Ledger,
        *,
        keep: Callable[[Place, str], Awaitable[bool]],
        url: str,
        clock: Callable[[], datetime],
        seconds: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self._systems, self._places, self._ledger, self._keep = systems, places, ledger, keep
        self._url, self._clock, self._limits = url, clock, limits or Limits()
        self._bodies = Bodies(self._limits)
        self._floods = Buckets(burst=60, per_second=1.0, clock=seconds)
        self._lines = Buckets(burst=20, per_second=0.2, clock=seconds)

    async def __call__(self, scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        place = self._places.find(scope["path"])
        try:
            answer = await self._answer(scope, receive, place)
        except Disconnected:
            return
        await _closing(answer, scope)(send)

    async def _answer(self, scope: web.Scope, receive: web.Receive, place: Place | None) -> web.Answer:
        if place is None:
            self._note("", "path", "unknown")
            return _NOWHERE
        peer = (web.peer_of(scope), place)
        try:
            received = await self._taken(scope, receive, place, peer)
        except Refused as refusal:
            self._note(place.name, refusal.reason, place.shown)
            told = f"{refusal}\n".encode("utf-8", "replace")
            return web.Answer(refusal.status, told, headers={"retry-after": "5"} if refusal.status in {429, 503} else {})
        except (NotStored, ConnectorError):
            return _LATER
        return web.Answer(received.status, received.body, received.content_type, received.headers)

    async def _taken(self, scope: web.Scope, receive: web.Receive, place: Place, peer: tuple[str, Place]) -> Received:
        if self._floods.is_empty(peer):
            raise Refused(429, "flood", "too many refused deliveries")
        try:
            headers = web.headers_of(scope)
            delivery = self._delivery(scope, headers, await self._bodies.read(place.name, headers, receive))
            received = await self._read(place, delivery)
            hints = self._wanted(place, received)
            if received.handshake and not await self._keep(place, received.handshake):
                raise Refused(403, "unexpected", "no handshake is awaited")
        except Refused as refusal:
            if refusal.status != 503:
                self._floods.take(peer)
            raise
        self._floods.trust(peer)
        await self._ledger.add(place.name, hints, events=received.events)
        return received

    def _delivery(self, scope: web.Scope, headers: Mapping[str, str], body: bytes) -> Delivery:
        query = scope["query_string"].decode("latin-1")
        url = f"{self._url}{scope['raw_path'].decode('latin-1')}{'?' if query else ''}{query}"
        return Delivery(scope["method"], url, dict(parse_qsl(query, keep_blank_values=True)), headers, body, self._clock())

    async def _read(self, place: Place, delivery: Delivery) -> Received:
        """By what is known of the place; where that is a refusal, by what is known of it now: it may just have been opened, or renewed elsewhere."""
        endpoint = await self._places.endpoint(place)
        try:
            return await self._understood(place, endpoint, delivery)
        except Refused:
            fresh = await self._places.fresh(place)
            if fresh == endpoint:
                raise
        return await self._understood(place, fresh, delivery)

    async def _understood(self, place: Place, endpoint: Endpoint, delivery: Delivery) -> Received:
        system = self._systems[place.name]
        try:
            if len(delivery.body) <= _AT_ONCE:
                return system.receive(system.settings, endpoint, delivery)
            return await asyncio.to_thread(system.receive, system.settings, endpoint, delivery)
        except Refused:
            raise
        except Exception as error:
            _log.error("delivery not understood", extra={"path": place.shown, "error": type(error).__name__})
            raise Refused(500, "body", "not understood") from error

    def _wanted(self, place: Place, received: Received) -> Iterable[Hint]:
        """What somebody reads. A name no system gives would spoil the batch of all the others, so it is refused here."""
        if len(received.hints) > self._limits.hints:
            raise Refused(413, "size", "too many records in one delivery")
        if not all(_is_sound(hint) for hint in received.hints):
            raise Refused(400, "body", "a record's id cannot be one")
        return filter(self._systems[place.name].wants, received.hints)

    def _note(self, system: str, reason: str, path: str) -> None:
        self._ledger.refuse(system, reason)
        if self._lines.take((system, reason)):
            _log.warning("delivery refused", extra={"system": system, "reason": reason, "path": path})


def _is_sound(hint: Hint) -> bool:
    return len(hint.id) <= 200 and hint.id.isprintable() and bool(hint.id) == (hint.kind != "tool")


def _closing(answer: web.Answer, scope: web.Scope) -> web.Answer:
    """A refusal ends the connection when there is more to come than is worth reading."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    if answer.status < 400 or not (chunked or (length.isdigit() and int(length) > _AT_ONCE)):
        return answer
    return web.Answer(answer.status, answer.body, answer.content_type, {**answer.headers, "connection": "close"})
