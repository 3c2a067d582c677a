"""Asana's webhooks: one a project, each with a secret that Asana gives at a handshake. https://developers.asana.com/docs/webhooks-guide

A handshake is taken only while it is awaited: otherwise anybody who knows the address could put a secret of theirs in its place.
"""

from __future__ import annotations

import hmac

from connectors.push import TOOL, Delivery, Endpoint, PushSettings, Received, Refused, at, parsed, posted, same

_LONGEST_SECRET = 256


class Settings(PushSettings):
    """Nothing: Asana gives the secrets by itself."""


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """That something in the project changed; nothing, for the empty list that Asana sends every eight hours as a sign of life. Raises Refused."""
    del settings
    posted(delivery)
    if (secret := delivery.headers.get("x-hook-secret")) is not None:
        return _handshake(endpoint, secret)
    signature = hmac.new(endpoint.secret.encode(), delivery.body, "sha256").hexdigest()
    if not endpoint.secret or not same(delivery.headers.get("x-hook-signature"), signature):
        raise Refused(401, "signature")
    events = at(parsed(delivery.body), "events")
    if not isinstance(events, list):
        raise Refused(400, "body")
    return Received((TOOL,) if events else (), len(events))


def _handshake(endpoint: Endpoint, secret: str) -> Received:
    if not endpoint.awaited or not 0 < len(secret) <= _LONGEST_SECRET or not (secret.isascii() and secret.isprintable()):
        raise Refused(403, "unexpected", "a handshake that nobody awaits")
    return Received(handshake=secret, headers={"X-Hook-Secret": secret})
