"""Webhooks of a system that has no receiver of its own: JSON, and in a header a secret or the body's HMAC.

For automations whose sender composes the payload (PingCode Flow, Worktile, Yida), and for tools that sign in the usual way (Jira, ClickUp,
Linear, Redmine 7, OpenProject).
"""

from __future__ import annotations

import hmac
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from connectors.push import TOOL, Delivery, Endpoint, PushSettings, Received, Refused, at, named, parsed, posted, same, typed
from engine.model import HintKind

HOW = """\
1. Have the system send a POST with JSON (Content-Type: application/json) to
   {url}
   whenever something changes.
2. Where you can set a header, send `X-Handoff-Secret` with the `secret` under `push:`, or, without one there, with
   {token}
   Where the system signs its webhooks, give it this value as the secret instead, and set `scheme`, `header` and `prefix` under `push:`.
"""

Scheme = Literal["header", "hmac-sha256", "hmac-sha1"]


class Settings(PushSettings):
    """How it shows that it is genuine, and where the changed record's id is."""

    scheme: Scheme = Field(
        "header", description="What the header holds: the secret itself (header), or the HMAC of the body in hex (hmac-sha256, hmac-sha1)."
    )
    header: str = Field("X-Handoff-Secret", pattern=r"^[A-Za-z0-9-]+$", description="Name of the header.")
    prefix: str = Field("", description="What stands before it in the header, such as sha256=.")
    secret: SecretStr | None = Field(None, min_length=1, description="The secret; empty: the one shown with the address.")
    kind: HintKind = Field("tool", description="What changes: tool, or a kind of record of a CRM.")
    id: str = Field("", description="Where in the body the record's id is, with dots: data.issue.id. Not needed for a tool.")

    @model_validator(mode="after")
    def _names_records(self) -> Self:
        if self.kind != "tool" and not self.id:
            raise ValueError(f"id is needed by kind: {self.kind}")
        return self


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """The record at `id`, or all of a list there; of a tool, that something changed. Raises Refused."""
    posted(delivery)
    typed(delivery, "application/json")
    if not same(delivery.headers.get(settings.header.lower()), _expected(settings, endpoint, delivery.body)):
        raise Refused(401, "signature")
    told = parsed(delivery.body)
    if not isinstance(told, dict):
        raise Refused(400, "body")
    if settings.kind == "tool":
        return Received((TOOL,), 1)
    found = at(told, *settings.id.split("."))
    hints = named((settings.kind, id) for id in (found if isinstance(found, list) else [found]))
    if not hints:
        raise Refused(400, "body", f"no id at {settings.id}")
    return Received(hints, len(hints))


def _expected(settings: Settings, endpoint: Endpoint, body: bytes) -> str:
    """What the header has to hold; empty where there is no secret, and then nothing is taken."""
    secret = settings.secret.get_secret_value() if settings.secret else endpoint.token
    if settings.scheme == "header" or not secret:
        return f"{settings.prefix}{secret}" if secret else ""
    return settings.prefix + hmac.new(secret.encode(), body, settings.scheme.removeprefix("hmac-")).hexdigest()
