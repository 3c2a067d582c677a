"""HubSpot's webhooks: up to 100 events a call, signed. https://developers.hubspot.com/docs/api/webhooks

Only the third version of the signature is taken. It covers method, address, body and moment; the older ones, which come beside it, do not.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from connectors.push import Delivery, Endpoint, PushSettings, Received, Refused, named, parsed, posted, same, timely, word
from engine.model import CrmKind

HOW = """\
1. In HubSpot, open the app (private or public) and its webhooks. As the target URL, enter
   {url}
2. Subscribe to what matters of contacts, companies and deals: creation, deletion, merge, restore, association change,
   and property change for each property the mapping names (HubSpot has no "any property").
3. Put the app's client secret into the environment and name it as `client_secret` under `push:`.
"""

_MOST = 100
# The name of an object in a subscription, or its type id where the subscription is to `object.…`
_KINDS: Mapping[str, CrmKind] = {
    **dict.fromkeys(("contact", "0-1"), "contact"),
    **dict.fromkeys(("company", "0-2"), "customer"),
    **dict.fromkeys(("deal", "0-3"), "deal"),
    "ticket": "feedback",
}


class Settings(PushSettings):
    """What HubSpot signs with."""

    client_secret: SecretStr = Field(min_length=1, description="Client secret of the app whose webhooks these are.")


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """The records the events name: both sides of an association, all that take part in a merge. Raises Refused."""
    posted(delivery)
    _check(settings, endpoint, delivery)
    events = parsed(delivery.body)
    if not isinstance(events, list) or len(events) > _MOST:
        raise Refused(400, "body")
    return Received(named(record for event in events for record in _named(event)), len(events))


def _check(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> None:
    """https://developers.hubspot.com/docs/api/webhooks/validating-requests, version 3. A moment ahead of ours is refused as one long past is."""
    moment = delivery.headers.get("x-hubspot-request-timestamp", "")
    query = urlsplit(delivery.url).query
    address = f"{endpoint.url}?{query}" if query else endpoint.url
    text = delivery.method.encode() + address.encode() + delivery.body + moment.encode()
    signature = hmac.digest(settings.client_secret.get_secret_value().encode(), text, "sha256")
    if not same(delivery.headers.get("x-hubspot-signature-v3"), base64.b64encode(signature).decode()):
        raise Refused(401, "signature")
    timely(moment, delivery.at, per_second=1000)


def _named(event: object) -> Iterator[tuple[CrmKind | None, object]]:
    if not isinstance(event, dict):
        return
    subject, _, what = word(event, "subscriptionType").partition(".")
    if what == "associationChange":
        one, _, other = word(event, "associationType").lower().partition("_to_")
        yield _KINDS.get(word(event, "fromObjectTypeId") or one), event.get("fromObjectId")
        yield _KINDS.get(word(event, "toObjectTypeId") or other), event.get("toObjectId")
        return
    kind = _KINDS.get(word(event, "objectTypeId") if subject == "object" else subject)
    merged = event.get("mergedObjectIds")
    for id in (
        event.get("objectId"),
        event.get("primaryObjectId"),
        event.get("newObjectId"),
        *(merged if isinstance(merged, list) else ()),
    ):
        yield kind, id
