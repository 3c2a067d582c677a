"""Channels: where people are told. One kind each, with settings of its own; all of them take a message, once."""

from __future__ import annotations

from typing import Protocol, Self, cast

from pydantic import Field, model_validator

from connectors.base import Runtime
from connectors.channels.dingtalk import DingTalk
from connectors.channels.feishu import Feishu
from connectors.channels.mail import Mail
from connectors.channels.message import Message, cut, plain
from connectors.channels.settings import Settings
from connectors.channels.slack import Slack
from connectors.channels.teams import Teams
from connectors.channels.webhook import Webhook
from connectors.channels.wecom import WeCom

__all__ = ["Channel", "Message", "Open", "cut", "plain"]


class Open(Protocol):
    """A channel that is ready. `per_minute`: it is not to be given more messages.

    `send` sends a message once and never repeats it: Ambiguous when it may have arrived, RateLimited, Rejected for this very message, AuthError
    for what a person has to mend, Transient for the rest; after all but the first it certainly did not arrive. It takes some seconds at most.
    """

    per_minute: int

    async def __aenter__(self) -> Open: ...
    async def __aexit__(self, *exc: object) -> None: ...
    async def send(self, message: Message) -> None: ...


class _Opens(Protocol):
    def open(self, name: str, runtime: Runtime) -> Open: ...


class Channel(Settings):
    """One channel: exactly one kind."""

    slack: Slack | None = Field(None, description="A Slack channel.")
    teams: Teams | None = Field(None, description="A Microsoft Teams channel.")
    feishu: Feishu | None = Field(None, description="A Feishu or Lark group.")
    dingtalk: DingTalk | None = Field(None, description="A DingTalk group.")
    wecom: WeCom | None = Field(None, description="A WeCom group.")
    email: Mail | None = Field(None, description="E-mail.")
    webhook: Webhook | None = Field(None, description="An address that takes JSON.")

    @property
    def kind(self) -> str:
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    def open(self, name: str, runtime: Runtime) -> Open:
        """The channel, an async context manager; errors call it by its name."""
        return cast("_Opens", getattr(self, self.kind)).open(name, runtime)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"has to be of one kind, with its settings: {', '.join(type(self).model_fields)}")
        return self
