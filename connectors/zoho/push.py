"""Zoho CRM's notifications. https://www.zoho.com/crm/developer/docs/api/v8/notifications/overview.html

They are not signed: what tells them from others is the channel's token, which Zoho sends back in the body.
"""

from __future__ import annotations

from connectors.push import Delivery, Endpoint, PushSettings, Received, Refused, named, parsed, posted, same, word


class Settings(PushSettings):
    """Nothing: the token is the endpoint's."""


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """The records of a module that the mapping reads; of another module, none. Raises Refused."""
    del settings
    posted(delivery)
    told = parsed(delivery.body)
    if not isinstance(told, dict):
        raise Refused(400, "body")
    if not same(told.get("token"), endpoint.token):
        raise Refused(401, "signature")
    ids = told.get("ids")
    if not isinstance(ids, list) or not word(told, "module"):
        raise Refused(400, "body")
    kind = endpoint.objects.get(word(told, "module"))
    return Received(named((kind, id) for id in ids), len(ids))
