"""Feishu or Lark, by a custom bot (https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot). Emulated, not tenant-verified.

The signature is base64 of HMAC-SHA256 with the key "timestamp, newline, secret" over nothing, good for an hour. It answers 200 with a code: 0,
19021 for a wrong signature, 11232 for too many. It takes 100 messages a minute and 5 a second, of 20 KB each.
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

_MOST = 15_000  # bytes of text, of 20 KB for the whole
CODES = Codes(
    "code",
    "msg",
    # 19001 no such bot, 19021 signature, 19022 address of the sender, 19024 no keyword; 19001 and those after 19021 are unconfirmed
    denied=frozenset({19001, 19021, 19022, 19024}),
    limited=frozenset({11232}),
    rejected=frozenset({9499}),
)


class Feishu(Settings):
    """A group in Feishu or Lark, by a custom bot."""

    url: SecureAddress = Field(description="The bot's address, https://open.feishu.cn/open-apis/bot/v2/hook/…")
    secret: SecretStr | None = Field(None, description="The bot's signing secret, where its security settings ask for a signature.")

    def open(self, name: str, runtime: Runtime) -> Bot:
        secrets = [self.secret] if self.secret else []
        return Bot(name, self.url, say=self.say, judge=CODES.judge, per_minute=60, runtime=runtime, secrets=secrets)

    def say(self, message: Message, at: datetime) -> Post:
        # a "post" shows its text as it is; in a "text" a customer's name could call everybody
        lines = [[{"tag": "text", "text": line}] for line in cut(plain(message.text), _MOST).split("\n")]
        body: dict[str, Any] = {"msg_type": "post", "content": {"post": {"en_us": {"title": "", "content": lines}}}}
        if self.secret:
            stamp = str(int(at.timestamp()))
            body = {"timestamp": stamp, "sign": sign(stamp, self.secret.get_secret_value()), **body}
        return as_json(body)


def sign(timestamp: str, secret: str) -> str:
    """`timestamp` in seconds."""
    return base64.b64encode(hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()
