"""JSON-RPC over `Http`: single calls, batches, and what an answer means.

Kanboard carries out a batch in order. An answer `false` or `null` is a value here; what it means is known where the call was made.
https://docs.kanboard.org/v1/api/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from connectors.base import Ambiguous, AuthError, ConnectorError, RateLimited, Rejected, Transient
from connectors.http import Answer, Effect, Http, retry_after, unknown

MOST = 40  # calls in one request
_LONGEST = 300
_STRANGE = "the answer is not JSON-RPC; check url in mappings/kanboard.yaml, jsonrpc.php is asked for below it"
_NEVER_RUN = frozenset({-32700, -32600, -32601, -32602})
_WORST_FIRST = (Effect.CREATE, Effect.UPDATE, Effect.REPEATABLE, Effect.READ)
Json = dict[str, Any]


class Forbidden(Rejected):
    """The user may not do this there. Kanboard says the same of a task that does not exist."""


@dataclass(frozen=True, slots=True)
class Call:
    """One procedure with its arguments, and what repeating it would do."""

    method: str
    params: Mapping[str, Any]
    effect: Effect


def read(method: str, **params: Any) -> Call:
    return Call(method, params, Effect.READ)


def create(method: str, **params: Any) -> Call:
    return Call(method, params, Effect.CREATE)


def update(method: str, **params: Any) -> Call:
    return Call(method, params, Effect.UPDATE)


def again(method: str, **params: Any) -> Call:
    """A call that adds to a set: adding twice is adding once."""
    return Call(method, params, Effect.REPEATABLE)


def is_error(reply: object) -> TypeGuard[ConnectorError]:
    return isinstance(reply, ConnectorError)


def whole(reply: Any) -> Any:
    """The reply, or raised what stands in its place."""
    if is_error(reply):
        raise reply
    return reply


def judge(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of an HTTP answer. What the single calls of it say is judged one by one, by `Api`."""
    status = answer.status
    if status == 200:
        return None if isinstance(answer.data, dict | list) else unknown(_STRANGE, effect)
    if status == 401:
        return AuthError("Kanboard refused the token; check token and login in mappings/kanboard.yaml (Settings → API shows the token)")
    if status == 403:
        return Forbidden("Kanboard answered 403: the user has no right to this, or it is not there; use the application's token")
    if status == 429:
        return RateLimited("Kanboard answered 429: too many requests", retry_after=retry_after(answer.headers))
    if 400 <= status < 500:
        return Rejected(f"Kanboard answered {status}; check url in mappings/kanboard.yaml, jsonrpc.php is asked for below it")
    return unknown(f"Kanboard answered {status}", effect)


class Api:
    """Calls in, values out, errors as ConnectorErrors."""

    def __init__(self, http: Http) -> None:
        self.http = http

    async def one(self, call: Call) -> Any:
        """The value of one call; raises what went wrong."""
        return whole((await self.run([call]))[0])

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Each call's value or the error true of it, in order; carried out in order, several to a request. Nothing is raised."""
        replies: list[Any] = []
        for at in range(0, len(calls), MOST):
            replies += await self._chunk(calls[at : at + MOST])
        return replies

    async def _chunk(self, calls: Sequence[Call]) -> list[Any]:
        effect = next(effect for effect in _WORST_FIRST if any(call.effect is effect for call in calls))
        body: Any = [_spelled(number, call) for number, call in enumerate(calls, 1)]
        try:
            answer = await self.http.send("POST", "/jsonrpc.php", effect=effect, body=body if len(calls) > 1 else body[0])
        except Forbidden as refusal:
            return [refusal] if len(calls) == 1 else await self._singly(calls, effect)
        except ConnectorError as error:
            return [_own(error, call.effect) for call in calls]
        rows = answer.data if isinstance(answer.data, list) else [answer.data]
        found = {row.get("id"): row for row in rows if isinstance(row, dict)}
        return [self._value(found.get(number), call) for number, call in enumerate(calls, 1)]

    async def _singly(self, calls: Sequence[Call], effect: Effect) -> list[Any]:
        """A 403 ends a whole batch in the middle, without a word about what was done before: only what creates nothing is asked again."""
        if effect is Effect.CREATE:
            return [self._named(unknown("Kanboard refused a part of a batch with 403", call.effect)) for call in calls]
        return [(await self._chunk([call]))[0] for call in calls]

    def _value(self, row: Json | None, call: Call) -> Any:
        error = row.get("error") if row else None
        if row is None or (error is None and "result" not in row):
            return self._named(unknown(f"Kanboard's answer to {call.method} is not whole", call.effect))
        if error is None:
            return row["result"]
        said = _words(call, error)
        never_run = isinstance(error, dict) and error.get("code") in _NEVER_RUN
        return self._named(Rejected(said) if never_run else unknown(said, call.effect))

    def _named(self, error: ConnectorError) -> ConnectorError:
        error.system = self.http.system
        return error


def _spelled(number: int, call: Call) -> Json:
    return {"jsonrpc": "2.0", "method": call.method, "id": number, "params": dict(call.params)}


def _words(call: Call, error: Any) -> str:
    """Kanboard's own explanation, bounded."""
    if not isinstance(error, dict):
        return f"Kanboard answered {call.method} with an error it did not explain"
    parts = (str(error.get(name) or "") for name in ("message", "data"))
    return f"Kanboard answered {call.method} with {error.get('code')}: {'; '.join(filter(None, parts))[:_LONGEST]}"


def _own(error: ConnectorError, effect: Effect) -> ConnectorError:
    """The error of a batch as it is true of one call in it: only creates are in doubt."""
    if isinstance(error, Ambiguous) and effect is not Effect.CREATE:
        return Transient(error.message, system=error.system)
    return error
