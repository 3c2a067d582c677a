"""Stand-ins of the services that take messages: each checks what its real one checks, and answers as that one does. Emulated, not tenant-verified.

Paths: /slack, /teams, /feishu, /dingtalk, /wecom, /hook. What was taken is in `taken`, by path.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox.web import Reply, Request

Clock = Callable[[], datetime]
_HOUR = 3600
TOKEN = "t0ken-of-the-robot"


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that arrived: its text as people see it, and the body it was in."""

    text: str
    body: Any


class Services:
    """Every service, with one address each. Secrets that are empty ask for no signature.

    `token` is the secret part of every address. `texts(name)` are the messages a service took, in order.
    """

    def __init__(self, clock: Clock, *, token: str = TOKEN, feishu: str = "", dingtalk: str = "", hook: str = "") -> None:
        self.token = token
        self.taken: dict[str, list[Taken]] = defaultdict(list)
        self._clock = clock
        self._secrets = {"feishu": feishu, "dingtalk": dingtalk, "hook": hook}
        self._recent: dict[str, deque[datetime]] = defaultdict(deque)
        self._services: Mapping[str, Callable[[Request], Reply]] = {
            "slack": self._slack,
            "teams": self._teams,
            "feishu": self._feishu,
            "dingtalk": self._dingtalk,
            "wecom": self._wecom,
            "hook": self._hook,
        }

    def texts(self, name: str) -> list[str]:
        return [one.text for one in self.taken[name]]

    def handle(self, request: Request) -> Reply:
        name = request.path.strip("/").split("/")[0]
        if request.method != "POST" or name not in self._services:
            return Reply(404, b"no such service")
        return self._services[name](request)

    def admit(self, request: Request) -> Reply | None:
        del request
        return None

    def release(self, request: Request) -> None: ...

    # services with the token in the path

    def _slack(self, request: Request) -> Reply:
        if not request.path.endswith(f"/{self.token}"):
            return Reply(404, b"no_service")
        body = _body(request)
        if not isinstance(body, dict) or not isinstance(body.get("text"), str) or not body["text"]:
            return Reply(400, b"invalid_payload")
        if self._too_many("slack", 60, 60):
            return Reply(429, b"rate_limited", {"Retry-After": "30"})
        self.taken["slack"].append(Taken(body["text"], body))
        return Reply(200, b"ok")

    def _teams(self, request: Request) -> Reply:
        if request.query.get("sig") != self.token:
            return Reply.json(401, {"error": {"code": "DirectApiAuthorizationRequired", "message": "The request must be authenticated"}})
        body = _body(request)
        cards = [one.get("content", {}) for one in body.get("attachments", [])] if isinstance(body, dict) else []
        if (
            not cards
            or body.get("type") != "message"
            or any(card.get("type") != "AdaptiveCard" for card in cards)
            or len(request.body) > 28_000
        ):
            return Reply.json(400, {"error": {"code": "TriggerInputSchemaMismatch", "message": "The input body is not a message"}})
        text = "\n\n".join(block["text"] for card in cards for block in card["body"])
        self.taken["teams"].append(Taken(text, body))
        return Reply(202)

    def _feishu(self, request: Request) -> Reply:
        if not request.path.endswith(f"/{self.token}"):
            return Reply.json(200, {"code": 19001, "msg": "param invalid: incoming webhook access token invalid", "data": {}})
        body, secret = _body(request), self._secrets["feishu"]
        if not isinstance(body, dict) or body.get("msg_type") != "post" or len(request.body) > 20_480:
            return Reply.json(200, {"code": 9499, "msg": "Bad Request", "data": {}})
        if secret:
            stamp = str(body.get("timestamp", ""))
            wanted = _hmac(f"{stamp}\n{secret}", "")
            if body.get("sign") != wanted or not self._is_fresh(stamp, 1):
                return Reply.json(
                    200, {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time", "data": {}}
                )
        if self._too_many("feishu", 5, 1) or self._too_many("feishu a minute", 100, 60):
            return Reply.json(200, {"code": 11232, "msg": "create message trigger frequency limit", "data": {}})
        (post,) = body["content"]["post"].values()
        text = "\n".join("".join(part["text"] for part in line) for line in post["content"])
        self.taken["feishu"].append(Taken(text, body))
        return Reply.json(200, {"StatusCode": 0, "StatusMessage": "success", "code": 0, "msg": "success", "data": {}})

    # services with the token in the query

    def _dingtalk(self, request: Request) -> Reply:
        if request.query.get("access_token") != self.token:
            return Reply.json(200, {"errcode": 300001, "errmsg": "token is not exist"})
        secret, stamp = self._secrets["dingtalk"], request.query.get("timestamp", "")
        if secret and (request.query.get("sign") != _hmac(secret, f"{stamp}\n{secret}") or not self._is_fresh(stamp, 1000)):
            return Reply.json(
                200, {"errcode": 310000, "errmsg": "sign not match, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]"}
            )
        return self._errcode("dingtalk", request, {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}, most=20_000)

    def _wecom(self, request: Request) -> Reply:
        if request.query.get("key") != self.token:
            return Reply.json(200, {"errcode": 93000, "errmsg": "invalid webhook url, hint: [1]"})
        return self._errcode("wecom", request, {"errcode": 45009, "errmsg": "api freq out of limit"}, most=2_048)

    def _errcode(self, name: str, request: Request, limited: Mapping[str, Any], *, most: int) -> Reply:
        body = _body(request)
        text = body.get("text", {}).get("content", "") if isinstance(body, dict) and body.get("msgtype") == "text" else ""
        if not text or len(text.encode()) > most:
            return Reply.json(200, {"errcode": 40058, "errmsg": "text.content is missing or exceeds its length"})
        if self._too_many(name, 20, 60):
            return Reply.json(200, limited)
        self.taken[name].append(Taken(text, body))
        return Reply.json(200, {"errcode": 0, "errmsg": "ok"})

    def _hook(self, request: Request) -> Reply:
        secret = self._secrets["hook"]
        if secret:
            signed = request.headers.get("x-handoff-timestamp", "").encode() + b"." + request.body
            wanted = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
            if request.headers.get("x-handoff-signature") != wanted:
                return Reply(401, b"bad signature")
        body = _body(request)
        self.taken["hook"].append(Taken(body["text"], body))
        return Reply(204)

    def _is_fresh(self, stamp: str, per_second: int) -> bool:
        return stamp.isdigit() and abs(int(stamp) / per_second - self._clock().timestamp()) <= _HOUR

    def _too_many(self, name: str, most: int, seconds: int) -> bool:
        now, recent = self._clock(), self._recent[name]
        while recent and now - recent[0] >= timedelta(seconds=seconds):
            recent.popleft()
        if len(recent) >= most:
            return True
        recent.append(now)
        return False


def _hmac(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _body(request: Request) -> Any:
    try:
        return request.json()
    except ValueError:
        return None
