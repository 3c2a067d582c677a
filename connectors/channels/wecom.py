"""WeCom, by a group robot (https://developer.work.weixin.qq.com/document/path/91770). Emulated, not tenant-verified.

It answers 200 with an errcode: 0, 93000 for an address that is not valid, 45009 for too many. It takes 20 messages a minute, texts of 2,048 bytes.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from connectors.base import Runtime
from connectors.channels.bot import Bot, Codes, Post, as_json
from connectors.channels.message import Message, cut, plain
from connectors.channels.settings import SecureAddress, Settings

_MOST = 2_048
CODES = Codes(
    "errcode",
    "errmsg",
    denied=frozenset({93000, 93008, 93017}),  # the latter two unconfirmed
    limited=frozenset({45009, 45033}),
    rejected=frozenset({40008, 40058, 44004}),
)


class WeCom(Settings):
    """A group in WeCom, by a group robot."""

    url: SecureAddress = Field(description="The robot's address, https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…")

    def open(self, name: str, runtime: Runtime) -> Bot:
        return Bot(name, self.url, say=say, judge=CODES.judge, per_minute=15, runtime=runtime)


def say(message: Message, at: datetime) -> Post:
    del at
    text = plain(message.text).replace("<@", "<\u200b@")  # `<@name>` would call somebody
    return as_json({"msgtype": "text", "text": {"content": cut(text, _MOST)}})
