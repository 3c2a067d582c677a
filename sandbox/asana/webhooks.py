"""Webhooks: a target that shook hands is told what happens to a resource, signed, at most once; and whether anybody still answers there."""

from __future__ import annotations

import hmac
import json
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import Event, Record, Refused, State
from sandbox.sender import Answer, Content, Letter, Sender

HEARTBEAT, FIRST, LONGEST, DELETED_AFTER = timedelta(hours=8), timedelta(seconds=5), timedelta(hours=1), timedelta(hours=24)
ACTIONS = ("added", "removed", "deleted", "undeleted", "changed")
HIGHER = ("workspace", "team")
LOCAL = ("localhost", "127.0.0.1", "::1")
TAKEN = (200, 204)
NO_HANDSHAKE = "Could not complete activation handshake with target URL. Please make sure the target URL is valid and responding."


class Webhooks:
    """What the webhooks of a workspace have to tell. `at_most` events go into one delivery."""

    def __init__(self, state: State, *, at_most: int = 100) -> None:
        self.state = state
        self.at_most = at_most
        self.sender = Sender(state.clock, self.letters)
        self._events: deque[tuple[str, Event]] = deque()
        state.listeners.append(self._hear)
        state.hooks = self

    def _hear(self, event: Event) -> None:
        for gid, hook in list(self.state.webhooks.items()):
            if _hears(hook, event):
                self._events.append((gid, event))
        self.sender.wake()

    def letters(self) -> Iterator[Letter]:
        """Events of each webhook, and heartbeats that are due."""
        told: dict[str, list[Event]] = {}
        for _ in range(len(self._events)):
            gid, event = self._events.popleft()
            told.setdefault(gid, []).append(event)
        for gid, events in told.items():
            if gid in self.state.webhooks:
                for start in range(0, len(events), self.at_most):
                    yield self._letter(self.state.webhooks[gid], events[start : start + self.at_most])
        now = self.state.clock()
        for hook in list(self.state.webhooks.values()):
            if now >= hook["beats_at"]:
                hook["beats_at"] = now + HEARTBEAT
                yield self._letter(hook, [])

    def _letter(self, hook: Record, events: list[Event]) -> Letter:
        body = json.dumps({"events": [_compact(event) for event in events]}, ensure_ascii=False).encode()
        signed = {**_HEADERS, "X-Hook-Signature": hmac.new(hook["secret"].encode(), body, sha256).hexdigest()}

        def write() -> Content:
            return signed, body

        return Letter(hook["target"], write, lambda answer: self._answered(hook, answer))

    def _answered(self, hook: Record, answer: Answer) -> timedelta | None:
        """After how long to try again. 24 hours after its last success a webhook that fails is deleted."""
        now = self.state.clock()
        if answer.status in TAKEN:
            hook |= {"last_success_at": _text(now), "succeeded_at": now, "delivery_retry_count": 0}
            for name in _FAILING:
                hook.pop(name, None)
            return None
        deleted_at = hook["succeeded_at"] + DELETED_AFTER
        if now >= deleted_at:
            self.state.webhooks.pop(hook["gid"], None)
        if hook["gid"] not in self.state.webhooks:
            return None
        wait: timedelta = min(LONGEST, FIRST * 2.0 ** min(hook["delivery_retry_count"], 16))
        hook["delivery_retry_count"] += 1
        hook |= {"last_failure_at": _text(now), "last_failure_content": f"{answer.status} {answer.text}"}
        hook |= {"next_attempt_after": _text(now + wait), "failure_deletion_timestamp": _text(deleted_at)}
        return wait

    async def open(self, call: Call) -> Done:
        """Shake hands, then begin: the request that makes a webhook ends when its target has answered."""
        secret = f"{self.state.random.getrandbits(256):064x}"
        answer = await self.sender.ask(call.data["target"], {**_HEADERS, "X-Hook-Secret": secret}, b"{}")
        if answer.status not in TAKEN or answer.headers.get("x-hook-secret") != secret:
            raise Refused(400, NO_HANDSHAKE)
        now = self.state.clock()
        kind, resource = _resource(call)
        gid = self.state.new_gid()
        hook: Record = {"gid": gid, "resource_type": "webhook", "active": True, "target": call.data["target"], "by": call.by}
        hook |= {"resource": resource["gid"], "resource_kind": kind, "filters": call.data.get("filters") or [], "secret": secret}
        hook |= {"created_at": _text(now), "last_success_at": _text(now), "last_failure_content": ""}
        hook |= {"delivery_retry_count": 0, "succeeded_at": now, "beats_at": now}
        self.state.webhooks[gid] = hook
        self.sender.wake()
        made = call.created("webhook", hook)
        made.body["X-Hook-Secret"] = secret
        return made


