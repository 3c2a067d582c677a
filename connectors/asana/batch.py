"""One request or many: single actions, Asana's batch of up to ten, and listings page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.asana.errors import Judge
from connectors.base import Ambiguous, ConnectorError, Rejected, Transient
from connectors.http import Answer, Effect, Http, unknown

MOST = 10
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """One call. `data` is the body of a write or the query of a read; `ask` names the fields to come back; `limit` asks for a page."""

    method: str
    path: str
    effect: Effect
    data: Mapping[str, Any] = field(default_factory=dict)
    ask: tuple[str, ...] = ()
    limit: int | None = None


def get(path: str, ask: Sequence[str] = (), *, limit: int | None = None, **query: str) -> Action:
    return Action("GET", path, Effect.READ, query, tuple(ask), limit)


def put(path: str, data: Mapping[str, Any], ask: Sequence[str] = ()) -> Action:
    return Action("PUT", path, Effect.UPDATE, data, tuple(ask))


def post(path: str, data: Mapping[str, Any], ask: Sequence[str] = (), *, effect: Effect = Effect.CREATE) -> Action:
    return Action("POST", path, effect, data, tuple(ask))


def whole(reply: Json | ConnectorError) -> Json:
    """The reply, or raised what stands in its place."""
    if isinstance(reply, ConnectorError):
        raise reply
    return reply


class Api:
    """Asana's envelope around `Http`: data in, data out, errors as ConnectorErrors."""

    def __init__(self, http: Http, judge: Judge) -> None:
        self.http = http
        self._judge = judge

    async def one(self, action: Action) -> Json:
        """The whole reply of one call; raises what went wrong."""
        params = {"opt_fields": ",".join(action.ask)} if action.ask else {}
        if action.limit:
            params["limit"] = str(action.limit)
        if action.method == "GET":
            answer = await self.http.send("GET", action.path, effect=action.effect, params={**action.data, **params})
        else:
            body = {"data": action.data}
            answer = await self.http.send(action.method, action.path, effect=action.effect, params=params, body=body)
        return dict(answer.data)

    async def run(self, actions: Sequence[Action]) -> list[Json | ConnectorError]:
        """Every action's reply or the error true of it, in order. Nothing is raised; a batch runs unordered and its actions are independent."""
        chunks = [actions[at : at + MOST] for at in range(0, len(actions), MOST)]
        replies = await asyncio.gather(*(self._chunk(chunk) for chunk in chunks))
        return [reply for chunk in replies for reply in chunk]

    async def every(self, path: str, ask: Sequence[str], **query: str) -> list[Json]:
        """All rows of a listing, each once. A page token that died on the way is Transient: the listing starts again."""
        rows: dict[str, Json] = {}
        offset: str | None = ""
        while offset is not None:
            page = await self._page(path, ask, {**query, **({"offset": offset} if offset else {})})
            rows |= {row["gid"]: row for row in page["data"]}
            offset = (page.get("next_page") or {}).get("offset")
        return list(rows.values())

    async def _page(self, path: str, ask: Sequence[str], query: Mapping[str, str]) -> Json:
        try:
            return await self.one(get(path, ask, limit=100, **query))
        except Rejected as refusal:
            if "offset" in query and refusal.field == "offset":
                raise Transient(f"{refusal.message}; the listing starts again", system=self.http.system) from refusal
            raise

    async def _chunk(self, actions: Sequence[Action]) -> list[Json | ConnectorError]:
        try:
            if len(actions) == 1:
                return [await self.one(actions[0])]
            answer = await self._batch(actions)
        except ConnectorError as error:
            return [_own(error, action.effect) for action in actions]
        rows = answer.data["data"]
        if not isinstance(rows, list) or len(rows) != len(actions):
            return [self._lost(action.effect) for action in actions]
        return [self._result(row, action) for row, action in zip(rows, actions, strict=True)]

    async def _batch(self, actions: Sequence[Action]) -> Answer:
        effects = {action.effect for action in actions}
        effect = next(effect for effect in (Effect.CREATE, Effect.UPDATE, Effect.REPEATABLE, Effect.READ) if effect in effects)
        body = {"data": {"actions": [_spelled(action) for action in actions]}}
        return await self.http.send("POST", "/batch", effect=effect, weight=len(actions), body=body)

    def _result(self, row: Any, action: Action) -> Json | ConnectorError:
        if not isinstance(row, dict) or not isinstance(row.get("status_code"), int):
            return self._lost(action.effect)
        headers = {str(name).lower(): str(value) for name, value in (row.get("headers") or {}).items()}
        error = self._judge(Answer(row["status_code"], headers, row.get("body"), ""), action.effect)
        if error is None:
            return dict(row["body"])
        error.system = self.http.system
        return error

    def _lost(self, effect: Effect) -> ConnectorError:
        error = unknown("Asana's answer to a batch does not match it", effect)
        error.system = self.http.system
        return error


def _spelled(action: Action) -> Json:
    options: Json = {"fields": list(action.ask)} if action.ask else {}
    if action.limit:
        options["limit"] = action.limit
    spelled: Json = {"relative_path": action.path, "method": action.method.lower(), "options": options}
    return {**spelled, "data": dict(action.data)} if action.data or action.method != "GET" else spelled


def _own(error: ConnectorError, effect: Effect) -> ConnectorError:
    """The error of a batch as it is true of one action in it: only creates are in doubt."""
    if isinstance(error, Ambiguous) and effect is not Effect.CREATE:
        return Transient(error.message, system=error.system)
    return error
