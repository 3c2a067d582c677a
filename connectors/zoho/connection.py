"""How to reach one organisation of Zoho CRM: the `connection:` section of its mapping file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

Region = Literal["com", "eu", "in", "com.au", "com.cn", "jp", "ca", "sa"]
Edition = Literal["free", "standard", "professional", "enterprise", "ultimate"]
Trigger = Literal["approval", "workflow", "blueprint", "pathfinder", "orchestration"]


@dataclass(frozen=True, slots=True)
class Centre:
    """A data centre: where tokens come from, and where the API is."""

    accounts: str
    api: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an edition grants: calls at once, and at least so many credits a day."""

    at_once: int
    credits: int


# https://www.zoho.com/crm/developer/docs/api/v8/multi-dc.html
CENTRES: Mapping[Region, Centre] = {
    "com": Centre("accounts.zoho.com", "www.zohoapis.com"),
    "eu": Centre("accounts.zoho.eu", "www.zohoapis.eu"),
    "in": Centre("accounts.zoho.in", "www.zohoapis.in"),
    "com.au": Centre("accounts.zoho.com.au", "www.zohoapis.com.au"),
    "com.cn": Centre("accounts.zoho.com.cn", "www.zohoapis.com.cn"),
    "jp": Centre("accounts.zoho.jp", "www.zohoapis.jp"),
    "ca": Centre("accounts.zohocloud.ca", "www.zohoapis.ca"),
    "sa": Centre("accounts.zoho.sa", "www.zohoapis.sa"),
}
# https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html, without what each user adds
EDITIONS: Mapping[Edition, Allowance] = {
    "free": Allowance(5, 5_000),
    "standard": Allowance(10, 50_000),
    "professional": Allowance(15, 50_000),
    "enterprise": Allowance(20, 50_000),
    "ultimate": Allowance(25, 50_000),
}
ENVIRONMENTS = {"production": "www", "sandbox": "sandbox", "developer": "developer"}


class Connection(BaseModel):
    """Where the organisation is, how to sign in, and how much of its daily credits may be used."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    region: Region = Field("com", description="Data centre: the end of the address you sign in at (zoho.eu: eu).")
    environment: Literal["production", "sandbox", "developer"] = Field("production", description="Which environment the client belongs to.")
    client_id: str = Field(min_length=1, description="Client id of the self client in the API console.")
    client_secret: SecretStr = Field(description="Client secret of the self client.")
    refresh_token: SecretStr = Field(description="Refresh token that the self client's code was exchanged for.")
    token_file: Path | None = Field(
        None,
        description="File in which all processes share one access token; without it each process asks for its own, and 10 in 10 minutes are allowed.",
    )
    accounts_url: str = Field("", description="Address of another accounts server, such as a stand-in's.")
    api_url: str = Field("", description="Address of another API server, such as a stand-in's.")
    backend: Literal["httpx", "zcrmsdk"] = Field("httpx", description="What sends the requests; zcrmsdk needs the extra of that name.")
    edition: Edition = Field("free", description="Edition of the organisation: it decides how many calls may be under way at once.")
    daily_credits: int | None = Field(
        None, ge=1, description="Credits a day the organisation has; empty: what its edition grants at least."
    )
    quota_share: float = Field(0.8, gt=0, le=1, description="Stop when this share of the daily credits is used, by whomever.")
    lookback_minutes: int = Field(10, ge=0, le=1440, description="How far behind its position each run looks for late commits.")
    page_size: int = Field(200, ge=2, le=200, description="Records asked for per page.")
    bulk_above: int = Field(
        20_000, ge=0, description="A first read of more records than this, of a kind without lists, goes through bulk read."
    )
    trigger: tuple[Trigger, ...] = Field((), description="What a write sets going in Zoho; empty: nothing.")

    @field_validator("accounts_url", "api_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be an address such as https://accounts.zoho.eu")
        return value.rstrip("/")

    @property
    def accounts(self) -> str:
        return self.accounts_url or f"https://{CENTRES[self.region].accounts}"

    @property
    def api(self) -> str:
        """The API's address, unless the token names another one."""
        return self.api_url or f"https://{CENTRES[self.region].api.replace('www', ENVIRONMENTS[self.environment], 1)}"

    @property
    def allowance(self) -> Allowance:
        granted = EDITIONS[self.edition]
        return Allowance(granted.at_once, self.daily_credits or granted.credits)


def is_vendors(address: str) -> bool:
    """Whether an address is one of the vendor's own API servers: nothing else is given a token."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    known = {centre.api.replace("www", name, 1) for centre in CENTRES.values() for name in ENVIRONMENTS.values()}
    return parts.scheme == "https" and host in known and not parts.username and parts.port in (None, 443)
