"""Feishu's and Lark's events, encrypted and signed where the app has an encrypt key.
https://open.feishu.cn/document/ukTMukTMukTM/uYDNxYjL2QTM24iN0EjN/event-subscription-configure-/encrypt-key-encryption-configuration-case

The request with which the platform tries an address is not signed; everything else is. What shows them genuine besides is the verification token.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from pydantic import Field, SecretStr

from connectors.push import TOOL, Delivery, Endpoint, PushSettings, Received, Refused, at, parsed, posted, same, timely, word

HOW = """\
1. In the developer console of Feishu or Lark, open the app, Events and callbacks, Encryption strategy. Set an encrypt key. Put it and the
   verification token into the environment and name them as `encrypt_key` and `verification_token` under `push:`.
2. Restart the hub; then, as the request URL for events sent to a server of yours, enter
   {url}
   The console tries it at once.
3. Add the event "record of a bitable changed" (drive.file.bitable_record_changed_v1) and publish the app.
4. Subscribe each base: POST /open-apis/drive/v1/files/<app_token>/subscribe?file_type=bitable, as the app.
"""

_CHANGES = ("drive.file.bitable_record_changed_v1", "drive.file.bitable_field_changed_v1")
_LONGEST_CHALLENGE = 1024


class Settings(PushSettings):
    """What the app's encryption strategy shows."""

    verification_token: SecretStr = Field(min_length=1, description="Verification token of the app: Events and callbacks.")
    encrypt_key: SecretStr | None = Field(None, min_length=1, description="Encrypt key of the app; set one, or nothing is signed.")


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """That records changed; or the answer to the challenge with which the platform tries the address. Raises Refused."""
    del endpoint
    posted(delivery)
    key = settings.encrypt_key.get_secret_value() if settings.encrypt_key else ""
    signed = bool(key) and _is_signed(key, delivery)
    event = parsed(delivery.body)
    if key:
        event = _event(key, word(event, "encrypt"))
    trial = word(event, "type") == "url_verification"
    token = at(event, "token") if trial else at(event, "header", "token")
    if not same(token, settings.verification_token.get_secret_value()) or (key and not signed and not trial):
        raise Refused(401, "signature")
    if trial:
        return _answered(word(event, "challenge"))
    return Received((TOOL,) if word(event, "header", "event_type") in _CHANGES else (), 1)


def _is_signed(key: str, delivery: Delivery) -> bool:
    """False for one without a signature. Raises Refused for a wrong one, and one that is not of now (the window is ours, not the platform's)."""
    signature = delivery.headers.get("x-lark-signature")
    if signature is None:
        return False
    moment, nonce = (delivery.headers.get(f"x-lark-request-{name}", "") for name in ("timestamp", "nonce"))
    if not same(signature, hashlib.sha256(f"{moment}{nonce}{key}".encode() + delivery.body).hexdigest()):
        raise Refused(401, "signature")
    timely(moment, delivery.at, per_second=1)
    return True


def _event(key: str, sealed: str) -> Any:
    """All that can be wrong is refused alike, so that nobody learns of the key by asking."""
    try:
        return parsed(_opened(key, sealed))
    except (ValueError, Refused):
        raise Refused(401, "signature") from None


def _opened(key: str, sealed: str) -> bytes:
    data = b64decode(sealed)
    decryptor = Cipher(AES(hashlib.sha256(key.encode()).digest()), CBC(data[:16])).decryptor()
    padding = PKCS7(128).unpadder()
    return padding.update(decryptor.update(data[16:]) + decryptor.finalize()) + padding.finalize()


def _answered(challenge: str) -> Received:
    if not 0 < len(challenge) <= _LONGEST_CHALLENGE:
        raise Refused(400, "body")
    return Received(body=json.dumps({"challenge": challenge}).encode(), content_type="application/json")
