"""Kanboard's webhooks, one address for the whole installation, seen on a real server (1.2.51).

They are not signed. The address is secret, and Kanboard adds its own token to it, which is compared where it is known.
Sent while somebody waits for Kanboard's answer, and never again.
"""

from __future__ import annotations

from pydantic import Field, SecretStr

from connectors.push import TOOL, Delivery, Endpoint, PushSettings, Received, Refused, parsed, posted, same, word

HOW = """\
1. In Kanboard, Settings, Webhooks: enter the webhook URL
   {url}
2. On the same page, copy the webhook token into the environment and name it as `token` under `push:`.
3. Where this address is a private one, Kanboard calls it only with WEBHOOK_ALLOW_PRIVATE_NETWORKS set to true.
"""


class Settings(PushSettings):
    """What Kanboard shows that it is itself."""

    token: SecretStr | None = Field(None, min_length=1, description="Webhook token of the installation: Settings, Webhooks.")


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """That something changed. Raises Refused."""
    del endpoint
    posted(delivery)
    if settings.token is not None and not same(delivery.query.get("token"), settings.token.get_secret_value()):
        raise Refused(401, "signature")
    if not word(parsed(delivery.body), "event_name"):
        raise Refused(400, "body")
    return Received((TOOL,), 1)
