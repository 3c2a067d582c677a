"""Slack, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks. Emulated, not tenant-verified.

Success is 200 with the body `ok`. Errors have a status and a word: 400 invalid_payload, 403 action_prohibited, 404 no_service, 410
channel_is_archived, 429, 500 rollup_error (https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks).
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from connectors.base import Ambiguous, ConnectorError, Runtime
from connectors.channels.bot import Bot, Post, as_json, judge_status
from connectors.channels.message import SLACK, Message, cut, written
from connectors.channels.settings import SecureAddress, Settings
from connectors.http import Answer

PER_MINUTE = 50
_MOST = 3_900  # bytes; longer texts are hard to read, and beyond 40,000 characters Slack cuts them


class Slack(Settings):
    """A Slack channel, by an incoming webhook."""

    url: SecureAddress = Field(description="The webhook's address, https://hooks.slack.com/services/…")

    def open(self, name: str, runtime: Runtime) -> Bot:
        return Bot(name, self.url, say=say, judge=judge, per_minute=PER_MINUTE, runtime=runtime)


def say(message: Message, at: datetime) -> Post:
    del at
    return as_json({"text": cut(written(message.text, SLACK), _MOST), "unfurl_links": False})


def judge(answer: Answer) -> ConnectorError | None:
    words = answer.text.strip()
    if answer.status == 200 and words != "ok":
        return Ambiguous("the answer is not Slack's")
    return judge_status(answer, words if words.replace("_", "").isalpha() else "")
