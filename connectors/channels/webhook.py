"""Anything that takes JSON: `{"text", "markdown", "notices": [{"key", "source", "rule", "text"}]}`, signed if a secret is given.

The signature is in `X-Handoff-Signature`: `sha256=` and hex of HMAC-SHA256 with the secret as key over the text of `X-Handoff-Timestamp` (seconds), a
point, and the body as sent. Any status from 200 to 299 is success.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import datetime

from pydantic import Field, SecretStr

from connectors.base import Runtime
from connectors.channels.bot import Bot, Post, as_json, judge_status
from connectors.channels.message import Message, plain
from connectors.channels.settings import Address, Settings


class Webhook(Settings):
    """An address of your own that takes JSON."""

    url: Address = Field(description="Where to post to.")
    secret: SecretStr | None = Field(None, description="What to sign with, so that the receiver knows who it is from.")

    def open(self, name: str, runtime: Runtime) -> Bot:
        secrets = [self.secret] if self.secret else []
        return Bot(name, self.url, say=self.say, judge=judge_status, per_minute=600, runtime=runtime, secrets=secrets)

    def say(self, message: Message, at: datetime) -> Post:
        post = as_json({"text": plain(message.text), "markdown": message.text, "notices": [dict(item) for item in message.items]})
        if not self.secret:
            return post
        stamp = str(int(at.timestamp()))
        signed = {"X-Handoff-Timestamp": stamp, "X-Handoff-Signature": f"sha256={sign(stamp, post.body, self.secret.get_secret_value())}"}
        return replace(post, headers={**post.headers, **signed})


def sign(timestamp: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
