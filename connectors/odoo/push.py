"""Odoo's webhooks, sent by an automation rule (module `base_automation`), seen on a real server (19.0).

They are not signed and carry no secret: the address is the secret. Sent once, with a second to answer, and forgotten when that fails.
"""

from __future__ import annotations

from connectors.push import TOOL, Delivery, Endpoint, PushSettings, Received, Refused, named, parsed, posted, typed, word

_MOST = 2**31 - 1  # what its columns hold; asked for more, the server refuses the whole question
_PROJECTS = ("project.project", "project.task", "project.milestone", "project.update")


class Settings(PushSettings):
    """Nothing: the secret is in the address."""


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """The record, of a model that the mapping reads; of Odoo's projects, that something changed there. Raises Refused."""
    del settings
    posted(delivery)
    typed(delivery, "application/json")
    told = parsed(delivery.body)
    model = word(told, "_model")
    if not model or not isinstance(told.get("_id"), int) or told["_id"] > _MOST:
        raise Refused(400, "body")
    kind = endpoint.objects.get(model)
    if kind is None and model in _PROJECTS:
        return Received((TOOL,), 1)
    return Received(named([(kind, told["_id"])]), 1)
