"""What a system says of its changes by itself: a push. It is only ever a hint: what changed is read again from the system.

A connector that can be pushed to has a module `push.py` with

    Settings                                       a pydantic model: the `push:` section of a mapping
    receive(settings, endpoint, delivery)          pure: is it genuine, which records does it name, how is it answered; raises Refused

or else HOW: what to do by hand. Where the system lets itself be asked for pushes, a module `subscribe.py` has

    subscribe(…), subscriptions(…)                 see `Subscribe`
    HEARTBEAT                                      how often the system sends a sign of life while nothing changes; not there where it sends none
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from connectors.base import Runtime
from engine.model import CrmKind, Hint

Reason = Literal["method", "type", "size", "body", "signature", "stale", "path", "sender", "unexpected", "flood"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it arrived. `url` is the whole public address as the sender called it, query included; header names are lower case."""

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: datetime


TOOL = Hint("tool")


@dataclass(frozen=True, slots=True)
class Received:
    """A genuine delivery: the records it names, how many events it told of, and the answer to give once that is stored.

    `handshake`: a secret the system gave, to be kept for this endpoint before answering.
    """

    hints: tuple[Hint, ...] = ()
    events: int = 0
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    handshake: str = ""


class Refused(Exception):
    """A delivery that is not taken. `reason` is counted; neither it nor `told` holds any of the content."""

    def __init__(self, status: int, reason: Reason, told: str = "") -> None:
        super().__init__(told or reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a system's deliveries go.

    `url` is public and holds an unguessable part; `resource` is what of the system it is for, where each has an address of its own.
    `token` is a second secret of ours, at most 40 letters and digits, for systems that send one back. `objects` are the CRM's objects that are
    read → our kinds. `secret` is what the system gave at its handshake; `awaited`: a handshake is expected now.
    """

    name: str
    url: str
    token: str
    objects: Mapping[str, CrmKind] = field(default_factory=dict)
    resource: str = ""
    secret: str = ""
    awaited: bool = False


class PushSettings(BaseModel):
    """Shared settings of every `push:` section: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    silence_hours: float = Field(
        2, gt=0, description="Hours without a delivery after which it is an alarm that polling found changes nobody had told of."
    )


class Receive(Protocol):
    def __call__(self, settings: Any, endpoint: Endpoint, delivery: Delivery) -> Received: ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a system holds for an endpoint. `resource` as in `Endpoint`; `detail` in words, when it is not healthy."""

    resource: str
    id: str
    expires_at: datetime | None = None
    healthy: bool = True
    detail: str = ""


class Place(Protocol):
    """The endpoint of a resource as it is now. When `awaited`, its handshake is taken from now on, for some minutes."""

    async def __call__(self, resource: str = "", *, awaited: bool = False) -> Endpoint: ...


class Subscribe(Protocol):
    """`subscribe(…)`: have every one of `resources` told of, renewing what expires before `until`; idempotent. Removes nothing but what it replaces.

    `subscriptions(…)`: likewise, but only looks. `resources` are the endpoint's objects for a CRM, the visible projects' ids for a tool.
    Both give what there is now: a resource that is gone is left out, one that cannot be subscribed to is not healthy, and says why.
    Both raise ConnectorError for what concerns all of them.
    """

    async def __call__(
        self, connection: Any, settings: Any, place: Place, resources: Sequence[str], *, until: datetime, runtime: Runtime
    ) -> Sequence[Subscription]: ...
