"""What every kind of channel shares in its settings."""

from __future__ import annotations

from typing import Annotated

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Settings(BaseModel):
    """Immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


def _address(value: SecretStr) -> SecretStr:
    """The address itself is never part of what is said about it: it is a secret."""
    try:
        url = httpx.URL(value.get_secret_value())
    except httpx.InvalidURL:
        raise ValueError("should be an address such as https://…") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("should be an address such as https://…")
    return value


def _secure(value: SecretStr) -> SecretStr:
    url = httpx.URL(value.get_secret_value())
    if url.scheme != "https" and url.host not in LOCAL:
        raise ValueError("should begin with https://: whoever reads the address on its way can write to the channel")
    return value


def host_of(address: SecretStr) -> str:
    """What may be shown of an address."""
    return httpx.URL(address.get_secret_value()).netloc.decode()


def parts_of(address: SecretStr) -> list[str]:
    """What may not be: whatever in it is long enough to be a secret."""
    url = httpx.URL(address.get_secret_value())
    parts = [*url.path.split("/"), *(value for _, value in url.params.multi_items()), url.password]
    return [part for part in parts if len(part) >= 8]


Address = Annotated[SecretStr, AfterValidator(_address)]
SecureAddress = Annotated[SecretStr, AfterValidator(_address), AfterValidator(_secure)]
