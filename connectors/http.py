"""The one HTTP client: pooled, limited, retried by what is known about the effect, and silent about secrets.

A connector gives it an `authorize` object and a `judge` (its vendor's meaning of an answer); it gets back a parsed `Answer` or a ConnectorError.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from types import TracebackType
from typing import Any, Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base

from connectors.base import Ambiguous, AuthError, ConnectorError, RateLimited, Rejected, Runtime, Transient, leaving

_log = logging.getLogger("handoff.http")


class Effect(Enum):
    """What repeating a request would do: nothing (READ), nothing more (REPEATABLE), possibly a second object (CREATE), or nothing more unless
    it takes effect late, and undoes what was written since (UPDATE)."""

    READ = "read"
    REPEATABLE = "repeatable"
    UPDATE = "update"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `data` is the parsed JSON body, or None when the body is empty or not JSON (then `text` holds its beginning).

    `raw` is the whole body as it came, for what is not JSON by design (CSV).
    """

    status: int
    headers: Mapping[str, str]
    data: Any
    text: str
    raw: bytes = b""

    @property
    def is_json(self) -> bool:
        return self.data is not None


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    effect: Effect
    weight: int
    params: Mapping[str, str] | None
    body: Any
    form: Mapping[str, str] | None
    headers: Mapping[str, str]
    within: float | None


class Authorize(Protocol):
    """Gives the credentials of a request. `renew` is called once per dead token, however many requests met it."""

    async def headers(self) -> Mapping[str, str]: ...
    async def renew(self, dead: Mapping[str, str]) -> bool: ...


Judge = Callable[[Answer, Effect], ConnectorError | None]


class Limiter:
    """Keeps to a rate (a bucket refilled evenly) and to a number of requests in flight, and stands still while the server asks for it.

    A request may weigh more than one (a batch of ten weighs ten). `slots` caps the weight in flight per lane ("read", "write").
    """

    def __init__(self, *, runtime: Runtime, per_minute: float | None, slots: Mapping[str, int], burst: float | None = None) -> None:
        self._runtime = runtime
        self._rate = per_minute / 60 if per_minute else None
        self._burst = burst if burst is not None else max(10.0, (per_minute or 0) / 60)
        self._level = self._burst
        self._refilled: float | None = None
        self._until = 0.0
        self._free = dict(slots)
        self._slots = dict(slots)
        self._wake = asyncio.Condition()

    def pause(self, seconds: float) -> None:
        """Hold every request for `seconds` from now; a longer pause already under way stands."""
        self._until = max(self._until, self._now() + seconds)

    def hold(self, lane: str, weight: int) -> AbstractAsyncContextManager[None]:
        """Wait for a turn in `lane`, keep it while the request is under way."""
        return self._held(lane, weight)

    @asynccontextmanager
    async def _held(self, lane: str, weight: int) -> AsyncIterator[None]:
        weight = min(weight, self._slots.get(lane, weight))
        async with self._wake:
            await self._wake.wait_for(lambda: self._free.get(lane, weight) >= weight)
            self._free[lane] = self._free.get(lane, weight) - weight
        try:
            await self._turn(weight)
            yield
        finally:
            async with self._wake:
                self._free[lane] += weight
                self._wake.notify_all()

    async def _turn(self, weight: int) -> None:
        while (wait := self._reserve(weight)) > 0:
            await self._runtime.sleep(wait)

    def _reserve(self, weight: int) -> float:
        now = self._now()
        if now < self._until:
            return self._until - now
        if self._rate is None:
            return 0.0
        elapsed = now - self._refilled if self._refilled is not None else 0.0
        self._level = min(self._burst, self._level + elapsed * self._rate)
        self._refilled = now
        if self._level >= min(weight, self._burst):
            self._level -= weight
            return 0.0
        return max((min(weight, self._burst) - self._level) / self._rate, 0.001)

    def _now(self) -> float:
        return self._runtime.clock().timestamp()


class _WaitAsTold(wait_base):
    """Exponential with full jitter, or exactly what the server asked for."""

    def __init__(self, runtime: Runtime, *, first: float, most: float) -> None:
        self._runtime, self._first, self._most = runtime, first, most

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(error, RateLimited):
            return error.retry_after
        return self._runtime.random.uniform(0.5, 1.0) * min(self._most, self._first * 2.0 ** (retry_state.attempt_number - 1))


