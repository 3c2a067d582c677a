"""DingTalk's application events over HTTP, encrypted and signed. https://github.com/open-dingtalk/DingTalk-Callback-Crypto

The answer is encrypted and signed as well. What is random in it is derived from the key and from the request's signature, so that the same
request gets the same answer and nobody else can tell it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from pydantic import Field, SecretStr, field_validator

from connectors.push import TOOL, Delivery, Endpoint, PushSettings, Received, Refused, parsed, posted, same, word

HOW = """\
1. In DingTalk's developer console, open the app, Events and callbacks, and choose HTTP push. Have a token and an AES key made. Put both into
   the environment and name them as `token` and `aes_key` under `push:`, with the app's key (Client ID) as `owner`.
2. Restart the hub; then, as the request URL, enter
   {url}
   The console tries it at once.
3. Subscribe to the events of projects and tasks.
"""

_PAD = PKCS7(256)  # to 32 bytes, twice the cipher's block


class Settings(PushSettings):
    """What the app's event subscription shows."""

    token: SecretStr = Field(min_length=1, description="Token of the event subscription.")
    aes_key: SecretStr = Field(description="AES key of the event subscription, 43 characters.")
    owner: str = Field(
        min_length=1, description="Key of the app (Client ID); the corp id, where the address was registered by a call of the API."
    )

    @field_validator("aes_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if len(text) != 43 or not (text.isascii() and text.isalnum()):
            raise ValueError("aes_key must be the 43 letters and digits the console shows")
        return value

    @property
    def key(self) -> bytes:
        return b64decode(f"{self.aes_key.get_secret_value()}=")


def receive(settings: Settings, endpoint: Endpoint, delivery: Delivery) -> Received:
    """That something changed; nothing, for the event with which DingTalk tries the address. Raises Refused."""
    del endpoint
    posted(delivery)
    query, sealed = delivery.query, word(parsed(delivery.body), "encrypt")
    given = query.get("msg_signature") or query.get("signature", "")
    moment = query.get("timestamp") or query.get("timeStamp", "")
    if not same(given, _signature(settings, moment, query.get("nonce", ""), sealed)):
        raise Refused(401, "signature")
    event = parsed(_opened(settings, sealed))
    if not word(event, "EventType"):
        raise Refused(400, "body")
    trial = word(event, "EventType").startswith("check_")
    return Received(() if trial else (TOOL,), 0 if trial else 1, body=_answer(settings, delivery, given), content_type="application/json")


def _signature(settings: Settings, moment: str, nonce: str, sealed: str) -> str:
    parts = sorted((settings.token.get_secret_value(), moment, nonce, sealed))
    return hashlib.sha1("".join(parts).encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def _cipher(key: bytes) -> Cipher[CBC]:
    return Cipher(AES(key), CBC(key[:16]))


def _opened(settings: Settings, sealed: str) -> bytes:
    """16 random bytes, the length of the message in 4, the message, the owner. Raises Refused for one that belongs to another."""
    try:
        decryptor, padding = _cipher(settings.key).decryptor(), _PAD.unpadder()
        plain = padding.update(decryptor.update(b64decode(sealed)) + decryptor.finalize()) + padding.finalize()
    except ValueError:
        raise Refused(400, "body") from None
    end = 20 + int.from_bytes(plain[16:20])
    if not hmac.compare_digest(plain[end:], settings.owner.encode()):
        raise Refused(403, "sender", "of another owner")
    return plain[20:end]


def _answer(settings: Settings, delivery: Delivery, request: str) -> bytes:
    """The word `success`, sealed as an event is."""
    random = hmac.digest(settings.key, request.encode(), "sha256")
    encryptor, padding, message = _cipher(settings.key).encryptor(), _PAD.padder(), b"success"
    plain = random[:16] + len(message).to_bytes(4) + message + settings.owner.encode()
    sealed = b64encode(encryptor.update(padding.update(plain) + padding.finalize()) + encryptor.finalize()).decode()
    moment, nonce = str(int(delivery.at.timestamp() * 1000)), random[16:24].hex()
    told: dict[str, Any] = {
        "msg_signature": _signature(settings, moment, nonce, sealed),
        "timeStamp": moment,
        "nonce": nonce,
        "encrypt": sealed,
    }
    return json.dumps(told).encode()
