"""What a system says of its changes by itself: a push. It is only ever a hint: what changed is read again from the system.

A connector that can be pushed to has a module `push.py` with

    Settings                                       a pydantic model: the `push:` section of a mapping
    receive(settings, endpoint, delivery)          pure: is it genuine, which records does it name, how is it answered; raises Refused

or else HOW: what to do by hand, with `{url}` and `{token}` of the endpoint to be filled in. Where a system lets itself be asked for pushes, a module
`subscribe.py` has

    subscribe(…), subscriptions(…)                 see `Subscribe`
    HEARTBEAT                                      how often the system sends a sign of life while nothing changes; not there where it sends none

What the border has in common follows the contract: `posted`, `typed`, `parsed`, `same`, `timely` check; `at`, `word`, `named` read.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NoReturn, Protocol

from pydantic import BaseModel, ConfigDict, Field

from connectors.base import Runtime
from engine.model import CrmKind, Hint, HintKind

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

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, hide_input_in_errors=True)

    system: Literal["generic"] | None = Field(
        None,
        description="`generic`: understood as webhooks of any system are, whatever the connector understands; the keys are those of `generic`.",
    )
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


class Unsubscribe(Protocol):
    """Have resources told of no more, by whatever leads to this hub; gives those of which that is certain now, also where there was nothing.

    Harmless to repeat. Raises ConnectorError for what concerns all of them.
    """

    async def __call__(
        self, connection: Any, settings: Any, place: Place, resources: Sequence[str], *, runtime: Runtime
    ) -> Sequence[str]: ...


# What every `receive` needs


def posted(delivery: Delivery) -> None:
    """Raises Refused for anything but a POST."""
    if delivery.method != "POST":
        raise Refused(405, "method")


def typed(delivery: Delivery, media: str) -> None:
    """Raises Refused for a body that does not call itself `media`, whatever the parameters."""
    if delivery.headers.get("content-type", "").partition(";")[0].strip().lower() != media:
        raise Refused(415, "type", f"the body is not {media}")


def parsed(body: bytes) -> Any:
    """A body as JSON, strictly: UTF-8, no key twice, no NaN, no nesting without end. Raises Refused."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, and a number of thousands of digits are ValueErrors
        raise Refused(400, "body") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused(400, "body")
    return found


def _no_number(name: str) -> NoReturn:
    raise Refused(400, "body")


def same(given: object, secret: str) -> bool:
    """Whether what was given is the secret; how long it takes says nothing about it. Where there is no secret, nothing is."""
    return isinstance(given, str) and bool(secret) and hmac.compare_digest(given.encode(errors="surrogatepass"), secret.encode())


def timely(stamp: str, now: datetime, *, per_second: Literal[1, 1000]) -> None:
    """Raises Refused for a time stamp (seconds or milliseconds since 1970) that is more than five minutes from now, on either side."""
    number = int(stamp) if stamp.isascii() and stamp.isdigit() and len(stamp) <= 15 else -1
    if number < 0 or abs(now.timestamp() - number / per_second) > _TIMELY:
        raise Refused(401, "stale")


_TIMELY = 5 * 60


def at(data: object, *path: str) -> Any:
    """What lies at a path of keys; None where nothing does."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def word(data: object, *path: str) -> str:
    """The text at a path of keys; empty where there is none."""
    found = at(data, *path)
    return found if isinstance(found, str) else ""


def named(records: Iterable[tuple[HintKind | None, object]]) -> tuple[Hint, ...]:
    """The hints at records, each once; what is of no kind of ours, and what cannot be an id, is none."""
    found = ((kind, _id(value)) for kind, value in records)
    return tuple(dict.fromkeys(Hint(kind, id) for kind, id in found if kind and id))


def _id(value: object) -> str:
    """A positive number or a short text without spaces and control characters; else empty."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        value = str(value)
    fits = isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable() and " " not in value
    return value if fits and isinstance(value, str) else ""


_LONGEST_ID = 128