class Http:
    """A pooled client for one system.

    `send` promises: a CREATE or UPDATE leaves at most once per call unless it was certainly not executed; a READ or REPEATABLE is tried up to `tries`
    times; what writes leaves only after `connectors.base.leaving` let it. A 401 renews the token once (single flight) and repeats the request.
    Raises the judge's error, or what the transport's failure means.
    """

    def __init__(
        self,
        *,
        system: str,
        base_url: str,
        runtime: Runtime,
        authorize: Authorize | None,
        judge: Judge,
        limiter: Limiter,
        tries: int = 5,
        longest_wait: float = 90.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.system = system
        self.base_url = base_url.rstrip("/")
        self.calls = 0
        self.limiter = limiter
        self._runtime = runtime
        self._authorize = authorize
        self._judge = judge
        self._tries = tries
        self._longest_wait = longest_wait
        self._headers = {"User-Agent": "handoff", "Accept": "application/json", **(headers or {})}
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Http:
        transport = self._runtime.transport or AiohttpTransport(client=_session)
        self._client = httpx.AsyncClient(
            transport=transport, timeout=httpx.Timeout(self._runtime.timeout, connect=10.0), headers=self._headers, trust_env=False
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            if self._runtime.transport is None:
                await client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        effect: Effect,
        weight: int = 1,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        within: float | None = None,
    ) -> Answer:
        """One request in its vendor's dialect. `path` is relative to `base_url` or absolute; `body` is sent as JSON (as it is, when it is bytes),
        `form` url-encoded.

        `weight` is what it costs the limiter; `within` is the time-out in seconds.
        """
        call = _Call(method, path, effect, weight, params, body, form, headers or {}, within)
        retry = AsyncRetrying(
            retry=retry_if_exception(lambda error: self._may_repeat(error, effect)),
            stop=stop_after_attempt(self._tries),
            wait=_WaitAsTold(self._runtime, first=0.5, most=20.0),
            sleep=self._runtime.sleep,
            before_sleep=lambda attempt: self._tell(call, attempt),
            reraise=True,
        )
        return await retry(self._once, call)

    def _tell(self, call: _Call, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        about = {"system": self.system, "method": call.method, "path": httpx.URL(call.path).path, "error": type(error).__name__}
        wait = round(attempt.next_action.sleep, 2) if attempt.next_action else 0.0
        _log.info("trying again", extra={**about, "attempt": attempt.attempt_number, "wait_seconds": wait})

    def _may_repeat(self, error: BaseException, effect: Effect) -> bool:
        if isinstance(error, RateLimited):
            return error.retry_after <= self._longest_wait
        return isinstance(error, Transient) and (effect in (Effect.READ, Effect.REPEATABLE) or isinstance(error, _NeverLeft))

    async def _once(self, call: _Call) -> Answer:
        answer, credentials = await self._authorized(call)
        if answer.status == 401 and self._authorize is not None and await self._authorize.renew(credentials):
            answer, _ = await self._authorized(call)
        error = self._judge(answer, call.effect)
        if error is None:
            return answer
        error.system = error.system or self.system
        if isinstance(error, RateLimited):
            self.limiter.pause(min(error.retry_after, self._longest_wait))
        raise error

    async def _authorized(self, call: _Call) -> tuple[Answer, Mapping[str, str]]:
        credentials = await self._authorize.headers() if self._authorize else {}
        async with self.limiter.hold("read" if call.effect is Effect.READ else "write", call.weight):
            return await self._exchange(call, {**call.headers, **credentials}), credentials

    async def _exchange(self, call: _Call, headers: Mapping[str, str]) -> Answer:
        if self._client is None:
            raise RuntimeError(f"the {self.system} connector is used outside its 'async with'")
        url = call.path if call.path.startswith(("http://", "https://")) else self.base_url + call.path
        content = call.body if isinstance(call.body, bytes | None) else json.dumps(call.body, ensure_ascii=False).encode()
        if content is not None:
            headers = {"Content-Type": "application/json", **headers}
        if call.effect is not Effect.READ:
            await leaving.get()()
        self.calls += 1
        try:
            response = await self._client.request(
                call.method,
                url,
                params=dict(call.params) if call.params else None,
                content=content,
                data=dict(call.form) if call.form else None,
                headers=dict(headers),
                timeout=call.within if call.within is not None else httpx.USE_CLIENT_DEFAULT,
            )
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as failure:
            raise self._failed(call.method, url, failure, call.effect) from failure
        return _parse(response)

    def _failed(self, method: str, url: str, failure: Exception, effect: Effect) -> ConnectorError:
        if _never_left(failure):
            where = httpx.URL(url).netloc.decode()
            return _NeverLeft(f"cannot reach {where} ({_name(failure)}); check the address and the network", system=self.system)
        return unknown(f"no answer to {method} {httpx.URL(url).path} ({_name(failure)})", effect, system=self.system)


class _NeverLeft(Transient):
    """The connection was never made: certainly not done."""


def _never_left(failure: Exception) -> bool:
    """Whether no connection was made. The transport names a reset under way a ConnectTimeout as well; what it wraps tells the two apart."""
    below = failure.__cause__
    if isinstance(below, aiohttp.ClientError):
        return isinstance(below, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=30)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True)


def _parse(response: httpx.Response) -> Answer:
    raw = response.content
    try:
        data = json.loads(raw, parse_float=Decimal) if raw else None
    except ValueError:
        data = None
    return Answer(response.status_code, response.headers, data, "" if data is not None else raw[:2000].decode("utf-8", "replace"), raw)


def _name(failure: BaseException) -> str:
    below = failure.__cause__
    if isinstance(below, aiohttp.ClientConnectorDNSError):
        return "no address is known for that name"
    if type(below) is aiohttp.ClientConnectorError and below.errno:
        return os.strerror(below.errno).lower()
    return type(below if isinstance(below, aiohttp.ClientError) else failure).__name__


def judge_status(answer: Answer, effect: Effect, *, words: str) -> ConnectorError | None:
    """The meaning most vendors share, for what a connector's own judge does not know better. `words` is the vendor's own explanation."""
    status = answer.status
    if 200 <= status < 300:
        return None
    if status in (401, 403):
        return AuthError(words)
    if status == 429:
        return RateLimited(words, retry_after=retry_after(answer.headers))
    if 400 <= status < 500:
        return Rejected(words)
    return unknown(words, effect)


def unknown(words: str, effect: Effect, *, system: str = "") -> Ambiguous | Transient:
    """Nobody knows whether it happened: that matters for a create only, everything else is safe to repeat."""
    if effect is Effect.CREATE:
        return Ambiguous(f"{words}; whether it happened is not known yet", system=system)
    return Transient(words, system=system)


def retry_after(headers: Mapping[str, str], default: float = 5.0) -> float:
    """Seconds from a Retry-After header; HTTP dates and rubbish fall back to `default`."""
    try:
        return min(max(float(headers.get("retry-after", "")), 0.0), 3600.0)
    except ValueError:
        return default
