"""Channels that take a message by one POST: sent once, and judged by what the answer says, not by its status alone."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx
from pydantic import SecretStr

from connectors.base import Ambiguous, AuthError, ConnectorError, RateLimited, Rejected, Runtime, Transient
from connectors.channels.message import Message
from connectors.channels.settings import host_of, parts_of
from connectors.http import Answer, Effect, Http, Limiter, retry_after

LONGEST = 6.0  # seconds for one message, all in all
_WITHIN = 3.0


def _says_no_address(record: logging.LogRecord) -> bool:
    """httpx logs each request with its address; here an address is a secret."""
    return not record.getMessage().startswith("HTTP Request:")


logging.getLogger("httpx").addFilter(_says_no_address)


@dataclass(frozen=True, slots=True)
class Post:
    """One request. `body` is sent as it is; `query` is added to the address."""

    body: bytes
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(body: object, **query: str) -> Post:
    return Post(json.dumps(body, ensure_ascii=False).encode(), query, {"Content-Type": "application/json; charset=utf-8"})


Say = Callable[[Message, datetime], Post]
Judge = Callable[[Answer], ConnectorError | None]


class Bot:
    """One address to which messages are posted. `say` makes a request of a message, `judge` tells what an answer means."""

    def __init__(
        self, name: str, address: SecretStr, *, say: Say, judge: Judge, per_minute: int, runtime: Runtime, secrets: Sequence[SecretStr] = ()
    ) -> None:
        self.per_minute = per_minute
        self._name, self._address, self._runtime = name, address, runtime
        self._say = say
        self._secrets = [*parts_of(address), *(secret.get_secret_value() for secret in secrets)]
        limiter = Limiter(runtime=runtime, per_minute=None, slots={})
        self._http = Http(
            system=name,
            base_url="",
            runtime=runtime,
            authorize=None,
            judge=lambda answer, _effect: judge(answer),
            limiter=limiter,
            tries=1,
        )

    async def __aenter__(self) -> Bot:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(None, None, None)

    async def send(self, message: Message) -> None:
        """Send it once. Raises Ambiguous when no answer came; any other error means that it was certainly not taken."""
        post = self._say(message, self._runtime.clock())
        url = str(httpx.URL(self._address.get_secret_value()).copy_merge_params(post.query))
        try:
            async with asyncio.timeout(LONGEST):
                await self._http.send("POST", url, effect=Effect.CREATE, body=post.body, headers=post.headers, within=_WITHIN)
        except (Ambiguous, TimeoutError):
            raise Ambiguous(f"no clear answer from {host_of(self._address)}; the message may have arrived", system=self._name) from None
        except ConnectorError as error:
            raise self._without_secrets(error) from None

    def _without_secrets(self, error: ConnectorError) -> ConnectorError:
        for secret in self._secrets:
            error.message = error.message.replace(secret, "…")
        error.args = (error.message,)
        return error


def judge_status(answer: Answer, words: str = "") -> ConnectorError | None:
    """What a status means to all of them. An error that the server itself admits is none of a lost answer; one of a gateway before it is."""
    told = f"answered {answer.status}{f': {words[:200]}' if words else ''}"
    match answer.status:
        case status if 200 <= status < 300:
            return None
        case 401 | 403 | 404 | 405 | 410:
            return AuthError(f"{told}; the address is not valid (any more), or may not be written to")
        case 408 | 425 | 500 | 503:
            return Transient(told)
        case 429:
            return RateLimited(told, retry_after=retry_after(answer.headers, 60.0))
        case 502 | 504:
            return Ambiguous(told)
        case status if 400 <= status < 500:
            return Rejected(told)
    return Transient(told)


@dataclass(frozen=True, slots=True)
class Codes:
    """What the error codes mean of a service that answers 200 whatever happened. A code that is not listed may pass."""

    name: str  # the key of the code in the answer
    words: str  # the key of its explanation
    denied: frozenset[int]
    limited: frozenset[int]
    rejected: frozenset[int]
    pause: float = 60.0  # seconds to leave it alone when there were too many

    def judge(self, answer: Answer) -> ConnectorError | None:
        data = answer.data if isinstance(answer.data, Mapping) else {}
        code, words = data.get(self.name), str(data.get(self.words, ""))
        if not isinstance(code, int):
            return judge_status(answer) or Ambiguous("the answer holds no code")
        if code == 0:
            return judge_status(answer, words)
        told = f"answered {self.name} {code}: {words[:200]}"
        if code in self.denied:
            return AuthError(f"{told}; check the address, the secret, the robot's security settings and this machine's clock")
        if code in self.limited or answer.status == 429:
            return RateLimited(told, retry_after=self.pause)
        return Rejected(told) if code in self.rejected else Transient(told)
