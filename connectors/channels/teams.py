"""Microsoft Teams, by a workflow ("Post to a channel when a webhook request is received"). Emulated, not tenant-verified.

It takes an Adaptive Card in a message and answers 202, or 200; a message may have 28 KB. The connectors of before (webhook.office.com), which took
other messages, were retired by Microsoft in 2026: https://devblogs.microsoft.com/microsoft365dev/retirement-of-office-365-connectors-within-microsoft-teams/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import httpx
from pydantic import AfterValidator, Field, SecretStr

from connectors.base import ConnectorError, Runtime
from connectors.channels.bot import Bot, Post, as_json, judge_status
from connectors.channels.message import Message, clean, cut
from connectors.channels.settings import SecureAddress, Settings
from connectors.http import Answer

_MOST = 20_000  # bytes of text, of 28 KB for the whole


def _no_connector(value: SecretStr) -> SecretStr:
    if httpx.URL(value.get_secret_value()).host.endswith((".webhook.office.com", "outlook.office.com")):
        raise ValueError(
            'is the address of a connector, which Microsoft has retired; make a workflow "Post to a channel when a webhook request is received"'
        )
    return value


class Teams(Settings):
    """A Teams channel, by a workflow."""

    url: Annotated[SecureAddress, AfterValidator(_no_connector)] = Field(description="The workflow's address, as Teams shows it.")

    def open(self, name: str, runtime: Runtime) -> Bot:
        return Bot(name, self.url, say=say, judge=judge, per_minute=50, runtime=runtime)


def say(message: Message, at: datetime) -> Post:
    del at
    blocks = [
        {"type": "TextBlock", "text": block, "wrap": True}
        for block in cut(clean(message.text), _MOST).replace("\n", "\n\n").split("\n\n\n\n")
    ]
    card = {"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": blocks}
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return as_json({"type": "message", "attachments": [content]})


def judge(answer: Answer) -> ConnectorError | None:
    error = answer.data.get("error") if isinstance(answer.data, Mapping) else None
    return judge_status(answer, str(error.get("code", "")) if isinstance(error, Mapping) else "")
