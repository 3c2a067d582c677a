"""DingTalk, by a custom robot (https://open.dingtalk.com/document/robots/custom-robot-access). Emulated, not tenant-verified.

The signature is base64 of HMAC-SHA256 with the secret as key over "timestamp, newline, secret", the timestamp in milliseconds; both go into the
address. It answers 200 with an errcode: 0, 310000 when the security settings refuse it. It takes 20 messages a minute, and none for a while after.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from connectors.base import Runtime
from connectors.channels.bot import Bot, Codes, Post, as_json
from connectors.channels.message import Message, cut, plain
from connectors.channels.settings import SecureAddress, Settings

_MOST = 15_000  # bytes of text
# Codes other than 0 and 310000 are from clients' notes, unconfirmed.
CODES = Codes(
    "errcode",
    "errmsg",
    denied=frozenset({310000, 300001, 300005, 40035}),
    limited=frozenset({130101, 410100, 90030, 660026}),
    rejected=frozenset({400013, 400014, 400101, 400105}),
    pause=600.0,
)


class DingTalk(Settings):
    """A group in DingTalk, by a custom robot."""

    url: SecureAddress = Field(description="The robot's address, https://oapi.dingtalk.com/robot/send?access_token=…")
    secret: SecretStr | None = Field(None, description="The robot's secret (SEC…), where its security settings ask for a signature.")

    def open(self, name: str, runtime: Runtime) -> Bot:
        secrets = [self.secret] if self.secret else []
        return Bot(name, self.url, say=self.say, judge=CODES.judge, per_minute=15, runtime=runtime, secrets=secrets)

    def say(self, message: Message, at: datetime) -> Post:
        body: dict[str, Any] = {"msgtype": "text", "text": {"content": cut(plain(message.text), _MOST)}, "at": {"isAtAll": False}}
        if not self.secret:
            return as_json(body)
        stamp = str(int(at.timestamp() * 1000))
        return as_json(body, timestamp=stamp, sign=sign(stamp, self.secret.get_secret_value()))


def sign(timestamp: str, secret: str) -> str:
    """`timestamp` in milliseconds; not yet quoted for an address."""
    return base64.b64encode(hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()).decode()
