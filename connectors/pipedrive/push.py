"""Pipedrive's webhooks, version 2: one event a call, with a user and a password of ours. https://pipedrive.readme.io/docs/guide-for-webhooks-v2"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from pydantic import Field, SecretStr

from connectors.push import Delivery, Endpoint, PushSettings, Received, Refused, at, named, parsed, posted, same, word
from engine.model import CrmKind

HOW = """\
1. In Pipedrive, Tools and apps, Webhooks, make a webhook, version 2, event action *, event object *, with the endpoint
   {url}
2. As HTTP auth username enter handoff, as the password
   {token}
   (or others of your own, named as `user` and `password` under `push:`).
"""

_KINDS: Mapping[str, CrmKind] = {"deal": "deal", "organization": "customer", "person": "contact"}


class Settings(PushSettings):
    """What Pipedrive signs in with."""

    user: str = Field("handoff", pattern=r"^[^:]+$", description="HTTP auth username of the webhook.")
    password: SecretStr | None = Field(
        None, min_length=1, description="HTTP auth password of the webhook; empty: the one shown with its address."
    )


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """The deal, organisation or person; those it was merged into or from as well. Raises Refused."""
    posted(delivery)
    if not _signs_in(settings, endpoint, delivery.headers.get("authorization", "")):
        raise Refused(401, "signature")
    meta = at(parsed(delivery.body), "meta")
    if not word(meta, "entity"):
        raise Refused(400, "body", "not a webhook of version 2")
    kind = _KINDS.get(word(meta, "entity"))
    return Received(named((kind, at(meta, name)) for name in ("entity_id", "merged_to_id", "merged_from_id")), 1)


def _signs_in(settings: Settings, endpoint: Endpoint, given: str) -> bool:
    password = settings.password.get_secret_value() if settings.password else endpoint.token
    scheme, _, credentials = given.partition(" ")
    return (
        bool(password)
        and scheme.lower() == "basic"
        and same(credentials, base64.b64encode(f"{settings.user}:{password}".encode()).decode())
    )