_HEADERS = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Asana-Webhooks"}
_FAILING = ("next_attempt_after", "failure_deletion_timestamp")  # there only while it fails: the description knows no null for them


def _hears(hook: Record, event: Event) -> bool:
    """Whether an event reaches a webhook and passes its filters. Workspaces and teams hear of nothing inside projects."""
    inside = event.kind in ("task", "story", "section")
    reached = not inside if hook["resource_kind"] in HIGHER else hook["resource"] in event.reaches
    return reached and (not hook["filters"] or any(_passes(each, event) for each in hook["filters"]))


def _passes(wanted: Record, event: Event) -> bool:
    fields = wanted.get("fields")
    return (
        wanted.get("resource_type") in (None, event.kind)
        and wanted.get("resource_subtype") in (None, event.subtype)
        and wanted.get("action") in (None, event.action)
        and (not fields or (event.change or {}).get("field") in fields)
    )


def _compact(event: Event) -> Record:
    told: Record = {
        "user": {"gid": event.user, "resource_type": "user"},
        "created_at": _text(event.at),
        "action": event.action,
        "resource": {"gid": event.gid, "resource_type": event.kind} | ({"resource_subtype": event.subtype} if event.subtype else {}),
        "parent": {"gid": event.parent[1], "resource_type": event.parent[0]} if event.parent else None,
    }
    return told | ({"change": event.change} if event.change else {})


def _text(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _resource(call: Call) -> tuple[str, Record]:
    state, gid = call.state, str(call.need("resource"))
    if gid in state.workspaces:
        return "workspace", state.workspaces[gid]
    if gid in state.teams:
        return "team", state.teams[gid]
    if gid in state.tasks:
        return "task", state.task(gid, call.by, "resource")
    return "project", state.project(gid, call.by, "resource")


def _check(call: Call) -> None:
    kind, resource = _resource(call)
    target = urlsplit(str(call.need("target")))
    if target.scheme not in ("http", "https") or not target.hostname:
        raise Refused(400, f"target: Not a valid URL: {str(call.data['target'])[:80]}")
    if target.hostname in LOCAL and not call.state.settings.local_targets:
        raise Refused(403, "target: The target of a webhook cannot be on localhost")
    _check_filters(call.data.get("filters"), higher=kind in HIGHER)
    if any((each["resource"], each["target"], each["by"]) == (resource["gid"], call.data["target"], call.by) for each in _own(call)):
        raise Refused(403, "Duplicated webhook")


def _check_filters(filters: Any, *, higher: bool) -> None:
    if higher and not filters:
        raise Refused(400, "filters: Webhooks on this resource require filters")
    if filters is not None and (not isinstance(filters, list) or not all(isinstance(each, dict) for each in filters)):
        raise Refused(400, "filters: An array of objects is expected")
    for each in filters or ():
        if each.get("action") not in (None, *ACTIONS):
            raise Refused(400, f"filters: Not a known action: {str(each['action'])[:40]}")
        if each.get("fields") and (higher or each.get("action") != "changed"):
            raise Refused(400, "filters: fields go with the action changed, and not with higher-level resources")


def _own(call: Call) -> list[Record]:
    return [hook for hook in call.state.webhooks.values() if hook["by"] == call.by]


def _one(call: Call) -> Record:
    hook = call.state.webhooks.get(call.ids[0])
    if hook is None or hook["by"] != call.by:
        raise Refused(404, f"webhook: Unknown object: {call.ids[0]}")
    return hook


@route("POST", "/webhooks")
def post_webhooks(call: Call) -> Done:
    if call.in_batch:
        raise Refused(400, "This stand-in does not make webhooks in a batch")
    _check(call)
    hooks: Webhooks = call.state.hooks
    return Done(0, {}, then=lambda: hooks.open(call))


@route("GET", "/webhooks")
def get_webhooks(call: Call) -> Done:
    if call.query.get("workspace") not in call.state.workspaces:
        raise Refused(400, "workspace: Missing input" if "workspace" not in call.query else "workspace: Not a recognized ID")
    resource = call.query.get("resource")
    return call.listed("webhook", [hook for hook in _own(call) if resource in (None, hook["resource"])])


@route("GET", "/webhooks/{}")
def get_webhook(call: Call) -> Done:
    return call.found("webhook", _one(call))


@route("PUT", "/webhooks/{}")
def put_webhook(call: Call) -> Done:
    """The list of filters is replaced as a whole."""
    hook = _one(call)
    _check_filters(call.data.get("filters"), higher=hook["resource_kind"] in HIGHER)
    hook["filters"] = call.data.get("filters") or []
    return call.found("webhook", hook)


@route("DELETE", "/webhooks/{}")
def delete_webhook(call: Call) -> Done:
    del call.state.webhooks[_one(call)["gid"]]
    return empty()
