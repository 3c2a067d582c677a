"""The Asana API as an app: tokens, limits, and the way from bytes to an answer and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from email.parser import BytesParser
from email.policy import HTTP
from functools import partial
from typing import Any, Literal

from sandbox.asana import attachments, events, links, people, search, webhooks
from sandbox.asana.batch import attempt, failed
from sandbox.asana.limits import Limits
from sandbox.asana.routes import Call, Done, checked, resolve
from sandbox.asana.state import Record, Refused, Settings, Token
from sandbox.asana.world import World
from sandbox.sender import Sender
from sandbox.web import Reply, Request

ROUTED = (attachments, events, links, people, search, webhooks)  # imported for the routes they register
WITH_BODY = ("POST", "PUT")


class Asana:
    """A stand-in of one Asana workspace. `world` is its state; `counts` its statistics; `calls` counts "METHOD /pattern", batched or not.

    `per_minute` None means no minute window; `enforce_limits` False none at all. What is unconfirmed about the real service is a keyword.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        per_minute: int | None = 1500,
        reads: int = 50,
        writes: int = 15,
        enforce_limits: bool = True,
        plan: Literal["paid", "free"] = "paid",
        external: Literal["oauth", "any"] = "oauth",
        external_unique: bool = False,
        search_lag: float = 30,
        shuffle_batch: bool = True,
        seed: int = 0,
        date_fields: Literal["object", "string"] = "object",
        new_tasks: Literal["top", "bottom"] = "top",
        local_targets: bool = True,
    ) -> None:
        settings = Settings(plan, external, external_unique, search_lag, shuffle_batch, date_fields, new_tasks, local_targets)
        self.world = World(clock, settings, seed)
        self.webhooks = webhooks.Webhooks(self.world)
        self.counts: Counter[str] = Counter()
        self._limits = Limits(clock, per_minute=per_minute, reads=reads, writes=writes) if enforce_limits else None
        self.world.search_limit = self._limits.search if self._limits else None
        self._admitted: dict[int, tuple[str, int, int]] = {}

    @property
    def sender(self) -> Sender:
        """What sends the webhooks' deliveries."""
        return self.webhooks.sender

    @property
    def calls(self) -> Counter[str]:
        return self.world.calls

    def admit(self, request: Request) -> Reply | None:
        """A 429 when a limit stands in the way; a batch is refused whole."""
        reads, writes = _weights(request)
        self.counts["requests"] += 1
        self.counts["reads"] += reads
        self.counts["writes"] += writes
        token = self._token(request)
        if self._limits is None or token is None:
            return None
        wait = self._limits.admit(token.text, reads, writes)
        if wait:
            self.counts["rejected"] += 1
            return _reply(failed(too_many(wait)))
        self._admitted[id(request)] = (token.text, reads, writes)
        return None

    def release(self, request: Request) -> None:
        admitted = self._admitted.pop(id(request), None)
        if admitted is not None and self._limits is not None:
            self._limits.release(*admitted)

    def handle(self, request: Request) -> Reply:
        """One request from bytes to bytes."""
        try:
            done = self._answer(request)
        except Refused as refusal:
            done = failed(refusal)
        return _reply(done) if done.then is None else Reply(done.status, then=partial(_later, done.then))

    def _answer(self, request: Request) -> Done:
        token = self._token(request)
        if token is None:
            raise Refused(401, "Not Authorized")
        raw = request.raw_path or request.path
        answer, pattern, ids = resolve(request.method, raw)
        self.calls[f"{request.method} /{pattern}"] += 1
        if pattern == "batch":
            self.counts["batch"] += 1
        data, options = _body(request)
        query = dict(request.query)
        fields = query.get("opt_fields") or ",".join(options.get("fields") or ())
        path = "/" + raw.partition("?")[0].removeprefix("/api/1.0").strip("/")
        return attempt(answer, Call(self.world, token, request.method, path, ids, query, data, fields))

    def _token(self, request: Request) -> Token | None:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        return self.world.tokens.get(text.strip()) if kind.lower() == "bearer" else None


def too_many(wait: float) -> Refused:
    return Refused(429, "You have made too many requests recently. Please, be chill.", headers={"Retry-After": str(int(wait))})


async def _later(then: Callable[[], Awaitable[Done]]) -> Reply:
    try:
        return _reply(await then())
    except Refused as refusal:
        return _reply(failed(refusal))


def _body(request: Request) -> tuple[Record, Record]:
    """The `data` and the `options` of a body."""
    if request.method not in WITH_BODY or not request.body:
        return {}, {}
    if "multipart/form-data" in request.headers.get("content-type", ""):
        return _form(request), {}
    try:
        body = request.json()
    except ValueError as error:
        raise Refused(400, "Could not parse request data, invalid JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("data"), dict):
        raise Refused(400, "data: An object is expected at the top of the body")
    return checked(body["data"]), body.get("options") or {}


def _form(request: Request) -> Record:
    """The text fields of a multipart body; a file is only named."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    fields: Record = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + request.body).iter_parts():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        fields[str(name)] = part.get_filename() or (content.decode() if isinstance(content, bytes) else "")
    return fields


def _weights(request: Request) -> tuple[int, int]:
    """Reads and writes this request stands for."""
    if request.method == "GET":
        return 1, 0
    if not request.path.rstrip("/").endswith("/batch"):
        return 0, 1
    methods = [str(action.get("method", "")).lower() for action in _actions(request)]
    return methods.count("get"), len(methods) - methods.count("get")


def _actions(request: Request) -> list[Any]:
    try:
        actions = request.json()["data"]["actions"]
    except (ValueError, KeyError, TypeError):
        return []
    return [action for action in actions if isinstance(action, dict)] if isinstance(actions, list) else []


def _reply(done: Done) -> Reply:
    headers = {"Content-Type": "application/json; charset=UTF-8", **done.headers}
    return Reply(done.status, json.dumps(done.body, ensure_ascii=False).encode(), headers)
