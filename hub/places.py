"""Where deliveries go: which paths there are, and what is known of each place just now."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from connectors.base import ConnectorError
from connectors.push import Endpoint
from engine.model import CrmKind
from flows.endpoints import PREFIX, Endpoints
from state.subscriptions import Subscribed

_PATH = re.compile(rf"{PREFIX}/([\w.-]{{1,64}})/([a-z0-9]{{1,64}})(?:/([\w.-]{{1,128}}))?", re.ASCII)
_LIFETIME = 5.0  # seconds; what changes meanwhile is read when it matters


@dataclass(frozen=True, slots=True)
class Place:
    """A path that exists. `shown` is how logs may call it."""

    name: str
    resource: str

    @property
    def shown(self) -> str:
        return f"{PREFIX}/{self.name}/…{f'/{self.resource}' if self.resource else ''}"


class Places:
    """`objects` are the systems that are listened to, and the objects read of each. `subscribed` looks a place up; `clock` counts seconds."""

    def __init__(
        self,
        endpoints: Endpoints,
        objects: Mapping[str, Mapping[str, CrmKind]],
        subscribed: Callable[[Place], Awaitable[tuple[Subscribed, bool]]],
        clock: Callable[[], float],
    ) -> None:
        self._endpoints, self._objects, self._subscribed, self._clock = endpoints, objects, subscribed, clock
        self._known: dict[Place, tuple[Endpoint, float]] = {}
        self._looked: dict[Place, int] = {}
        self._count = itertools.count()
        self._turns: dict[Place, asyncio.Lock] = {}

    def find(self, path: str) -> Place | None:
        """The place at a path. Takes as long for a wrong path as for one that is right."""
        parts = _PATH.fullmatch(path)
        if parts is None:
            return None
        place = Place(parts[1], parts[3] or "")
        is_right = hmac.compare_digest(self._endpoints.path(place.name, place.resource).encode(), path.encode())
        return place if is_right and place.name in self._objects else None

    async def endpoint(self, place: Place) -> Endpoint:
        """The place as last looked up, a few seconds ago at most; longer while it cannot be. Raises ConnectorError when it never was."""
        endpoint, until = self._known.get(place, (None, 0.0))
        if endpoint is not None and self._clock() < until:
            return endpoint
        try:
            return await self.fresh(place)
        except ConnectorError:
            if endpoint is None:
                raise
            return endpoint

    async def fresh(self, place: Place) -> Endpoint:
        """The place as it is now. Many who ask at once share a look that begins after they asked. Raises ConnectorError."""
        asked = next(self._count)
        async with self._turns.setdefault(place, asyncio.Lock()):
            if self._looked.get(place, -1) < asked:
                began = next(self._count)
                known, awaited = await self._subscribed(place)
                endpoint = self._endpoints.endpoint(
                    place.name, self._objects[place.name], resource=place.resource, sealed=known.sealed, awaited=awaited
                )
                self._known[place], self._looked[place] = (endpoint, self._clock() + _LIFETIME), began
        return self._known[place][0]
